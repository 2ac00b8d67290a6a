"""A target that is not there and a timer with known latencies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwnas.core.seeds import rng_for
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.sessions import Plan, Samples, Session
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, TargetKey
from hwnas.spaces.proxyless import ProxylessSpace, proxyless_space


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


class Listener:
    """Keeps what a job says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, name: str, total: int) -> None:
        pass

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.append(text)

    def record(self, line: Mapping[str, object]) -> None:
        pass


@pytest.fixture(scope="session")
def fake_timer() -> type[FakeTimer]:
    return FakeTimer


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="session")
def truth_ms() -> Callable[[ModelFile], float]:
    return known_ms


@pytest.fixture(scope="session")
def target_of() -> Callable[..., Target]:
    def make(version: str = "1.0", threads: int = 1, shape: tuple[int, ...] = (1, 24, 24)) -> Target:
        return Target("onnxruntime-f32", TargetKey("onnxruntime", version, "f32", threads, 1, shape, "a processor"))

    return make


@pytest.fixture(scope="session")
def target(target_of: Callable[..., Target]) -> Target:
    return target_of()


@pytest.fixture
def store(tmp_path: Path) -> TargetStore:
    return TargetStore(tmp_path / "cache")


@pytest.fixture(scope="session")
def space() -> ProxylessSpace:
    return proxyless_space("proxyless-small", (1, 24, 24), 10)
