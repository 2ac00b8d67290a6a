"""A timer with known latencies and a scale with known memory, so that nothing is really measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx

from hwnas.core.seeds import rng_for
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.sessions import Plan, Samples, Session
from hwnas.hardware.targets import Target


def known_ms(file: ModelFile) -> float:
    """A latency that follows from the file alone: nearly additive over layers, not proportional to their size."""
    graph = onnx.load_from_string(file.content).graph
    weights = [array.dims for array in graph.initializer if len(array.dims) > 1]
    additive = sum(0.004 + 1e-5 * prod(dims) ** 0.8 for dims in weights)
    return 0.01 + additive + 0.002 * additive**2


@dataclass
class FakeTimer:
    """Known latencies under drift and noise.

    `drift` is a factor by share of the session, `noise` a relative deviation, `delay_ms` is added to every model that
    is not the reference, `change` alters a latency by name and value.
    """

    drift: Callable[[float], float] = lambda share: 1.0
    noise: float = 0.0
    delay_ms: float = 0.0
    change: Callable[[str, float], float] = lambda name, ms: ms
    sessions: list[tuple[str, ...]] = field(default_factory=list)
    _known: dict[str, float] = field(default_factory=dict)

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        rng = rng_for(plan.seed, "fake")
        drift = np.asarray([self.drift(index / plan.rounds) for index in range(plan.rounds)])
        samples = {}
        for name, file in models.items():
            latency = drift * self._latency(name, file) * np.exp(self.noise * rng.standard_normal(plan.rounds))
            samples[name] = Samples(tuple(latency.tolist()), tuple((1.05 * latency).tolist()))
        self.sessions.append(tuple(name for name in models if name != "reference network"))
        return Session(samples, unstable=1, repeated=2)

    def _latency(self, name: str, file: ModelFile) -> float:
        if file.sha256 not in self._known:
            self._known[file.sha256] = known_ms(file)
        if name == "reference network":
            return self._known[file.sha256]
        return self.change(name, self._known[file.sha256]) + self.delay_ms


@dataclass
class KnownScale:
    """Memory that follows from the file: three times its size, and as much more as `change` says by it."""

    change: Callable[[int], int] = lambda size: 0
    weighed: list[str] = field(default_factory=list)

    def peak_bytes(self, target: Target, file: ModelFile) -> int:
        self.weighed.append(file.sha256)
        size = len(file.content)
        return 3 * size + self.change(size)
