"""The first two sections: the answer in words, and whether the search earned its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.report import charts, wording
from hwnas.report.reading import Entry, mapping, number, numbers, pair, rows, text

View = dict[str, Any]
LIMITED = {  # the names of limits, and where a network's entry has what is held against them
    "params": "params",
    "macs": "macs",
    "activations": "peak_activation_bytes",
    "size": "size_bytes",
    "memory": "memory_bytes",
}
ONE_SEED = (
    "All of this is one run with one seed: how much the result varies from seed to seed is unknown, and the intervals "
    "do not contain it."
)


def answer(result: Mapping[str, Any], searched: Entry | None) -> View:
    """The result in words a manager understands, and the figures beside it."""
    budget = mapping(result.get("budget"))
    budget_ms = number(budget.get("latency_ms"))
    inside = is_inside(result, searched)
    view: View = {
        "inside": inside,
        "where": wording.target_words(mapping(result.get("target"))),
        "searched": searched,
        "verdict": verdict(searched, budget, inside),
        "beside": _beside(rows(result.get("comparison"))) if searched else [],
        "ruler": None,
        "figures": [],
    }
    if searched is None:
        return view
    view["accuracy"] = "" if searched.accuracy is None else wording.percent(searched.accuracy)
    view["accuracy_interval"] = wording.percent_interval(searched.accuracy_interval)
    view["test_images"] = wording.count(searched.test_images) if searched.test_images else ""
    view["latency"] = "" if searched.latency_ms is None else wording.milliseconds(searched.latency_ms)
    view["latency_interval"] = wording.milliseconds_interval(searched.latency_interval_ms, searched.latency_ms)
    view["ruler"] = charts.latency_ruler(searched, budget)
    view["figures"] = _figures(searched, budget, budget_ms)
    return view


def is_inside(result: Mapping[str, Any], searched: Entry | None) -> bool | None:
    """Whether the delivered network keeps the budget: by the measured interval if there is one, else by the status."""
    budget_ms = number(mapping(result.get("budget")).get("latency_ms"))
    measured = searched.inside(budget_ms) if searched else None
    if measured is not None:
        return measured
    return {"inside-budget": True, "over-budget": False}.get(text(result.get("status")))


def verdict(searched: Entry | None, budget: Mapping[str, Any], inside: bool | None) -> str:
    """How the budget was kept, "inside the budget of 0.31 ms (uses 94 % of it)", or by how much it was missed.

    Where more was limited, what the network takes of it: "memory 3.21 MB of 4.00 MB".
    """
    budget_ms = number(budget.get("latency_ms"))
    if inside is None:
        return ""
    if searched is None or searched.latency_ms is None or not budget_ms:
        return "inside the budget" if inside else "over the budget"
    others = "".join(f"; {said}" for said in (searched.over or _further(searched, budget)))
    kept = searched.keeps(budget_ms)
    return _latency_verdict(searched, searched.latency_ms, budget_ms, inside if kept is None else kept) + others


def _further(searched: Entry, budget: Mapping[str, Any]) -> list[str]:
    """What the network takes of every further limit."""
    found = []
    for name, field in LIMITED.items():
        most, value = number(mapping(budget.get("limits")).get(name)), number(searched.data.get(field))
        if most is not None and value is not None:
            unit = "B" if field.endswith("_bytes") else ""
            found.append(f"{name} {wording.short_count(value, unit)} of {wording.short_count(most, unit)}")
    return found


def _latency_verdict(searched: Entry, latency_ms: float, budget_ms: float, kept: bool) -> str:
    limit = wording.limit(budget_ms)
    if kept:
        used = wording.percent(latency_ms / budget_ms, 0)
        return f"inside the budget of {limit} (uses {used} of it)"
    if latency_ms > budget_ms:
        return f"over the budget of {limit} by {wording.excess(latency_ms, budget_ms)}"
    upper = searched.latency_interval_ms[1] if searched.latency_interval_ms else latency_ms
    return (
        f"too close to the budget of {limit} to be called inside: the upper end of its interval is over it by "
        f"{wording.excess(upper, budget_ms)}"
    )


def _beside(known: Sequence[Mapping[str, Any]]) -> list[View]:
    """How the network stands against each baseline, in two words, with the difference in points."""
    views = []
    for row in known[:6]:
        difference, interval = number(row.get("difference")), pair(row.get("interval"))
        if difference is None or interval is None:
            continue
        how = "more accurate than" if interval[0] > 0 else "less accurate than" if interval[1] < 0 else "level with"
        range_ = f"{wording.points(interval[0])} to {wording.points(interval[1])}"
        label = text(row.get("label")) or text(row.get("against"))
        views.append({"how": how, "label": label, "points": wording.points(difference), "interval": range_})
    return views


def earned(result: Mapping[str, Any], found: Sequence[Entry]) -> View:
    """Whether the search earned its time: the comparison's sentences and the table behind them."""
    budget_ms = number(mapping(result.get("budget")).get("latency_ms"))
    others = list(dict.fromkeys(item.role for item in found))
    return {
        "differences": _differences(rows(result.get("comparison"))),
        "table": [_network_row(item, budget_ms, charts.look(item.role, others)) for item in found],
        "shown": len(found) > 1 or bool(result.get("comparison")),
        "both_weights": any(_both_weights(item) for item in found),
        "reasons": [(item.label, text(item.data.get("reason"))) for item in found if item.data.get("reason")],
        "seed": text(result.get("seed")),
        "seed_sentence": ONE_SEED,
    }


def _differences(known: Sequence[Mapping[str, Any]]) -> list[View]:
    ends = [number(row.get("difference")) or 0.0 for row in known]
    ends += [end for row in known for end in pair(row.get("interval")) or ()]
    reach = max((abs(end) for end in ends), default=0.0) * 1.08 or 0.01
    views = []
    for row in known:
        difference, interval = number(row.get("difference")), pair(row.get("interval"))
        view = {
            "label": text(row.get("label")) or text(row.get("against")),
            "difference": wording.points(difference),
            "interval": f"{wording.points(interval[0])} to {wording.points(interval[1])}" if interval else "",
            "verdict": text(row.get("verdict")),
            "mark": "" if difference is None else charts.difference_mark(difference, interval, reach),
        }
        views.append(view)
    return views


def _figures(searched: Entry, budget: Mapping[str, Any], budget_ms: float | None) -> list[View]:
    found: list[tuple[str, str, str]] = []
    if searched.accuracy is not None:
        images = f" on {wording.count(searched.test_images)} images" if searched.test_images else ""
        interval = wording.percent_interval(searched.accuracy_interval)
        note = (f"{interval}\u00a0%" if interval else "") + images
        exact = number(mapping(searched.data.get("rounding")).get("test_in_f32"))
        note += "" if exact is None else f", {wording.percent(exact)} in f32"
        found.append(("test accuracy", wording.percent(searched.accuracy), note))
    if searched.latency_ms is not None:
        sessions = numbers(mapping(searched.data.get("latency")).get("sessions_ms"))
        note = wording.milliseconds_interval(searched.latency_interval_ms, searched.latency_ms)
        note += f" in {len(sessions)} sessions" if sessions else ""
        found.append(("measured latency", wording.milliseconds(searched.latency_ms), note))
        if budget_ms:
            used = wording.percent(searched.latency_ms / budget_ms, 0)
            found.append(("budget used", used, f"of {wording.budget_words(budget)}"))
    if searched.params is not None:
        peak = number(searched.data.get("peak_activation_bytes"))
        parts = [
            "" if searched.macs is None else wording.short_count(searched.macs, "MACs"),
            "" if peak is None else f"{wording.short_count(peak, 'B')} of activations",
        ]
        found.append(("parameters", wording.short_count(searched.params), ", ".join(part for part in parts if part)))
    size, memory = number(searched.data.get("size_bytes")), number(searched.data.get("memory_bytes"))
    if size is not None:
        note = "" if memory is None else f"needs {wording.short_count(memory, 'B')} of memory at its peak, measured"
        found.append(("file", wording.short_count(size, "B"), note))
    return [{"label": label, "value": value, "note": note.strip()} for label, value, note in found]


def _network_row(item: Entry, budget_ms: float | None, mark: charts.Look) -> View:
    return {
        "mark": charts.legend_mark(mark),
        "label": item.label,
        "architecture_id": item.architecture_id,
        "architecture": item.architecture,
        "accuracy": wording.percent(item.accuracy),
        "accuracy_interval": wording.percent_interval(item.accuracy_interval),
        "latency": wording.milliseconds(item.latency_ms),
        "latency_interval": wording.milliseconds_interval(item.latency_interval_ms, item.latency_ms),
        "inside": item.inside(budget_ms),
        "params": wording.short_count(item.params),
        "macs": wording.short_count(item.macs),
        "weights": wording.weights_words(item.weights),
        "both_weights": _both_weights(item),
        "searched": item.role == "searched",
    }


def _both_weights(item: Entry) -> str:
    scratch = number(item.data.get("scratch_search_accuracy"))
    inherited = number(item.data.get("inherited_search_accuracy"))
    if scratch is None or inherited is None:
        return ""
    return f"{wording.percent(scratch)} scratch, {wording.percent(inherited)} inherited"
