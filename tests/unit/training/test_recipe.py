"""Learning rates and averages by hand."""

from __future__ import annotations

from math import cos, pi

import pytest
from torch import nn

from hwnas.training.recipe import Recipe, Schedule


def rates(recipe: Recipe, steps: int) -> list[float]:
    schedule = Schedule(nn.Linear(2, 2), recipe, steps)
    return [schedule.at(step).param_groups[0]["lr"] for step in range(steps)]


def test_a_linear_rise_and_then_a_cosine() -> None:
    found = rates(Recipe(lr=0.4, batch_size=64, warmup_share=0.05), 100)
    peak = 0.4 * 64 / 128
    assert found[:5] == pytest.approx([0.0, 0.2 * peak, 0.4 * peak, 0.6 * peak, 0.8 * peak])
    assert found[5:] == pytest.approx([peak * (1 + cos(pi * step / 100)) / 2 for step in range(5, 100)])
    assert found[50] == pytest.approx(peak / 2)


def test_without_a_warm_up_it_begins_at_the_peak() -> None:
    assert rates(Recipe(lr=0.4, batch_size=128, warmup_share=0.0), 10)[0] == pytest.approx(0.4)


def test_a_rate_follows_from_the_step_alone() -> None:
    recipe = Recipe()
    straight = rates(recipe, 40)
    schedule = Schedule(nn.Linear(2, 2), recipe, 40)
    for step in (30, 0, 17, 39, 1):
        assert schedule.at(step).param_groups[0]["lr"] == straight[step]


def test_decay_spares_batch_norms_and_biases() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    groups = Schedule(network, Recipe(weight_decay=0.01), 10).optimizer.param_groups
    decayed = [parameter for group in groups if group["weight_decay"] for parameter in group["params"]]
    assert [tuple(parameter.shape) for parameter in decayed] == [(2, 1, 3, 3)]
    assert {group["weight_decay"] for group in groups} == {0.0, 0.01}
    assert all(group["nesterov"] and group["momentum"] == 0.9 for group in groups)


@pytest.mark.parametrize(
    ("share", "steps", "decay"), [(0.02, 1000, 0.95), (0.02, 10_000, 0.995), (0.02, 50, 0.0), (0.0, 1000, 0.0)]
)
def test_the_average_looks_back_over_a_share_of_the_steps(share: float, steps: int, decay: float) -> None:
    assert Recipe(average_share=share).average_decay(steps) == pytest.approx(decay)
