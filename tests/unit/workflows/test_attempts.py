"""Attempts: the course of the best, as plain rows that come back whole or are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hwnas.controllers.evolution import EvolutionController
from hwnas.core.architecture import Architecture
from hwnas.core.errors import FileFormatError
from hwnas.core.objective import Accuracy, Limited, PowerReward
from hwnas.runs.clock import Spent
from hwnas.spaces.toy import ToySpace
from hwnas.strategies.evaluated import BlackBoxSearched, Evaluated
from hwnas.workflows.attempts import Attempt, Step, TimedController, attempt_of

SPACE = ToySpace().choices
FIRST, SECOND, THIRD, FOURTH = (SPACE.architecture_at(index) for index in range(4))


def searched() -> BlackBoxSearched:
    rows = ((FIRST, 0.5, ""), (SECOND, 0.0, "it crashed"), (THIRD, 0.7, ""), (FOURTH, 0.6, ""))
    return BlackBoxSearched(
        tuple(Evaluated(arch, score, {"macs": 10.0}, score, failure) for arch, score, failure in rows), proposals=9
    )


def test_a_course_is_each_new_best() -> None:
    found = attempt_of("evolution", 3, searched(), Accuracy(), Spent(2.0, 3.0), Spent(0.5, 0.6))
    assert found.course == (Step(1, 0.5, 0.5, {"macs": 10.0}), Step(3, 0.7, 0.7, {"macs": 10.0}))
    assert (found.evaluations, found.proposals, found.failures, found.architecture) == (4, 9, 1, THIRD)
    at = [found.at(evaluations) for evaluations in (0, 1, 2, 3, 100)]
    assert [one and one.accuracy for one in at] == [None, 0.5, 0.5, 0.7, 0.7]


def test_only_what_is_inside_the_limits_was_found_whatever_the_strategy_learned_from() -> None:
    """A soft reward prefers the network over the limit; the course is that of the best one inside."""
    soft = PowerReward("latency", 1.0)
    rows = ((FIRST, 0.80, 1.10), (SECOND, 0.60, 0.90), (THIRD, 0.95, 1.01), (FOURTH, 0.70, 1.00))
    found = BlackBoxSearched(tuple(
        Evaluated(arch, accuracy, {"latency": ms}, soft.score(accuracy, {"latency": ms})) for arch, accuracy, ms in rows
    ))  # fmt: skip
    assert found.best().architecture == THIRD
    inside = attempt_of("mnasnet", 0, found, Limited(limits={"latency": 1.0}), Spent(), None)
    assert inside.course == (Step(2, 0.60, 0.60, {"latency": 0.90}), Step(4, 0.70, 0.70, {"latency": 1.00}))
    assert (inside.architecture, inside.evaluations, inside.failures) == (FOURTH, 4, 0)
    assert inside.at(1) is None and inside.at(3) == inside.course[0]
    nothing = attempt_of("mnasnet", 0, found, Limited(limits={"latency": 0.5}), Spent(), None)
    assert (nothing.course, nothing.architecture, nothing.evaluations) == ((), None, 4)


@pytest.mark.parametrize("deciding", [Spent(0.5, 0.6), None])
@pytest.mark.parametrize("searches", [searched(), BlackBoxSearched((), 20)])
def test_rows_come_back_as_they_were(searches: BlackBoxSearched, deciding: Spent | None) -> None:
    found = attempt_of("random", 0, searches, Accuracy(), Spent(2.0, 3.0), deciding)
    assert Attempt.from_json(json.loads(json.dumps(found.to_json())), "here") == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"course": [[1, 0.5]]}, {"course": None}, {"seed": "x"}, {"architecture": {}}, {"spent": {"seconds": 1}},
        {"course": [[1, 0.5, 0.5, ["macs"]]]},
    ],
)  # fmt: skip
def test_a_damaged_row_names_its_place(wrong: dict[str, Any]) -> None:
    row = attempt_of("random", 0, searched(), Accuracy(), Spent(), Spent()).to_json() | wrong
    with pytest.raises(FileFormatError, match="row 7"):
        Attempt.from_json(row, "row 7")


def test_a_timed_controller_does_what_the_other_does() -> None:
    plain, timed = EvolutionController(SPACE, 5), TimedController(EvolutionController(SPACE, 5))

    def went(controller: Any) -> list[list[Architecture]]:
        proposed = []
        for step in range(12):
            proposed.append(controller.propose(2))
            controller.observe([(arch, step + len(arch.id)) for arch in proposed[-1]])
        return proposed

    assert went(plain) == went(timed)
    assert plain.state_dict() == timed.state_dict() and plain.best_guess() == timed.best_guess()
    assert timed.spent.wall_seconds > 0
    again = TimedController(EvolutionController(SPACE, 5))
    again.load_state_dict(timed.state_dict())
    assert again.propose(2) == plain.propose(2)
