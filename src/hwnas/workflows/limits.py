"""The budget in milliseconds, and whether any network can meet it: settled by measuring, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import ChoiceSpace
from hwnas.core.cost import CostTerms
from hwnas.core.counting import count
from hwnas.core.errors import BudgetError
from hwnas.core.protocols import Progress, SearchSpace, UniformSpace
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import untrained
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.footprint import ExpectedFootprints, Footprints, amount, expected_footprints
from hwnas.workflows.job import FitJob
from hwnas.workflows.measuring import measured


@dataclass(frozen=True, slots=True)
class Limits:
    """The budget and what it was held against, in milliseconds, and what networks take of every other limit.

    Args:
        budget_ms: the limit that the delivered file must be inside of.
        planned_ms: the limit for predictions, lower by the margin.
        fastest_ms: measured latency of the space's fastest network.
        largest_ms: measured latency of its slowest one.
        fastest: that fastest network.
        footprints: what networks take beside time.
    """

    budget_ms: float
    planned_ms: float
    fastest_ms: float
    largest_ms: float
    fastest: Architecture
    footprints: Footprints


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of a space.

    Args:
        fastest: the architecture that is expected to be.
        largest: the one that is expected to take longest.
        least_ms: what the fastest one is predicted to take; 0 where nothing is predicted.
    """

    fastest: Architecture
    largest: Architecture
    least_ms: float = 0.0


def ends_by_terms(choices: ChoiceSpace, terms: CostTerms) -> Ends:
    """The ends by an additive cost: the cheapest and the dearest option of every choice."""
    rows = terms.by_choice.items()
    cheapest: dict[str, Option] = {choice: min(row, key=lambda o: row[o]) for choice, row in rows}
    dearest: dict[str, Option] = {choice: max(row, key=lambda o: row[o]) for choice, row in rows}
    return Ends(choices.architecture(cheapest), choices.architecture(dearest), terms.least())


def ends_by_macs(space: SearchSpace) -> Ends:
    """The ends by multiply-accumulates, and by parameters where these are equal, found choice by choice."""
    return Ends(_end_by_macs(space, 1), _end_by_macs(space, -1))


def settle_limits(job: FitJob, run: RunDirectory, ends: Ends, progress: Progress) -> Limits:
    """Measures the fastest and the slowest network and holds the budget against them.

    Raises:
        BudgetError: the fastest network, measured, exceeds the budget, or is outside a further limit.
    """
    both = {"fastest": ends.fastest, "largest": ends.largest}
    engine = open_engine(job.target.name)
    files = {end: untrained(job.space.decode(arch), engine).content for end, arch in both.items()}
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
    footprints = expected_footprints(job, run, (ends.fastest, ends.largest))
    _refuse_other_limits(job, footprints, ends.fastest)
    planned_ms = max((1.0 - job.settings.margin) * budget_ms, ends.least_ms)
    return Limits(
        budget_ms, planned_ms, fastest.median_ms, found["largest"].median_ms, ends.fastest, footprints
    )  # fmt: skip


def _refuse_other_limits(job: FitJob, footprints: ExpectedFootprints, fastest: Architecture) -> None:
    """Raises where not even the smallest networks of the space are expected inside the limits beside latency."""
    uniform = job.space.uniform_architectures().values() if isinstance(job.space, UniformSpace) else ()
    smallest, limits = [fastest, *uniform], job.settings.limits
    if any(footprints.share(arch) <= 1 for arch in smallest):
        return
    taken = [footprints.of(arch) for arch in smallest]
    least = {name: amount(name, min(row[name] for row in taken)) for name in limits}
    raise BudgetError(
        f"no network of space {job.space.choices.name} is inside every --limit: its smallest ones take at least "
        + ", ".join(f"{name} {least[name]} (limit {amount(name, most)})" for name, most in limits.items())
        + ". Relax a --limit, or take a smaller --width"
    )


def _end_by_macs(space: SearchSpace, sign: int) -> Architecture:
    """The best option of each choice in turn, twice over: the second time all others have been looked at."""

    def size(options: dict[str, Option]) -> tuple[int, int]:
        counts = count(space.decode(space.choices.architecture(options)))
        return sign * counts.macs, sign * counts.params

    chosen = {choice.name: choice.options[0] for choice in space.choices.choices}
    for choice in 2 * space.choices.choices:
        chosen[choice.name] = min(choice.options, key=lambda option: size({**chosen, choice.name: option}))
    return space.choices.architecture(chosen)
