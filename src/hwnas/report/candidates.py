"""The chart of every candidate that the search scored, and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any, NamedTuple

from hwnas.core.trial import pareto_front
from hwnas.report import wording
from hwnas.report.charts import ROLES, Chart, Look, Table, legend_mark, limit_line, limit_words, look
from hwnas.report.reading import mapping, number, options, rows, text
from hwnas.report.svg import axes, figure, marker, panel, spot, spread, tag

MOST_POINTS = 5000  # more would make a report larger than 2 MB
MOST_ROWS = 300
_SIZES = ((400, 3.4, "faint"), (1500, 2.7, "fainter"), (MOST_POINTS + 1, 2.1, "faintest"))
# The heading, and what the loss is.
_SHARED = ("Candidates scored on the shared weights", "loss on shared weights, nats")
_ALONE_TOO = ("Candidates scored on shared weights, or trained alone", "loss on the search images, nats")
_ALONE = "random-standalone"  # who proposes networks that are trained alone
_COLUMNS = ("architecture", "proposed by", "predicted", "loss", "accuracy", "options")


class Candidate(NamedTuple):
    """One architecture that was scored."""

    row: Mapping[str, Any]
    latency_ms: float
    loss: float

    @property
    def source(self) -> str:
        """Who proposed it."""
        return text(self.row.get("source"))

    @property
    def id(self) -> str:
        """Of its architecture."""
        return text(self.row.get("architecture_id"))


def candidates_chart(result: Mapping[str, Any], delivered: str) -> Chart | None:
    """Loss against predicted latency, coloured by who proposed the candidate.

    Args:
        result: the content of result.json.
        delivered: the id of the delivered architecture; it gets a ring.
    """
    read = [(row, number(row.get("predicted_ms")), number(row.get("loss"))) for row in rows(result.get("candidates"))]
    known = [Candidate(row, x, y) for row, x, y in read if x is not None and y is not None]
    if not known:
        return None
    budget_ms = number(mapping(result.get("budget")).get("latency_ms"))
    shown = _thinned(known, delivered)
    ceiling = _ceiling([one.loss for one in shown])
    latencies = [one.latency_ms for one in shown] + ([budget_ms] if budget_ms is not None else [])
    heading, loss_axis = _ALONE_TOO if any(one.source == _ALONE for one in shown) else _SHARED
    area = panel(spread(latencies), spread([min(one.loss, ceiling) for one in shown]))
    looks = _source_looks(list(dict.fromkeys(one.source for one in shown)))
    front = set(pareto_front([(one.latency_ms, -one.loss) for one in shown]))
    front |= {index for index, one in enumerate(shown) if one.id == delivered != ""}
    places = [(area.x(one.latency_ms), area.y(min(one.loss, ceiling))) for one in shown]
    size, faint = next((size, faint) for most, size, faint in _SIZES if len(shown) <= most)
    parts = [limit_line(area, budget_ms), axes(area, "predicted latency, ms", loss_axis)]
    for source, mark in looks.items():
        crowd = [
            marker(mark.shape, *places[index], size, None, "\n".join(_lines(one)))
            for index, one in enumerate(shown)
            if index not in front and one.source == source
        ]
        parts.append(tag("g", *crowd, class_=f"point {faint} {mark.class_}"))
    best = sorted(front, key=lambda index: shown[index].latency_ms)
    for index in best:
        one, (x, y) = shown[index], places[index]
        shape = marker(looks[one.source].shape, x, y, 4.2, f"point {looks[one.source].class_}")
        parts.append(shape)
        if one.id == delivered != "":
            parts.append(tag("circle", cx=x, cy=y, r=8.5, class_="ring"))
    parts += [spot(*places[index], _lines(shown[index]), area) for index in best]
    drawing = figure(
        "candidates", heading, _finding(known, delivered, budget_ms), area.width, area.height, *parts, role="group"
    )
    legend = tuple((legend_mark(looks[source]), _source_words(source, known)) for source in looks)
    return Chart(heading, drawing, legend, _note(known, shown, ceiling), _table(known))


def _finding(known: Sequence[Candidate], delivered: str, budget_ms: float | None) -> str:
    best = min(known, key=lambda one: one.loss)
    whose = "is delivered" if best.id == delivered != "" else f"was proposed by {best.source or 'an unnamed source'}"
    return (
        f"{wording.count(len(known))} candidates; the one with the lowest loss, {wording.significant(best.loss)} at "
        f"{wording.milliseconds(best.latency_ms)}, {whose}. {limit_words(budget_ms)}"
    )


def _note(known: Sequence[Candidate], shown: Sequence[Candidate], ceiling: float) -> str:
    note = (
        "Lower is better; the ring is the delivered architecture. Point at a mark for its architecture; the Tab key "
        "steps along the best at each latency."
    )
    if len(shown) < len(known):
        note += f" {wording.count(len(shown))} of {wording.count(len(known))} are drawn, evenly taken by rising loss."
    beyond = sum(one.loss > ceiling for one in shown)
    if beyond:
        note += f" {beyond} with a loss above {wording.significant(ceiling)} stand at the upper edge."
    return note


def _table(known: Sequence[Candidate]) -> Table:
    best = sorted(known, key=lambda one: one.loss)[:MOST_ROWS]
    which = f"All {len(known)}" if len(best) == len(known) else f"The best {len(best)} of {wording.count(len(known))}"
    return Table(f"{which} as a table, the lowest loss first", (_COLUMNS, *map(_row, best)))


def _row(one: Candidate) -> tuple[str, ...]:
    accuracy = wording.percent(number(one.row.get("accuracy")))
    figures = wording.milliseconds(one.latency_ms), wording.significant(one.loss), accuracy
    return one.id, one.source, *figures, options(one.row)


def _lines(one: Candidate) -> list[str]:
    accuracy = number(one.row.get("accuracy"))
    figures = f"loss {wording.significant(one.loss)}, predicted {wording.milliseconds(one.latency_ms)}"
    figures += f", accuracy {wording.percent(accuracy)}" if accuracy is not None else ""
    return [part for part in (f"{one.source} {one.id}".strip(), figures, options(one.row)) if part]


def _source_looks(sources: Sequence[str]) -> dict[str, Look]:
    """Random and fixed look as in the other chart; the strategy's own candidates look like the searched network."""
    free = iter([Look("k1", "circle"), Look("k4", "diamond"), Look("k5", "cross")])
    last = Look("k5", "cross")
    return {source: look(source) if source in ROLES else next(free, last) for source in sources}


def _source_words(source: str, known: Sequence[Candidate]) -> str:
    return f"{source or 'unnamed'} ({wording.count(sum(one.source == source for one in known))})"


def _thinned(known: list[Candidate], delivered: str) -> list[Candidate]:
    """At most MOST_POINTS, evenly taken by rising loss, always with the delivered one."""
    if len(known) <= MOST_POINTS:
        return known
    order = sorted(range(len(known)), key=lambda index: known[index].loss)
    kept = {order[index * len(known) // MOST_POINTS] for index in range(MOST_POINTS)}
    kept |= {index for index, one in enumerate(known) if one.id == delivered != ""}
    return [known[index] for index in sorted(kept)]


def _ceiling(losses: Sequence[float]) -> float:
    """Above this a loss would press all others flat: three interquartile ranges over the upper quartile."""
    if len(losses) < 8:
        return max(losses)
    lower, _, upper = quantiles(losses, n=4)
    return min(max(losses), upper + 3 * (upper - lower))
