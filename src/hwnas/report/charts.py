"""The charts of a report: accuracy against latency, predicted against measured, curves, small marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from markupsafe import Markup

from hwnas.report import wording
from hwnas.report.reading import Entry, number
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

_MOST_HELD_OUT = 500
_MOST_ROWS = 12  # of a curve's table
ROLES = ("searched", "fixed", "random", "random-standalone", "random-uniform-supernet")


@dataclass(frozen=True, slots=True)
class Look:
    """How one kind of point is drawn: a class of the style sheet and a shape."""

    class_: str
    shape: str


@dataclass(frozen=True, slots=True)
class Table:
    """What a chart shows, in words: the same for those who do not see it.

    Args:
        summary: its name.
        rows: of cells; the column titles first, and the first cell of each names the row.
    """

    summary: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with what stands around it.

    Args:
        heading: what it shows.
        drawing: the SVG.
        legend: (mark, words) pairs.
        note: one sentence below it, or "".
        table: the same in words.
    """

    heading: str
    drawing: Markup
    legend: tuple[tuple[Markup, str], ...] = ()
    note: str = ""
    table: Table | None = None


def look(role: str, others: Sequence[str] = ()) -> Look:
    """The look of a role, the same in every chart; unknown roles take the looks that are left, in order."""
    return look_at(ROLES.index(role) if role in ROLES else 3 + (others.index(role) if role in others else 0) % 2)


def look_at(index: int) -> Look:
    """The index-th look, for things that have no role; after the last one they begin again."""
    index %= len(MARKERS)
    return Look(f"k{index + 1}", MARKERS[index])


def source_looks(sources: Sequence[str]) -> dict[str, Look]:
    """Random and fixed look as in the other chart; the strategy's own candidates look like the searched network."""
    free = iter([Look("k1", "circle"), Look("k4", "diamond"), Look("k5", "cross")])
    last = Look("k5", "cross")
    return {source: look(source) if source in ROLES else next(free, last) for source in sources}


def legend_mark(mark: Look) -> Markup:
    """A small marker for legends and tables."""
    shape = marker(mark.shape, 7, 7, 4.6, f"point {mark.class_}")
    return tag("svg", shape, viewBox="0 0 14 14", width=14, height=14, class_="mark", aria_hidden="true")


def line_mark(mark: Look, class_: str) -> Markup:
    """A piece of a line with its marker, for legends and tables."""
    parts = polyline([(0, 7), (26, 7)], class_) + marker(mark.shape, 13, 7, 4.2, f"point {mark.class_}")
    return tag("svg", parts, viewBox="0 0 26 14", width=26, height=14, class_="mark", aria_hidden="true")


class Measured(NamedTuple):
    """A network of which both the accuracy and the latency are known, so that it can be a point."""

    entry: Entry
    latency_ms: float
    accuracy: float


def measured(found: Sequence[Entry]) -> list[Measured]:
    """Those of which both are known."""
    return [
        Measured(entry, x, y)
        for entry in found
        if (x := entry.latency_ms) is not None and (y := entry.accuracy) is not None
    ]


def accuracy_chart(found: Sequence[Entry], budget_ms: float | None) -> Chart | None:
    """Test accuracy against measured latency, both with their intervals."""
    drawn = measured(found)
    if not drawn:
        return None
    area = accuracy_panel(drawn, [] if budget_ms is None else [budget_ms])
    others = list(dict.fromkeys(one.entry.role for one in drawn if one.entry.role not in ROLES))
    looks = [look(one.entry.role, others) for one in drawn]
    parts = [limit_line(area, budget_ms), accuracy_axes(area)]
    parts += [crossed(one, mark, area) for one, mark in reversed(list(zip(drawn, looks, strict=True)))]
    parts += [spot(area.x(one.latency_ms), area.y(100 * one.accuracy), network_lines(one.entry), area) for one in drawn]
    heading = "Test accuracy against measured latency"
    finding = "; ".join(
        f"{one.entry.label} {wording.percent(one.accuracy)} in {wording.milliseconds(one.latency_ms)}" for one in drawn
    )
    drawing = figure(
        "accuracy", heading, f"{finding}. {limit_words(budget_ms)}", area.width, area.height, *parts, role="group"
    )
    legend = tuple((legend_mark(mark), one.entry.label) for one, mark in zip(drawn, looks, strict=True))
    return Chart(heading, drawing, legend, "Lines through a mark are 95 % intervals. Up and to the left is better.")


def accuracy_panel(drawn: Sequence[Measured], limits_ms: Sequence[float], width: float = 460) -> Panel:
    """A drawing area that holds the points, their intervals and the budgets."""
    ends_x = [end for one in drawn for end in (one.latency_ms, *(one.entry.latency_interval_ms or ()))]
    ends_y = [100 * end for one in drawn for end in (one.accuracy, *(one.entry.accuracy_interval or ()))]
    low, high = spread(ends_y)
    return panel(spread([*ends_x, *limits_ms]), (max(low, 0), min(high, 100.4)), width=width)


def accuracy_axes(area: Panel) -> Markup:
    """The axes of every chart of accuracy against latency."""
    return axes(area, "measured latency, ms", "test accuracy", y_unit=" %")


def crossed(one: Measured, mark: Look, area: Panel) -> Markup:
    """A point with its intervals as a cross."""
    x, y = area.x(one.latency_ms), area.y(100 * one.accuracy)
    cross = Markup("")
    if one.entry.latency_interval_ms:
        ends = [area.x(end) for end in one.entry.latency_interval_ms]
        cross += line(ends[0], y, ends[1], y, f"whisker {mark.class_}")
    if one.entry.accuracy_interval:
        ends = [area.y(100 * end) for end in one.entry.accuracy_interval]
        cross += line(x, ends[0], x, ends[1], f"whisker {mark.class_}")
    return cross + marker(mark.shape, x, y, 5.6, f"point {mark.class_}")


def prediction_chart(held_out: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Measured against predicted latency of networks that the model never saw, with the diagonal and ±10 %."""
    read = [[number(row.get(key)) for key in ("predicted_ms", "measured_ms", "macs")] for row in held_out]
    known = [(x, y, macs) for x, y, macs in read if x is not None and y is not None]
    if not known:
        return None
    shown = known[:: -(-len(known) // _MOST_HELD_OUT)]
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
    errors = [abs(predicted / measured - 1) for predicted, measured, _ in shown if measured]
    finding = f"{len(shown)} networks; on the diagonal the prediction is exact, the band is 10 % around it."
    finding += f" The farthest is off by {wording.percent(max(errors))}." if errors else ""
    drawing = figure("prediction", heading, finding, area.width, area.height, *parts)
    table = Table(
        "The same as a table",
        (("network", "predicted", "measured", "off by", "MACs"), *map(_held_out_row, range(1, len(shown) + 1), shown)),
    )
    return Chart(heading, drawing, (), "On the line a prediction is exact; the band is 10 % either way.", table)


def curve_chart(
    name: str, heading: str, curve: Sequence[tuple[float, float]], *,
    limit: tuple[float, str] | None = None, since: tuple[float, str] | None = None,
) -> Chart | None:  # fmt: skip
    """A figure of the search against the step.

    Args:
        name: of the drawing.
        heading: with the unit.
        curve: (step, value) pairs, by rising step.
        limit: a value worth a line across, with its words.
        since: a step worth a line upright, with its words.
    """
    if len(curve) < 2:
        return None
    shown = _bucketed(curve)
    y_low, y_high = spread([y for _, y in shown] + ([limit[0]] if limit else []))
    x_low, x_high = shown[0][0], shown[-1][0]
    area = panel((x_low, max(x_high, x_low + 1)), (y_low, y_high), width=340, height=212, top=22)
    parts = [axes(area, "step", "")]
    if limit:
        parts.append(line(area.x.start, area.y(limit[0]), area.x.stop, area.y(limit[0]), "limit"))
        parts.append(words(area.x.start + 4, area.y(limit[0]) - 5, limit[1], "limit-words"))
    if since and x_low < since[0] < x_high:
        x = area.x(since[0])
        parts.append(line(x, area.y.stop - 8, x, area.y.start, "since"))
        parts.append(words(x, 11, since[1], "tick", _anchor(x, area)))
    parts.append(polyline([(area.x(x), area.y(y)) for x, y in shown], "curve k1"))
    parts += _zones(shown, area)
    first, last = shown[0][1], shown[-1][1]
    finding = f"From {wording.significant(first)} at the start to {wording.significant(last)} at the end."
    finding += f" From step {wording.count(since[0])} on: {since[1]}." if since else ""
    return Chart(heading, figure(name, heading, finding, area.width, area.height, *parts))


def course_table(curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], along: str = "step") -> Table | None:
    """What several curves show, at a dozen steps; steps that a curve lacks are left empty."""
    known = [(heading, dict(curve)) for heading, curve in curves if curve]
    steps = sorted({step for _, curve in known for step in curve})
    if len(steps) < 2:
        return None
    picked = [steps[round(index * (len(steps) - 1) / (_MOST_ROWS - 1))] for index in range(_MOST_ROWS)]
    cells = [
        (wording.count(step), *(wording.significant(curve[step]) if step in curve else "" for _, curve in known))
        for step in dict.fromkeys(picked)
    ]
    return Table("The curves as a table", ((along, *(heading for heading, _ in known)), *cells))


def latency_ruler(searched: Entry, budget: Mapping[str, Any]) -> Markup | None:
    """The delivered latency on a line from the space's fastest to its largest network, with the budget on it."""
    fastest, largest, limit = (number(budget.get(key)) for key in ("fastest_ms", "largest_ms", "latency_ms"))
    if fastest is None or largest is None or limit is None or searched.latency_ms is None or largest <= fastest:
        return None
    interval = searched.latency_interval_ms or (searched.latency_ms, searched.latency_ms)
    ends = (min(fastest, interval[0]), max(largest, interval[1], limit))
    x = Scale(*ends, 0, 560)
    delivered, thick = wording.milliseconds(searched.latency_ms), max(x(interval[1]) - x(interval[0]), 2)
    parts = [
        tag("rect", x=x(ends[0]), y=32, width=x(limit) - x(ends[0]), height=6, rx=3, class_="allowed"),
        tag("rect", x=x(limit), y=32, width=x(ends[1]) - x(limit), height=6, rx=3, class_="forbidden"),
        line(x(limit), 20, x(limit), 48, "limit"),
        tag("rect", x=x(interval[0]), y=29, width=thick, height=12, rx=2, class_="k1"),
        marker("circle", x(searched.latency_ms), 35, 6, "point k1", "\n".join(network_lines(searched))),
        words(_within(x(limit)), 14, f"budget {wording.limit(limit)}", "limit-words", "middle"),
        words(_within(x(searched.latency_ms)), 64, f"delivered {delivered}", "delivered-words", "middle"),
        words(0, 86, f"fastest {wording.milliseconds(fastest)}", "tick"),
        words(560, 86, f"largest {wording.milliseconds(largest)}", "tick", "end"),
    ]
    finding = f"Delivered {delivered}, budget {wording.limit(limit)}."
    return figure("ruler", "The delivered network between the space's fastest and largest", finding, 560, 92, *parts)


def _within(x: float, room: float = 84, width: float = 560) -> float:
    """The middle of words that must not leave a drawing, in the type of a narrow screen, too."""
    return min(max(x, room), width - room)


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


def limit_line(area: Panel, budget_ms: float | None) -> Markup:
    """The budget as an upright line, what is over it shaded; nothing where it is outside the area."""
    if budget_ms is None or not area.x.low < budget_ms < area.x.high:
        return Markup()
    x, top = area.x(budget_ms), area.y.stop
    shade = tag("rect", x=x, y=top, width=area.x.stop - x, height=area.y.start - top, class_="over")
    anchor = _anchor(x, area)
    said = words(x - 5 if anchor else x + 5, top - 5, f"budget {wording.limit(budget_ms)}", "limit-words", anchor)
    return tag("g", shade, line(x, top - 14, x, area.y.start, "limit"), said)


def limit_words(budget_ms: float | None) -> str:
    """The budget as a sentence."""
    return "" if budget_ms is None else f"The budget is {wording.limit(budget_ms)}."


def network_lines(entry: Entry) -> list[str]:
    """What is said of a network that is pointed at."""
    accuracy, latency = wording.percent(entry.accuracy), wording.milliseconds(entry.latency_ms)
    accuracy += f" ({wording.percent_interval(entry.accuracy_interval)})" if entry.accuracy_interval else ""
    interval = wording.milliseconds_interval(entry.latency_interval_ms, entry.latency_ms)
    latency += f" ({interval})" if interval else ""
    parts = (entry.label, f"{accuracy}, {latency}", entry.architecture_id, entry.architecture)
    return [part for part in parts if part]


def _anchor(x: float, area: Panel) -> str | None:
    """Words beside an upright line stand on the side that has more room."""
    return "end" if x > area.x.start + 0.55 * (area.x.stop - area.x.start) else None


def _held_out_row(index: int, point: tuple[float, float, float | None]) -> tuple[str, ...]:
    predicted, measured, macs = point
    off = f"{wording.signed(100 * (predicted / measured - 1), 1)}\u00a0%" if measured else wording.MISSING
    return (
        str(index), wording.milliseconds(predicted), wording.milliseconds(measured), off, wording.short_count(macs)
    )  # fmt: skip


def _zones(shown: Sequence[tuple[float, float]], area: Panel) -> list[Markup]:
    """Upright strips over a curve: the one pointed at shows its point and says the value."""
    places = [(area.x(x), area.y(y)) for x, y in shown]
    middles = [(a + b) / 2 for (a, _), (b, _) in zip(places, places[1:], strict=False)]
    zones = []
    for (step, value), (x, y), left, right in zip(
        shown, places, [area.x.start, *middles], [*middles, area.x.stop], strict=True
    ):
        strip = tag("rect", x=left, y=area.y.stop, width=right - left, height=area.y.start - area.y.stop)
        anchor = _anchor(x, area)
        said = f"step {wording.count(step)}: {wording.significant(value)}"
        tip = words(x - 8 if anchor else x + 8, max(y - 8, area.y.stop + 10), said, "tip", anchor)
        zones.append(tag("g", strip, marker("circle", x, y, 4, "point k1"), tip, class_="zone"))
    return zones


def _bucketed(curve: Sequence[tuple[float, float]], most: int = 60) -> list[tuple[float, float]]:
    """At most `most` positions, each the mean of its neighbours."""
    size = -(-len(curve) // most)
    parts = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts]
