"""The two costly baselines: a uniformly trained supernet, and networks trained alone, each for the search's compute."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hwnas.core.architecture import Architecture
from hwnas.core.cost import CostTerms
from hwnas.core.protocols import Progress
from hwnas.core.seeds import rng_for
from hwnas.evaluation.trained_alone import TrainedAlone
from hwnas.nn.supernet import PathSupernet
from hwnas.runs.directory import RunDirectory
from hwnas.strategies.candidates import Constraint, random_candidates
from hwnas.strategies.proxyless_g import ProxylessGSettings, search
from hwnas.workflows.choosing import Contender, best_scoring
from hwnas.workflows.job import FitJob
from hwnas.workflows.limits import Limits
from hwnas.workflows.remembered import Remembered
from hwnas.workflows.sharing import TRIALS, known_trials, take_checkpoint

ARCHITECTURE_STEP_COST = 0.75  # of a weight step; benchmarks/supernet_steps.py measures it
SHARE_OF_A_TRAINING = 4  # a network trained alone gets a quarter of the final training's steps


def equal_steps(settings: ProxylessGSettings) -> int:
    """Weight steps that cost what a search costs, both kinds of step together."""
    return settings.steps + round(ARCHITECTURE_STEP_COST * settings.architecture_steps)


def uniform_supernet(
    job: FitJob, run: RunDirectory, terms: CostTerms, limits: Limits, progress: Progress
) -> PathSupernet:
    """A supernet trained on uniform paths for the compute of the search."""
    settings = replace(job.gradient, steps=equal_steps(job.gradient), warmup_share=1.0)
    take_checkpoint(job, run, "uniform", "uniform")
    return search(
        job.path_space, job.data, terms, limits.planned_ms, settings, seed=job.settings.seed, device=job.device,
        checkpoints=run.checkpoints("uniform"), progress=progress, purpose="uniform",
    ).supernet  # fmt: skip


def trained_alone(job: FitJob) -> tuple[int, int]:
    """(networks, steps of each) that the compute of a search pays for."""
    steps = max(1, job.settings.train_steps // SHARE_OF_A_TRAINING)
    return max(1, equal_steps(job.gradient) // steps), steps


def standalone_contender(job: FitJob, run: RunDirectory, progress: Progress) -> Contender:
    """Random search with networks trained alone: as many as the search's compute pays for."""
    networks, steps = trained_alone(job)

    def propose(constraint: Constraint) -> list[Architecture]:
        return random_candidates(
            job.path_space, constraint, networks, rng_for(job.settings.seed, "candidates", "alone")
        )

    evaluator = TrainedAlone(
        job.space, job.data, job.settings.recipe, steps=steps, seed=job.settings.seed, device=job.device,
        checkpoints=run.checkpoints, progress=progress,
    )  # fmt: skip

    def clear(arch: Architecture) -> None:
        for name in evaluator.names(arch):
            run.checkpoints(name).clear()

    known = known_trials(job, run, progress)
    remembered = Remembered(evaluator, run.store, TRIALS, kept=clear, known=known)
    on = f"after {steps} training steps of its own"
    label = f"random search over {networks} networks trained alone"
    return Contender("random-standalone", label, propose, remembered, partial(best_scoring, on), None)
