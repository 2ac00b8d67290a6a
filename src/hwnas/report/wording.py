"""Figures and phrases as readers see them: rounded half up, with their unit, never rounded across a limit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hwnas.report.reading import mapping, number, text

MISSING = "–"
_SPACE = "\u00a0"  # between a figure and its unit, so that no line breaks there
_ENGINES = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "ncnn": "ncnn",
    "mnn": "MNN",
    "litert": "LiteRT",
    "executorch": "ExecuTorch",
    "torch": "PyTorch",
}
_MONTHS = ("January February March April May June July August September October November December").split()
_ROLES = {
    "searched": "found by the search",
    "fixed": "best fixed network that fits",
    "random": "best of a random search on the same shared weights",
    "random-standalone": "random architecture, trained by itself",
    "random-uniform-supernet": "best of a random search on uniformly trained shared weights",
}

_KINDS = {
    "layers": "a price for every layer",
    "features": "a price by what a layer does",
    "features by weights": "a price by what a layer does, with weights by kind",
    "macs": "a price for every multiply-accumulate",
}


def decimals(value: float, places: int) -> str:
    """A number with so many decimals, rounded half up, with a real minus sign."""
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return f"{rounded.copy_abs() if rounded == 0 else rounded:f}".replace("-", "−")


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits: 0.290, 1.24, 31.0, 412."""
    return decimals(value, _places(value, digits))


def like(value: float | None, largest: float) -> str:
    """A number of a column, with the decimals that give the column's largest number three significant digits."""
    return MISSING if value is None else decimals(value, _places(largest, 3))


def milliseconds(value: float | None) -> str:
    """A latency: "0.290 ms"."""
    return MISSING if value is None else f"{significant(value)}{_SPACE}ms"


def limit(value: float | None) -> str:
    """A latency that somebody set: no zeros are added, "0.31 ms"."""
    if value is None:
        return MISSING
    shown = significant(value)
    return f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown}{_SPACE}ms"


def milliseconds_interval(interval: tuple[float, float] | None, around: float | None = None) -> str:
    """An interval, "0.285–0.296", with the decimals of the figure that it surrounds."""
    if interval is None:
        return ""
    places = _places(interval[1] if around is None else around, 3)
    return f"{decimals(interval[0], places)}–{decimals(interval[1], places)}"


def percent(share: float | None, places: int = 1) -> str:
    """A share as per cent: "98.1 %"; only exactly 0 and 1 are shown as 0 and 100."""
    return MISSING if share is None else f"{_hundredths(share, places)}{_SPACE}%"


def percent_interval(interval: tuple[float, float] | None, places: int = 1) -> str:
    """An interval of shares in per cent: "97.2–98.8"."""
    return "" if interval is None else f"{_hundredths(interval[0], places)}–{_hundredths(interval[1], places)}"


def points(difference: float | None, places: int = 1) -> str:
    """A difference of two shares in percentage points: "+1.2"."""
    if difference is None:
        return MISSING
    shown = decimals(100 * difference, places)
    return shown if shown.startswith("−") or not shown.strip("0.") else f"+{shown}"


def signed(value: float | None, places: int, unit: str = "") -> str:
    """A number with its sign."""
    if value is None:
        return MISSING
    shown = decimals(value, places)
    return f"{shown if shown.startswith('−') or not shown.strip('0.') else '+' + shown}{unit}"


def p_value(value: float) -> str:
    """A p-value with its letter: "p = 0.031"; never rounded across 0.05, and below a ten-thousandth not told apart."""
    if value < 1e-4:
        return f"p{_SPACE}<{_SPACE}0.0001"
    digits = 2
    while float(significant(value, digits)) == 0.05 and value != 0.05 and digits < 6:
        digits += 1
    return f"p{_SPACE}={_SPACE}{significant(value, digits)}"


def count(value: float | None) -> str:
    """A whole number with separators: "1,000"."""
    return MISSING if value is None else f"{round(value):,}"


def short_count(value: float | None, unit: str = "") -> str:
    """Three digits with a prefix: "123 k", "7.90 M"."""
    if value is None:
        return MISSING
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{significant(value / size)}{_SPACE}{prefix}{unit}"
    return f"{round(value)}{_SPACE + unit if unit else ''}"


def seconds(value: float | None) -> str:
    """A duration: "8.4 s", "6 min 05 s", "1 h 12 min"."""
    if value is None:
        return MISSING
    if value < 59.95:
        return f"{decimals(value, 1)}{_SPACE}s"
    if value < 3599.5:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes}{_SPACE}min {rest:02d}{_SPACE}s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours}{_SPACE}h {minutes:02d}{_SPACE}min"


def target_words(target: Mapping[str, Any]) -> str:
    """A result's target in words: "ONNX Runtime f32 on this AMD EPYC"."""
    name, key = text(target.get("name")), mapping(target.get("key"))
    engine, precision = text(key.get("engine")), text(key.get("precision"))
    if not engine and "-" in name:
        engine, precision = name.rsplit("-", 1)
    words = f"{_ENGINES.get(engine, engine)} {precision}".strip() or name or "the target"
    cpu = re.sub(r"\((R|TM)\)|\b(CPU|Processor|\d+-Core)\b|@.*$", "", text(key.get("cpu")), flags=re.IGNORECASE)
    cpu = " ".join(cpu.split())
    return f"{words} on this {cpu}" if cpu else words


def stage_words(stage: str, labels: Mapping[str, str]) -> str:
    """A stage of a run, "train/fixed/1", in words: "training the best fixed network, round 2".

    Args:
        stage: as it was recorded; a stage that is not known here speaks for itself.
        labels: the contenders' names by their roles.
    """
    parts = stage.split("/")
    what = {"choose": "choosing", "train": "training", "measure": "measuring the files", "baseline": "preparing"}
    if parts[0] not in what or len(parts) < 2:
        return stage
    turn = int(parts[-1]) if re.fullmatch("[0-9]{1,6}", parts[-1]) else 0
    who = [labels.get(part, part) for part in parts[1:] if not re.fullmatch("[0-9]{1,6}", part)]
    return " ".join([what[parts[0]], *who]) + (f", round {turn + 1}" if turn else "")


def role_words(role: str) -> str:
    """What a role in the comparison means; unknown roles speak for themselves."""
    return _ROLES.get(role, role)


def weights_words(weights: str) -> str:
    """Where the delivered weights come from."""
    return {"scratch": "from scratch", "inherited": "inherited"}.get(weights, weights or MISSING)


def budget_words(budget: Mapping[str, Any]) -> str:
    """The limit in words: "0.31 ms" or "0.31 ms (40 % of the largest network’s 0.780 ms)"."""
    shown = limit(number(budget.get("latency_ms")))
    asked, largest = text(budget.get("text")).strip(), number(budget.get("largest_ms"))
    if not asked.endswith("%"):
        return shown
    of = f"the largest network’s {milliseconds(largest)}" if largest is not None else "the largest network"
    return f"{shown} ({asked[:-1].strip()}{_SPACE}% of {of})"


def moment(value: Any) -> str:
    """An ISO time in words, "22 November 2026, 10:00 UTC"; other text as it is."""
    try:
        when = datetime.fromisoformat(text(value))
    except ValueError:
        return text(value)
    zone = " UTC" if when.utcoffset() is not None and not when.utcoffset() else ""
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}, {when:%H:%M}{zone}"


def excess(value: float, budget: float) -> str:
    """By how much a latency is over a budget: "0.012 ms (3.9 %)"."""
    share = (value - budget) / budget
    shown = percent(share) if share >= 0.0005 else f"less than 0.1{_SPACE}%"
    return f"{significant(value - budget, 2)}{_SPACE}ms ({shown})"


def _places(value: float, digits: int) -> int:
    if value == 0:
        return digits - 1
    exponent = math.floor(math.log10(abs(value)))
    if round(abs(value) / 10.0**exponent, digits - 1) >= 10:  # 0.9996 is shown as 1.00, not as 1.000
        exponent += 1
    return min(max(digits - 1 - exponent, 0), 6)


def _hundredths(share: float, places: int) -> str:
    shown = decimals(100 * share, places)
    while float(shown.replace("−", "-")) in (0.0, 100.0) and share not in (0.0, 1.0) and places < 4:
        places += 1
        shown = decimals(100 * share, places)
    return decimals(100 * share, 0) if share == 1.0 else shown


def latency_model_kind(kind: str, errors_percent: Mapping[str, Any]) -> str:
    """What a latency model is made of and why: "kind layers, a price for every layer (…)"; empty if it is not said."""
    if not kind:
        return ""
    errors = {name: number(error) for name, error in errors_percent.items()}
    shown = ", ".join(f"{name} {decimals(error, 1)}{_SPACE}%" for name, error in errors.items() if error is not None)
    said = f"kind {kind}, {_KINDS[kind]}" if kind in _KINDS else f"kind {kind}"
    return f"{said} (error on calibration networks that were left out: {shown})" if shown else said
