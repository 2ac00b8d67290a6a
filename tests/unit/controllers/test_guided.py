"""The guided search by hand: founders, candidates, what it expects, where the limits are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import pytest

from hwnas.controllers.guided import (
    MOST_LEARNED,
    GuidedController,
    GuidedSettings,
    expected_improvement,
    most_telling,
    separating_plane,
    without_outliers,
)
from hwnas.controllers.random import RandomController
from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.errors import FileFormatError, InputError
from hwnas.core.predictor import Prediction
from hwnas.core.seeds import rng_for
from hwnas.strategies.guided import controller as guided

WIDE = ChoiceSpace("wide@1", tuple(Choice(f"c{place}", tuple(range(4))) for place in range(12)))
FOUR = ChoiceSpace("four@1", (Choice("a", (0, 1)), Choice("b", (0, 1))))


def total(arch: Architecture) -> int:
    return sum(int(option) for _, option in arch.choices)


def distance(a: Architecture, b: Architecture) -> int:
    return sum(one != other for one, other in zip(a.choices, b.choices, strict=True))


@dataclass(frozen=True)
class Oracle:
    """Knows every score and is sure of it; remembers how many lessons each fit had."""

    lessons: list[int]
    name: str = "oracle"

    def fit(self, architectures: Sequence[Architecture], accuracies: Sequence[float]) -> Oracle:
        self.lessons.append(len(accuracies))
        return self

    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        return Prediction(np.array([total(arch) / 36 for arch in architectures]))


def steps(controller: GuidedController, count: int, score: float | None = None) -> list[Architecture]:
    found = []
    for _ in range(count):
        proposed = controller.propose(1)
        controller.observe([(arch, total(arch) / 36 if score is None else score) for arch in proposed])
        found += proposed
    return found


def test_founders_are_those_of_random_search() -> None:
    assert guided(WIDE, 3).propose(10) == RandomController(WIDE, 3).propose(10)


def test_the_most_promising_is_a_mutant_of_one_of_the_best() -> None:
    controller = GuidedController(WIDE, 0, Oracle([]), GuidedSettings(founders=6, parents=1, mutations=2))
    founders = steps(controller, 6)
    best = max(founders, key=total)
    (child,) = controller.propose(1)
    assert 1 <= distance(child, best) <= 2
    assert total(child) > total(best)


def test_who_knows_all_climbs_to_the_top() -> None:
    found = steps(GuidedController(WIDE, 1, Oracle([])), 40)
    assert max(map(total, found)) == 36
    assert len(set(found)) == 40


def test_a_sum_is_climbed_with_the_gaussian_process() -> None:
    best = [max(map(total, steps(guided(WIDE, seed), 40))) for seed in range(3)]
    random = [max(map(total, RandomController(WIDE, seed).propose(40))) for seed in range(3)]
    assert min(best) >= 33 > max(random)


def test_a_batch_is_different_networks() -> None:
    controller = guided(WIDE, 0)
    controller.observe([(arch, total(arch) / 36) for arch in controller.propose(10)])
    batch = controller.propose(10)
    assert len(set(batch)) == 10
    assert np.mean([total(arch) for arch in batch]) > 20  # random ones have 18


def test_before_anything_is_known_all_are_random() -> None:
    assert guided(WIDE, 0).propose(30) == RandomController(WIDE, 0).propose(30)


def test_a_small_space_is_proposed_whole_and_no_more() -> None:
    assert set(steps(guided(FOUR, 0), 20)) == set(FOUR.enumerate())
    controller = guided(FOUR, 0)
    assert len(controller.propose(9)) == 4
    assert controller.propose(1) == []


def test_models_are_made_anew_when_a_fiftieth_more_is_known() -> None:
    oracle = Oracle([])
    steps(GuidedController(WIDE, 0, oracle), 160)
    # From 10 on after each; from 100 on after every second, from 150 on after every third.
    assert oracle.lessons == [*range(10, 101), *range(102, 151, 2), 153, 156, 159]


def test_limits_are_learned_from_scores_below_zero() -> None:
    controller, inside = guided(WIDE, 0), []
    for _ in range(150):
        (arch,) = controller.propose(1)
        # The better half by one measure costs too much by another.
        cost = sum(int(option) for _, option in arch.choices[:6]) / 9
        controller.observe([(arch, total(arch) / 36 if cost <= 1 else -cost)])
        inside.append(cost <= 1)
    assert np.mean(inside[-50:]) > 0.5
    # Nine of the first six choices, all of the others: 27 is the most that is inside.
    assert total(controller.best_guess()) >= 26


def test_outside_alone_it_finds_the_way_inside() -> None:
    controller = guided(WIDE, 0)
    for _ in range(60):
        (arch,) = controller.propose(1)
        controller.observe([(arch, 0.9 if total(arch) <= 6 else -total(arch) / 6)])
    assert total(controller.best_guess()) <= 6


def test_the_plane_is_between_inside_and_outside() -> None:
    archs = [WIDE.sample(rng_for(0, "plane", at)) for at in range(200)]
    lessons = [(arch, 0.5 if arch["c0"] in (0, 1) else -1.5) for arch in archs]
    plane = separating_plane(WIDE, lessons, 10.0)
    assert plane is not None
    weights, _ = plane
    assert weights[:2].min() > 1 and weights[2:4].max() < -1 and abs(weights[4:]).max() < 1
    assert separating_plane(WIDE, [(arch, 0.5) for arch in archs], 10.0) is None
    assert separating_plane(WIDE, [], 10.0) is None


def test_expected_improvement_by_hand() -> None:
    gains = expected_improvement(Prediction(np.array([0.5, 0.7, 0.3]), np.array([0.1, 0.0, 0.0])), 0.5)
    # At the best itself: 0.1 · φ(0). Without deviation: what is above the best.
    assert gains == pytest.approx([0.1 / sqrt(2 * pi), 0.2, 0.0])
    one = expected_improvement(Prediction(np.array([1.0]), np.array([1.0])), 0.0)
    assert one == pytest.approx([0.8413447460685429 + 0.24197072451914337])  # Φ(1) + φ(1)
    assert expected_improvement(Prediction(np.array([0.7, 0.3])), 0.5) == pytest.approx([0.2, 0.0])


def test_a_failure_does_not_decide_the_scale() -> None:
    assert without_outliers([0.0, 0.90, 0.91, 0.92, 0.93]) == pytest.approx([0.71, 0.90, 0.91, 0.92, 0.93])
    assert without_outliers([0.9, 0.9, 0.9]).tolist() == [0.9, 0.9, 0.9]


def test_of_too_many_the_latest_and_the_best_are_learned() -> None:
    arch = FOUR.sample(rng_for(0, "any"))
    lessons = [(arch, float(at)) for at in range(MOST_LEARNED + 100)][::-1]
    kept = [score for _, score in most_telling(lessons)]
    assert len(kept) == MOST_LEARNED
    assert kept == [*range(599, 349, -1), *range(249, -1, -1)]
    assert most_telling(lessons[:MOST_LEARNED]) == lessons[:MOST_LEARNED]


def test_another_predictor_is_another_controller() -> None:
    state = guided(WIDE, 0).state_dict()
    with pytest.raises(FileFormatError, match="settings"):
        GuidedController(WIDE, 0, Oracle([])).load_state_dict(state)


@pytest.mark.parametrize(
    ("field", "value"),
    [("observed", [[1, 2, 3]]), ("observed", 7), ("awaited", [{}]), ("learned", 11), ("proposed", -1), ("dealt", 1.5)],
)  # fmt: skip
def test_a_damaged_state_is_refused(field: str, value: object) -> None:
    controller = guided(WIDE, 0)
    steps(controller, 5)
    state = json.loads(json.dumps(controller.state_dict()))
    with pytest.raises((FileFormatError, InputError)):
        controller.load_state_dict({**state, field: value})


@pytest.mark.parametrize("settings", [(1,), (10, 0), (10, 5, 0), (10, 5, 3, 2), (10, 5, 3, 100, 0.0)])
def test_settings_out_of_range(settings: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="a guided search needs"):
        GuidedSettings(*settings)
