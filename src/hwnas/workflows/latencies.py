"""What is known of latencies before a file is measured for good: by a model, or measured briefly in the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, Self

from hwnas.core.architecture import Architecture
from hwnas.core.cost import Cost, CostKind, CostTerms
from hwnas.core.errors import InputError
from hwnas.core.protocols import PathSpace, SearchSpace
from hwnas.hardware.latency_model import LatencyModel


class Latencies(Protocol):
    """Latencies of architectures in milliseconds, which learn from every measurement."""

    @property
    def kind(self) -> CostKind:
        """Of every latency."""
        ...

    @property
    def provenance(self) -> str:
        """The target's key."""
        ...

    @property
    def model(self) -> LatencyModel | None:
        """What predicts them; None where they are measured."""
        ...

    def total(self, arch: Architecture) -> float:
        """The latency of one architecture."""
        ...

    def learned(self, arch: Architecture, measured_ms: float) -> Self:
        """The same after an architecture has been measured."""
        ...


@dataclass(frozen=True)
class ModelLatencies:
    """Latencies by a model, of any space's architectures.

    Args:
        model: of the target.
        space: whose architectures are asked for.
    """

    model: LatencyModel
    space: SearchSpace
    kind: CostKind = "model"

    @property
    def provenance(self) -> str:
        """The target's key."""
        return self.model.target_id

    @cached_property
    def terms(self) -> CostTerms:
        """The model as a sum over choices.

        Raises:
            InputError: the space is no chain of choices.
        """
        if not isinstance(self.space, PathSpace):
            raise InputError(
                f"latencies in space {self.space.choices.name!r} are no sum over choices: ask for one network's"
            )
        return self.model.terms(self.space)

    def total(self, arch: Architecture) -> float:
        """The predicted latency."""
        if isinstance(self.space, PathSpace):
            return self.terms.total(arch)
        return self.model.cost(self.space.decode(arch)).value

    def learned(self, arch: Architecture, measured_ms: float) -> ModelLatencies:
        """The model after a measurement; a held-out network teaches it nothing."""
        network = self.space.decode(arch)
        if self.model.is_held_out(network):
            return self
        return replace(self, model=self.model.anchored(network, measured_ms))


@dataclass(frozen=True)
class MeasuredLatencies:
    """Latencies of architectures that a search has measured, untrained.

    Args:
        provenance: the target's key.
        measure: measures an architecture briefly, or reads what was measured, in milliseconds.
        latest: what was measured at length since.
    """

    provenance: str
    measure: Callable[[Architecture], float]
    latest: Mapping[Architecture, float] = field(default_factory=dict)
    model: None = None
    kind: CostKind = "measured"

    def total(self, arch: Architecture) -> float:
        """What was measured, at length where that has been done."""
        return self.latest[arch] if arch in self.latest else self.measure(arch)

    def learned(self, arch: Architecture, measured_ms: float) -> MeasuredLatencies:
        """The longer measurement counts."""
        return replace(self, latest={**self.latest, arch: measured_ms})


def cost_of(latencies: Latencies, arch: Architecture) -> Cost:
    """The latency of one architecture, with where it comes from."""
    return Cost(latencies.total(arch), "ms", latencies.kind, latencies.provenance)
