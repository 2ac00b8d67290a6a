"""Choosing an architecture that is inside the budget, where what is known of its latency is checked by measuring.

The network's file is measured with random weights, which takes seconds and no training; if it misses, what is known of
latencies, sizes and memory learns from the miss and the next architecture is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.protocols import Evaluator, Progress
from hwnas.core.trial import Trial
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import untrained
from hwnas.hardware.timing import Measurement
from hwnas.nn.supernet import PathSupernet
from hwnas.runs.directory import RunDirectory
from hwnas.strategies.candidates import Constraint
from hwnas.strategies.ranking import rank
from hwnas.workflows.footprint import over, taken_by
from hwnas.workflows.job import FitJob
from hwnas.workflows.latencies import Latencies, cost_of
from hwnas.workflows.limits import Limits
from hwnas.workflows.measuring import measured

_LEARNS = {"model": "The latency model learns from it", "measured": "A search measures briefly, a budget does not"}
ATTEMPTS = 8  # architectures measured for one contender before its fastest network is taken


@dataclass(frozen=True)
class Contender:
    """Somebody who proposes architectures: the search, or a baseline.

    Args:
        role: "searched", "fixed", "random", …; names its files and rows.
        label: for readers.
        propose: gives architectures inside a constraint; called again where the constraint has changed.
        evaluator: ranks them.
        prefer: takes one of the ranked trials (best first) and says why; called with the planned latency.
        supernet: weights that its networks may inherit; None where it has none.
        supernet_name: tells supernets apart; contenders that choose the same architecture share its training.
        order: what it evaluated, one after the other, failures among them; empty where nothing depends on the order.
    """

    role: str
    label: str
    propose: Callable[[Constraint], list[Architecture]]
    evaluator: Evaluator
    prefer: Callable[[list[Trial], float], tuple[Trial, str]]
    supernet: PathSupernet | None
    supernet_name: str = "search"
    order: tuple[Architecture, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """An architecture whose untrained file was measured inside the budget.

    Args:
        contender: who proposed it.
        trial: the architecture with its score and predicted latency.
        reason: why this one.
        latencies: with all that was learned on the way.
        trials: everything that was scored, best first.
        rounds: one row for each file that was measured: predicted, measured, upper end, inside.
    """

    contender: Contender
    trial: Trial
    reason: str
    latencies: Latencies
    trials: tuple[Trial, ...]
    rounds: tuple[dict[str, Any], ...]


def best_scoring(on: str, trials: list[Trial], planned_ms: float) -> tuple[Trial, str]:
    """The trial with the lowest loss; `on` says what it was scored on."""
    return trials[0], f"the best score of {len(trials)} networks inside the budget, {on}"


def choose(
    contender: Contender, job: FitJob, run: RunDirectory, latencies: Latencies, limits: Limits,
    rejected: frozenset[Architecture], progress: Progress,
) -> Chosen | None:  # fmt: skip
    """Takes the contender's preferred architecture that is inside the budget as measured.

    Args:
        contender: proposes and ranks.
        job: space, target, limits.
        run: keeps the measurements.
        latencies: what is known of them; learns from every miss.
        limits: the budget.
        rejected: architectures that have missed already.
        progress: told how far it is.

    Returns:
        None where the contender has nothing inside the budget.
    """
    rounds: list[dict[str, Any]] = []
    for _ in range(ATTEMPTS):
        constraint = Constraint(latencies, limits.planned_ms, limits.footprints.share, rejected)
        proposed = contender.propose(constraint)
        if not proposed:
            break
        trials = rank(proposed, contender.evaluator, latencies, contender.role, latencies.provenance, progress,
                      latencies.kind)  # fmt: skip
        trial, reason = contender.prefer(trials, limits.planned_ms)
        progress.found(contender.label, {"loss": trial.quality.loss, "predicted_ms": trial.latency.value})
        network = job.space.decode(trial.architecture)
        file = untrained(network, open_engine(job.target.name)).content
        measurement = measured(job, run, {contender.role: file}, "before training", progress)[contender.role]
        taken = taken_by(job, run, file)
        beyond = over(job.settings.limits, taken)
        row = round_row(trial, measurement, beyond, limits, "before training")
        rounds.append({**row, "role": contender.role})
        progress.found(contender.label, {"measured_ms": measurement.median_ms})
        if row["inside"]:
            return Chosen(contender, trial, reason, latencies, tuple(trials), tuple(rounds))
        if not measurement.inside(limits.budget_ms):
            progress.say(
                f"{contender.label}: {trial.architecture.id} measured {measurement.median_ms:.4g} ms (up to "
                f"{measurement.interval_ms[1]:.4g}), predicted {trial.latency.value:.4g}: over the budget of "
                f"{limits.budget_ms:.4g} ms. {_LEARNS[latencies.kind]}; next architecture"
            )
        if beyond:
            progress.say(f"{contender.label}: {trial.architecture.id}: {', '.join(beyond)}; next architecture")
        rejected |= {trial.architecture}
        latencies = latencies.learned(trial.architecture, measurement.median_ms)
        limits = replace(limits, footprints=limits.footprints.learned(trial.architecture, taken))
    # Whoever never had anything to propose has nothing; after misses there is the network that is known to be inside.
    return _fastest(contender, job, limits, latencies, rejected, tuple(rounds), progress) if rounds else None


def round_row(
    trial: Trial, measurement: Measurement, beyond: Sequence[str], limits: Limits, what: str
) -> dict[str, Any]:  # fmt: skip
    """One line of the closed loop, for the report; `beyond` is what is over a limit besides the latency."""
    return {
        "architecture_id": trial.architecture.id,
        "predicted_ms": trial.latency.value,
        "measured_ms": measurement.median_ms,
        "upper_ms": measurement.interval_ms[1],
        "inside": measurement.inside(limits.budget_ms) and not beyond,
        "over": list(beyond),
        "what": what,
    }


def _fastest(
    contender: Contender, job: FitJob, limits: Limits, latencies: Latencies, rejected: frozenset[Architecture],
    rounds: tuple[dict[str, Any], ...], progress: Progress,
) -> Chosen | None:  # fmt: skip
    """The space's fastest network, whose measured latency is inside the budget by the refusal at the start."""
    arch = limits.fastest
    if arch in rejected or limits.footprints.share(arch) > 1:
        return None
    quality = contender.evaluator.evaluate(arch)
    trial = Trial(arch, quality, cost_of(latencies, arch), contender.role)
    reason = f"the fastest network of the space, after {len(rounds)} others were measured over the budget"
    progress.say(f"{contender.label}: {reason}")
    return Chosen(contender, trial, reason, latencies, (trial,), rounds)
