"""What a fit works on: objects, and settings that are numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.core.cost import Budget
from hwnas.core.errors import InputError
from hwnas.core.objective import Costs, Objective
from hwnas.core.protocols import PathSpace, SearchSpace
from hwnas.data.images import ImageData
from hwnas.evaluation.isolated import CHILD, PATIENCE_S
from hwnas.hardware.memory import Scale
from hwnas.hardware.sessions import Timer
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target
from hwnas.strategies.black_box import BlackBoxSearch, BlackBoxSettings
from hwnas.strategies.proxyless_g import ProxylessGSettings
from hwnas.training.device import TrainingDevice
from hwnas.training.recipe import Recipe


@dataclass(frozen=True)
class ChildrenSettings:
    """A black-box search in which every network is trained alone for a while, as a child of the search.

    Args:
        strategy: its name.
        search: the strategy.
        reward: its name.
        objective: makes the reward of the limits: "latency" in ms first, then the others.
        judge: the same for what says which network is delivered.
        loop: how many networks, and how many are proposed together.
        child_steps: weight updates of each child.
        at_once: children that are trained at a time, each in a process of its own; changes nothing but the time.
        sessions: measuring processes of each batch of children, at least 2.
        patience_s: a child that finishes no step for so long hangs.
        command: starts a child's process.
    """

    strategy: str
    search: BlackBoxSearch
    reward: str
    objective: Callable[[Costs], Objective]
    judge: Callable[[Costs], Objective]
    loop: BlackBoxSettings
    child_steps: int
    at_once: int = 1
    sessions: int = 2
    patience_s: float = PATIENCE_S
    command: tuple[str, ...] = CHILD


@dataclass(frozen=True)
class FitSettings:
    """The numbers of a fit.

    Args:
        budget: the latency limit.
        search: of the supernet and its gates, or of networks that are trained alone.
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
        limits: beside the latency budget, by name: "params", "macs" and "activations" (peak bytes at batch 1, f32)
            by counting, "size" (bytes of the file that ships) and "memory" (bytes that it needs, measured).
    """

    budget: Budget
    search: ProxylessGSettings | ChildrenSettings
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
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FitJob:
    """Everything that a fit is made of.

    Args:
        data: the images.
        space: what is searched; a chain of choices where a supernet is.
        target: where the network will run.
        store: what is known about the target already.
        device: where training runs.
        settings: the numbers.
        command: what the user typed, for the report.
        timer: runs measuring sessions; None for worker processes.
        scale: measures memory; None for worker processes.
        siblings: finished runs that differ in target and budget alone, whose work is taken over where it is the same;
            None for a fit that stands by itself and keeps nothing for others.
    """

    data: ImageData
    space: SearchSpace
    target: Target
    store: TargetStore
    device: TrainingDevice
    settings: FitSettings
    command: str
    timer: Timer | None = None
    scale: Scale | None = None
    siblings: tuple[Path, ...] | None = None

    @property
    def path_space(self) -> PathSpace:
        """The space as a chain of choices, which is what a supernet and a latency model are made of.

        Raises:
            InputError: it is none.
        """
        if not isinstance(self.space, PathSpace):
            raise InputError(
                f"space {self.space.choices.name!r} is no chain of layers with one choice each, which proxyless-g "
                "needs: give a black-box --strategy (`hwnas list strategies`), or another --space"
            )
        return self.space

    @property
    def children(self) -> ChildrenSettings:
        """The settings of a black-box search.

        Raises:
            InputError: the job searches in another way.
        """
        if not isinstance(self.settings.search, ChildrenSettings):
            raise InputError("proxyless-g trains a supernet, and no network alone")
        return self.settings.search

    @property
    def gradient(self) -> ProxylessGSettings:
        """The settings of a search by gradients.

        Raises:
            InputError: the job searches in another way.
        """
        if not isinstance(self.settings.search, ProxylessGSettings):
            raise InputError(f"{self.settings.search.strategy} trains no supernet")
        return self.settings.search
