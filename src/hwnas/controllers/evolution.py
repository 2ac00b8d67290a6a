"""Regularised evolution: a tournament gives the parent, its mutant joins, and the oldest dies, however good it was.

Source: Real, Aggarwal, Huang, Le 2019, "Regularized Evolution for Image Classifier Architecture Search", algorithm 1.
Differs:
- the first population is drawn without replacement, from networks and not from encodings;
- a mutant that was proposed before is mutated on until it is new, at most `TRIES` times. A repeat teaches nothing
  where evaluation has no noise; one is proposed only when a neighbourhood is used up, and costs nothing where the
  evaluator repeats for free. The paper evaluates repeats again, against the luck of single trainings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.controllers.identity import (
    Identity,
    Scored,
    best_of,
    check_scores,
    delivered,
    scored_from_json,
    scored_to_json,
    whole,
)  # fmt: skip
from hwnas.controllers.random import RandomOrder
from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import InputError, fields_of
from hwnas.core.seeds import rng_for

TRIES = 20  # mutations in a row before a repeat is proposed


@dataclass(frozen=True, slots=True)
class EvolutionSettings:
    """What can be set about the evolution.

    The paper has 100, 25 and one mutation a child, for 20,000 evaluations; the defaults are for hundreds, chosen by
    benchmarks/controller_settings.py.

    Args:
        population: how many live at a time, at least 1.
        sample: how many are drawn for a tournament, with replacement, 1 to `population`.
        mutation_rate: each live choice is redrawn with this probability, at least one; 0 for exactly one.

    Raises:
        InputError: a value out of range.
    """

    population: int = 20
    sample: int = 20
    mutation_rate: float = 0.0

    def __post_init__(self) -> None:
        if not (1 <= self.sample <= self.population and 0.0 <= self.mutation_rate <= 1.0):
            raise InputError(f"evolution needs 1 <= sample <= population and a mutation rate of 0 to 1, not {self}")


class EvolutionController:
    """Evolution with ageing.

    Args:
        space: what is proposed from.
        seed: everything random is drawn from it.
        settings: how.
    """

    def __init__(self, space: ChoiceSpace, seed: int, settings: EvolutionSettings | None = None) -> None:
        self._settings = settings or EvolutionSettings()
        self._identity = Identity("evolution", space, seed, self._settings)
        self._order = RandomOrder(space, seed)
        self._living: deque[Scored] = deque(maxlen=self._settings.population)  # the oldest first, and first to go
        self._proposed = 0
        self._known: set[str] = set()  # ids of all that was proposed
        self._best: Scored | None = None

    def propose(self, count: int) -> list[Architecture]:
        """Random networks for the first population, mutants of tournament winners after it."""
        return [self._next() for _ in range(count)]

    def observe(self, scored: Sequence[Scored]) -> None:
        """What was scored joins the population; the oldest leave it."""
        check_scores(scored)
        self._living.extend(scored)
        self._best = best_of(self._best, scored)

    def best_guess(self) -> Architecture:
        """The best that was observed, whether it still lives or not."""
        return delivered(self._best)

    def state_dict(self) -> dict[str, Any]:
        """The living, the ids of all that was proposed, and the best."""
        learned = {
            "proposed": self._proposed,
            "dealt": self._order.dealt,
            "known": sorted(self._known),
            "living": [scored_to_json(one) for one in self._living],
            "best": scored_to_json(self._best) if self._best else None,
        }
        return self._identity.state(learned)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state; the random order before it is drawn again."""
        self._identity.check(state)
        with fields_of("state of an evolution"):
            space = self._identity.space
            proposed, dealt = whole(state["proposed"]), whole(state["dealt"], space.size())
            known = {str(one) for one in state["known"]}
            living = [scored_from_json(one, space) for one in state["living"]]
            best = scored_from_json(state["best"], space) if state["best"] is not None else None
        self._order = RandomOrder(space, self._identity.seed)
        self._order.skip_to(dealt)
        self._living.clear()
        self._living.extend(living)
        self._proposed, self._known, self._best = proposed, known, best

    def _next(self) -> Architecture:
        # While the first population is not whole, and where nothing has been observed, there is no tournament.
        founder = self._proposed < self._settings.population or not self._living
        arch = (self._order.deal() if founder else None) or self._child()
        self._proposed += 1
        self._known.add(arch.id)
        return arch

    def _child(self) -> Architecture:
        settings, space = self._settings, self._identity.space
        rng = rng_for(self._identity.seed, "evolution", self._proposed)
        if not self._living:  # all of a small space was proposed, and nothing observed
            return space.sample(rng)
        drawn = rng.integers(len(self._living), size=settings.sample)
        child, _ = max((self._living[int(at)] for at in drawn), key=lambda one: one[1])
        for _ in range(TRIES):
            child = space.mutate(child, rng, settings.mutation_rate)
            if child.id not in self._known:
                break
        return child
