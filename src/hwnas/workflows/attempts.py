"""An attempt: what one strategy has found with one seed, and what that cost. Plain rows, whatever was searched."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

from hwnas.core.architecture import Architecture
from hwnas.core.errors import fields_of, said_of
from hwnas.core.objective import Costs, Objective
from hwnas.core.protocols import Controller
from hwnas.runs.clock import NOTHING, Spent
from hwnas.strategies.evaluated import BlackBoxSearched


@dataclass(frozen=True, slots=True)
class Step:
    """A new best.

    Args:
        evaluations: how many there were when it was found, itself among them.
        score: by the objective.
        accuracy: 0 to 1.
        costs: by name.
    """

    evaluations: int
    score: float
    accuracy: float
    costs: Costs


@dataclass(frozen=True, slots=True)
class Attempt:
    """A search that has ended.

    Args:
        strategy: by name.
        seed: of it.
        course: each new best, in order; none where nothing was found.
        architecture: the best; None where there is none.
        evaluations: distinct networks.
        proposals: repeats and networks that were not admitted among them.
        failures: networks that could not be evaluated.
        spent: by the whole search.
        deciding: of that, by what proposes and learns; None where nobody has looked.
    """

    strategy: str
    seed: int
    course: tuple[Step, ...]
    architecture: Architecture | None
    evaluations: int
    proposals: int
    failures: int
    spent: Spent
    deciding: Spent | None

    def at(self, evaluations: int) -> Step | None:
        """The best after so many evaluations; None where nothing was found by then."""
        return next((step for step in reversed(self.course) if step.evaluations <= evaluations), None)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` reads it."""
        plain = {name: getattr(self, name) for name in ("strategy", "seed", "evaluations", "proposals", "failures")}
        course = [[one.evaluations, one.score, one.accuracy, dict(one.costs)] for one in self.course]
        best = self.architecture.to_json() if self.architecture else None
        times = {"spent": asdict(self.spent), "deciding": self.deciding and asdict(self.deciding)}
        return {**plain, "course": course, "architecture": best, **times}

    @staticmethod
    def from_json(data: Mapping[str, Any], where: object) -> Attempt:
        """The attempt that `to_json` wrote down.

        Raises:
            FileFormatError: a field is missing or wrong; names `where`.
        """
        with fields_of(where), said_of(where):
            best, deciding = data["architecture"], data["deciding"]
            counts = {name: int(data[name]) for name in ("seed", "evaluations", "proposals", "failures")}
            course = tuple(
                Step(int(at), float(score), float(accuracy), {str(name): float(costs[name]) for name in costs})
                for at, score, accuracy, costs in data["course"]
            )
            return Attempt(
                strategy=str(data["strategy"]), course=course,
                architecture=None if best is None else Architecture.from_json(best),
                spent=Spent(**data["spent"]), deciding=None if deciding is None else Spent(**deciding), **counts,
            )  # fmt: skip


def attempt_of(
    strategy: str, seed: int, searched: BlackBoxSearched, objective: Objective, spent: Spent, deciding: Spent | None
) -> Attempt:  # fmt: skip
    """What a black-box search has left.

    Args:
        strategy: by name.
        seed: of it.
        searched: every network that it has evaluated, in order.
        objective: what all strategies are judged by, whatever each has learned from. A network that it does not admit
            is an evaluation, and nothing that was found.
        spent: by the whole search.
        deciding: of that, by the controller; None where nobody has looked.
    """
    course: list[Step] = []
    best: Architecture | None = None
    for number, one in enumerate(searched.evaluated, start=1):
        if one.failure or not objective.admits(one.costs):
            continue
        score = objective.score(one.accuracy, one.costs)
        if not course or score > course[-1].score:
            course.append(Step(number, score, one.accuracy, one.costs))
            best = one.architecture
    failures = sum(bool(one.failure) for one in searched.evaluated)
    return Attempt(
        strategy, seed, tuple(course), best, len(searched.evaluated), searched.proposals, failures, spent, deciding
    )


@final
class TimedController:
    """A Controller that counts what another one spends; it does what that one does.

    Args:
        controller: the other one.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.spent = NOTHING

    def propose(self, count: int) -> list[Architecture]:
        """Its proposals."""
        began = _now()
        proposed = self._controller.propose(count)
        self.spent = _since(began, self.spent)
        return proposed

    def observe(self, scored: Sequence[tuple[Architecture, float]]) -> None:
        """Passed on."""
        began = _now()
        self._controller.observe(scored)
        self.spent = _since(began, self.spent)

    def best_guess(self) -> Architecture:
        """Its best guess."""
        return self._controller.best_guess()

    def state_dict(self) -> dict[str, Any]:
        """Its state."""
        return self._controller.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Passed on."""
        self._controller.load_state_dict(state)


def _now() -> Spent:
    # runs.clock asks the system for children as well, which takes longer than a proposal.
    return Spent(time.process_time(), time.monotonic())


def _since(began: Spent, earlier: Spent) -> Spent:
    now = _now()
    return Spent(
        earlier.cpu_seconds + now.cpu_seconds - began.cpu_seconds,
        earlier.wall_seconds + now.wall_seconds - began.wall_seconds,
    )
