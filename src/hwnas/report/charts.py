"""The charts of a report: accuracy against latency, candidates, predicted against measured, curves, small marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Any

from markupsafe import Markup

from hwnas.core.trial import pareto_front
from hwnas.report import wording
from hwnas.report.reading import Entry, number, options, text
from hwnas.report.svg import (
    MARKERS,
    Panel,
    Scale,
    axes,
    coordinate,
    figure,
    line,
    marker,
    panel,
    polyline,
    spot,
    spread,
    tag,
    words,
)

MOST_POINTS = 5000  # of one chart; more would make a report larger than 2 MB
_COLUMNS = ("architecture", "source", "predicted", "loss", "accuracy", "options")
_ROLES = ("searched", "fixed", "random", "random-standalone", "random-uniform-supernet")


@dataclass(frozen=True, slots=True)
class Look:
    """How one kind of point is drawn: a class of the style sheet and a shape."""

    class_: str
    shape: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with what stands around it.

    Args:
        heading: what it shows.
        drawing: the SVG.
        legend: (mark, words) pairs.
        note: one sentence below it, or "".
        table: what it shows in words, the column titles first; the same for those who do not see it.
    """

    heading: str
    drawing: Markup
    legend: tuple[tuple[Markup, str], ...] = ()
    note: str = ""
    table: tuple[tuple[str, ...], ...] = ()


def look(role: str, others: Sequence[str] = ()) -> Look:
    """The look of a role, the same in every chart; unknown roles take the looks that are left, in order."""
    index = _ROLES.index(role) if role in _ROLES else 3 + (others.index(role) if role in others else 0) % 2
    return Look(f"k{index + 1}", MARKERS[index])


def role_at(index: int) -> str:
    """A role whose look stands for the index-th of other things, such as targets."""
    return _ROLES[index % len(_ROLES)]


def legend_mark(mark: Look) -> Markup:
    """A small marker for legends and tables."""
    shape = marker(mark.shape, 7, 7, 4.6, f"point {mark.class_}")
    return tag("svg", shape, viewBox="0 0 14 14", width=14, height=14, class_="mark", aria_hidden="true")


def accuracy_chart(found: Sequence[Entry], budget_ms: float | None, name: str = "accuracy") -> Chart | None:
    """Test accuracy against measured latency, both with their intervals."""
    drawn = [
        (entry, x, y) for entry in found if (x := entry.latency_ms) is not None and (y := entry.accuracy) is not None
    ]
    if not drawn:
        return None
    ends_x = [end for entry, x, _ in drawn for end in (x, *(entry.latency_interval_ms or ()))]
    ends_y = [100 * end for entry, _, y in drawn for end in (y, *(entry.accuracy_interval or ()))]
    low, high = spread(ends_y)
    area = panel(spread([*ends_x, *([budget_ms] if budget_ms is not None else [])]), (max(low, 0), min(high, 100.4)))
    parts = [_over_budget(area, budget_ms), axes(area, "measured latency, ms", "test accuracy", y_unit=" %")]
    others = list(dict.fromkeys(entry.role for entry, _, _ in drawn if entry.role not in _ROLES))
    for entry, latency, accuracy in reversed(drawn):
        x, y, mark = area.x(latency), area.y(100 * accuracy), look(entry.role, others)
        if entry.latency_interval_ms:
            ends = [area.x(end) for end in entry.latency_interval_ms]
            parts.append(line(ends[0], y, ends[1], y, f"whisker {mark.class_}"))
        if entry.accuracy_interval:
            ends = [area.y(100 * end) for end in entry.accuracy_interval]
            parts.append(line(x, ends[0], x, ends[1], f"whisker {mark.class_}"))
        shape = marker(mark.shape, x, y, 5.6, f"point {mark.class_}")
        parts.append(spot(shape, x, y, _entry_lines(entry), area))
    heading = "Test accuracy against measured latency"
    description = f"{len(drawn)} networks with 95 % intervals; the best stand at the upper left. " + _limit_words(
        budget_ms
    )
    legend = tuple((legend_mark(look(entry.role, others)), entry.label) for entry, _, _ in drawn)
    note = "Lines through a mark are 95 % intervals. Up and to the left is better."
    drawing = figure(name, heading, description, area.width, area.height, *parts, role="group")
    return Chart(heading, drawing, legend, note)


def candidates_chart(candidates: Sequence[Mapping[str, Any]], budget_ms: float | None, delivered: str) -> Chart | None:
    """Loss on shared weights against predicted latency, coloured by who proposed the candidate."""
    read = [(row, number(row.get("predicted_ms")), number(row.get("loss"))) for row in candidates]
    known = [(row, x, y) for row, x, y in read if x is not None and y is not None]
    if not known:
        return None
    shown = _thinned(known, delivered)
    ceiling = _ceiling([y for _, _, y in shown])
    latencies = [x for _, x, _ in shown] + ([budget_ms] if budget_ms is not None else [])
    area = panel(spread(latencies), spread([min(y, ceiling) for _, _, y in shown]))
    sources = list(dict.fromkeys(text(row.get("source")) for row, _, _ in shown))
    looks = _source_looks(sources)
    parts = [_over_budget(area, budget_ms), axes(area, "predicted latency, ms", "loss on shared weights, nats")]
    front = {i for i in pareto_front([(x, -y) for _, x, y in shown])}
    front |= {i for i, (row, _, _) in enumerate(shown) if text(row.get("architecture_id")) == delivered != ""}
    places = [(area.x(latency), area.y(min(loss, ceiling))) for _, latency, loss in shown]
    for source, mark in looks.items():
        crowd = [
            marker(mark.shape, x, y, 3.4, None, "\n".join(_candidate_lines(*shown[index])))
            for index, (x, y) in enumerate(places)
            if index not in front and text(shown[index][0].get("source")) == source
        ]
        parts.append(tag("g", *crowd, class_=f"point faint {mark.class_}"))
    for index in sorted(front, key=lambda index: shown[index][1]):
        row, (x, y) = shown[index][0], places[index]
        mark = looks[text(row.get("source"))]
        shape = marker(mark.shape, x, y, 4.2, f"point {mark.class_}")
        if delivered and text(row.get("architecture_id")) == delivered:
            shape += tag("circle", cx=x, cy=y, r=8.5, class_="ring")
        parts.append(spot(shape, x, y, _candidate_lines(*shown[index]), area))
    beyond = sum(loss > ceiling for _, _, loss in shown)
    heading = "Candidates scored on the shared weights"
    description = f"{len(shown)} of {len(known)} candidates; lower is better. {_limit_words(budget_ms)}"
    legend = tuple((legend_mark(looks[source]), _source_words(source, known)) for source in sources)
    note = (
        "Lower is better; the ring is the delivered architecture. Point at a mark for its architecture; the Tab key "
        "steps along the best at each latency."
    )
    if len(shown) < len(known):
        note += f" {len(shown)} of {wording.count(len(known))} are drawn."
    if beyond:
        note += f" {beyond} with a loss above {wording.significant(ceiling)} stand at the upper edge."
    drawing = figure("candidates", heading, description, area.width, area.height, *parts, role="group")
    best = sorted(front, key=lambda index: shown[index][1])
    table = (_COLUMNS, *(_candidate_row(*shown[index]) for index in best))
    return Chart(heading, drawing, legend, note, table)


def prediction_chart(held_out: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Measured against predicted latency of networks that the model never saw, with the diagonal and ±10 %."""
    read = [[number(row.get(key)) for key in ("predicted_ms", "measured_ms", "macs")] for row in held_out]
    known = [(x, y, macs) for x, y, macs in read if x is not None and y is not None]
    if not known:
        return None
    shown = known[:: -(-len(known) // MOST_POINTS)]
    reach = spread([end for x, y, _ in shown for end in (x, y)])
    area = panel(reach, reach, height=370)
    low, high = reach
    start = max(low, 0.0)
    band = [
        (start, start),
        (start / 0.9, start),
        (high, 0.9 * high),
        (high, high),
        (high / 1.1, high),
        (start, 1.1 * start),
    ]
    corners = " ".join(f"{coordinate(area.x(x))},{coordinate(area.y(y))}" for x, y in band)
    parts = [
        tag("polygon", points=corners, class_="band"),
        axes(area, "predicted, ms", "measured, ms"),
        line(area.x(low), area.y(low), area.x(high), area.y(high), "diagonal"),
    ]
    for predicted, measured, macs in shown:
        title = f"predicted {wording.milliseconds(predicted)}, measured {wording.milliseconds(measured)}"
        title += f", {wording.short_count(macs, 'MACs')}" if macs is not None else ""
        parts.append(marker("circle", area.x(predicted), area.y(measured), 4.2, "point k1", title))
    heading = "Held-out networks: predicted against measured"
    description = f"{len(shown)} networks; on the diagonal the prediction is exact, the band is 10 % around it."
    drawing = figure("prediction", heading, description, area.width, area.height, *parts)
    return Chart(heading, drawing, (), "On the line a prediction is exact; the band is 10 % either way.")


def curve_chart(
    name: str, heading: str, curve: Sequence[tuple[float, float]], marks: Sequence[tuple[float, str]] = (),
) -> Chart | None:  # fmt: skip
    """A figure of the search against the step; `marks` are values worth a line across, with their words."""
    if len(curve) < 2:
        return None
    shown = _bucketed(curve)
    y_low, y_high = spread([y for _, y in shown] + [value for value, _ in marks])
    x_low, x_high = shown[0][0], shown[-1][0]
    area = panel((x_low, max(x_high, x_low + 1)), (y_low, y_high), width=340, height=210, top=14)
    parts = [axes(area, "step", "")]
    for value, said in marks:
        parts.append(line(area.x.start, area.y(value), area.x.stop, area.y(value), "limit"))
        parts.append(words(area.x.start + 4, area.y(value) - 5, said, "limit-words"))
    parts.append(polyline([(area.x(x), area.y(y)) for x, y in shown], "curve k1"))
    first, last = shown[0][1], shown[-1][1]
    description = f"From {wording.significant(first)} at the start to {wording.significant(last)} at the end."
    return Chart(heading, figure(name, heading, description, area.width, area.height, *parts))


def latency_ruler(searched: Entry, budget: Mapping[str, Any]) -> Markup | None:
    """The delivered latency on a line from the space's fastest to its largest network, with the budget on it."""
    fastest, largest, limit = (number(budget.get(key)) for key in ("fastest_ms", "largest_ms", "latency_ms"))
    if fastest is None or largest is None or limit is None or searched.latency_ms is None or largest <= fastest:
        return None
    interval = searched.latency_interval_ms or (searched.latency_ms, searched.latency_ms)
    ends = (min(fastest, interval[0]), max(largest, interval[1], limit))
    x = Scale(*ends, 0, 560)
    parts = [
        tag("rect", x=x(ends[0]), y=32, width=x(limit) - x(ends[0]), height=6, rx=3, class_="allowed"),
        tag("rect", x=x(limit), y=32, width=x(ends[1]) - x(limit), height=6, rx=3, class_="forbidden"),
        line(x(limit), 22, x(limit), 48, "limit"),
        tag(
            "rect", x=x(interval[0]), y=29, width=max(x(interval[1]) - x(interval[0]), 2), height=12, rx=2, class_="k1"
        ),
        marker("circle", x(searched.latency_ms), 35, 6, "point k1", "\n".join(_entry_lines(searched))),
        words(0, 66, f"fastest {wording.milliseconds(fastest)}", "tick"),
        words(560, 66, f"largest {wording.milliseconds(largest)}", "tick", "end"),
        words(min(max(x(limit), 56), 504), 14, f"budget {wording.limit(limit)}", "limit-words", "middle"),
    ]
    description = f"Delivered {wording.milliseconds(searched.latency_ms)}, budget {wording.limit(limit)}."
    return figure(
        "ruler", "The delivered network between the space's fastest and largest", description, 560, 74, *parts
    )


def difference_mark(difference: float, interval: tuple[float, float] | None, reach: float) -> Markup:
    """A difference with its interval around zero, for a table row; the words stand beside it."""
    x = Scale(-reach, reach, 6, 194)
    ends = interval or (difference, difference)
    parts = [
        line(6, 13, 194, 13, "rule"),
        words(x(0) - 8, 36, "behind", "small", "end"),
        words(x(0) + 8, 36, "ahead", "small"),
        line(x(0), 3, x(0), 38, "axis"),
        line(x(ends[0]), 13, x(ends[1]), 13, "whisker k1"),
        marker("circle", x(difference), 13, 5, "point k1"),
    ]
    return tag("svg", *parts, viewBox="0 0 200 42", width=200, height=42, class_="inline", aria_hidden="true")


def share_bar(share: float, width: float = 170) -> Markup:
    """A share as a bar, for a table row; the figure stands beside it."""
    filled = tag("rect", x=0, y=2, width=max(width * min(max(share, 0), 1), 1), height=8, rx=2, class_="k1")
    whole = tag("rect", x=0, y=2, width=width, height=8, rx=2, class_="allowed")
    size = f"0 0 {wording.decimals(width, 0)} 12"
    return tag("svg", whole, filled, viewBox=size, width=width, height=12, class_="inline", aria_hidden="true")


def _over_budget(area: Panel, budget_ms: float | None) -> Markup:
    if budget_ms is None or not area.x.low < budget_ms < area.x.high:
        return Markup()
    x, top = area.x(budget_ms), area.y.stop
    shade = tag("rect", x=x, y=top, width=area.x.stop - x, height=area.y.start - top, class_="over")
    right = x > area.x.start + 0.6 * (area.x.stop - area.x.start)
    said = words(
        x - 5 if right else x + 5,
        top - 5,
        f"budget {wording.limit(budget_ms)}",
        "limit-words",
        "end" if right else None,
    )
    return tag("g", shade, line(x, top - 14, x, area.y.start, "limit"), said)


def _limit_words(budget_ms: float | None) -> str:
    return "" if budget_ms is None else f"The budget is {wording.limit(budget_ms)}."


def _entry_lines(entry: Entry) -> list[str]:
    accuracy, latency = wording.percent(entry.accuracy), wording.milliseconds(entry.latency_ms)
    accuracy += f" ({wording.percent_interval(entry.accuracy_interval)})" if entry.accuracy_interval else ""
    interval = wording.milliseconds_interval(entry.latency_interval_ms, entry.latency_ms)
    latency += f" ({interval})" if interval else ""
    parts = (entry.label, f"{accuracy}, {latency}", entry.architecture_id, entry.architecture)
    return [part for part in parts if part]


def _candidate_lines(row: Mapping[str, Any], latency: float, loss: float) -> list[str]:
    accuracy = number(row.get("accuracy"))
    figures = f"loss {wording.significant(loss)}, predicted {wording.milliseconds(latency)}"
    figures += f", accuracy {wording.percent(accuracy)}" if accuracy is not None else ""
    who = f"{text(row.get('source'))} {text(row.get('architecture_id'))}".strip()
    return [part for part in (who, figures, options(row)) if part]


def _candidate_row(row: Mapping[str, Any], latency: float, loss: float) -> tuple[str, ...]:
    figures = wording.milliseconds(latency), wording.significant(loss), wording.percent(number(row.get("accuracy")))
    return text(row.get("architecture_id")), text(row.get("source")), *figures, options(row)


def _source_looks(sources: Sequence[str]) -> dict[str, Look]:
    """Random and fixed look as in the other chart; the strategy's own candidates look like the searched network."""
    free = iter([Look("k1", "circle"), Look("k4", "diamond"), Look("k5", "cross")])
    last = Look("k5", "cross")
    return {source: look(source) if source in _ROLES else next(free, last) for source in sources}


def _source_words(source: str, known: Sequence[tuple[Mapping[str, Any], float, float]]) -> str:
    many = sum(text(row.get("source")) == source for row, _, _ in known)
    return f"{source or 'unnamed'} ({wording.count(many)})"


def _thinned(
    known: list[tuple[Mapping[str, Any], float, float]], delivered: str
) -> list[tuple[Mapping[str, Any], float, float]]:
    """At most MOST_POINTS, evenly taken by rising loss, always with the delivered one."""
    if len(known) <= MOST_POINTS:
        return known
    order = sorted(range(len(known)), key=lambda index: known[index][2])
    kept = {order[index * len(known) // MOST_POINTS] for index in range(MOST_POINTS)}
    kept |= {index for index, (row, _, _) in enumerate(known) if text(row.get("architecture_id")) == delivered != ""}
    return [known[index] for index in sorted(kept)]


def _ceiling(losses: Sequence[float]) -> float:
    """Above this a loss would press all others flat: three interquartile ranges over the upper quartile."""
    if len(losses) < 8:
        return max(losses)
    lower, _, upper = quantiles(losses, n=4)
    return min(max(losses), upper + 3 * (upper - lower))


def _bucketed(curve: Sequence[tuple[float, float]], most: int = 240) -> list[tuple[float, float]]:
    """At most `most` positions, each the mean of its neighbours."""
    size = -(-len(curve) // most)
    parts = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]
