"""The course of a search whose networks are trained alone: the best so far by number evaluated, and where it looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hwnas.report import charts, wording
from hwnas.report.reading import aim_of, mapping, number, rows, text
from hwnas.report.svg import Panel, axes, figure, line, marker, panel, polyline, spread, tag, words

_FIXED, _RANDOM = "fixed", "random"  # fixed networks are a list that was there before, not a search
_MOST_POINTS = 2000
_WIDTH, _HEIGHT = 460, 270
Curve = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One network that a source evaluated.

    Args:
        number: it was the source's so many-th, from 1.
        latency_ms: measured.
        accuracy: on the search images, 0 to 1.
        id: of its architecture.
        allowed: whether it is inside the aim, and no longer measurement has found it over the budget.
    """

    number: float
    latency_ms: float
    accuracy: float
    id: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Course:
    """What one source evaluated, one after the other.

    Args:
        source: its name.
        look: of its line.
        evaluated: by rising number.
    """

    source: str
    look: charts.Look
    evaluated: tuple[Evaluated, ...]

    @property
    def improvements(self) -> list[Evaluated]:
        """Each that was allowed and more accurate than all such before it."""
        found: list[Evaluated] = []
        for one in self.evaluated:
            if one.allowed and (not found or one.accuracy > found[-1].accuracy):
                found.append(one)
        return found

    @property
    def best_so_far(self) -> Curve:
        """(number, accuracy in per cent) of the best so far, from the first that was allowed on."""
        better = {one.number: one.accuracy for one in self.improvements}
        curve: Curve = []
        for one in self.evaluated:
            if one.number in better or curve:
                curve.append((one.number, 100 * better[one.number] if one.number in better else curve[-1][1]))
        return curve


def courses(result: Mapping[str, Any]) -> list[Course]:
    """The search first, then who else evaluated networks one after the other; rows without a number are left out."""
    aim_ms = aim_of(result)
    missed = {text(row.get("architecture_id")) for row in rows(result.get("rounds")) if row.get("inside") is False}
    found: dict[str, dict[float, Evaluated]] = {text(mapping(result.get("search")).get("strategy")): {}}
    for row in rows(result.get("candidates")):
        at, latency_ms, accuracy = (number(row.get(key)) for key in ("number", "predicted_ms", "accuracy"))
        if at is None or at < 1 or latency_ms is None or accuracy is None or row.get("source") == _FIXED:
            continue
        name = text(row.get("architecture_id"))
        allowed = (aim_ms is None or latency_ms <= aim_ms) and name not in missed
        one = Evaluated(at, latency_ms, accuracy, name, allowed)
        found.setdefault(text(row.get("source")), {})[at] = one
    known = {source: tuple(by_number[at] for at in sorted(by_number)) for source, by_number in found.items()}
    looks = charts.source_looks([source for source in known if known[source]])
    return [Course(source, looks[source], evaluated) for source, evaluated in known.items() if evaluated]


def search_charts(result: Mapping[str, Any]) -> list[charts.Chart]:
    """The best so far of every source, and the latencies that the search looked at; empty where nothing is numbered."""
    known = courses(result)
    if not known:
        return []
    own = [one for one in known if one.source == text(mapping(result.get("search")).get("strategy"))]
    found = [best_chart(known, aim_of(result)), *(latency_chart(one, aim_of(result)) for one in own)]
    return [chart for chart in found if chart]


def search_table(result: Mapping[str, Any]) -> charts.Table | None:
    """The same as a table."""
    curves = [(f"{one.source or 'unnamed'}: best accuracy so far, %", one.best_so_far) for one in courses(result)]
    return charts.course_table(curves, "networks evaluated")


def best_chart(known: Sequence[Course], aim_ms: float | None) -> charts.Chart | None:
    """The best accuracy so far of a network that was allowed, a line for each source."""
    drawn = [one for one in known if one.improvements]
    if not drawn:
        return None
    last = max(one.evaluated[-1].number for one in drawn)
    heights = [100 * better.accuracy for one in drawn for better in one.improvements]
    area = panel((0, last), spread(heights), width=_WIDTH, height=_HEIGHT)
    parts = [axes(area, "networks evaluated", "best accuracy on the search images", y_unit=" %")]
    parts += [_stairs(one, area) for one in reversed(drawn)]
    heading = "The best so far" + ("" if aim_ms is None else f" of those inside the aim of {wording.limit(aim_ms)}")
    finding = "; ".join(
        f"{one.source or 'unnamed'} {wording.percent(one.improvements[-1].accuracy)} after "
        f"{wording.count(one.evaluated[-1].number)} networks"
        for one in drawn
    )
    drawing = figure("best", heading, f"In the end: {finding}."[:4000], area.width, area.height, *parts)
    legend = tuple((charts.line_mark(one.look, _line_class(one)), one.source or "unnamed") for one in drawn)
    note = f"In the end: {finding}. Every network was trained for as many steps, whoever proposed it."
    if _RANDOM not in {one.source for one in known}:
        note += " No random search stands beside it."
    note += "".join(f" None by {one.source or 'unnamed'} was inside." for one in known if not one.improvements)
    return charts.Chart(heading, drawing, legend, note)


def latency_chart(one: Course, aim_ms: float | None) -> charts.Chart | None:
    """The latency of every network that the search evaluated, by its number."""
    limits = [] if aim_ms is None else [aim_ms]
    shown = one.evaluated[:: -(-len(one.evaluated) // _MOST_POINTS)]
    heights = spread([*(network.latency_ms for network in shown), *limits])
    area = panel((0, one.evaluated[-1].number), heights, width=_WIDTH, height=_HEIGHT)
    parts = [axes(area, "networks evaluated", "measured latency, ms")]
    points = [
        marker(one.look.shape, area.x(network.number), area.y(network.latency_ms), 3.2, None, _title(one, network))
        for network in shown
    ]
    parts.append(tag("g", *points, class_=f"point faint {one.look.class_}"))
    note = ""
    if aim_ms is not None:
        y = area.y(aim_ms)
        parts.append(line(area.x.start, y, area.x.stop, y, "limit"))
        # Above the area: beside the line there may be a mark anywhere.
        parts.append(words(area.x.stop, 13, f"the line: aim {wording.limit(aim_ms)}", "limit-words", "end"))
        inside = sum(network.latency_ms <= aim_ms for network in one.evaluated)
        note = f"{wording.count(inside)} of {wording.count(len(one.evaluated))} are inside the aim."
    heading = f"Latency of every network that {one.source or 'the search'} evaluated"
    drawing = figure("looked", heading, note, area.width, area.height, *parts)
    return charts.Chart(heading, drawing, (), note)


def _stairs(one: Course, area: Panel) -> Markup:
    """A line from the first best to the last network evaluated, and a mark at every better one."""
    places = [(area.x(better.number), area.y(100 * better.accuracy)) for better in one.improvements]
    corners = [places[0]]
    for x, y in places[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    corners.append((area.x(one.evaluated[-1].number), corners[-1][1]))
    marks = [
        marker(one.look.shape, *place, 4, f"point {one.look.class_}", _title(one, better))
        for place, better in zip(places, one.improvements, strict=True)
    ]
    return tag("g", polyline(corners, _line_class(one)), *marks)


def _line_class(one: Course) -> str:
    return f"curve {one.look.class_}"


def _title(one: Course, network: Evaluated) -> str:
    figures = f"{wording.percent(network.accuracy)} in {wording.milliseconds(network.latency_ms)}"
    return f"{one.source} {wording.count(network.number)}, {network.id}: {figures}"
