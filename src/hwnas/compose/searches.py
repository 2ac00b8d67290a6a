"""Comparisons on real images: every search a run of its own, below the directory of the comparison."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.compose.comparisons import TRAINED, check_strategies
from hwnas.compose.fits import open_job, resolved
from hwnas.compose.strategies import STRATEGIES, known_strategy
from hwnas.config import GRADIENT
from hwnas.core.errors import InputError
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.compare import Asked, Contest

if TYPE_CHECKING:
    from hwnas.config import FitConfig
    from hwnas.core.protocols import Progress
    from hwnas.data.images import ImageData
    from hwnas.runs.stop import Stop
    from hwnas.workflows.attempts import Attempt

Plans = Mapping[Asked, "FitConfig"]
_VARIES = ("strategy", "reward", "seed")  # from search to search


def check_searches(names: Sequence[str]) -> None:
    """Refuses strategies whose networks are not trained alone, and those that cannot be compared.

    Raises:
        UnknownName: no such strategy; offers the nearest.
        InputError: none, one twice, or one that trains a supernet.
    """
    if GRADIENT in names:
        raise InputError(
            f"{GRADIENT} trains a supernet, so that no number of evaluations is its cost: compare "
            f"{', '.join(STRATEGIES)}"
        )
    check_strategies(names, known_strategy)


def plan_searches(config: FitConfig, images: ImageData, strategies: Sequence[str], seeds: Sequence[int]) -> Plans:
    """Every search with its settled settings.

    Args:
        config: what they have in common; its strategy and seed are replaced.
        images: what open settings are settled from.
        strategies: by name; each has its own reward unless the config has one.
        seeds: the same for every strategy.
    """
    one = {name: resolved(config.model_copy(update={"strategy": name}), images) for name in strategies}
    return {
        Asked(name, seed): settled.model_copy(update={"seed": seed}) for seed in seeds for name, settled in one.items()
    }


def common_settings(plans: Plans) -> dict[str, Any]:
    """What a comparison is started with, and what a resumed one must equal: plain values."""
    first = next(iter(plans.values()))
    return {
        "job": "compare", "evaluator": TRAINED,
        "strategies": {asked.strategy: {"reward": config.reward} for asked, config in plans.items()},
        "seed": first.seed, "seeds": len({asked.seed for asked in plans}),
        "search": {name: value for name, value in first.kept().items() if name not in _VARIES},
    }  # fmt: skip


def start_over(plans: Plans, out: Path, stop: Stop | None, progress: Progress) -> None:
    """Empties every search that was begun below a directory, so that none of its networks is taken over.

    Raises:
        InputError: one of the directories holds something that is not a run.
        RunError: one of them is in use.
    """
    for asked, config in plans.items():
        if (out / asked.name).is_dir():
            settings = config.kept()
            RunDirectory.open(out / asked.name, settings, fresh=True, stop=stop, say=progress.say).close()


def open_searches(plans: Plans, images: ImageData, run: RunDirectory, command: str, progress: Progress) -> Contest:
    """A comparison on images, whose searches are done one after the other.

    Args:
        plans: every search.
        images: to train and to score on.
        run: of the comparison.
        command: what the user typed.
        progress: told how far the measuring of the budget is.

    Raises:
        BudgetError: no network of the space is inside the budget.
    """
    from hwnas.workflows.compare_searches import common_limits, search_attempt

    first = next(iter(plans.values()))
    job = open_job(first, images, command)
    limits = common_limits(job, run, progress)

    def attempts(asked: Sequence[Asked], shown: Progress) -> Generator[Attempt]:
        with tempfile.TemporaryDirectory() as folder:
            ends = Path(folder) / "measurements.json"
            run.store.export_measurements(ends)
            for number, one in enumerate(asked, start=1):
                place, config = run.path / one.name, plans[one]
                shown.say(f"[{number}/{len(asked)}] {place}")
                settings = config.kept()
                with RunDirectory.open(place, settings, stop=run.stop, say=shown.say) as own:
                    own.store.import_measurements(ends)
                    found = search_attempt(one, open_job(config, images, command), own, limits, shown)
                yield found

    return Contest(
        strategies=tuple(dict.fromkeys(asked.strategy for asked in plans)),
        seeds=tuple(dict.fromkeys(asked.seed for asked in plans)), evaluations=first.evaluations, figure="accuracy",
        attempts=attempts, optimum=None, networks=job.space.choices.size(), space=job.space.choices.name, limits=limits,
        reward=_rewards(plans), evaluator=TRAINED, task={
            "images": first.data, "target": job.target.name, "budget": first.budget,
            "training": f"{first.child_steps} steps of {first.batch_size} images for each network",
        },
    )  # fmt: skip


def _rewards(plans: Plans) -> str:
    """What the strategies learn from, in words."""
    of = {asked.strategy: str(config.reward) for asked, config in plans.items()}
    return next(iter(of.values())) if len(set(of.values())) == 1 else ", ".join(f"{of[name]} ({name})" for name in of)
