"""What a black-box search has evaluated, and how its checkpoints keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.errors import EvaluationFailed, fields_of
from hwnas.core.objective import Costs, Known, Objective
from hwnas.core.protocols import Checkpoint, Checkpoints, Controller
from hwnas.core.trial import Quality, pareto_front


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One network that was evaluated.

    Args:
        architecture: what.
        accuracy: 0 to 1; 0 where it could not be found out.
        costs: by name.
        score: by the objective, at the time.
        failure: why it could not be evaluated; empty where it could.
    """

    architecture: Architecture
    accuracy: float
    costs: Costs
    score: float
    failure: str = ""


@dataclass(frozen=True)
class BlackBoxSearched:
    """What a search leaves.

    Args:
        evaluated: distinct networks, in the order of their proposals.
        proposals: how many architectures were proposed, repeats and those that were not admitted among them.
        steps: how often the controller observed.
        repeated: of the latest proposals, at most `collapse.WINDOW`, whether each had been evaluated before.
        forgiven: failures before that many networks no longer count: the search has stopped for them once.
    """

    evaluated: tuple[Evaluated, ...]
    proposals: int = 0
    steps: int = 0
    repeated: tuple[bool, ...] = ()
    forgiven: int = 0

    def best(self, evaluations: int | None = None) -> Evaluated | None:
        """The best by score of the first so many, None for all; of equal ones the first. None where there is none."""
        worked = (one for one in self.evaluated[:evaluations] if not one.failure)
        return max(worked, key=lambda one: one.score, default=None)

    def front(self, of: str) -> list[Evaluated]:
        """Those that no other beats in accuracy and in the cost of this name, by rising cost."""
        worked = [one for one in self.evaluated if not one.failure]
        return [worked[index] for index in pareto_front([(one.costs[of], one.accuracy) for one in worked])]


def evaluated(
    arch: Architecture, answer: Quality | EvaluationFailed, costs: Costs, objective: Objective, known: Known = ()
) -> Evaluated:
    """What an answer makes of an architecture; one that could not be evaluated is as good as one always wrong."""
    accuracy, failure = (answer.accuracy, "") if isinstance(answer, Quality) else (0.0, str(answer) or "no reason")
    return Evaluated(arch, accuracy, costs, objective.score(accuracy, costs, known), failure)


def checkpoint_of(controller: Controller, found: BlackBoxSearched) -> Checkpoint:
    """What `resumed` reads: every answer, and all that the controller has learned."""
    rows = [
        [one.architecture.to_json(), one.accuracy, dict(one.costs), one.score, one.failure] for one in found.evaluated
    ]
    state = {
        "controller": controller.state_dict(), "evaluated": rows, "proposals": found.proposals,
        "repeated": list(map(int, found.repeated)), "forgiven": found.forgiven,
    }  # fmt: skip
    return Checkpoint(found.steps, {}, state)


def resumed(controller: Controller, checkpoints: Checkpoints) -> BlackBoxSearched:
    """What the latest checkpoint holds; the controller goes on from there."""
    found = checkpoints.latest()
    if found is None:
        return BlackBoxSearched(())
    searched = searched_until(found)
    with fields_of("checkpoint of a black-box search"):
        state = found.state["controller"]
    controller.load_state_dict(state)
    return searched


def searched_until(found: Checkpoint) -> BlackBoxSearched:
    """What a search had evaluated when it saved this checkpoint.

    Raises:
        FileFormatError: a field is missing or wrong.
    """
    with fields_of("checkpoint of a black-box search"):
        rows: Sequence[Any] = found.state["evaluated"]
        read = tuple(
            Evaluated(
                Architecture.from_json(arch), float(accuracy), {str(name): float(costs[name]) for name in costs},
                float(score), str(failure),
            )
            for arch, accuracy, costs, score, failure in rows
        )  # fmt: skip
        proposals, forgiven = int(found.state["proposals"]), int(found.state["forgiven"])
        repeated = tuple(map(bool, found.state["repeated"]))
    return BlackBoxSearched(read, proposals, found.step, repeated, forgiven)
