"""The main job: search, baselines, training, the files measured, the loop closed, the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.errors import BudgetError, fields_of
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Progress
from hwnas.hardware.timing import Measurement
from hwnas.report.html import render_report
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import plain_json, write_atomically
from hwnas.runs.stored import RESULT
from hwnas.strategies.proxyless_g import ProxylessGSettings
from hwnas.workflows.accounting import RunProgress, accounted
from hwnas.workflows.children import children_phase
from hwnas.workflows.choosing import Contender, choose, round_row
from hwnas.workflows.delivery import Delivery, deliver
from hwnas.workflows.disk import check_disk, fit_need
from hwnas.workflows.footprint import in_words, over, taken_by
from hwnas.workflows.gradient_search import gradient_phase
from hwnas.workflows.job import FitJob
from hwnas.workflows.measuring import measured
from hwnas.workflows.phase import SearchPhase
from hwnas.workflows.plan import fit_plan, title
from hwnas.workflows.result import Outcome, Shipped, result_json

SHIPPED = "shipped file"  # what the final measurements are stored under


@dataclass(frozen=True)
class FitResult:
    """What a fit delivers.

    Args:
        inside_budget: whether the shipped file's latency interval is within the budget, and the file in every limit.
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

    A run that was cut off goes on: measurements come from the store, trainings from their checkpoints. One that has
    finished is read back.

    Args:
        job: everything it works on.
        run: where everything is kept.
        shown: told how far it is.

    Raises:
        BudgetError: no network of the space is inside the budget; nothing was trained.
        EvaluationFailed: a training diverged, a file could not be exported or measured.
    """
    progress = RunProgress(shown, run)
    if (run.path / RESULT).exists():
        progress.say(f"{run.path} has finished already; --fresh would start over")
        with fields_of(run.path / RESULT):
            return _fit_result(job, run, RunDirectory.read(run.path).result())
    progress.plan(title(job, str(run.path)), fit_plan(job))
    check_disk(fit_need(job), run, progress)
    phase = search_phase(job, run, progress)
    contenders = [phase.searched, *phase.baselines(progress)]
    shipped, rounds = _close_loop(job, run, contenders, phase, progress)
    with accounted(run, "report", progress):
        outcome = Outcome(job, run, phase, shipped, tuple(rounds))
        result = result_json(outcome)
    return _fit_result(job, run, _finish(run, result))


def search_phase(job: FitJob, run: RunDirectory, progress: Progress) -> SearchPhase:
    """The budget held against the space, and the search, by the strategy of the job.

    What is wrong with the course of the search is said here.

    Raises:
        BudgetError: no network of the space is inside the budget; nothing was trained.
    """
    gradient = isinstance(job.settings.search, ProxylessGSettings)
    phase = (gradient_phase if gradient else children_phase)(job, run, progress)
    for finding in phase.warnings:
        progress.say(f"{finding.says} {finding.advice}")
    return phase


def _close_loop(
    job: FitJob, run: RunDirectory, contenders: list[Contender], phase: SearchPhase, progress: Progress
) -> tuple[list[Shipped], list[dict[str, Any]]]:  # fmt: skip
    """Chooses, trains and measures for every contender, again for those whose file missed the budget or a limit."""
    limits, latencies = phase.limits, phase.latencies
    rejected: frozenset[Architecture] = frozenset()
    kept: dict[str, Shipped] = {}
    rounds: list[dict[str, Any]] = []
    for turn in range(1 + job.settings.rounds):
        deliveries: dict[str, Delivery] = {}
        for contender in contenders:
            if contender.role in kept and kept[contender.role].inside(limits.budget_ms):
                continue
            with accounted(run, f"choose/{contender.role}/{turn}", progress):
                chosen = choose(contender, job, run, latencies, limits, rejected, progress)
            if chosen is None:
                progress.say(f"{contender.label}: nothing inside the budget, so it is left out")
                continue
            latencies = chosen.latencies
            rounds += chosen.rounds
            with accounted(run, f"train/{contender.role}/{turn}", progress):
                deliveries[contender.role] = deliver(chosen, job, run, progress)
            progress.found(contender.label, {"accuracy": deliveries[contender.role].quality.accuracy})
        if not deliveries:
            break
        files = {role: delivery.model for role, delivery in deliveries.items()}
        with accounted(run, f"measure/{turn}", progress):
            found = measured(job, run, files, SHIPPED, progress)
            taken = {role: taken_by(job, run, file) for role, file in files.items()}
        for said in dict.fromkeys(f"{row.says} {row.advice}" for one in found.values() for row in one.doubts):
            progress.say(said)
        for role, delivery in deliveries.items():
            trial, label = delivery.chosen.trial, delivery.chosen.contender.label
            kept[role] = Shipped(delivery, found[role], taken[role], over(job.settings.limits, taken[role]))
            rounds.append({**round_row(trial, found[role], kept[role].over, limits, SHIPPED), "role": role})
            progress.found(label, {"measured_ms": found[role].median_ms})
            if not kept[role].inside(limits.budget_ms):
                rejected |= {trial.architecture}
                latencies = latencies.learned(trial.architecture, found[role].median_ms)
                missed = ", ".join(kept[role].over) or "the budget"
                progress.say(f"{label}: the file missed {missed}; the loop goes on")
    if contenders[0].role not in kept:
        raise BudgetError(
            f"the search found no network inside {limits.budget_ms:.4g} ms and every further limit "
            f"({in_words(job.settings.limits)}): relax one of them"
        )
    return [kept[contender.role] for contender in contenders if contender.role in kept], rounds


def _finish(run: RunDirectory, result: dict[str, Any]) -> dict[str, Any]:
    """Writes result.json and the report; returns the result as it reads back."""
    result = plain_json(result, "result.json")
    run.finish(result)
    stored = RunDirectory.read(run.path)
    page = render_report(
        result, stored.metrics(), title=run.path.name, settings=stored.config, problems=stored.problems()
    )
    write_atomically(run.path / "report.html", page.encode())
    return result


def _fit_result(job: FitJob, run: RunDirectory, result: dict[str, Any]) -> FitResult:
    """The typed form of a finished run's result.json; the samples of its measurement are in the store."""
    searched = result["network"]
    arch = job.space.choices.canonical(Architecture.from_json(searched["architecture"]))
    stored = run.store.measurement(result["target"]["id"], searched["latency"]["file_sha256"], SHIPPED)
    return FitResult(
        inside_budget=result["status"] == "inside-budget",
        architecture=arch,
        network=job.space.decode(arch),
        latency=Measurement.from_json(stored),
        accuracy=searched["accuracy"]["test"],
        run=run.path,
        result=result,
    )
