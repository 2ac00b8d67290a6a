"""Evolution by hand: founders, tournaments, ageing, repeats."""

from __future__ import annotations

import json

import pytest

from hwnas.controllers.evolution import EvolutionController, EvolutionSettings
from hwnas.controllers.random import RandomController
from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.errors import FileFormatError, InputError
from hwnas.testing.controllers import score_of

WIDE = ChoiceSpace("wide@1", tuple(Choice(f"c{place}", tuple(range(4))) for place in range(12)))


def distance(a: Architecture, b: Architecture) -> int:
    return sum(one != other for one, other in zip(a.choices, b.choices, strict=True))


def test_founders_are_those_of_random_search() -> None:
    founders = EvolutionController(WIDE, 3, EvolutionSettings(8, 2)).propose(8)
    assert founders == RandomController(WIDE, 3).propose(8)


def test_a_tournament_of_all_makes_mutants_of_the_best_that_lives() -> None:
    controller = EvolutionController(WIDE, 0, EvolutionSettings(4, 4))
    founders = controller.propose(4)
    # With replacement four draws may miss the best; over many children nearly all are hers.
    controller.observe([(arch, float(at == 2)) for at, arch in enumerate(founders)])
    children = controller.propose(200)
    hers = sum(distance(child, founders[2]) <= 2 for child in children)
    assert 0.55 < hers / 200 < 0.85  # 1 − (3/4)^4 = 0.68


def test_the_oldest_die_however_good_they_were() -> None:
    controller = EvolutionController(WIDE, 0, EvolutionSettings(4, 4))
    founders = controller.propose(4)
    controller.observe([(founders[0], 1.0), *((arch, 0.5) for arch in founders[1:])])
    others = [WIDE.architecture({f"c{place}": option for place in range(12)}) for option in range(4)]
    controller.observe([(others[0], 0.1)])
    assert [row[1] for row in controller.state_dict()["living"]] == [0.5, 0.5, 0.5, 0.1]
    assert controller.best_guess() == founders[0]
    controller.observe([(arch, 0.2) for arch in others[1:]])
    assert all(min(distance(child, one) for one in others) <= 2 for child in controller.propose(50))


def test_nothing_is_proposed_twice_while_there_is_something_new_nearby() -> None:
    controller = EvolutionController(WIDE, 1, EvolutionSettings(10, 10))
    seen: list[Architecture] = []
    for _ in range(500):
        (arch,) = controller.propose(1)
        controller.observe([(arch, score_of(arch))])
        seen.append(arch)
    assert len(set(seen)) == 500


def test_a_small_space_is_proposed_whole_and_then_again() -> None:
    space = ChoiceSpace("four@1", (Choice("a", (0, 1)), Choice("b", (0, 1))))
    controller = EvolutionController(space, 0, EvolutionSettings(2, 1))
    proposed = []
    for _ in range(20):
        (arch,) = controller.propose(1)
        controller.observe([(arch, score_of(arch))])
        proposed.append(arch)
    assert set(proposed[:8]) == set(space.enumerate())


def test_without_scores_it_goes_on_at_random_and_survives_the_end_of_the_space() -> None:
    space = ChoiceSpace("four@1", (Choice("a", (0, 1)), Choice("b", (0, 1))))
    proposed = EvolutionController(space, 0, EvolutionSettings(2, 1)).propose(7)
    assert len(proposed) == 7 and set(proposed[:4]) == set(space.enumerate())


def test_the_mutation_rate_is_that_of_every_choice() -> None:
    controller = EvolutionController(WIDE, 0, EvolutionSettings(1, 1, mutation_rate=0.5))
    (founder,) = controller.propose(1)
    controller.observe([(founder, 1.0)])
    changed = [distance(child, founder) for child in controller.propose(200)]
    assert 5.5 < sum(changed) / 200 < 6.5


def test_a_living_one_of_another_space_is_refused() -> None:
    controller = EvolutionController(WIDE, 0)
    state = json.loads(json.dumps(controller.state_dict()))
    for living in ([[{"space": "other@1", "choices": {}}, 0.5]], [[1, 2, 3]], [[{}, 0.5]], 7):
        with pytest.raises((FileFormatError, InputError)):
            controller.load_state_dict({**state, "living": living})


@pytest.mark.parametrize("settings", [(0, 0), (10, 11), (10, 0), (10, 5, 1.5)])
def test_settings_out_of_range(settings: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="1 <= sample <= population"):
        EvolutionSettings(*settings)
