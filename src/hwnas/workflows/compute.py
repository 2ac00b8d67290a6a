"""From CPU time to numbers of steps: a few steps of each kind are measured, once, before a run begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from hwnas.core.architecture import Architecture
from hwnas.core.cost import CostTerms
from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.protocols import NoCheckpoints, Progress, Silence
from hwnas.core.seeds import rng_for
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import untrained
from hwnas.hardware.timing import measure
from hwnas.nn.build import build
from hwnas.strategies.proxyless_g import search
from hwnas.training.fit import train
from hwnas.workflows.job import FitJob

SEARCH_SHARE = 0.4
# The last tenth is for profiling, scoring and measuring; of less than five minutes these take more than that.
TRAIN_SHARE = 0.5
FEWEST_STEPS = 10
# How often each choice of baselines pays for a search, and for a final training (from scratch and inherited).
SEARCHES = {"none": 1, "standard": 1, "full": 3}
TRAININGS = {"none": 2, "standard": 6, "full": 9}
PROBE_STEPS = 20
PROBE_SESSIONS, PROBE_ROUNDS = 2, 10
PROBE_ARCHITECTURES = 200


@dataclass(frozen=True, slots=True)
class Steps:
    """Numbers of steps that fit a compute limit.

    Args:
        search: weight steps of the supernet, architecture steps on top of them.
        train: of each final training.
    """

    search: int
    train: int


def affordable_steps(job: FitJob, compute_s: float, progress: Progress) -> Steps:
    """Measures what a step costs here, and divides the compute between search and trainings.

    Args:
        job: its numbers of steps are not read.
        compute_s: CPU seconds of the whole fit.
        progress: told what was found.

    Raises:
        InputError: too little for even ten steps of each kind; says how much is needed.
    """
    search_s, train_s = _search_step_s(job), _train_step_s(job)
    baselines = job.settings.baselines
    steps = Steps(
        search=int(SEARCH_SHARE * compute_s / (SEARCHES[baselines] * search_s)),
        train=int(TRAIN_SHARE * compute_s / (TRAININGS[baselines] * train_s)),
    )
    if min(steps.search, steps.train) < FEWEST_STEPS:
        least = FEWEST_STEPS * max(
            SEARCHES[baselines] * search_s / SEARCH_SHARE, TRAININGS[baselines] * train_s / TRAIN_SHARE
        )
        raise InputError(f"compute of {compute_s:g}s is too little for a fit: give at least {ceil(1.2 * least)}s")
    progress.say(
        f"{compute_s:g} CPU-seconds: {steps.search} search steps of {1000 * search_s:.1f} ms, and {steps.train} steps "
        f"of {1000 * train_s:.1f} ms for each of {TRAININGS[baselines]} trainings"
    )
    return steps


def _search_step_s(job: FitJob) -> float:
    """CPU seconds of a weight step with its share of architecture steps."""
    terms = CostTerms(1.0, {choice.name: dict.fromkeys(choice.options, 1.0) for choice in job.space.choices.choices})

    def run(steps: int) -> None:
        settings = replace(job.gradient, steps=steps)
        search(
            job.path_space, job.data, terms, terms.greatest(), settings, seed=job.settings.seed, device=job.device,
            checkpoints=NoCheckpoints(), progress=Silence(),
        )  # fmt: skip

    return _cpu_s_a_step(run)


def _train_step_s(job: FitJob) -> float:
    """CPU seconds of a step of a final training, on a network of about the latency that the budget allows."""
    arch = _expected_architecture(job)

    def run(steps: int) -> None:
        train(
            build(job.space.decode(arch)), job.data, job.settings.recipe, steps=steps, seed=job.settings.seed,
            purpose="probe", device=job.device, checkpoints=NoCheckpoints(), progress=Silence(),
        )  # fmt: skip

    return _cpu_s_a_step(run)


def _cpu_s_a_step(run: Callable[[int], None]) -> float:
    """The difference of a long and a short go, so that what both begin with does not count."""
    spent = []
    for steps in (PROBE_STEPS // 2, PROBE_STEPS // 2, PROBE_STEPS + PROBE_STEPS // 2):  # the first one warms up
        started = time.process_time()
        run(steps)
        spent.append(time.process_time() - started)
    return max(spent[2] - spent[1], 1e-6) / PROBE_STEPS


def _expected_architecture(job: FitJob) -> Architecture:
    """The architecture whose MACs are to the largest network's as the budget is to its latency, roughly measured."""
    space = job.space
    macs = {arch: count(space.decode(arch)).macs for arch in _spread(job)}
    largest = max(macs, key=lambda arch: macs[arch])
    share = job.settings.budget.share_of_largest
    if share is None:
        file = untrained(space.decode(largest), open_engine(job.target.name)).content
        found = measure(
            job.target, {"largest": file}, job.store, sessions=PROBE_SESSIONS, rounds=PROBE_ROUNDS, timer=job.timer
        )["largest"]
        share = job.settings.budget.resolve(found.median_ms) / found.median_ms
    wanted = min(share, 1.0) * macs[largest]
    return min(macs, key=lambda arch: (abs(macs[arch] - wanted), arch.id))


def _spread(job: FitJob) -> list[Architecture]:
    """Architectures of all sizes, the uniform ones, and so the largest, among them."""
    rng = rng_for(job.settings.seed, "compute probe")
    drawn = [job.space.choices.sample_spread(rng) for _ in range(PROBE_ARCHITECTURES)]
    return [*job.path_space.uniform_architectures().values(), *drawn]
