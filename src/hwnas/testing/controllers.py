"""The laws of a controller, as a test class that pytest runs on any of them.

In a test file of your own:

    @pytest.fixture
    def make_controller():
        return MyController  # called with (ChoiceSpace, seed); importable in another process

    @pytest.fixture
    def known_scores():
        return my_choices, {architecture: score, ...}  # a small space of which every score is known

    class TestMyController(ControllerContract):
        pass
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace, Condition, EqualPlaces
from hwnas.core.errors import FileFormatError, InputError
from hwnas.core.protocols import Controller

STEPS, BATCH = 20, 3
SEEDS = range(5)
PROPOSALS_PER_NETWORK = 20
# Conditions, equal places and a choice of one option; 105 architectures.
SPACE = ChoiceSpace(
    "contract@1",
    (
        Choice("kind", ("a", "b", "c")),
        Choice("kernel", (3, 5), Condition("kind", ("b", "c"))),
        Choice("ratio", (1, 2), Condition("kernel", (5,))),
        Choice("only", ("one",)),
        *(Choice(f"block{place}", ("x", "none", "y")) for place in range(3)),
    ),
    (EqualPlaces(("block0", "block1", "block2"), "none"),),
)
MakeController = Callable[[ChoiceSpace, int], Controller]
KnownScores = tuple[ChoiceSpace, Mapping[Architecture, float]]


class ControllerContract:
    """Every test takes a fixture `make_controller`, the last one `known_scores` besides."""

    def test_proposals_are_canonical_and_inside_the_space(self, make_controller: MakeController) -> None:
        """Every proposal is what the space makes of its choices, before and after scores are known."""
        proposed = proposals(make_controller(SPACE, 0), STEPS)
        assert len(proposed) == STEPS * BATCH
        assert all(SPACE.canonical(arch) == arch for arch in proposed)
        assert len(set(proposed)) > BATCH, "a controller tries more than one network"

    def test_the_seed_decides_everything(self, make_controller: MakeController) -> None:
        """Equal seeds propose equal architectures, in another process too; another seed proposes others."""
        here = [arch.id for arch in proposals(make_controller(SPACE, 7), STEPS)]
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            assert pool.submit(proposed_ids, make_controller, 7).result() == here
        assert proposed_ids(make_controller, 8) != here

    def test_it_goes_on_bit_for_bit(self, make_controller: MakeController) -> None:
        """Twenty steps are ten, a state through JSON into a new controller, and ten more."""
        whole, first, second = (make_controller(SPACE, 1) for _ in range(3))
        expected = proposals(whole, STEPS)
        before = proposals(first, STEPS // 2)
        second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
        assert before + proposals(second, STEPS - STEPS // 2) == expected
        assert json.dumps(second.state_dict()) == json.dumps(whole.state_dict())
        assert second.best_guess() == whole.best_guess()

    def test_it_goes_on_between_proposals_and_their_scores(self, make_controller: MakeController) -> None:
        """A state taken while scores are still awaited takes them afterwards."""
        whole, second = make_controller(SPACE, 2), make_controller(SPACE, 2)
        waiting = whole.propose(BATCH)
        second.load_state_dict(json.loads(json.dumps(whole.state_dict(), allow_nan=False)))
        for controller in (whole, second):
            controller.observe([(arch, score_of(arch)) for arch in waiting])
        assert proposals(second, STEPS) == proposals(whole, STEPS)

    def test_the_state_of_another_is_refused(self, make_controller: MakeController) -> None:
        """Another seed, another space, a field that is missing."""
        controller = make_controller(SPACE, 0)
        state = controller.state_dict()
        for name in ("seed", "space"):
            with pytest.raises(FileFormatError, match=name):
                controller.load_state_dict({**state, name: "other"})
        for name in state:
            with pytest.raises(FileFormatError):
                controller.load_state_dict({key: value for key, value in state.items() if key != name})
        assert json.dumps(controller.state_dict()) == json.dumps(state)

    def test_a_score_that_is_not_finite_is_refused(self, make_controller: MakeController) -> None:
        """It would stand for ever in every average."""
        controller = make_controller(SPACE, 0)
        (arch,) = controller.propose(1)
        for score in (float("nan"), float("inf"), float("-inf")):
            with pytest.raises(InputError, match=arch.id):
                controller.observe([(arch, score)])

    def test_the_best_of_a_known_space_is_found(
        self, make_controller: MakeController, known_scores: KnownScores
    ) -> None:
        """Among its proposals, at most twenty times as many as there are networks, for every seed."""
        space, scores = known_scores
        best = max(scores, key=lambda arch: scores[arch])
        for seed in SEEDS:
            controller = make_controller(space, seed)
            for _ in range(PROPOSALS_PER_NETWORK * len(scores)):
                proposed = controller.propose(1)
                controller.observe([(arch, scores[arch]) for arch in proposed])
                if best in proposed:
                    break
            else:
                pytest.fail(f"seed {seed}: {best} was never proposed")


def proposals(controller: Controller, steps: int) -> list[Architecture]:
    """What is proposed in so many steps of BATCH, each scored at once."""
    found: list[Architecture] = []
    for _ in range(steps):
        proposed = controller.propose(BATCH)
        controller.observe([(arch, score_of(arch)) for arch in proposed])
        found += proposed
    return found


def proposed_ids(make_controller: MakeController, seed: int) -> list[str]:
    """The ids of `proposals`, for another process."""
    return [arch.id for arch in proposals(make_controller(SPACE, seed), STEPS)]


def score_of(arch: Architecture) -> float:
    """A number from 0 to 1 that looks random and is the same everywhere."""
    return int(arch.id, 16) / 16**12
