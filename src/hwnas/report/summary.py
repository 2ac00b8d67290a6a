"""Several runs side by side: one row each, what the seeds agree on, and one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from hwnas.report import charts, wording
from hwnas.report.answer import is_inside
from hwnas.report.reading import Entry, entry, mapping, number, rows, text

View = dict[str, Any]
MOST_RUNS = 60
_SEARCH_SETTINGS = {
    "strategy": "strategy", "loss": "latency loss", "weight_steps": "weight steps",
    "architecture_steps": "architecture steps",
}  # fmt: skip


def summary(results: Sequence[Mapping[str, Any]]) -> View:
    """Rows, sentences and the chart of a comparison."""
    shown = list(results[:MOST_RUNS])
    found = [(result, entry(mapping(result.get("network")))) for result in shown]
    targets = list(dict.fromkeys(text(mapping(result.get("target")).get("name")) for result in shown))
    budgets = {number(mapping(result.get("budget")).get("latency_ms")) for result in shown}
    budget_ms = budgets.pop() if len(budgets) == 1 else None
    kept = sum(is_inside(result, item) is True for result, item in found)
    return {
        "lead": f"{kept} of {len(shown)} delivered a network inside the budget.",
        "rows": [_row(result, item, targets) for result, item in found],
        "sentences": _sentences(found) + _warnings(shown, targets, len(results)),
        "chart": _chart(found, targets, budget_ms),
        "settings": _settings(shown),
        "versions": sorted({text(result.get("hwnas")) for result in shown} - {""}),
    }


def _row(result: Mapping[str, Any], item: Entry, targets: Sequence[str]) -> View:
    target = text(mapping(result.get("target")).get("name"))
    budget = mapping(result.get("budget"))
    against = [
        f"{wording.points(number(row.get('difference')))} against {text(row.get('label')) or text(row.get('against'))}"
        for row in rows(result.get("comparison"))
        if number(row.get("difference")) is not None
    ]
    return {
        "mark": charts.legend_mark(charts.look(charts.role_at(targets.index(target)))),
        "data": text(mapping(result.get("data")).get("name")),
        "space": text(result.get("space")),
        "seed": text(result.get("seed")),
        "target": target,
        "inside": is_inside(result, item),
        "accuracy": wording.percent(item.accuracy),
        "accuracy_interval": wording.percent_interval(item.accuracy_interval),
        "latency": wording.milliseconds(item.latency_ms),
        "latency_interval": wording.milliseconds_interval(item.latency_interval_ms, item.latency_ms),
        "budget": wording.limit(number(budget.get("latency_ms"))),
        "params": wording.short_count(item.params),
        "macs": wording.short_count(item.macs),
        "against": against[:6],
    }


def _settings(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """What the runs were asked for, where it was not the same for all: a name, and its value in every run."""
    asked = [
        {
            "budget": text(mapping(result.get("budget")).get("text")),
            "seed": text(result.get("seed")),
            "space": text(result.get("space")),
            "target": text(mapping(result.get("target")).get("name")),
            "training steps": text(result.get("train_steps")),
            **{words: text(mapping(result.get("search")).get(key)) for key, words in _SEARCH_SETTINGS.items()},
            **{name: text(value) for name, value in mapping(mapping(result.get("budget")).get("limits")).items()},
            "command": text(result.get("command")),
        }
        for result in results
    ]
    names = dict.fromkeys(name for row in asked for name in row)
    values = [(name, [row.get(name, "") for row in asked]) for name in names]
    return [(name, row) for name, row in values if len(set(row)) > 1]


def _sentences(found: Sequence[tuple[Mapping[str, Any], Entry]]) -> list[str]:
    """What runs that differ in nothing but the seed agree on."""
    alike: dict[tuple[str, ...], list[tuple[Mapping[str, Any], Entry]]] = {}
    for result, item in found:
        alike.setdefault(_task(result), []).append((result, item))
    sentences = []
    for (data, target, budget, *_), runs in alike.items():
        accuracies = [item.accuracy for _, item in runs if item.accuracy is not None]
        seeds = {text(result.get("seed")) for result, _ in runs}
        if len(seeds) < 2 or len(accuracies) < 2:
            continue
        said = f"{data} on {target}, budget {budget}, {len(seeds)} seeds"
        said += f": mean accuracy {wording.percent(fmean(accuracies))}"
        said += f", standard deviation from run to run {wording.decimals(100 * stdev(accuracies), 2)} points."
        for label, differences in _differences([result for result, _ in runs]):
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


def _warnings(shown: Sequence[Mapping[str, Any]], targets: Sequence[str], given: int) -> list[str]:
    sentences = []
    if len(targets) > 1:
        sentences.append("The runs are for different targets: compare latencies only in rows with the same target.")
    if len({_data_of(result) for result in shown}) > 1:
        sentences.append("The runs used different data: compare accuracies only in rows with the same data.")
    if len({text(result.get("seed")) for result in shown}) < 2:
        sentences.append("All runs have the same seed: how much results vary from seed to seed is unknown.")
    if given > len(shown):
        sentences.append(f"Only the first {len(shown)} of {given} runs are shown.")
    return sentences


def _task(result: Mapping[str, Any]) -> tuple[str, ...]:
    target, budget = mapping(result.get("target")), mapping(result.get("budget"))
    strategy = text(mapping(result.get("search")).get("strategy"))
    asked = text(budget.get("text")) or wording.limit(number(budget.get("latency_ms")))
    name = text(mapping(result.get("data")).get("name"))
    return (name, text(target.get("name")), asked, strategy, text(result.get("space")), *_data_of(result))


def _data_of(result: Mapping[str, Any]) -> tuple[str, str]:
    data = mapping(result.get("data"))
    return text(data.get("name")), text(data.get("fingerprint"))


def _chart(
    found: Sequence[tuple[Mapping[str, Any], Entry]], targets: Sequence[str], budget_ms: float | None
) -> charts.Chart | None:
    """Every run as one mark; its look says the target."""
    chart = charts.accuracy_chart([_named(result, item, targets) for result, item in found], budget_ms, "runs")
    looks = [charts.legend_mark(charts.look(charts.role_at(index))) for index in range(len(targets))]
    return replace(chart, legend=tuple(zip(looks, targets, strict=True))) if chart else None


def _named(result: Mapping[str, Any], item: Entry, targets: Sequence[str]) -> Entry:
    """The entry under the name of its run, with the look of its target."""
    target = text(mapping(result.get("target")).get("name"))
    label = f"{text(mapping(result.get('data')).get('name'))} on {target}, seed {text(result.get('seed'))}"
    return replace(item, label=label, role=charts.role_at(targets.index(target)))
