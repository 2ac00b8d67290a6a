"""A search without the trainings: the chosen architecture, and its file measured with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.errors import BudgetError
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Progress
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import write_json
from hwnas.workflows.accounting import RunProgress, accounted
from hwnas.workflows.blocks import blocks
from hwnas.workflows.choosing import choose
from hwnas.workflows.disk import check_disk, search_need
from hwnas.workflows.files import ARCHITECTURE, NETWORK
from hwnas.workflows.fit import search_phase
from hwnas.workflows.footprint import in_words
from hwnas.workflows.job import FitJob
from hwnas.workflows.plan import search_plan, title

FORMAT = "hwnas-search@1"


@dataclass(frozen=True)
class SearchResult:
    """What a search has chosen.

    Args:
        inside_budget: whether the network's latency interval, measured with random weights, is within the budget.
        architecture: its choices.
        network: the same as data.
        predicted_ms: by the latency model; with children, measured briefly in the search.
        measured_ms: median over sessions.
        run: the run directory; a fit with the same settings goes on from there.
        result: all of it as plain values.
    """

    inside_budget: bool
    architecture: Architecture
    network: NetworkSpec
    predicted_ms: float
    measured_ms: float
    run: Path
    result: dict[str, Any]


def search_only(job: FitJob, run: RunDirectory, shown: Progress) -> SearchResult:
    """Searches, and writes architecture.json and network.json of what was chosen.

    Args:
        job: everything it works on.
        run: where everything is kept; a fit of the same job takes it from there.
        shown: told how far it is.

    Raises:
        BudgetError: no network of the space is inside the budget, or none that was found meets every limit.
    """
    progress = RunProgress(shown, run)
    progress.plan(title(job, str(run.path)), search_plan(job))
    check_disk(search_need(job), run, progress)
    phase = search_phase(job, run, progress)
    limits = phase.limits
    with accounted(run, "choose/searched/0", progress):
        chosen = choose(phase.searched, job, run, phase.latencies, limits, frozenset(), progress)
    if chosen is None:
        raise BudgetError(
            f"the search found no network inside {limits.budget_ms:.4g} ms and every further limit "
            f"({in_words(job.settings.limits)}): relax one of them"
        )
    arch = chosen.trial.architecture
    network = job.space.decode(arch)
    write_json(run.path / ARCHITECTURE, arch.to_json())
    write_json(run.path / NETWORK, network.to_json())
    row = next((row for row in chosen.rounds if row["architecture_id"] == arch.id), None)
    # Without a row of its own it is the fastest network of the space, which was measured before the search.
    inside, measured_ms = (row["inside"], row["measured_ms"]) if row else (True, limits.fastest_ms)
    return SearchResult(
        inside_budget=inside,
        architecture=arch,
        network=network,
        predicted_ms=chosen.trial.latency.value,
        measured_ms=measured_ms,
        run=run.path,
        result={
            "format": FORMAT,
            "status": "inside-budget" if inside else "over-budget",
            "command": job.command,
            "seed": job.settings.seed,
            "space": job.space.choices.name,
            "target": {"name": job.target.name, "id": job.target.key.id, "key": job.target.key.to_json()},
            "budget": {"text": str(job.settings.budget), "latency_ms": limits.budget_ms},
            "architecture": arch.to_json(),
            "architecture_id": arch.id,
            "reason": chosen.reason,
            "predicted_ms": chosen.trial.latency.value,
            "measured_ms": measured_ms,
            "upper_ms": row["upper_ms"] if row else None,
            "rounds": list(chosen.rounds),
            "blocks": blocks(network, chosen.latencies.model),
            "search": phase.facts(chosen),
            "warnings": [finding.to_json() for finding in phase.warnings],
        },
    )
