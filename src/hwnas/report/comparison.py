"""Strategies side by side: how good the best was after so many evaluations, with intervals, tests and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hwnas.report import charts, wording
from hwnas.report.reading import mapping, number, numbers, pair, rows, shortened, text
from hwnas.report.svg import MARKERS, Panel, axes, coordinate, figure, line, marker, panel, polyline, spread, tag, words

View = dict[str, Any]
MOST_STRATEGIES = 40
_LONGEST_NAME = 40
_MOST_VERDICTS = 100


@dataclass(frozen=True, slots=True)
class Point:
    """The mean over seeds of what was found after so many evaluations, in per cent.

    Args:
        evaluations: how many.
        mean: of the best so far.
        interval: 95 %, or None.
    """

    evaluations: float
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Line:
    """A strategy's course.

    Args:
        index: decides how it is drawn.
        name: of the strategy.
        points: by rising evaluations.
        data: of the strategy, as it was read.
    """

    index: int
    name: str
    points: tuple[Point, ...]
    data: Mapping[str, Any]

    @property
    def look(self) -> charts.Look:
        """Colour and marker."""
        return charts.look_at(self.index)

    @property
    def class_(self) -> str:
        """Of the line: after the last look they begin again, dashed."""
        return f"curve {self.look.class_}" + (" dashed" if self.index >= len(MARKERS) else "")


def comparison(data: Mapping[str, Any]) -> View:
    """Everything that the page shows of a comparison.json, which is not trusted."""
    lines = _lines(data)
    said = data.get("verdicts")
    verdicts = [text(one) for one in said[:_MOST_VERDICTS] if text(one)] if isinstance(said, list) else []
    return {
        "lead": _lead(lines, data),
        "about": _about(data),
        "verdicts": verdicts,
        "differences": _differences(data),
        "chart": course_chart(lines, data),
        "rows": [_row(one, mapping(mapping(data.get("compute")).get(one.name))) for one in lines],
        "figure_words": f"{_figure(data)} × 100" if _figure(data) == "score" else f"{_figure(data)}, %",
        "known": mapping(data.get("optimum")).get("score") is not None,
        "seeds": len(numbers(data.get("seeds"))),
        "facts": _facts(data),
        "timed": any("controller_cpu_seconds" in mapping(one) for one in mapping(data.get("compute")).values()),
        "exact": not _trained(data),
        "command": text(data.get("command")),
        "version": text(mapping(data.get("environment")).get("hwnas")),
    }


def course_chart(lines: Sequence[Line], data: Mapping[str, Any]) -> charts.Chart | None:
    """The best so far against evaluations: a line for each strategy, its interval as a band."""
    drawn = [one for one in lines if len(one.points) > 1]
    if not drawn:
        return None
    best = _optimum(data)
    ends = [end for one in drawn for point in one.points for end in (point.mean, *(point.interval or ()))]
    low, high = spread([*ends, *([] if best is None else [best])])
    last = max(point.evaluations for one in drawn for point in one.points)
    area = panel((0, last), (low, high), width=560, height=360)
    what = _figure(data)
    unit, scale = ("", " × 100") if what == "score" else (" %", "")
    parts = [axes(area, "evaluations", f"best {what}{scale} so far", y_unit=unit)]
    if best is not None:
        parts.append(line(area.x.start, area.y(best), area.x.stop, area.y(best), "since"))
        said = f"the best there is, {wording.decimals(best, 2)}"
        parts.append(words(area.x.start + 6, area.y(best) - 6, said, "tick"))
    parts += [_band(one, area) for one in drawn]
    parts += [polyline([(area.x(p.evaluations), area.y(p.mean)) for p in one.points], one.class_) for one in drawn]
    parts += [_marked(one, point, area) for one in drawn for point in one.points]
    heading = f"Best {what} found, mean over {len(numbers(data.get('seeds')))} seeds"
    finding = "; ".join(f"{one.name} {wording.decimals(one.points[-1].mean, 2)}" for one in drawn)
    drawing = figure("course", heading, f"In the end: {finding}."[:4000], area.width, area.height, *parts)
    legend = tuple((charts.line_mark(one.look, one.class_), one.name) for one in drawn)
    note = (
        "A band is the 95 % interval of the mean over seeds. What has found nothing yet counts as 0, or as the worst."
    )
    return charts.Chart(heading, drawing, legend, note, _course_table(drawn))


def _lines(data: Mapping[str, Any]) -> list[Line]:
    moments = numbers(data.get("moments"))
    found = []
    for index, one in enumerate(rows(data.get("strategies"))[:MOST_STRATEGIES]):
        points = []
        for moment, value in zip(moments, rows(one.get("course")), strict=False):
            mean, interval = number(value.get("mean")), pair(value.get("interval"))
            if mean is not None and moment > 0:
                ends = (100 * interval[0], 100 * interval[1]) if interval else None
                points.append(Point(moment, 100 * mean, ends))
        found.append(Line(index, shortened(text(one.get("name")) or "unnamed", _LONGEST_NAME), tuple(points), one))
    return found


def _figure(data: Mapping[str, Any]) -> str:
    """What was compared."""
    return "score" if text(data.get("figure")) == "score" else "accuracy"


def _lead(lines: Sequence[Line], data: Mapping[str, Any]) -> str:
    last = [(mean, one) for one in lines if (mean := number(mapping(one.data.get("final")).get("mean"))) is not None]
    if not last:
        return "Nothing was compared."
    mean, first = max(last, key=lambda pair: pair[0])
    seeds = len(numbers(data.get("seeds")))
    what = _figure(data)
    found = f"{what} {wording.significant(mean) if what == 'score' else wording.percent(mean, 2)}"
    over = f"on average over {seeds} seeds" if seeds > 1 else "with one seed"
    return (
        f"{first.name} found the best: {found} {over}, after "
        f"{wording.count(number(data.get('evaluations')))} evaluations at most."
    )


def _about(data: Mapping[str, Any]) -> str:
    networks = number(data.get("networks"))
    among = "" if networks is None else f", {wording.count(networks)} networks"
    limits = [f"{name} {value}" for name, value in _limits(data)]
    inside = f"; {', '.join(limits)}" if limits else ""
    searched = (
        f"Every strategy searched {text(data.get('space')) or 'one space'}{among}, with the same seeds and as many "
        f"evaluations{inside}. An evaluation is a network that was not known before; proposing a known one again"
    )
    if _trained(data):
        return (
            f"{searched} costs nothing, one that a strategy's own limit excludes costs a measurement, and there are at "
            "most 20 proposals for each evaluation. Whatever a strategy learns from, only networks inside the limits, "
            "as measured in its search, count as found; accuracies are those of the search split after the short "
            "training."
        )
    return (
        f"{searched}, or one that the limits exclude, costs nothing, and there are at most 20 proposals for each "
        "evaluation."
    )


def _trained(data: Mapping[str, Any]) -> bool:
    """Whether networks were trained and timed, so that nothing is the same to the last digit anywhere else."""
    return text(data.get("evaluator")) == "trained-alone"


def _limits(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """By the names of costs, in words."""
    found = []
    for name, value in list(mapping(data.get("limits")).items())[:10]:
        most = number(value)
        found.append((name, f"at most {wording.limit(most) if name == 'latency' else wording.short_count(most)}"))
    return found


def _optimum(data: Mapping[str, Any]) -> float | None:
    best = number(mapping(data.get("optimum")).get(_figure(data)))
    return None if best is None else 100 * best


def _differences(data: Mapping[str, Any]) -> list[View]:
    """Every pair with its mark: how far ahead the one is of the other."""
    found = []
    known = [one for one in rows(data.get("differences")) if number(one.get("mean")) is not None]
    ends = [abs(end) for one in known for end in (number(one.get("mean")) or 0.0, *(pair(one.get("interval")) or ()))]
    reach = max([*ends, 1e-9])
    for one in known[:_MOST_VERDICTS]:
        mean, interval = number(one.get("mean")) or 0.0, pair(one.get("interval"))
        single, corrected = number(one.get("p")), number(one.get("p_holm"))
        found.append({
            "mark": charts.difference_mark(mean, interval, reach),
            "verdict": text(one.get("verdict")),
            "p": "" if single is None else f"{wording.p_value(single)} by itself",
            "corrected": corrected is not None,
        })  # fmt: skip
    return found


def _row(one: Line, cost: Mapping[str, Any]) -> View:
    final = mapping(one.data.get("final"))
    interval, quartiles = pair(final.get("interval")), pair(final.get("quartiles"))
    mean, deviation, median = (number(final.get(key)) for key in ("mean", "deviation", "median"))
    regret, found = number(mapping(final.get("regret")).get("mean")), number(final.get("found_the_best"))
    nothing = number(final.get("found_nothing")) or 0
    cpu, wall = number(cost.get("cpu_seconds")), number(cost.get("wall_seconds"))
    deciding = number(cost.get("controller_cpu_seconds"))
    return {
        "mark": charts.line_mark(one.look, one.class_),
        "name": one.name,
        "nothing": f"{wording.count(nothing)} of its searches found nothing" if nothing else "",
        "mean": _hundred(mean, 3) + ("" if deviation is None else f" ± {_hundred(deviation, 3)}"),
        "interval": "" if interval is None else f"{_hundred(interval[0], 3)} to {_hundred(interval[1], 3)}",
        "median": _hundred(median, 3),
        "quartiles": "" if quartiles is None else f"{_hundred(quartiles[0], 3)} to {_hundred(quartiles[1], 3)}",
        "regret": _hundred(regret, 3),
        "found": wording.percent(found, 0),
        "evaluations": _mean_count(number(final.get("evaluations"))),
        "proposals": _mean_count(number(final.get("proposals"))),
        "cpu": wording.MISSING if cpu is None else f"{wording.significant(cpu)}\u00a0s",
        "deciding": "" if deciding is None else f"controller {wording.significant(deciding)}\u00a0s",
        "wall": wording.MISSING if wall is None else f"{wording.significant(wall)}\u00a0s",
    }


def _hundred(value: float | None, places: int) -> str:
    return wording.MISSING if value is None else wording.decimals(100 * value, places)


def _mean_count(value: float | None) -> str:
    """A mean of counts: whole where it is, else with one decimal."""
    if value is None:
        return wording.MISSING
    return wording.count(value) if value == round(value) or value >= 1000 else wording.decimals(value, 1)


def _facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    best, environment = mapping(data.get("optimum")), mapping(data.get("environment"))
    seeds = numbers(data.get("seeds"))
    facts = [
        ("space", text(data.get("space"))),
        ("reward", text(data.get("reward"))),
        *_limits(data),
        *((name, text(said)) for name, said in list(mapping(data.get("task")).items())[:10]),
        ("evaluations", wording.count(number(data.get("evaluations")))),
        ("seeds", f"{seeds[0]:g} to {seeds[-1]:g}" if seeds else ""),
        ("the best there is", wording.percent(number(best.get("accuracy")), 2)),
        ("its architecture", text(best.get("architecture_id"))),
        ("hwnas", text(environment.get("hwnas"))),
        ("Python", text(environment.get("python"))),
        ("processor", text(environment.get("cpu"))),
    ]
    return [(name, value) for name, value in facts if value and value != wording.MISSING]


def _band(one: Line, area: Panel) -> Markup:
    known = [(point.evaluations, point.interval) for point in one.points if point.interval]
    upper = [(area.x(at), area.y(interval[1])) for at, interval in known]
    lower = [(area.x(at), area.y(interval[0])) for at, interval in known]
    corners = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in [*upper, *reversed(lower)])
    return tag("polygon", points=corners, class_=f"interval {one.look.class_}") if known else Markup()


def _marked(one: Line, point: Point, area: Panel) -> Markup:
    said = f"{one.name}, {wording.count(point.evaluations)} evaluations: {wording.decimals(point.mean, 3)}"
    if point.interval:
        said += f" ({wording.decimals(point.interval[0], 3)} to {wording.decimals(point.interval[1], 3)})"
    look = one.look
    return marker(look.shape, area.x(point.evaluations), area.y(point.mean), 3.8, f"point {look.class_}", said)


def _course_table(drawn: Sequence[Line]) -> charts.Table:
    moments = sorted({point.evaluations for one in drawn for point in one.points})
    cells = []
    for moment in moments:
        at = [next((point for point in one.points if point.evaluations == moment), None) for one in drawn]
        cells.append((wording.count(moment), *("" if point is None else _in_words(point) for point in at)))
    return charts.Table("The curves as a table", (("evaluations", *(one.name for one in drawn)), *cells))


def _in_words(point: Point) -> str:
    mean = wording.decimals(point.mean, 3)
    if point.interval is None:
        return mean
    return f"{mean} ({wording.decimals(point.interval[0], 3)} to {wording.decimals(point.interval[1], 3)})"
