"""A black-box search in a fit: every network that is proposed is measured on the target, and trained alone for a while.

The networks of one batch are measured side by side while nothing is trained, and then trained, each in a process of its
own; what became of each is kept in the run's store. Whoever searches on is told in the order of proposals, so that it
makes no difference how many are trained at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.collapse import Finding, controller_settled
from hwnas.core.cost import Cost
from hwnas.core.counting import count
from hwnas.core.errors import EvaluationFailed
from hwnas.core.objective import Costs, Limited, Objective
from hwnas.core.protocols import Progress, UniformSpace
from hwnas.core.trial import Quality, Trial
from hwnas.evaluation.in_order import Answer
from hwnas.evaluation.trained_alone import TrainedAlone
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import untrained
from hwnas.runs.directory import RunDirectory
from hwnas.runs.store import TrialRecord
from hwnas.strategies import random_search
from hwnas.strategies.black_box import Problem
from hwnas.strategies.candidates import Constraint
from hwnas.strategies.evaluated import BlackBoxSearched, Evaluated, evaluated, searched_until
from hwnas.workflows.accounting import Ended, WithinStep, accounted
from hwnas.workflows.choosing import Chosen, Contender
from hwnas.workflows.footprint import KnownFootprints, counted_of, taken_by
from hwnas.workflows.job import ChildrenSettings, FitJob
from hwnas.workflows.latencies import MeasuredLatencies
from hwnas.workflows.limits import Limits, ends_by_macs, settle_limits
from hwnas.workflows.measuring import measured
from hwnas.workflows.phase import SearchPhase
from hwnas.workflows.remembered import Remembered
from hwnas.workflows.sharing import TRIALS, known_trials

CHILD = "child"  # what a child's measurement is stored under
ENDS = "ends of the space"
SEARCH = "search"  # stage, and checkpoints


@dataclass(frozen=True)
class Children:
    """Networks that a search trains alone.

    Args:
        job: space, data, target, settings.
        run: keeps what is measured and what became of each.
        progress: told of what is out of order.
    """

    job: FitJob
    run: RunDirectory
    progress: Progress

    @property
    def settings(self) -> ChildrenSettings:
        """How they are searched and trained."""
        return self.job.children

    @cached_property
    def known(self) -> dict[str, TrialRecord]:
        """What became of networks in fits for other targets."""
        return known_trials(self.job, self.run, self.progress)

    def problem(self) -> Problem:
        """What a black-box search is given."""
        return Problem(self.job.space.choices, self.costs, self.trained)

    def costs(self, architectures: Sequence[Architecture]) -> list[Costs]:
        """Latency in ms as measured on the target, untrained and side by side, and what else is counted or limited."""
        networks = {arch: self.job.space.decode(arch) for arch in architectures}
        engine = open_engine(self.job.target.name)
        files = {arch.id: untrained(network, engine).content for arch, network in networks.items()}
        within = WithinStep(self.progress.say, self.run.stop)
        found = measured(self.job, self.run, files, CHILD, within, self.settings.sessions)
        return [
            {
                "latency": found[arch.id].median_ms,
                **counted_of(count(networks[arch])),
                **taken_by(self.job, self.run, files[arch.id], CHILD, processes=1),
            }
            for arch in architectures
        ]

    def trained(self, architectures: Sequence[Architecture]) -> Iterator[Answer]:
        """What became of each, in their order."""
        job, settings = self.job, self.settings
        within = WithinStep(self.progress.say, self.run.stop)
        evaluator = TrainedAlone(
            job.space, job.data, job.settings.recipe, steps=settings.child_steps, seed=job.settings.seed,
            device=job.device, checkpoints=partial(self.run.checkpoints, own_thread=True), progress=within,
            patience_s=settings.patience_s, command=settings.command,
        )  # fmt: skip

        def clear(arch: Architecture) -> None:
            for name in evaluator.names(arch):
                self.run.checkpoints(name).clear()

        remembered = Remembered(evaluator, self.run.store, TRIALS, kept=clear, known=self.known)
        try:
            yield from remembered.in_order(architectures, settings.at_once, within.end)
        except Ended:
            self.run.stop.check()
            raise

    def cost(self, arch: Architecture) -> Costs:
        """What `costs` says of one."""
        (costs,) = self.costs([arch])
        return costs

    def evaluate(self, arch: Architecture) -> Quality:
        """What became of one architecture: an Evaluator.

        Raises:
            EvaluationFailed: it could not be evaluated.
        """
        (said,) = self.trained([arch])
        if isinstance(said, EvaluationFailed):
            raise said
        return said


def children_phase(job: FitJob, run: RunDirectory, progress: Progress) -> SearchPhase:
    """The budget held against the space, and the search.

    Raises:
        BudgetError: the smallest network of the space is over the budget; nothing was trained.
        EvaluationFailed: most of the networks cannot be trained, or a file cannot be measured.
    """
    settings, children = job.children, Children(job, run, progress)
    with accounted(run, ENDS, progress):
        limits = settle_limits(job, run, ends_by_macs(job.space), progress)
    progress.found("budget", {"limit_ms": limits.budget_ms, "fastest_ms": limits.fastest_ms})
    aims = wanted(job, limits)
    with accounted(run, SEARCH, progress):
        searched = settings.search(
            children.problem(), settings.objective(aims), settings.loop, seed=job.settings.seed,
            checkpoints=run.checkpoints(SEARCH), progress=progress,
        )  # fmt: skip
    known = cache(children.cost)
    latencies = MeasuredLatencies(
        job.target.key.id, lambda arch: known(arch)["latency"], {limits.fastest: limits.fastest_ms}
    )  # fmt: skip
    limits = replace(limits, footprints=KnownFootprints(job.settings.limits, known))
    label = f"{settings.strategy} over {len(searched.evaluated)} networks trained alone"
    return SearchPhase(
        settings.strategy, limits, latencies, _contender("searched", label, children, searched, settings.judge(aims)),
        partial(_baselines, children, aims), partial(_facts, job, searched), warnings=_warnings(job, searched),
        trials=_trials(settings.strategy, children, searched, latencies),
    )  # fmt: skip


def searched_in(run: RunDirectory) -> BlackBoxSearched:
    """What the search of a run has evaluated, as it was last kept."""
    kept = run.checkpoints(SEARCH).latest()
    return searched_until(kept) if kept else BlackBoxSearched(())


def wanted(job: FitJob, limits: Limits) -> dict[str, float]:
    """The aim, then what is limited besides, by the names of costs."""
    return {"latency": limits.planned_ms, **{name: float(most) for name, most in job.settings.limits.items()}}


def _contender(role: str, label: str, children: Children, searched: BlackBoxSearched, judge: Objective) -> Contender:
    """Who proposes what was evaluated and is inside, and prefers the best by the judge."""
    worked = [one for one in searched.evaluated if not one.failure]
    scores = {one.architecture: judge.score(one.accuracy, one.costs) for one in worked}

    def propose(constraint: Constraint) -> list[Architecture]:
        return [arch for arch in scores if arch in constraint]

    def prefer(trials: list[Trial], planned_ms: float) -> tuple[Trial, str]:
        best = max(trials, key=lambda trial: scores[trial.architecture])
        return best, f"the best of {len(trials)} networks inside the budget, each trained alone"

    order = tuple(one.architecture for one in searched.evaluated)
    return Contender(role, label, propose, children, prefer, None, order=order)


def _baselines(children: Children, aims: Costs, progress: Progress) -> list[Contender]:
    """The best fixed network and random search, each with children like the search's, and at most as many."""
    job, run, settings = children.job, children.run, children.settings
    if job.settings.baselines == "none":
        return []
    inside, found = Limited(limits=aims), []
    if isinstance(job.space, UniformSpace):
        with accounted(run, "baseline/fixed", progress):
            uniform = tuple(dict.fromkeys(job.space.uniform_architectures().values()))
            fixed = _all_of(children, uniform, inside, progress)
        found.append(_contender("fixed", "the best fixed network", children, fixed, inside))
    if settings.strategy != "random":
        with accounted(run, "baseline/random", progress):
            drawn = random_search.search(
                children.problem(), inside, settings.loop, seed=job.settings.seed,
                checkpoints=run.checkpoints("baseline-random"), progress=progress, purpose="random",
            )  # fmt: skip
        label = f"random search over {len(drawn.evaluated)} networks trained alone"
        found.append(_contender("random", label, children, drawn, inside))
    return found


def _all_of(
    children: Children, architectures: Sequence[Architecture], objective: Objective, progress: Progress
) -> BlackBoxSearched:
    """Every one that the objective admits, at most as many as a search may evaluate: those that cost most."""
    costs = dict(zip(architectures, children.costs(architectures), strict=True))
    admitted = [arch for arch in architectures if objective.admits(costs[arch])]
    dearest = sorted(admitted, key=lambda arch: (-costs[arch]["latency"], arch.id))
    asked = dearest[: children.settings.loop.evaluations]
    found: list[Evaluated] = []
    progress.stage("fixed", len(asked))
    for arch, said in zip(asked, children.trained(asked), strict=True):
        found.append(evaluated(arch, said, costs[arch], objective))
        progress.advance(len(found), {"accuracy": max(one.accuracy for one in found)})
    return BlackBoxSearched(tuple(found))


def _trials(
    source: str, children: Children, searched: BlackBoxSearched, latencies: MeasuredLatencies
) -> tuple[Trial, ...]:
    """Everything that was evaluated, inside the budget or not."""
    worked = [one for one in searched.evaluated if not one.failure]
    return tuple(
        Trial(
            one.architecture, children.evaluate(one.architecture),
            Cost(one.costs["latency"], "ms", latencies.kind, latencies.provenance), source,
        )
        for one in worked
    )  # fmt: skip


def _warnings(job: FitJob, searched: BlackBoxSearched) -> tuple[Finding, ...]:
    settled = controller_settled(
        searched.proposals, sum(searched.repeated), len(searched.repeated), len(searched.evaluated),
        job.children.loop.evaluations,
    )  # fmt: skip
    return (settled,) if settled else ()


def _facts(job: FitJob, searched: BlackBoxSearched, chosen: Chosen) -> dict[str, Any]:
    settings = job.children
    best = searched.best()
    return {
        "strategy": settings.strategy,
        "reward": settings.reward,
        "reason": chosen.reason,
        "evaluations": len(searched.evaluated),
        "failed": sum(bool(one.failure) for one in searched.evaluated),
        "proposals": searched.proposals,
        "child_steps": settings.child_steps,
        "images_seen": len(searched.evaluated) * settings.child_steps * job.settings.recipe.batch_size,
        "best_score": best.score if best else None,
        "front": [one.architecture.id for one in searched.front("latency")],
        "train_steps": job.settings.train_steps,
    }
