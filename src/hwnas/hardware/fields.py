"""Plain checks of fields that come from files; each raises ValueError, which the reader turns into its own error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnas.core.errors import quoted

SMALLEST, LARGEST = 1e-9, 10**12  # of latencies in ms and of counts: nothing that is measured comes near


def number(value: Any) -> float:
    """A finite number of a size that can be measured."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -LARGEST <= value <= LARGEST:
        raise ValueError(f"{quoted(value)} is no number from -1e12 to 1e12")
    return float(value)


def positive(value: Any) -> float:
    """A number above zero."""
    if number(value) < SMALLEST:
        raise ValueError(f"{value!r} is not above zero")
    return float(value)


def whole(value: Any) -> int:
    """A whole number from zero on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ValueError(f"{quoted(value)} is no whole number from zero to 1e12")
    return value


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{quoted(value)} is no text")
    return value


def numbers(values: Any) -> tuple[float, ...]:
    """A list of numbers."""
    return tuple(number(value) for value in rows(values))


def rows(values: Any) -> Sequence[Any]:
    """A list."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{quoted(values)} is no list")
    return values
