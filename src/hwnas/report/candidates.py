"""The chart of every candidate that the search scored, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any, NamedTuple

from markupsafe import Markup

from hwnas.core.trial import pareto_front
from hwnas.report import wording
from hwnas.report.charts import Chart, Look, Table, legend_mark, limit_line, limit_words, source_looks
from hwnas.report.reading import aim_of, mapping, number, options, rows, text, trained_alone
from hwnas.report.svg import Panel, axes, figure, line, marker, panel, polyline, spot, spread, tag

MOST_POINTS = 5000  # more would make a report larger than 2 MB
MOST_ROWS = 300
_SIZES = ((400, 3.4, "faint"), (1500, 2.7, "fainter"), (math.inf, 2.1, "faintest"))
_BEST_BY_KEYBOARD = (
    "the ring is the delivered architecture. Point at a mark for its architecture; the Tab key steps along the best at "
    "each latency."
)


@dataclass(frozen=True, slots=True)
class Scoring:
    """What candidates were ranked by, and what it is called.

    Args:
        heading: of the chart.
        key: of the figure in a row.
        better: 1 where more of it is better, -1 where less is.
        axis: the figure with its unit.
        unit: of the ticks, which count hundredths where there is one.
        say: the figure in words.
        best: what is said of the best one.
        latency: how latencies are known.
        note: of the chart.
        order: of the table.
        front: whether the front is the outcome: drawn as a line, and the head of the table.
    """

    heading: str
    key: str
    better: int
    axis: str
    unit: str
    say: Callable[[float], str]
    best: str
    latency: str
    note: str
    order: str
    front: bool = False


def _by_loss(heading: str, axis: str) -> Scoring:
    return Scoring(
        heading, "loss", -1, axis, "", wording.significant, "the one with the lowest loss", "predicted",
        f"Lower is better; {_BEST_BY_KEYBOARD}", "the lowest loss first",
    )  # fmt: skip


_SHARED = _by_loss("Candidates scored on the shared weights", "loss on shared weights, nats")
_SOME_ALONE = _by_loss("Candidates scored on shared weights, or trained alone", "loss on the search images, nats")
_ALONE = Scoring(
    "Networks that were trained alone", "accuracy", 1, "accuracy on the search images", " %", wording.percent,
    "the most accurate", "measured",
    "Accuracy is that after a short training of its own, latency that of the untrained file. On the line lie those "
    f"that no other beats in both; {_BEST_BY_KEYBOARD}", "those on the line first", front=True,
)  # fmt: skip
_ALONE_AMONG_SHARED = "random-standalone"  # who proposes networks that are trained alone where the others are not


class Candidate(NamedTuple):
    """One architecture that was scored."""

    row: Mapping[str, Any]
    latency_ms: float
    figure: float

    @property
    def source(self) -> str:
        """Who proposed it."""
        return text(self.row.get("source"))

    @property
    def id(self) -> str:
        """Of its architecture."""
        return text(self.row.get("architecture_id"))


def candidates_chart(result: Mapping[str, Any], delivered: str) -> Chart | None:
    """Loss against predicted latency, or accuracy against measured, coloured by who proposed the candidate.

    Args:
        result: the content of result.json.
        delivered: the id of the delivered architecture; it gets a ring.
    """
    scoring = _scoring(result)
    read = [
        (row, number(row.get("predicted_ms")), number(row.get(scoring.key))) for row in rows(result.get("candidates"))
    ]
    known = [Candidate(row, x, y) for row, x, y in read if x is not None and y is not None]
    if not known:
        return None
    budget_ms = number(mapping(result.get("budget")).get("latency_ms"))
    aim_ms = aim_of(result) if scoring.front and aim_of(result) != budget_ms else None
    shown = _thinned(known, delivered, scoring)
    ceiling = _ceiling([one.figure for one in shown]) if scoring.better < 0 else math.inf
    looks = source_looks(list(dict.fromkeys(one.source for one in shown)))
    scale = 100 if scoring.unit else 1
    heights = [scale * min(one.figure, ceiling) for one in shown]
    area = panel(
        spread([*(one.latency_ms for one in shown), *(ms for ms in (budget_ms, aim_ms) if ms is not None)]),
        spread(heights),
    )
    places = [(area.x(one.latency_ms), area.y(height)) for one, height in zip(shown, heights, strict=True)]
    front = pareto_front([(one.latency_ms, scoring.better * one.figure) for one in shown])
    parts = [limit_line(area, budget_ms), _aim_line(area, aim_ms)]
    parts.append(axes(area, f"{scoring.latency} latency, ms", scoring.axis, y_unit=scoring.unit))
    if scoring.front:
        parts.append(_stairs([places[index] for index in front], area))
    best = {*front, *(index for index, one in enumerate(shown) if one.id == delivered != "")}
    parts += _marks(shown, places, looks, best, delivered, scoring, area)
    drawing = figure(
        "candidates", scoring.heading, _finding(known, delivered, budget_ms, scoring), area.width, area.height, *parts,
        role="group",
    )  # fmt: skip
    legend = [(legend_mark(looks[source]), _source_words(source, known)) for source in looks]
    if aim_ms is not None:
        legend.append((_aim_mark(), f"aim {wording.limit(aim_ms)}"))
    note = _note(known, shown, ceiling, scoring)
    note += _remarks(result, known) if scoring.front else ""
    return Chart(scoring.heading, drawing, tuple(legend), note, _table(known, scoring))


def _scoring(result: Mapping[str, Any]) -> Scoring:
    if trained_alone(result):
        return _ALONE
    sources = {text(row.get("source")) for row in rows(result.get("candidates"))}
    return _SOME_ALONE if _ALONE_AMONG_SHARED in sources else _SHARED


def _marks(
    shown: Sequence[Candidate], places: Sequence[tuple[float, float]], looks: Mapping[str, Look], best: set[int],
    delivered: str, scoring: Scoring, area: Panel,
) -> list[Markup]:  # fmt: skip
    """Every candidate as a mark; the best are larger, above the others, and reached with the keyboard."""
    size, faint = next((size, faint) for most, size, faint in _SIZES if len(shown) <= most)
    parts = []
    for source, mark in looks.items():
        crowd = [
            marker(mark.shape, *places[index], size, None, "\n".join(_lines(one, scoring)))
            for index, one in enumerate(shown)
            if index not in best and one.source == source
        ]
        parts.append(tag("g", *crowd, class_=f"point {faint} {mark.class_}"))
    by_latency = sorted(best, key=lambda index: shown[index].latency_ms)
    for index in by_latency:
        one, (x, y) = shown[index], places[index]
        parts.append(marker(looks[one.source].shape, x, y, 4.2, f"point {looks[one.source].class_}"))
        if one.id == delivered != "":
            parts.append(tag("circle", cx=x, cy=y, r=8.5, class_="ring"))
    return parts + [spot(*places[index], _lines(shown[index], scoring), area) for index in by_latency]


def _aim_line(area: Panel, aim_ms: float | None) -> Markup:
    """What the search aims at, upright; its words stand in the legend, because the budget's are close by."""
    if aim_ms is None or not area.x.low < aim_ms < area.x.high:
        return Markup()
    return line(area.x(aim_ms), area.y.start, area.x(aim_ms), area.y.stop, "since")


def _aim_mark() -> Markup:
    drawn = line(7, 0, 7, 14, "since")
    return tag("svg", drawn, viewBox="0 0 14 14", width=14, height=14, class_="mark", aria_hidden="true")


def _stairs(front: Sequence[tuple[float, float]], area: Panel) -> Markup:
    """The front from its fastest network on: between two of them, the faster one is the best there is."""
    corners = [front[0]]
    for x, y in front[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    return polyline([*corners, (area.x.stop, corners[-1][1])], "chain")


def _finding(known: Sequence[Candidate], delivered: str, budget_ms: float | None, scoring: Scoring) -> str:
    best = max(known, key=lambda one: scoring.better * one.figure)
    whose = "is delivered" if best.id == delivered != "" else f"was proposed by {best.source or 'an unnamed source'}"
    return (
        f"{wording.count(len(known))} candidates; {scoring.best}, {scoring.say(best.figure)} at "
        f"{wording.milliseconds(best.latency_ms)}, {whose}. {limit_words(budget_ms)}"
    )


def _note(known: Sequence[Candidate], shown: Sequence[Candidate], ceiling: float, scoring: Scoring) -> str:
    note = scoring.note
    if len(shown) < len(known):
        rising = f"rising {scoring.key}"
        note += f" {wording.count(len(shown))} of {wording.count(len(known))} are drawn, evenly taken by {rising}."
    beyond = sum(one.figure > ceiling for one in shown)
    if beyond:
        note += f" {beyond} with a {scoring.key} above {scoring.say(ceiling)} stand at the upper edge."
    return note


def _remarks(result: Mapping[str, Any], known: Sequence[Candidate]) -> str:
    """What a reader of networks that were trained alone must know besides."""
    failed = len(rows(result.get("failed_candidates")))
    said = f" {wording.count(failed)} failed and {'is' if failed == 1 else 'are'} not drawn." if failed else ""
    if len(known) > 1 and len({one.figure for one in known}) == 1:
        said += " All are equally accurate, so nothing could be chosen by accuracy: train each for more steps."
    return said


def _table(known: Sequence[Candidate], scoring: Scoring) -> Table:
    front = set(pareto_front([(one.latency_ms, scoring.better * one.figure) for one in known])) if scoring.front else {}
    order = sorted(range(len(known)), key=lambda index: (index not in front, -scoring.better * known[index].figure))
    best = order[:MOST_ROWS]
    which = f"All {len(known)}" if len(best) == len(known) else f"The best {len(best)} of {wording.count(len(known))}"
    columns: tuple[str, ...] = ("architecture", "proposed by", scoring.latency, "loss", "accuracy", "options")
    cells = [_row(known[index]) for index in best]
    if scoring.front:
        columns = (*columns, "on the line")
        cells = [(*row, "yes" if index in front else "") for row, index in zip(cells, best, strict=True)]
    return Table(f"{which} as a table, {scoring.order}", (columns, *cells))


def _row(one: Candidate) -> tuple[str, ...]:
    loss, accuracy = (number(one.row.get(key)) for key in ("loss", "accuracy"))
    figures = wording.milliseconds(one.latency_ms), _loss(loss), wording.percent(accuracy)
    return one.id, one.source, *figures, options(one.row)


def _loss(loss: float | None) -> str:
    return wording.MISSING if loss is None else wording.significant(loss)


def _lines(one: Candidate, scoring: Scoring) -> list[str]:
    loss, accuracy = (number(one.row.get(key)) for key in ("loss", "accuracy"))
    figures = f"loss {_loss(loss)}, {scoring.latency} {wording.milliseconds(one.latency_ms)}"
    figures += f", accuracy {wording.percent(accuracy)}" if accuracy is not None else ""
    return [part for part in (f"{one.source} {one.id}".strip(), figures, options(one.row)) if part]


def _source_words(source: str, known: Sequence[Candidate]) -> str:
    return f"{source or 'unnamed'} ({wording.count(sum(one.source == source for one in known))})"


def _thinned(known: list[Candidate], delivered: str, scoring: Scoring) -> list[Candidate]:
    """At most MOST_POINTS, evenly taken by rising figure, always with the best and the delivered one."""
    if len(known) <= MOST_POINTS:
        return known
    order = sorted(range(len(known)), key=lambda index: -scoring.better * known[index].figure)
    kept = {order[index * len(known) // MOST_POINTS] for index in range(MOST_POINTS)}
    kept |= {index for index, one in enumerate(known) if one.id == delivered != ""}
    return [known[index] for index in sorted(kept)]


def _ceiling(losses: Sequence[float]) -> float:
    """Above this a loss would press all others flat: three interquartile ranges over the upper quartile."""
    if len(losses) < 8:
        return max(losses)
    lower, _, upper = quantiles(losses, n=4)
    return min(max(losses), upper + 3 * (upper - lower))
