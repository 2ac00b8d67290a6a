"""Costs and budgets: numbers that carry their unit and say where they come from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from hwnas.core.architecture import Architecture, Option
from hwnas.core.errors import InputError, quoted

CostKind = Literal["measured", "model", "table", "counted"]


@dataclass(frozen=True, slots=True)
class Cost:
    """One cost of one network.

    Args:
        value: the number.
        unit: "ms", "MACs", "params" or "bytes".
        kind: how it was obtained; a prediction is never "measured".
        provenance: the target key, table or formula that it comes from.
    """

    value: float
    unit: str
    kind: CostKind
    provenance: str


class Totals(Protocol):
    """What the architectures of a space cost."""

    def total(self, arch: Architecture) -> float:
        """The cost of one architecture."""
        ...


@dataclass(frozen=True, slots=True)
class CostTerms:
    """An additive cost over a space's choices: cost(arch) = constant + Σ by_choice[choice][option]."""

    constant: float
    by_choice: Mapping[str, Mapping[Option, float]]

    def total(self, arch: Architecture) -> float:
        """The cost of one architecture, in the cost model's unit."""
        return self.constant + sum(self.by_choice[choice][option] for choice, option in arch.choices)

    def least(self) -> float:
        """The smallest cost in a space without conditions."""
        return self.constant + sum(min(options.values()) for options in self.by_choice.values())

    def greatest(self) -> float:
        """The largest cost in a space without conditions."""
        return self.constant + sum(max(options.values()) for options in self.by_choice.values())


_UNITS_IN_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
_BUDGET = re.compile(r"\s*([0-9.eE+-]{1,40})\s*(us|µs|ms|s|%)\s*")
_SHORTEST_MS, _LONGEST_MS = 1e-6, 1e9
_SMALLEST_PERCENT = 1e-6


@dataclass(frozen=True, slots=True)
class Budget:
    """A latency limit: absolute in milliseconds, or a share of the space's largest network as measured.

    Exactly one field is set.
    """

    latency_ms: float | None = None
    share_of_largest: float | None = None

    @staticmethod
    def parse(text: str) -> Budget:
        """Reads "1.5ms", "800us", "0.01s" or "40%".

        Raises:
            InputError: no unit, not a number, not above zero, no latency of a network, or a share above 100 %.
        """
        match = _BUDGET.fullmatch(text)
        try:
            number = float(match.group(1)) if match else math.nan
        except ValueError:
            number = math.nan
        if match is None or not math.isfinite(number):
            raise InputError(
                f"budget {quoted(text)} is not a number with a unit: write for example 1.5ms, 800us or 40% (of the "
                "space's largest network, measured)"
            )
        if number <= 0:
            raise InputError(f"budget {text!r} must be above zero")
        if match.group(2) != "%":
            latency_ms = number * _UNITS_IN_MS[match.group(2)]
            if not _SHORTEST_MS <= latency_ms <= _LONGEST_MS:
                raise InputError(f"budget {text!r} is no latency of a network: give 0.001us to 1e+06s")
            return Budget(latency_ms=latency_ms)
        if not _SMALLEST_PERCENT <= number <= 100:
            raise InputError(f"budget {text!r} is not between 1e-06% and 100%, the space's largest network")
        return Budget(share_of_largest=number / 100)

    def resolve(self, largest_ms: float) -> float:
        """The limit in milliseconds, given the measured latency of the space's largest network."""
        return self.latency_ms if self.latency_ms is not None else (self.share_of_largest or 0.0) * largest_ms

    def __str__(self) -> str:
        if self.latency_ms is not None:
            return f"{self.latency_ms:.15g}ms"
        return f"{100 * (self.share_of_largest or 0.0):.15g}%"
