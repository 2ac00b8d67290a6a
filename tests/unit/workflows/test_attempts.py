"""Attempts: the course of the best, as plain rows that come back whole or are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hwnas.controllers.evolution import EvolutionController
from hwnas.core.architecture import Architecture
from hwnas.core.errors import FileFormatError
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
    found = attempt_of("evolution", 3, searched(), Spent(2.0, 3.0), Spent(0.5, 0.6))
    assert found.course == (Step(1, 0.5, 0.5, {"macs": 10.0}), Step(3, 0.7, 0.7, {"macs": 10.0}))
    assert (found.evaluations, found.proposals, found.failures, found.architecture) == (4, 9, 1, THIRD)
    at = [found.at(evaluations) for evaluations in (0, 1, 2, 3, 100)]
    assert [one and one.accuracy for one in at] == [None, 0.5, 0.5, 0.7, 0.7]


@pytest.mark.parametrize("searches", [searched(), BlackBoxSearched((), 20)])
def test_rows_come_back_as_they_were(searches: BlackBoxSearched) -> None:
    found = attempt_of("random", 0, searches, Spent(2.0, 3.0), Spent(0.5, 0.6))
    assert Attempt.from_json(json.loads(json.dumps(found.to_json())), "here") == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"course": [[1, 0.5]]}, {"course": None}, {"seed": "x"}, {"architecture": {}}, {"spent": {"seconds": 1}},
        {"course": [[1, 0.5, 0.5, ["macs"]]]},
    ],
)  # fmt: skip
def test_a_damaged_row_names_its_place(wrong: dict[str, Any]) -> None:
    row = attempt_of("random", 0, searched(), Spent(), Spent()).to_json() | wrong
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
