"""What a search hands on, whichever way it went: somebody who proposes, what latencies are known, what to report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hwnas.core.collapse import Finding
from hwnas.core.protocols import Progress
from hwnas.core.trial import Trial
from hwnas.training.loop import Setback
from hwnas.workflows.choosing import Chosen, Contender
from hwnas.workflows.latencies import Latencies
from hwnas.workflows.limits import Limits


@dataclass(frozen=True)
class SearchPhase:
    """A search that has ended.

    Args:
        strategy: its name.
        limits: the budget, held against the space.
        latencies: as they were known when the search ended.
        searched: proposes what was found.
        baselines: makes those whom the settings ask for; the costly ones search here, too.
        facts: result.json's account of the search, given what was chosen of it.
        setbacks: returns to an earlier step because a loss was not finite.
        warnings: what is wrong with the course of the search.
        trials: everything that the search evaluated, where that is more than what it proposes.
    """

    strategy: str
    limits: Limits
    latencies: Latencies
    searched: Contender
    baselines: Callable[[Progress], list[Contender]]
    facts: Callable[[Chosen], dict[str, Any]]
    setbacks: tuple[Setback, ...] = ()
    warnings: tuple[Finding, ...] = ()
    trials: tuple[Trial, ...] = ()
