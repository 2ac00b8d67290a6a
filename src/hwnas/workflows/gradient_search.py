"""A search by gradients in a fit: latency model, supernet, gates, and the baselines to be beaten at equal cost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.protocols import Evaluator, Progress
from hwnas.core.seeds import rng_for
from hwnas.core.trial import Trial
from hwnas.evaluation.shared_weights import SharedWeights
from hwnas.nn.gates import Gates
from hwnas.nn.supernet import PathSupernet
from hwnas.report import wording
from hwnas.runs.directory import RunDirectory
from hwnas.strategies.candidates import WELL_USED, Constraint, fixed_candidates, learned_candidates, random_candidates
from hwnas.strategies.proxyless_g import Searched, search
from hwnas.workflows.accounting import accounted
from hwnas.workflows.choosing import Chosen, Contender, best_scoring
from hwnas.workflows.full_baselines import standalone_contender, uniform_supernet
from hwnas.workflows.job import FitJob
from hwnas.workflows.latencies import ModelLatencies
from hwnas.workflows.limits import Limits, ends_by_terms, settle_limits
from hwnas.workflows.measuring import profiled
from hwnas.workflows.phase import SearchPhase
from hwnas.workflows.remembered import Remembered
from hwnas.workflows.sharing import search_checkpoints
from hwnas.workflows.watching import search_findings

BIASED = "on shared weights that were trained along the search's gates, which favours the search"


def gradient_phase(job: FitJob, run: RunDirectory, progress: Progress) -> SearchPhase:
    """Everything up to the trained supernet: the latency model, the budget held against the space, the search.

    Raises:
        BudgetError: no network of the space is inside the budget; nothing was trained.
    """
    with accounted(run, "latency model", progress):
        latencies = ModelLatencies(profiled(job, run, progress), job.path_space)
        model = latencies.model
        progress.say(f"latency model: {wording.latency_model_kind(model.kind, model.errors_percent)}")
        ends = ends_by_terms(job.space.choices, latencies.terms)
        limits = settle_limits(job, run, ends, progress)
    progress.found("budget", {"limit_ms": limits.budget_ms, "fastest_ms": limits.fastest_ms})
    with accounted(run, "search", progress):
        searched = search(
            job.path_space, job.data, latencies.terms, limits.planned_ms, job.gradient, seed=job.settings.seed,
            device=job.device, checkpoints=search_checkpoints(job, run), progress=progress,
        )  # fmt: skip
    return SearchPhase(
        "proxyless-g", limits, latencies, searched_contender(job, run, searched),
        partial(baseline_contenders, job, run, searched, limits, latencies),
        partial(_facts, job, searched, latencies), searched.setbacks,
        tuple(search_findings(run, searched, job.gradient)),
    )  # fmt: skip


def _facts(job: FitJob, searched: Searched, latencies: ModelLatencies, chosen: Chosen) -> dict[str, Any]:
    settings, gates = job.gradient, searched.gates
    return {
        "strategy": "proxyless-g",
        "loss": type(settings.loss).__name__,
        "derived": "argmax" if chosen.trial.architecture == gates.argmax() else "sample",
        "reason": chosen.reason,
        "weight_steps": settings.steps,
        "architecture_steps": settings.architecture_steps,
        "images_seen": searched.images_seen,
        "final_entropy": gates.entropy(),
        "expected_ms": gates.expected_cost(latencies.terms),
        "train_steps": job.settings.train_steps,
    }


def searched_contender(job: FitJob, run: RunDirectory, searched: Searched) -> Contender:
    """The search as a contender: its argmax, or the best-scoring sample of its gates."""
    rng_seed = job.settings.seed

    def propose(constraint: Constraint) -> list[Architecture]:
        rng = rng_for(rng_seed, "candidates", "searched")
        return learned_candidates(searched.gates, constraint, job.settings.candidates, rng)

    evaluator = _on_shared_weights(job, run, searched.supernet, "search")
    prefer = partial(_prefer_learned, searched.gates)
    return Contender("searched", "Proxyless-G", propose, evaluator, prefer, searched.supernet)


def _prefer_learned(gates: Gates, trials: list[Trial], planned_ms: float) -> tuple[Trial, str]:
    """The argmax where it is inside the budget and uses it; else the best-scoring sample."""
    best, argmax = trials[0], gates.argmax()
    for trial in trials:
        if trial.architecture != argmax:
            continue
        if trial.latency.value >= WELL_USED * planned_ms:
            return trial, "the argmax of the gates, inside the budget by the model"
        if trial is best:
            return trial, f"the argmax of the gates; none of {len(trials)} feasible samples scores better"
        share = f"the argmax uses only {100 * trial.latency.value / planned_ms:.0f} % of the budget"
        return best, f"the best-scoring of {len(trials)} feasible samples of the gates: {share}"
    return best, f"the best-scoring of {len(trials)} feasible samples of the gates: their argmax is over the budget"


def baseline_contenders(
    job: FitJob, run: RunDirectory, searched: Searched, limits: Limits, latencies: ModelLatencies,
    progress: Progress,
) -> list[Contender]:  # fmt: skip
    """The baselines that the settings ask for; the full ones train a second supernet here."""
    if job.settings.baselines == "none":
        return []
    evaluator = _on_shared_weights(job, run, searched.supernet, "search")
    propose = partial(fixed_candidates, job.path_space)
    fixed = Contender(
        "fixed", "the best fixed network", propose, evaluator, partial(best_scoring, BIASED), searched.supernet
    )
    contenders = [
        fixed,
        _random(job, "random", "random search on the same weights", evaluator, searched.supernet, BIASED),
    ]
    if job.settings.baselines == "full":
        with accounted(run, "baseline/random-uniform-supernet", progress):
            supernet = uniform_supernet(job, run, latencies.terms, limits, progress)
        uniform = _on_shared_weights(job, run, supernet, "uniform")
        label = "random search on a uniformly trained supernet"
        contender = _random(job, "random-uniform-supernet", label, uniform, supernet, "on uniform paths")
        contenders.append(replace(contender, supernet_name="uniform"))
        with accounted(run, "baseline/random-standalone"):
            contenders.append(standalone_contender(job, run, progress))
    return contenders


def _on_shared_weights(job: FitJob, run: RunDirectory, supernet: PathSupernet, name: str) -> Evaluator:
    evaluator = SharedWeights(supernet, job.data, job.device, job.settings.score_images)
    return Remembered(evaluator, run.store, f"shared-weights/{name}")


def _random(job: FitJob, role: str, label: str, evaluator: Evaluator, supernet: PathSupernet, on: str) -> Contender:
    def propose(constraint: Constraint) -> list[Architecture]:
        rng = rng_for(job.settings.seed, "candidates", role)
        return random_candidates(job.path_space, constraint, job.settings.candidates, rng)

    return Contender(role, label, propose, evaluator, partial(best_scoring, on), supernet)
