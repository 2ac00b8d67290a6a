"""REINFORCE by hand: gradients against torch, one step of Adam, the baseline, probabilities that sum to one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hwnas.controllers.categorical import CategoricalController, CategoricalSettings
from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.errors import FileFormatError, InputError
from hwnas.core.seeds import rng_for
from hwnas.testing.controllers import SPACE

COIN = ChoiceSpace("coin@1", (Choice("side", ("head", "tail")),))
HEAD, TAIL = (COIN.architecture({"side": side}) for side in ("head", "tail"))


def stirred(**settings: float) -> CategoricalController:
    """A controller in the middle of learning."""
    controller = CategoricalController(SPACE, 0, CategoricalSettings(**settings))
    controller.logits = rng_for(0, "logits").normal(size=len(controller.logits))
    return controller


def objective_by_torch(logits: torch.Tensor, arch: Architecture, advantage: float, weight: float) -> torch.Tensor:
    """Advantage · ln p + weight · entropy, choice by choice, without any of the controller's code."""
    options, total, at, removed = arch.as_dict(), torch.zeros((), dtype=torch.float64), 0, False
    for choice in SPACE.choices:
        row = logits[at : at + len(choice.options)]
        at += len(choice.options)
        decided = choice.name in options and not (choice.name.startswith("block") and removed)
        if decided:
            logs = torch.log_softmax(row, dim=0)
            total = total + advantage * logs[choice.options.index(options[choice.name])]
            total = total - weight * (logs.exp() * logs).sum()
        removed = removed or options.get(choice.name) == "none"
    return total


@pytest.mark.parametrize(("advantage", "weight"), [(1.0, 0.0), (-0.3, 0.0), (0.0, 1.0), (0.7, 0.2)])
def test_the_gradient_is_that_of_torch(advantage: float, weight: float) -> None:
    controller = stirred(entropy_weight=weight)
    for draw in range(30):
        arch = SPACE.sample(rng_for(draw, "gradient"))
        logits = torch.tensor(controller.logits, requires_grad=True)
        value = objective_by_torch(logits, arch, advantage, weight)
        value.backward()
        assert logits.grad is not None
        np.testing.assert_allclose(controller.gradient(arch, advantage), logits.grad.numpy(), atol=1e-12)
        by_parts = advantage * controller.log_probability(arch) + weight * controller.entropy(arch)
        assert value.item() == pytest.approx(by_parts, abs=1e-12)


def test_the_probabilities_of_all_networks_sum_to_one() -> None:
    controller = stirred()
    assert math.fsum(math.exp(controller.log_probability(arch)) for arch in SPACE.enumerate()) == pytest.approx(1)


def test_networks_are_drawn_with_their_probabilities() -> None:
    controller, draws = stirred(), 4000
    drawn = controller.propose(draws)
    likely = max(SPACE.enumerate(), key=controller.log_probability)
    expected = math.exp(controller.log_probability(likely))
    assert abs(drawn.count(likely) / draws - expected) < 4 * math.sqrt(expected / draws)


def test_choices_that_are_not_live_get_no_gradient() -> None:
    controller = stirred()
    arch = SPACE.architecture({"kind": "a", "only": "one", "block0": "none", "block1": "none", "block2": "none"})
    row = controller.gradient(arch, 1.0)
    # kind 3 columns, kernel 2, ratio 2, only 1, then three blocks of 3: "a" and the first "none" were the decisions.
    assert [bool(part.any()) for part in np.split(row, [3, 5, 7, 8, 11, 14])] == [
        True,
        *[False] * 3,
        True,
        *[False] * 2,
    ]


def test_two_steps_by_hand() -> None:
    controller = CategoricalController(COIN, 0, CategoricalSettings(lr=0.5, entropy_weight=0.0))
    # The first score is its own average: zero-debiased, 0.05·0.8 / (1 − 0.95) = 0.8. Nothing is learned.
    controller.observe([(HEAD, 0.8)])
    assert controller.logits.tolist() == [0.0, 0.0]
    # Then (0.95·0.04 + 0.05·0.4) / (1 − 0.95²) = 0.5949; advantage −0.1949, gradient −0.1949·(0.5, −0.5) for heads.
    average = (0.95 * 0.04 + 0.05 * 0.4) / (1 - 0.95**2)
    gradient = (0.4 - average) * 0.5
    size = math.sqrt(0.001 * gradient**2 / (1 - 0.999**2)) + 1e-8
    controller.observe([(HEAD, 0.4)])
    assert controller.logits == pytest.approx([0.5 * gradient / size, -0.5 * gradient / size])
    assert controller.best_guess() == TAIL


def test_scores_that_come_together_make_one_step_of_their_mean() -> None:
    controller = CategoricalController(COIN, 0, CategoricalSettings(lr=0.5, entropy_weight=0.0))
    controller.observe([(HEAD, 0.9), (TAIL, 0.1)])
    # average 0.5; gradient ½·(0.4·(½, −½) − 0.4·(−½, ½)) = (0.2, −0.2); the first step of Adam is lr·sign.
    assert controller.logits == pytest.approx([0.5, -0.5])
    controller.observe([])
    assert controller.logits == pytest.approx([0.5, -0.5])


def test_entropy_keeps_a_distribution_open() -> None:
    closed, opened = (CategoricalController(COIN, 0, CategoricalSettings(0.1, entropy_weight=w)) for w in (0.0, 1.0))
    for controller in (closed, opened):
        for _ in range(300):
            (arch,) = controller.propose(1)
            controller.observe([(arch, 1.0 if arch == HEAD else 0.9)])
    assert closed.entropy(HEAD) < 0.1 < 0.5 < opened.entropy(HEAD)


def test_it_learns_which_options_are_good() -> None:
    best = SPACE.architecture(
        {"kind": "b", "kernel": 5, "ratio": 2, "only": "one", "block0": "x", "block1": "y", "block2": "x"}
    ).as_dict()
    for seed in range(3):
        controller = CategoricalController(SPACE, seed, CategoricalSettings(lr=0.1))
        for _ in range(600):
            (arch,) = controller.propose(1)
            controller.observe([(arch, sum(best.get(name) == option for name, option in arch.choices) / 7)])
        assert controller.best_guess().as_dict() == best


@pytest.mark.parametrize(
    ("name", "value"),
    [("logits", [0.0]), ("squares", [-1.0] * 17), ("logits", [float("nan")] * 17), ("baseline", "x"),
     ("proposed", -1), ("updates", 1.5)],
)  # fmt: skip
def test_states_that_are_damaged(name: str, value: object) -> None:
    controller = CategoricalController(SPACE, 0)
    assert len(controller.logits) == 17
    with pytest.raises(FileFormatError, match="REINFORCE"):
        controller.load_state_dict({**controller.state_dict(), name: value})


def test_settings_of_another_are_refused() -> None:
    state = CategoricalController(SPACE, 0, CategoricalSettings(lr=0.2)).state_dict()
    with pytest.raises(FileFormatError, match="settings"):
        CategoricalController(SPACE, 0).load_state_dict(state)


@pytest.mark.parametrize("settings", [{"lr": 0.0}, {"baseline_decay": 1.0}, {"entropy_weight": -1.0}, {"lr": math.nan}])
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="REINFORCE"):
        CategoricalSettings(**settings)
