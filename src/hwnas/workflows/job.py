"""What a fit works on: objects, and settings that are numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwnas.core.cost import Budget
from hwnas.core.protocols import PathSpace
from hwnas.data.images import ImageData
from hwnas.hardware.sessions import Timer
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target
from hwnas.strategies.proxyless_g import ProxylessGSettings
from hwnas.training.device import TrainingDevice
from hwnas.training.recipe import Recipe


@dataclass(frozen=True)
class Limits:
    """Further limits that every proposed network must meet, each exact by counting; None for no limit.

    Args:
        params: trainable values.
        macs: multiply-accumulates at batch 1.
        memory_bytes: peak activation bytes at batch 1.
    """

    params: int | None = None
    macs: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class FitSettings:
    """The numbers of a fit.

    Args:
        budget: the latency limit.
        search: of the supernet and its gates.
        train_steps: weight updates of each final training.
        recipe: of each final training.
        seed: everything random is drawn from it.
        candidates: architectures scored on shared weights, for the search and for each random baseline.
        score_images: images an architecture is scored on.
        margin: the share of the budget that predictions leave free, for the noise of model and measurement.
        rounds: how often a file that missed the budget may be followed by another architecture.
        sessions: measuring processes of every final file, at least 5.
        calibration: networks that the latency model is fitted on.
        held_out: networks that it is judged on.
        baselines: "none", "standard" (fixed, random on shared weights) or "full" (also random search trained alone
            and on a uniformly trained supernet, at equal compute).
        limits: beside the latency budget.
    """

    budget: Budget
    search: ProxylessGSettings
    train_steps: int
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    candidates: int = 100
    score_images: int = 1000
    margin: float = 0.03
    rounds: int = 3
    sessions: int = 5
    calibration: int = 12
    held_out: int = 12
    baselines: str = "standard"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class FitJob:
    """Everything that a fit is made of.

    Args:
        data: the images.
        space: what is searched.
        target: where the network will run.
        store: what is known about the target already.
        device: where training runs.
        settings: the numbers.
        command: what the user typed, for the report.
        timer: runs measuring sessions; None for worker processes.
    """

    data: ImageData
    space: PathSpace
    target: Target
    store: TargetStore
    device: TrainingDevice
    settings: FitSettings
    command: str
    timer: Timer | None = None
