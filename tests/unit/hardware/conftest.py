"""A target that is not there and a timer with known latencies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.core.protocols import Silence
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, TargetKey
from hwnas.spaces.proxyless import ProxylessSpace, proxyless_space
from known_latencies import FakeTimer, known_ms


class Listener(Silence):
    """Keeps what a job says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


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
