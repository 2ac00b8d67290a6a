"""Several runs side by side: one chart, one row each, what the seeds agree on, and which settings differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from markupsafe import Markup

from hwnas.report import charts, wording
from hwnas.report.answer import is_inside
from hwnas.report.reading import Entry, entry, mapping, number, rows, text
from hwnas.report.svg import Panel, figure, line, places_beside, spot, tag, words

View = dict[str, Any]
MOST_RUNS = 60
MOST_NUMBERED = 24  # points that get their number drawn beside them


@dataclass(frozen=True, slots=True)
class Run:
    """One of several runs.

    Args:
        number: from 1, in the order of the rows.
        name: of its directory, or its data and seed.
        result: the content of its result.json.
        settings: its resolved settings, or {}.
        item: its delivered network.
        look: the same for all runs with this data, target and budget.
    """

    number: int
    name: str
    result: Mapping[str, Any]
    settings: Mapping[str, Any]
    item: Entry
    look: charts.Look

    @property
    def target(self) -> str:
        """Its name."""
        return text(mapping(self.result.get("target")).get("name"))

    @property
    def budget_ms(self) -> float | None:
        """Its limit."""
        return number(mapping(self.result.get("budget")).get("latency_ms"))


def summary(results: Sequence[Mapping[str, Any]], names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> View:
    """Rows, sentences and the charts of a comparison."""
    runs = _runs(results[:MOST_RUNS], names, settings)
    kept = sum(is_inside(run.result, run.item) is True for run in runs)
    return {
        "lead": f"{kept} of {len(runs)} delivered a network inside the budget.",
        "rows": [_row(run) for run in runs],
        "sentences": _sentences(runs) + _warnings(runs, len(results)),
        "charts": _charts(runs),
        "settings": _settings(runs),
        "commands": [text(run.result.get("command")) for run in runs],
        "versions": sorted({text(run.result.get("hwnas")) for run in runs} - {""}),
    }


def _runs(
    results: Sequence[Mapping[str, Any]], names: Sequence[str], settings: Sequence[Mapping[str, Any]]
) -> list[Run]:
    tasks = list(dict.fromkeys(_task(result) for result in results))
    runs = []
    for index, result in enumerate(results):
        name = names[index] if index < len(names) else ""
        known = settings[index] if index < len(settings) else {}
        seed = text(result.get("seed"))
        fallback = text(mapping(result.get("data")).get("name")) + (f", seed {seed}" if seed else "")
        item, mark = entry(mapping(result.get("network"))), charts.look_at(tasks.index(_task(result)))
        runs.append(Run(index + 1, name or fallback or f"run {index + 1}", result, known, item, mark))
    return runs


def _row(run: Run) -> View:
    result, item = run.result, run.item
    against = [
        f"{wording.points(number(row.get('difference')))} against {text(row.get('label')) or text(row.get('against'))}"
        for row in rows(result.get("comparison"))
        if number(row.get("difference")) is not None
    ]
    seed = text(result.get("seed"))
    strategy = text(mapping(result.get("search")).get("strategy"))
    parts = (text(mapping(result.get("data")).get("name")), run.target, text(result.get("space")), strategy)
    cpu = [number(row.get("cpu_seconds")) or 0.0 for row in rows(result.get("compute"))]
    return {
        "mark": charts.legend_mark(run.look),
        "number": run.number,
        "name": run.name,
        "what": " · ".join(part for part in (*parts, f"seed {seed}" if seed else "") if part),
        "inside": is_inside(result, item),
        "accuracy": wording.percent(item.accuracy),
        "accuracy_interval": wording.percent_interval(item.accuracy_interval),
        "latency": wording.milliseconds(item.latency_ms),
        "latency_interval": wording.milliseconds_interval(item.latency_interval_ms, item.latency_ms),
        "budget": wording.limit(run.budget_ms),
        "asked": _asked(result),
        "params": wording.short_count(item.params),
        "macs": wording.short_count(item.macs),
        "cpu": wording.seconds(sum(cpu)) if cpu else wording.MISSING,
        "shared": "without what it took over" if rows(result.get("shared")) else "",
        "against": against[:6],
    }


def _asked(result: Mapping[str, Any]) -> str:
    """A budget that was asked for as a share: "40 %"; otherwise empty."""
    asked = text(mapping(result.get("budget")).get("text")).strip()
    return f"{asked[:-1].strip()}\u00a0%" if asked.endswith("%") else ""


def _settings(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """What the runs were asked for, where it was not the same for all: a name, and its value in every run."""
    asked = [_asked_for(run) for run in runs]
    names = dict.fromkeys(name for row in asked for name in row)
    values = [(name, [row.get(name, "") for row in asked]) for name in names]
    return [(name, row) for name, row in values if len(set(row)) > 1]


def _asked_for(run: Run) -> dict[str, str]:
    result = run.result
    search, budget = mapping(result.get("search")), mapping(result.get("budget"))
    asked = {
        "data": text(mapping(result.get("data")).get("name")),
        "budget": text(budget.get("text")),
        "seed": text(result.get("seed")),
        "space": text(result.get("space")),
        "target": run.target,
        "train steps": text(result.get("train_steps")),
        "strategy": text(search.get("strategy")),
        "loss": text(search.get("loss")),
        "reward": text(search.get("reward")),
        "search steps": text(search.get("weight_steps")),
        "evaluations": text(search.get("evaluations")),
        "child steps": text(search.get("child_steps")),
        **{name: text(value) for name, value in mapping(budget.get("limits")).items()},
    }
    for name, value in run.settings.items():
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        if value is not None and not isinstance(value, Mapping):
            asked[name.replace("_", " ")] = str(value)
    return asked


def _sentences(found: Sequence[Run]) -> list[str]:
    """What runs that differ in nothing but the seed agree on."""
    alike: dict[tuple[str, ...], list[Run]] = {}
    for run in found:
        alike.setdefault((*_task(run.result), *_kind(run.result)), []).append(run)
    sentences = []
    for (data, target, budget, _, strategy, _), runs in alike.items():
        accuracies = [run.item.accuracy for run in runs if run.item.accuracy is not None]
        seeds = {text(run.result.get("seed")) for run in runs}
        if len(seeds) < 2 or len(accuracies) < 2:
            continue
        by = f", by {strategy}" if strategy else ""
        said = f"{data} on {target}, budget {budget}{by}, {len(seeds)} seeds"
        said += f": mean accuracy {wording.percent(fmean(accuracies))}"
        said += f", standard deviation from run to run {wording.decimals(100 * stdev(accuracies), 2)} points."
        for label, differences in _differences([run.result for run in runs]):
            low, high = wording.points(min(differences)), wording.points(max(differences))
            said += f" Against {label}: {wording.points(fmean(differences))} points on average ({low} to {high})."
        sentences.append(said)
    return sentences


def _differences(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[float]]]:
    """Accuracy differences with the baseline's label, for those that every run was compared with."""
    found: dict[str, list[float]] = {}
    labels: dict[str, str] = {}
    for result in results:
        for row in rows(result.get("comparison")):
            difference = number(row.get("difference"))
            if difference is not None:
                against = text(row.get("against"))
                found.setdefault(against, []).append(difference)
                labels.setdefault(against, text(row.get("label")) or wording.role_words(against))
    return [(labels[against], values) for against, values in found.items() if len(values) == len(results)]


def _warnings(runs: Sequence[Run], given: int) -> list[str]:
    sentences = []
    if len({run.target for run in runs}) > 1:
        sentences.append("The runs are for different targets: compare latencies only in rows with the same target.")
    if len({_data_of(run.result) for run in runs}) > 1:
        sentences.append("The runs used different data: compare accuracies only in rows with the same data.")
    if len({text(run.result.get("seed")) for run in runs}) < 2:
        sentences.append("All runs have the same seed: how much results vary from seed to seed is unknown.")
    if given > len(runs):
        sentences.append(f"Only the first {len(runs)} of {given} runs are shown.")
    return sentences


def _task(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What makes two runs answers to the same question: data, target, budget."""
    budget = mapping(result.get("budget"))
    asked = text(budget.get("text")) or wording.limit(number(budget.get("latency_ms")))
    name, fingerprint = _data_of(result)
    return name, text(mapping(result.get("target")).get("name")), asked, fingerprint


def _kind(result: Mapping[str, Any]) -> tuple[str, str]:
    return text(mapping(result.get("search")).get("strategy")), text(result.get("space"))


def _data_of(result: Mapping[str, Any]) -> tuple[str, str]:
    data = mapping(result.get("data"))
    return text(data.get("name")), text(data.get("fingerprint"))


def _charts(runs: Sequence[Run]) -> list[charts.Chart]:
    """One chart for all runs with the same data and target: only those can be compared."""
    alike: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        alike.setdefault((*_data_of(run.result), run.target), []).append(run)
    wide = len(alike) == 1
    found = [_chart(same, f"runs{index}", wide) for index, same in enumerate(alike.values(), start=1)]
    return [chart for chart in found if chart]


def _chart(runs: Sequence[Run], name: str, wide: bool) -> charts.Chart | None:
    """Every run as a numbered mark with its intervals and its own budget."""
    drawn = [(run, point) for run in runs for point in charts.measured([run.item])]
    if not drawn:
        return None
    limits = [run.budget_ms for run, _ in drawn if run.budget_ms is not None]
    area = charts.accuracy_panel([point for _, point in drawn], limits, width=560 if wide else 460)
    parts = [charts.accuracy_axes(area), *(_headroom(run, point, area) for run, point in drawn)]
    parts += [charts.crossed(point, run.look, area) for run, point in drawn]
    if len(drawn) <= MOST_NUMBERED:
        beside = places_beside([(area.x(one.latency_ms), area.y(100 * one.accuracy)) for _, one in drawn], area)
        parts += [words(*at, str(run.number), "number", "middle") for (run, _), at in zip(drawn, beside, strict=True)]
    for run, one in drawn:
        lines = [f"{run.number} {run.name}", *charts.network_lines(one.entry)[1:]]
        lines.insert(2, f"budget {wording.limit(run.budget_ms)}")
        parts.append(spot(area.x(one.latency_ms), area.y(100 * one.accuracy), lines, area))
    finding = "; ".join(
        f"{run.number} {run.name}: {wording.percent(one.accuracy)} in {wording.milliseconds(one.latency_ms)}, "
        f"budget {wording.limit(run.budget_ms)}"
        for run, one in drawn
    )
    data, target, *_ = _task(runs[0].result)
    heading = f"{data or 'unnamed data'} on {target or 'an unnamed target'}: accuracy against latency"
    drawing = figure(name, heading, f"{finding}."[:4000], area.width, area.height, *parts, role="group")
    legend = {run.look: f"budget {_task(run.result)[2]}" for run, _ in drawn}
    marks = tuple((charts.legend_mark(mark), said) for mark, said in legend.items())
    return charts.Chart(heading, drawing, marks if len(marks) > 1 else ())


def _headroom(run: Run, one: charts.Measured, area: Panel) -> Markup:
    """A dotted line from a run's point to its budget, at the height of the point."""
    if run.budget_ms is None:
        return Markup()
    x, y = area.x(run.budget_ms), area.y(100 * one.accuracy)
    return tag("g", line(area.x(one.latency_ms), y, x, y, "headroom"), line(x, y - 8, x, y + 8, "limit whole"))
