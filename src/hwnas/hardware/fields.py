"""Plain checks of fields that come from files; each raises ValueError, which the reader turns into its own error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def positive(value: Any) -> float:
    """A finite number above zero."""
    if number(value) <= 0:
        raise ValueError(f"{value!r} is not above zero")
    return float(value)


def whole(value: Any) -> int:
    """A whole number from zero on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no whole number from zero on")
    return value


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no text")
    return value


def numbers(values: Any) -> tuple[float, ...]:
    """A list of numbers."""
    return tuple(number(value) for value in rows(values))


def rows(values: Any) -> Sequence[Any]:
    """A list."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{values!r} is no list")
    return values
