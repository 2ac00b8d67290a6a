"""Reads a result as untrusted data: text is made harmless, and a part that is absent or of the wrong kind is None."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_TEXT = 2000
LONGEST_LABEL = 90
LARGEST_NUMBER = 1e15
DEEPEST = 50
# Control and format characters (terminal escapes, reversed writing) and lone surrogates, which no file can hold.
_UNWANTED = frozenset({"Cc", "Cf", "Cs"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One measured network of a result: the searched one or a baseline.

    Args:
        role: "searched", "fixed", "random", …
        label: its name for readers.
        architecture_id: twelve hexadecimal digits, or "".
        architecture: its options in the order of the space, for hover titles.
        choices: option by choice.
        predicted_ms: by the latency model.
        latency_ms: median measured.
        latency_interval_ms: 95 % interval.
        accuracy: on the test images, 0 to 1.
        accuracy_interval: 95 % interval.
        test_images: how many.
        weights: "scratch", "inherited" or "".
        params: count.
        macs: multiply-accumulates of one image.
        data: the entry as it was read, for the rest.
    """

    role: str
    label: str
    architecture_id: str
    architecture: str
    choices: Mapping[str, Any]
    predicted_ms: float | None
    latency_ms: float | None
    latency_interval_ms: tuple[float, float] | None
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    test_images: float | None
    weights: str
    params: float | None
    macs: float | None
    data: Mapping[str, Any]

    @property
    def over(self) -> list[str]:
        """What is over another limit than the budget, in words."""
        found = self.data.get("over")
        return [text for text in found if isinstance(text, str)][:10] if isinstance(found, list) else []

    def keeps(self, budget_ms: float | None) -> bool | None:
        """Whether the upper end of the measured interval is within the budget; None where either is unknown."""
        if budget_ms is None or self.latency_interval_ms is None:
            return None
        return self.latency_interval_ms[1] <= budget_ms

    def inside(self, budget_ms: float | None) -> bool | None:
        """The same, and whether every further limit is kept."""
        kept = self.keeps(budget_ms)
        return kept and not self.over if kept is not None else None


def clean(value: Any, deep: int = 0) -> Any:
    """The same plain data with every text freed of control characters and cut to a readable length.

    What is nested deeper than anything of ours is left out.
    """
    if deep > DEEPEST:
        return None
    match value:
        case str():
            kept = "".join(_harmless(character) for character in value[: LONGEST_TEXT + 1])
            return kept if len(kept) <= LONGEST_TEXT else kept[:LONGEST_TEXT] + "…"
        case Mapping():
            return {clean(str(key)): clean(item, deep + 1) for key, item in value.items()}
        case list() | tuple():
            return [clean(item, deep + 1) for item in value]
        case _:
            return value


def number(value: Any) -> float | None:
    """A finite number of a size that something measured or counted here can have, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST_NUMBER:
        return None
    return 0.0 if abs(value) < 1 / LARGEST_NUMBER else float(value)


def pair(value: Any) -> tuple[float, float] | None:
    """Two finite numbers in rising order, or None."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (min(low, high), max(low, high))


def numbers(value: Any) -> list[float]:
    """The finite numbers of a list."""
    found = [number(item) for item in value] if isinstance(value, (list, tuple)) else []
    return [item for item in found if item is not None]


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def text(value: Any) -> str:
    """Text, or a whole number as text; otherwise empty."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def shortened(content: str, most: int) -> str:
    """Text of at most so many characters; what is cut is marked."""
    return content if len(content) <= most else content[: most - 1] + "…"


def entry(data: Mapping[str, Any]) -> Entry:
    """One entry of a result; whatever is missing is None."""
    latency, accuracy = mapping(data.get("latency")), mapping(data.get("accuracy"))
    choices = mapping(mapping(data.get("architecture")).get("choices"))
    role = text(data.get("role"))
    return Entry(
        role=role,
        label=shortened(text(data.get("label")) or role or "unnamed", LONGEST_LABEL),
        architecture_id=text(data.get("architecture_id")),
        architecture=options(data),
        choices=choices,
        predicted_ms=number(data.get("predicted_ms")),
        latency_ms=number(latency.get("median_ms")),
        latency_interval_ms=pair(latency.get("interval_ms")),
        accuracy=number(accuracy.get("test")),
        accuracy_interval=pair(accuracy.get("interval")),
        test_images=number(accuracy.get("test_images")),
        weights=text(data.get("weights")),
        params=number(data.get("params")),
        macs=number(data.get("macs")),
        data=data,
    )


def entries(result: Mapping[str, Any]) -> list[Entry]:
    """The searched network first, then every baseline."""
    found = [result["network"]] if isinstance(result.get("network"), Mapping) else []
    return [entry(data) for data in [*found, *rows(result.get("baselines"))]]


def trained_alone(result: Mapping[str, Any]) -> bool:
    """Whether the search measured each network and trained it by itself; else it predicted, with shared weights."""
    return number(mapping(result.get("search")).get("child_steps")) is not None


def aim_of(result: Mapping[str, Any]) -> float | None:
    """The latency that a search aims at: the budget, less what is left free for the noise of measuring."""
    budget = mapping(result.get("budget"))
    planned = number(budget.get("planned_ms"))
    return number(budget.get("latency_ms")) if planned is None else planned


def options(data: Mapping[str, Any]) -> str:
    """An architecture's options in the space's order, as short text: "k3e6 k5e3 zero"."""
    architecture = mapping(data.get("architecture"))
    choices = mapping(architecture.get("choices", architecture))
    return " ".join(str(option) for option in choices.values() if isinstance(option, (int, str)))[:400]


def _harmless(character: str) -> str:
    if character in "\n\t":
        return " "
    return "\ufffd" if unicodedata.category(character) in _UNWANTED else character
