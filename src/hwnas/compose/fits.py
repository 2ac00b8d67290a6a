"""Fits and searches from settings: what is left open is settled, names become objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hwnas.compose.spaces import open_space
from hwnas.compose.strategies import known_strategy
from hwnas.compose.training import images_to_steps, open_recipe, resolved_training
from hwnas.config import GRADIENT, FitConfig, parse_limits
from hwnas.core.cost import Budget
from hwnas.core.errors import InputError, quoted
from hwnas.core.objective import judge, latency_loss, objective

if TYPE_CHECKING:
    from hwnas.data.images import ImageData
    from hwnas.strategies.proxyless_g import ProxylessGSettings
    from hwnas.training.recipe import Recipe
    from hwnas.workflows.job import ChildrenSettings, FitJob

LOSSES: dict[str, str] = {
    "absolute": "ce + λ·|E/T − 1|, λ = 1: pulls the latency E onto the target T from both sides",
    "additive": "ce + λ·(E − T)/T, λ = 0.1: ProxylessNAS, equation 7",
    "log-product": "α·ce·(ln E / ln T)^0.3, α = 0.2, in microseconds: the released ProxylessNAS code",
}
MOST_SEEDS = 1000
SEARCH_IMAGES = (25, 90_000, 1_500_000)  # that the search draws: (epochs, at least, at most)


def resolved(config: FitConfig, data: ImageData) -> FitConfig:
    """The config with every open setting settled: what is written into the run, and what a resumed run must equal."""
    from hwnas.hardware.engines import canonical_name

    config = resolved_training(config, data)
    batch = config.batch_size or 1
    steps = config.search_steps or images_to_steps(SEARCH_IMAGES, config.effort, len(data.train), batch)
    space = open_space(config.space, data.input_shape, len(data.class_names), config.width)
    name = config.space if config.space != "auto" else space.choices.name.split("@")[0].split("-w")[0]
    if config.strategy != GRADIENT:
        if config.compute is not None:
            raise InputError(
                f"--compute is divided between a supernet and trainings, and {config.strategy} trains no supernet: "
                "give --evaluations and --child-steps"
            )
        from hwnas.workflows.full_baselines import SHARE_OF_A_TRAINING

        child = config.child_steps or max(10, (config.train_steps or 0) // SHARE_OF_A_TRAINING)
        reward = config.reward or known_strategy(config.strategy).reward
        config = config.model_copy(update={"child_steps": child, "reward": reward})
    # One spelling, so that "1500us" or an alias resumes what "1.5ms" or a full name began.
    spelling = {"target": canonical_name(config.target), "budget": str(Budget.parse(config.budget))}
    return config.model_copy(update={"search_steps": steps, "space": name, **spelling})


def plan_fits(config: FitConfig, targets: Sequence[str], budgets: Sequence[str], seeds: int) -> dict[str, FitConfig]:
    """Several fits by the directory of each: "onnxruntime-f32-40pct/seed-0", or less where only one thing varies.

    Args:
        config: what they have in common; its target and budget are replaced, its seed is the first one.
        targets: k-th with the k-th budget; one serves all budgets.
        budgets: one serves all targets.
        seeds: how often each is done, with seeds that follow each other.

    Raises:
        InputError: the numbers do not match, or two fits would be the same.
    """
    from hwnas.hardware.engines import canonical_name
    from hwnas.hardware.targets import file_name

    for what, names in (("target", targets), ("budget", budgets)):
        if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
            raise InputError(f"{what}s must be a list of at least one text, not {quoted(names)}")
    if len(targets) != len(budgets) and 1 not in (len(targets), len(budgets)):
        raise InputError(
            f"{len(targets)} targets and {len(budgets)} budgets do not pair: give as many of each, or one of either"
        )
    if not isinstance(seeds, int) or not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds must be 1 to {MOST_SEEDS:,}, not {quoted(seeds)}")
    count = max(len(targets), len(budgets))
    pairs = zip(list(targets) * (count // len(targets)), list(budgets) * (count // len(budgets)), strict=True)
    plans: dict[str, FitConfig] = {}
    for asked_target, asked_budget in pairs:
        target, budget = canonical_name(asked_target), str(Budget.parse(asked_budget))
        task = f"{file_name(target)}-{budget.replace('%', 'pct')}"  # a % in a path would be an escape in a browser
        for seed in range(config.seed, config.seed + seeds):
            parts = [task] * (count > 1) + [f"seed-{seed}"] * (seeds > 1)
            if "/".join(parts) in plans:
                raise InputError(f"target {target} with budget {budget} is asked for twice")
            plans["/".join(parts)] = config.model_copy(update={"target": target, "budget": budget, "seed": seed})
    return plans


def open_job(config: FitConfig, data: ImageData, command: str) -> FitJob:
    """A job from resolved settings.

    Raises:
        HwnasError: a name is unknown, or the target cannot be used here.
    """
    from hwnas.hardware.store import TargetStore
    from hwnas.hardware.targets import open_target
    from hwnas.training.device import training_device
    from hwnas.workflows.job import FitJob, FitSettings

    if config.search_steps is None or config.train_steps is None:
        raise InputError("the settings still have open numbers of steps; resolve them first")
    recipe = open_recipe(config)
    search = _gradient(config, recipe) if config.strategy == GRADIENT else _children(config)
    settings = FitSettings(
        budget=Budget.parse(config.budget),
        search=search,
        train_steps=config.train_steps,
        recipe=recipe,
        seed=config.seed,
        candidates=config.candidates,
        margin=config.margin,
        rounds=config.rounds,
        sessions=config.sessions,
        held_out=config.held_out,
        baselines=config.baselines,
        limits=parse_limits(config.limits),
    )
    job = FitJob(
        data=data,
        space=open_space(config.space, data.input_shape, len(data.class_names), config.width),
        target=open_target(config.target, data.input_shape),
        store=TargetStore(),
        device=training_device(config.train_on),
        settings=settings,
        command=command,
    )
    if config.strategy == GRADIENT:
        _ = job.path_space  # refused here, before anything is measured
    return job


def _gradient(config: FitConfig, recipe: Recipe) -> ProxylessGSettings:
    from hwnas.strategies.proxyless_g import ProxylessGSettings

    return ProxylessGSettings(
        config.search_steps or 0,
        loss=latency_loss(config.loss, config.loss_weight),
        recipe=replace(recipe, average_share=0.0),
    )


def _children(config: FitConfig) -> ChildrenSettings:
    from hwnas.strategies.black_box import BlackBoxSettings
    from hwnas.workflows.job import ChildrenSettings

    if config.child_steps is None or config.reward is None:
        raise InputError("the settings of the children are still open; resolve them first")
    return ChildrenSettings(
        strategy=config.strategy,
        search=known_strategy(config.strategy).load(),
        reward=config.reward,
        objective=partial(objective, config.reward),
        judge=partial(judge, config.reward),
        loop=BlackBoxSettings(config.evaluations, config.proposals),
        child_steps=config.child_steps,
        at_once=config.at_once,
    )
