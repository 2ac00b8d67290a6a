"""The section on latency: the model against the clock, the rounds of the closed loop, and how the file was timed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hwnas.report import charts, wording
from hwnas.report.reading import Entry, entries, mapping, number, numbers, rows, text, trained_alone

View = dict[str, Any]
SMALL_USE = 0.75  # below this share of the budget the report says why the rest was left


class Words(NamedTuple):
    """What the section is called, how latencies are known beforehand, and what follows from a miss."""

    heading: str
    before: str
    miss: str


_PREDICTED = Words(
    "Predicted against measured", "predicted",
    "A candidate that misses teaches the latency model, and the search goes on; the last word has the file that ships.",
)  # fmt: skip
_BRIEFLY = Words(
    "Measured briefly, and for good", "measured briefly before training",
    "The search measures each untrained file briefly, a budget is held against a longer measurement. Of a network that "
    "misses, the longer one counts, and the next best is taken; the last word has the file that ships.",
)  # fmt: skip


def prediction(result: Mapping[str, Any], searched: Entry | None) -> View:
    """Everything that the section shows; `shown` is False where there is nothing."""
    model = mapping(result.get("latency_model"))
    held_out, said = rows(model.get("points")), _BRIEFLY if trained_alone(result) else _PREDICTED
    view: View = {
        "words": said,
        "chart": charts.prediction_chart(held_out),
        "rounds": [
            _round_row(row, {item.role: item.label for item in entries(result)}) for row in rows(result.get("rounds"))
        ],
        "table": _model_table(model),
        "lead": _model_lead(model, len(held_out)),
        "timing": _timing(searched, said) if searched else [],
        "slack": _slack(result, searched),
        "reason": text(mapping(result.get("search")).get("reason")).rstrip("."),
    }
    return {**view, "shown": any(view[key] for key in ("chart", "rounds", "table", "timing", "slack"))}


def _slack(result: Mapping[str, Any], searched: Entry | None) -> str:
    budget_ms = number(mapping(result.get("budget")).get("latency_ms"))
    if searched is None or searched.latency_ms is None or not budget_ms or searched.latency_ms >= SMALL_USE * budget_ms:
        return ""
    return f"The delivered network uses only {wording.percent(searched.latency_ms / budget_ms, 0)} of the budget."


def _model_table(model: Mapping[str, Any]) -> list[View]:
    kinds = [
        ("latency model", "mape_percent", "kendall_tau", "bias_percent", "r2"),
        ("counting MACs", "macs_mape_percent", "macs_kendall_tau", "", ""),
        ("measuring again", "retest_cv_percent", "retest_tau", "", ""),
    ]
    views = []
    for name, *keys in kinds:
        error, tau, bias, r2 = (number(model.get(key)) for key in keys)
        if error is None and tau is None:
            continue
        view = {
            "name": name,
            "error": wording.MISSING if error is None else f"{wording.decimals(error, 1)}\u00a0%",
            "tau": wording.MISSING if tau is None else wording.decimals(tau, 2),
            "bias": wording.MISSING if bias is None else wording.signed(bias, 1, "\u00a0%"),
            "r2": wording.MISSING if r2 is None else wording.decimals(r2, 2),
        }
        views.append(view)
    return views


def _model_lead(model: Mapping[str, Any], held_out: int) -> str:
    error, counted = number(model.get("mape_percent")), number(model.get("macs_mape_percent"))
    if error is None:
        return ""
    networks = f"{held_out} networks" if held_out else "networks"
    lead = (
        f"On {networks} that it never saw, the latency model was off by {wording.decimals(error, 1)}\u00a0% on average"
    )
    if counted is not None:
        than = "worse than" if error > counted else "against"
        lead += f", {than} the {wording.decimals(counted, 1)}\u00a0% of counting MACs"
    calibrated = number(model.get("calibration_networks"))
    made = "" if calibrated is None else f" It was calibrated on {wording.count(calibrated)} whole networks."
    kind = wording.latency_model_kind(text(model.get("kind")), mapping(model.get("errors_percent")))
    return f"{lead}.{made}{f' It is of {kind}.' if kind else ''}"


def _round_row(row: Mapping[str, Any], labels: Mapping[str, str]) -> View:
    return {
        "what": text(row.get("what")),
        "whose": labels.get(text(row.get("role")), text(row.get("role"))),
        "architecture": text(row.get("architecture_id")),
        "predicted": wording.milliseconds(number(row.get("predicted_ms"))),
        "measured": wording.milliseconds(number(row.get("measured_ms"))),
        "upper": wording.milliseconds(number(row.get("upper_ms"))),
        "inside": row.get("inside") if isinstance(row.get("inside"), bool) else None,
    }


def _timing(searched: Entry, said: Words) -> list[tuple[str, str]]:
    latency = mapping(searched.data.get("latency"))
    if searched.latency_ms is None:
        return []
    interval = wording.milliseconds_interval(searched.latency_interval_ms, searched.latency_ms)
    rounds, unstable = wording.count(number(latency.get("rounds"))), number(latency.get("unstable"))
    facts = [
        (said.before, wording.milliseconds(searched.predicted_ms)),
        ("measured", f"{wording.milliseconds(searched.latency_ms)} ({interval})" if interval else ""),
        ("each session", " · ".join(wording.significant(value) for value in numbers(latency.get("sessions_ms")))),
        ("wall clock p50", wording.milliseconds(number(latency.get("wall_p50_ms")))),
        ("wall clock p90", wording.milliseconds(number(latency.get("wall_p90_ms")))),
        (
            "rounds",
            rounds if unstable is None else f"{rounds}, {wording.count(unstable)} of them unstable in spite of repeats",
        ),
        ("in doubt", " ".join(text(row.get("says")) for row in rows(latency.get("doubts")))),
        ("sha256", text(latency.get("file_sha256"))),
    ]
    return [(name, value) for name, value in facts if value and value != wording.MISSING]
