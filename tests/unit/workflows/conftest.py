"""Whole fits on the toy space in seconds: known latencies, few steps, few images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hwnas.compose import toy_data
from hwnas.core.cost import Budget
from hwnas.core.protocols import Silence
from hwnas.data.images import ImageData, MemorySplit
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, TargetKey
from hwnas.runs.directory import RunDirectory
from hwnas.spaces.toy import ToySpace
from hwnas.strategies.proxyless_g import ProxylessGSettings
from hwnas.training.device import TrainingDevice
from hwnas.training.recipe import Recipe
from hwnas.workflows.fit import FitResult, fit
from hwnas.workflows.job import FitJob, FitSettings
from known_latencies import FakeTimer

RECIPE = Recipe(batch_size=32)
TARGET = Target("onnxruntime-f32", TargetKey("onnxruntime", "1.0", "f32", 1, 1, (1, 4, 32), "a processor"))


@cache
def few_images() -> ImageData:
    """The toy images, a tenth of them."""
    data = toy_data()

    def first(split: MemorySplit, count: int) -> MemorySplit:
        return MemorySplit(split.images[:count], split.labels[:count])

    return replace(data, train=first(data.train, 320), search=first(data.search, 100), test=first(data.test, 120))


class Course(Silence):
    """A Progress that keeps the order of everything, and tells a test when a stage begins."""

    def __init__(self, on_stage: Callable[[str], None] = lambda name: None) -> None:
        self.events: list[str] = []
        self.said: list[str] = []
        self._on_stage = on_stage

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.events.append(name)
        self._on_stage(name)

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., FitJob]:
    """A FitJob by its budget; `parts` replace fields of the job, other names those of its settings."""

    def make(budget: str, timer: FakeTimer | None = None, **given: Any) -> FitJob:
        parts = {name: given.pop(name) for name in ("data", "target", "scale") if name in given}
        settings = FitSettings(
            budget=Budget.parse(budget),
            search=ProxylessGSettings(
                40, warmup_share=0.5, architecture_every=1, recipe=replace(RECIPE, average_share=0.0)
            ),
            train_steps=20,
            recipe=RECIPE,
            candidates=6,
            score_images=100,
            calibration=6,
            held_out=4,
        )
        job = FitJob(
            data=few_images(),
            space=ToySpace(),
            target=TARGET,
            store=TargetStore(tmp_path / "cache"),
            device=TrainingDevice("cpu"),
            settings=replace(settings, **given),
            command="hwnas fit --budget " + budget,
            timer=timer or FakeTimer(),
        )
        return replace(job, **parts)

    return make


@pytest.fixture
def run_fit(tmp_path: Path) -> Callable[..., FitResult]:
    """Runs a job in a directory of its own and gives its result."""

    def run(job: FitJob, course: Course | None = None, directory: str = "run") -> FitResult:
        with RunDirectory.open(tmp_path / directory, {"seed": job.settings.seed}) as opened:
            return fit(job, opened, course or Course())

    return run


@pytest.fixture
def course() -> type[Course]:
    return Course


@pytest.fixture
def fake_timer() -> type[FakeTimer]:
    return FakeTimer
