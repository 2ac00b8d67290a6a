"""The budget in milliseconds, and whether any network can meet it: settled by measuring, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.architecture import Architecture, Option
from hwnas.core.cost import CostTerms
from hwnas.core.counting import count
from hwnas.core.errors import BudgetError
from hwnas.core.protocols import Progress
from hwnas.hardware.model_files import untrained
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.job import FitJob, Limits
from hwnas.workflows.measuring import measured


@dataclass(frozen=True, slots=True)
class LatencyLimits:
    """The budget and what it was held against, in milliseconds.

    Args:
        budget_ms: the limit that the delivered file must be inside of.
        planned_ms: the limit for predictions, lower by the margin.
        fastest_ms: measured latency of the space's fastest network.
        largest_ms: measured latency of its slowest one.
        fastest: that fastest network.
    """

    budget_ms: float
    planned_ms: float
    fastest_ms: float
    largest_ms: float
    fastest: Architecture


def settle_limits(job: FitJob, run: RunDirectory, terms: CostTerms, progress: Progress) -> LatencyLimits:
    """Measures the fastest and the slowest network (by the model) and holds the budget against them.

    Raises:
        BudgetError: the fastest network, measured, exceeds the budget, or is outside a further limit.
    """
    ends = {
        end: job.space.choices.architecture(_extreme(terms, sign)) for end, sign in (("fastest", 1.0), ("largest", -1))
    }
    files = {end: untrained(job.space.decode(arch)).content for end, arch in ends.items()}
    found = measured(job, run, files, "ends of the space", progress)
    budget_ms = job.settings.budget.resolve(found["largest"].median_ms)
    fastest = found["fastest"]
    if not fastest.inside(budget_ms):
        raise BudgetError(
            f"no network of space {job.space.choices.name} is inside {budget_ms:.4g} ms on {job.target.name}: its "
            f"fastest one takes {fastest.median_ms:.4g} ms (95 % interval up to {fastest.interval_ms[1]:.4g} ms), "
            f"measured. Give a budget of at least {1.05 * fastest.interval_ms[1]:.3g}ms, a smaller --width or a lower "
            "--resolution"
        )
    _refuse_other_limits(job, ends["fastest"])
    planned_ms = max((1.0 - job.settings.margin) * budget_ms, terms.least())
    return LatencyLimits(budget_ms, planned_ms, fastest.median_ms, found["largest"].median_ms, ends["fastest"])


def _refuse_other_limits(job: FitJob, fastest: Architecture) -> None:
    """Raises where not even the smallest networks of the space meet the limits that are counted."""
    smallest = [fastest, *job.space.uniform_architectures().values()]
    if any(meets(job, arch) for arch in smallest):
        return
    counts = [count(job.space.decode(arch)) for arch in smallest]
    raise BudgetError(
        f"no network of space {job.space.choices.name} meets {job.settings.limits}: its smallest ones have "
        f"{min(c.params for c in counts):,} params, {min(c.macs for c in counts):,} MACs and a peak of "
        f"{min(c.peak_activation_bytes for c in counts):,} activation bytes. Relax a --limit, or take a smaller --width"
    )


def meets(job: FitJob, arch: Architecture) -> bool:
    """Whether an architecture meets every limit that is counted."""
    limits = job.settings.limits
    if limits == Limits():
        return True
    counts = count(job.space.decode(arch))
    pairs = (
        (counts.params, limits.params),
        (counts.macs, limits.macs),
        (counts.peak_activation_bytes, limits.memory_bytes),
    )
    return all(limit is None or value <= limit for value, limit in pairs)


def _extreme(terms: CostTerms, sign: float) -> dict[str, Option]:
    return {choice: min(options, key=lambda o: sign * options[o]) for choice, options in terms.by_choice.items()}
