"""The main job: latency model, search, baselines, training, the files measured, the loop closed, the report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Progress
from hwnas.core.seeds import rng_for
from hwnas.core.trial import Trial
from hwnas.evaluation.shared_weights import SharedWeights
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.timing import Measurement
from hwnas.nn.gates import Gates
from hwnas.nn.supernet import PathSupernet
from hwnas.report.html import render_report
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import write_atomically
from hwnas.strategies.candidates import WELL_USED, Constraint, fixed_candidates, learned_candidates, random_candidates
from hwnas.strategies.proxyless_g import Searched, search
from hwnas.workflows.accounting import RunProgress, accounted
from hwnas.workflows.choosing import Contender, best_scoring, choose, learned, round_row
from hwnas.workflows.delivery import Delivery, deliver
from hwnas.workflows.full_baselines import standalone_contender, uniform_supernet
from hwnas.workflows.job import FitJob
from hwnas.workflows.limits import LatencyLimits, settle_limits
from hwnas.workflows.measuring import measured, profiled
from hwnas.workflows.result import Outcome, result_json


@dataclass(frozen=True)
class FitResult:
    """What a fit delivers.

    Args:
        inside_budget: whether the shipped file's latency interval is within the budget.
        architecture: the delivered network's choices.
        network: the same as data.
        latency: of the shipped file, measured.
        accuracy: of the shipped file on the test split, 0 to 1.
        run: the run directory.
        result: the whole of result.json.
    """

    inside_budget: bool
    architecture: Architecture
    network: NetworkSpec
    latency: Measurement
    accuracy: float
    run: Path
    result: dict[str, Any]


def fit(job: FitJob, run: RunDirectory, shown: Progress) -> FitResult:
    """Searches, trains, exports and measures until the file is inside the budget, beside its baselines.

    A run that was cut off goes on: measurements come from the store, trainings from their checkpoints.

    Args:
        job: everything it works on.
        run: where everything is kept.
        shown: told how far it is.

    Raises:
        BudgetError: no network of the space is inside the budget; nothing was trained.
        EvaluationFailed: a training diverged, a file could not be exported or measured.
    """
    progress = RunProgress(shown, run)
    model, limits, searched = search_phase(job, run, progress)
    contenders = [searched_contender(job, searched), *_baselines(job, run, searched, limits, model, progress)]
    deliveries, measurements, rounds = _close_loop(job, run, contenders, model, limits, progress)
    with accounted(run, "report"):
        outcome = Outcome(job, run, model, limits, searched, deliveries, measurements, tuple(rounds))
        result = result_json(outcome)
    return _finish(job, run, deliveries[0], measurements[0], result)


def search_phase(job: FitJob, run: RunDirectory, progress: Progress) -> tuple[LatencyModel, LatencyLimits, Searched]:
    """Everything up to the trained supernet: the latency model, the budget held against the space, the search.

    Raises:
        BudgetError: no network of the space is inside the budget; nothing was trained.
    """
    with accounted(run, "latency model"):
        model = profiled(job, run, progress)
        limits = settle_limits(job, run, model.terms(job.space), progress)
    with accounted(run, "search"):
        searched = search(
            job.space, job.data, model.terms(job.space), limits.planned_ms, job.settings.search,
            seed=job.settings.seed, device=job.device, checkpoints=run.checkpoints("search"), progress=progress,
        )  # fmt: skip
    return model, limits, searched


def _close_loop(
    job: FitJob, run: RunDirectory, contenders: list[Contender], model: LatencyModel, limits: LatencyLimits,
    progress: Progress,
) -> tuple[list[Delivery], list[Measurement], list[dict[str, Any]]]:  # fmt: skip
    """Chooses, trains and measures for every contender, again for those whose file missed the budget."""
    rejected: frozenset[Architecture] = frozenset()
    kept: dict[str, tuple[Delivery, Measurement]] = {}
    rounds: list[dict[str, Any]] = []
    for turn in range(1 + job.settings.rounds):
        deliveries: dict[str, Delivery] = {}
        for contender in contenders:
            if contender.role in kept and kept[contender.role][1].inside(limits.budget_ms):
                continue
            with accounted(run, f"choose/{contender.role}/{turn}"):
                chosen = choose(contender, job, run, model, limits, rejected, progress)
            if chosen is None:
                progress.say(f"{contender.label}: nothing inside the budget, so it is left out")
                continue
            model = chosen.model
            rounds += chosen.rounds
            with accounted(run, f"train/{contender.role}/{turn}"):
                deliveries[contender.role] = deliver(chosen, job, run, progress)
        if not deliveries:
            break
        files = {role: delivery.model for role, delivery in deliveries.items()}
        with accounted(run, f"measure/{turn}"):
            found = measured(job, run, files, "shipped file", progress)
        for role, delivery in deliveries.items():
            trial = delivery.chosen.trial
            rounds.append({**round_row(trial, found[role], limits, "shipped file"), "role": role})
            kept[role] = (delivery, found[role])
            if not found[role].inside(limits.budget_ms):
                rejected |= {trial.architecture}
                model = learned(model, job, trial.architecture, found[role])
                progress.say(f"{delivery.chosen.contender.label}: the file missed the budget; the loop goes on")
    ordered = [kept[contender.role] for contender in contenders if contender.role in kept]
    return [delivery for delivery, _ in ordered], [measurement for _, measurement in ordered], rounds


def searched_contender(job: FitJob, searched: Searched) -> Contender:
    """The search as a contender: its argmax, or the best-scoring sample of its gates."""
    rng_seed = job.settings.seed

    def propose(constraint: Constraint) -> list[Architecture]:
        rng = rng_for(rng_seed, "candidates", "searched")
        return learned_candidates(searched.gates, constraint, job.settings.candidates, rng)

    evaluator = SharedWeights(searched.supernet, job.data, job.device, job.settings.score_images)
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
        share = f"the argmax uses only {trial.latency.value / planned_ms:.0%} of the budget"
        return best, f"the best-scoring of {len(trials)} feasible samples of the gates: {share}"
    return best, f"the best-scoring of {len(trials)} feasible samples of the gates: their argmax is over the budget"


def _baselines(
    job: FitJob, run: RunDirectory, searched: Searched, limits: LatencyLimits, model: LatencyModel, progress: Progress
) -> list[Contender]:
    if job.settings.baselines == "none":
        return []
    evaluator = SharedWeights(searched.supernet, job.data, job.device, job.settings.score_images)
    propose = partial(fixed_candidates, job.space)
    fixed = Contender("fixed", "the best fixed network", propose, evaluator, best_scoring, searched.supernet)
    contenders = [fixed, _random(job, "random", "random search on the same weights", evaluator, searched.supernet)]
    if job.settings.baselines == "full":
        with accounted(run, "baseline/random-uniform-supernet"):
            supernet = uniform_supernet(job, run, model.terms(job.space), limits, progress)
        uniform = SharedWeights(supernet, job.data, job.device, job.settings.score_images)
        label = "random search on a uniformly trained supernet"
        contenders.append(_random(job, "random-uniform-supernet", label, uniform, supernet))
        with accounted(run, "baseline/random-standalone"):
            contenders.append(standalone_contender(job, run, progress))
    return contenders


def _random(job: FitJob, role: str, label: str, evaluator: SharedWeights, supernet: PathSupernet) -> Contender:
    def propose(constraint: Constraint) -> list[Architecture]:
        rng = rng_for(job.settings.seed, "candidates", role)
        return random_candidates(job.space, constraint, job.settings.candidates, rng)

    return Contender(role, label, propose, evaluator, best_scoring, supernet)


def _finish(
    job: FitJob, run: RunDirectory, delivery: Delivery, latency: Measurement, result: dict[str, Any]
) -> FitResult:
    run.finish(result)
    metrics = RunDirectory.read(run.path).metrics()
    write_atomically(run.path / "report.html", render_report(result, metrics, title=run.path.name).encode())
    arch = delivery.chosen.trial.architecture
    return FitResult(
        inside_budget=result["status"] == "inside-budget",
        architecture=arch,
        network=job.space.decode(arch),
        latency=latency,
        accuracy=result["network"]["accuracy"]["test"],
        run=run.path,
        result=result,
    )
