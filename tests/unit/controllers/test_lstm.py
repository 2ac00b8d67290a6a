"""The LSTM and PPO by hand: log-probabilities in numpy, the clipped objective in numbers, gradients, draws."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from hwnas.controllers.decisions import Decisions, Drawn
from hwnas.controllers.lstm import LstmPolicy, clipped_surrogate, plain_surrogate
from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace, Condition
from hwnas.core.seeds import rng_for
from hwnas.testing.controllers import SPACE

TINY = ChoiceSpace("tiny@1", (Choice("a", ("x", "y")), Choice("b", (1, 2, 3), Condition("a", ("y",)))))
COIN = ChoiceSpace("coin@1", (Choice("side", ("head", "tail")),))
HEAD, TAIL = (COIN.architecture({"side": side}) for side in ("head", "tail"))


def policy_of(space: ChoiceSpace, hidden: int = 3, seed: int = 0, lr: float = 0.01) -> LstmPolicy:
    """A policy with weights large enough to have opinions."""
    policy = LstmPolicy(Decisions(space), hidden, lr, rng_for(seed, "weights"))
    with torch.no_grad():
        for weights in policy.network.parameters():
            weights.mul_(15.0)
    return policy


def step_by_hand(network: torch.nn.Module, read: int, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of an LSTM as its equations have it, in torch's order of gates: input, forget, cell, output."""
    weights = {name: value.detach().numpy() for name, value in network.named_parameters()}
    gates = (
        weights["lstm.weight_ih_l0"] @ weights["options.weight"][read] + weights["lstm.bias_ih_l0"]
        + weights["lstm.weight_hh_l0"] @ h + weights["lstm.bias_hh_l0"]
    )  # fmt: skip
    i, f, g, o = np.split(gates, 4)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


def softmax_by_hand(network: torch.nn.Module, h: np.ndarray, columns: slice) -> np.ndarray:
    logits = (network.heads.weight.detach().numpy() @ h + network.heads.bias.detach().numpy())[columns]
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum())


def test_the_first_weights_are_uniform_and_the_seeds() -> None:
    state = torch.random.get_rng_state()
    policy = LstmPolicy(Decisions(TINY), 100, 0.01, rng_for(0, "weights"))
    assert torch.equal(torch.random.get_rng_state(), state), "torch's own generator is not touched"
    weights = policy.values()["weights"]
    # embeddings (5 + 1)·100, the LSTM 4·100·(100 + 100 + 2), the heads 5·100 + 5
    assert weights.size == 600 + 80_800 + 505
    assert -0.1 <= weights.min() < -0.0999 and 0.0999 < weights.max() <= 0.1 and abs(weights.mean()) < 1e-3
    assert np.array_equal(LstmPolicy(Decisions(TINY), 100, 0.01, rng_for(0, "weights")).values()["weights"], weights)


def test_log_probabilities_by_hand() -> None:
    policy = policy_of(TINY)
    network, zero = policy.network, np.zeros(3)
    h, c = step_by_hand(network, 5, zero, zero)  # row 5: nothing taken yet
    first = softmax_by_hand(network, h, slice(0, 2))
    h, c = step_by_hand(network, 1, h, c)  # row 1: a = y
    second = softmax_by_hand(network, h, slice(2, 5))
    x = TINY.architecture({"a": "x"})
    assert policy.judged(x) == Drawn(x, (pytest.approx(math.log(first[0]), abs=1e-12),))
    for at, option in enumerate((1, 2, 3)):
        arch = TINY.architecture({"a": "y", "b": option})
        expected = (math.log(first[1]), math.log(second[at]))
        assert policy.judged(arch).log_probabilities == pytest.approx(expected, abs=1e-12)
    log_p, entropy = network(torch.tensor([[0, -1], [1, 4]]))  # x, which has one decision; and y, 3
    assert log_p.tolist() == [[pytest.approx(math.log(first[0])), 0.0], pytest.approx(np.log([first[1], second[2]]))]
    entropies = [-(p * np.log(p)).sum() for p in (first, second)]
    assert entropy.tolist() == [[pytest.approx(entropies[0]), 0.0], pytest.approx(entropies)]


def test_what_is_drawn_knows_its_probability() -> None:
    policy = policy_of(SPACE)
    drawn = policy.draw(rng_for(0, "points").random((200, 7)))
    assert len({one.architecture for one in drawn}) > 20
    for one in drawn:
        judged = policy.judged(one.architecture)
        assert judged.architecture == one.architecture
        assert judged.log_probabilities == pytest.approx(one.log_probabilities, abs=1e-12)


def test_points_fall_into_shares_in_the_order_of_options() -> None:
    policy = policy_of(COIN)
    head = math.exp(policy.judged(HEAD).log_probabilities[0])
    drawn = policy.draw(np.array([[0.0], [head - 1e-9], [head + 1e-9], [1 - 2**-53]]))
    assert [one.architecture for one in drawn] == [HEAD, HEAD, TAIL, TAIL]


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "slope"),
    [
        (1.0, 2.0, 2.0, 2.0),  # where it was drawn: the policy gradient
        (1.1, 2.0, 2.2, 2.2),  # inside the clip: r·A, whose slope in ln p is r·A
        (1.5, 2.0, 2.4, 0.0),  # better already by more than the clip: nothing more to gain
        (0.5, 2.0, 1.0, 1.0),  # a good one that became rarer is pulled back
        (0.5, -2.0, -1.6, 0.0),  # a bad one that became rarer by more than the clip
        (1.5, -2.0, -3.0, -3.0),  # a bad one that became likelier is pushed back
    ],
)
def test_the_clipped_objective_by_hand(ratio: float, advantage: float, expected: float, slope: float) -> None:
    log_p = torch.tensor([math.log(0.25 * ratio)], dtype=torch.float64, requires_grad=True)
    old, of_each = (torch.tensor([value], dtype=torch.float64) for value in (math.log(0.25), advantage))
    value = clipped_surrogate(log_p, old, of_each, 0.2)
    value.sum().backward()
    assert value.item() == pytest.approx(expected)
    assert log_p.grad is not None and log_p.grad.item() == pytest.approx(slope)
    assert plain_surrogate(log_p, of_each).item() == pytest.approx(advantage * math.log(0.25 * ratio))


def test_a_ratio_beyond_all_measure_is_a_number() -> None:
    log_p = torch.tensor([-1.0], dtype=torch.float64, requires_grad=True)
    value = clipped_surrogate(log_p, torch.tensor([-5000.0]), torch.tensor([-1e30]), 0.2)
    value.sum().backward()
    assert math.isfinite(value.item()) and log_p.grad is not None and math.isfinite(log_p.grad.item())


@pytest.mark.parametrize(("clip", "epochs"), [(None, 1), (0.2, 1), (0.2, 8)])
@pytest.mark.parametrize("space", [TINY, SPACE])
def test_what_was_good_becomes_likelier(space: ChoiceSpace, clip: float | None, epochs: int) -> None:
    good, bad = list(space.enumerate())[:: space.size() - 1]
    policy = policy_of(space, lr=1e-3)
    batch = [policy.judged(arch) for arch in (good, bad)]
    policy.learn(batch, [0.3, -0.2], 0.0, epochs, clip)
    for before, sign in zip(batch, (1, -1), strict=True):
        after = policy.judged(before.architecture)
        assert sign * (sum(after.log_probabilities) - sum(before.log_probabilities)) > 1e-4


def test_the_gradient_is_that_of_the_objective() -> None:
    """The first step of Adam goes lr against the sign of each slope; slopes here are differences of the objective."""
    policy, pair = policy_of(TINY, lr=1e-3), list(TINY.enumerate())[::3]
    batch, advantages = [policy.judged(arch) for arch in pair], [0.5, -0.25]

    def objective(arch: Architecture, advantage: float) -> float:
        log_p, entropy = policy.network(policy._taken([arch]))
        return float(advantage * log_p.sum() + 0.1 * entropy.sum())

    slopes = []
    with torch.no_grad():
        for weights in policy.network.parameters():
            for place in product(*map(range, weights.shape)):
                sides, own = [], weights[place].item()
                for shift in (1e-5, -1e-5):
                    weights[place] = own + shift
                    sides.append(sum(map(objective, pair, advantages)) / 2)
                weights[place] = own
                slopes.append((sides[0] - sides[1]) / 2e-5)
    before = policy.values()["weights"]
    policy.learn(batch, advantages, 0.1, epochs=1, clip=0.2)
    moved, slope = policy.values()["weights"] - before, np.array(slopes)
    clear = np.abs(slope) > 1e-4  # well above Adam's ε of 1e-8
    assert clear.sum() > 50
    np.testing.assert_allclose(moved[clear], 1e-3 * np.sign(slope[clear]), rtol=1e-3)
    np.testing.assert_allclose(policy.values()["means"], -0.1 * slope, atol=1e-8)


def test_one_epoch_of_ppo_is_the_policy_gradient() -> None:
    clipped, plain = policy_of(SPACE), policy_of(SPACE)
    for clip, policy in ((0.2, clipped), (None, plain)):
        batch = policy.draw(rng_for(1, "points").random((20, 7)))
        policy.learn(batch, [0.1 * at - 1 for at in range(20)], 1e-3, 1, clip)
    np.testing.assert_allclose(clipped.values()["means"], plain.values()["means"], atol=1e-14)


def test_more_epochs_go_further_but_not_past_the_clip() -> None:
    gained = {}
    for epochs in (1, 5, 200):
        policy = policy_of(COIN, lr=0.002)
        before = policy.judged(HEAD)
        policy.learn([before], [1.0], 0.0, epochs, 0.2)
        gained[epochs] = math.exp(policy.judged(HEAD).log_probabilities[0] - before.log_probabilities[0])
    assert 1 < gained[1] < gained[5] < gained[200]
    # Past the clip no slope is left, but Adam still glides: far less than the 200 steps would go without one.
    free = policy_of(COIN, lr=0.002)
    for _ in range(200):
        free.learn([free.judged(HEAD)], [1.0], 0.0, 1, None)
    assert gained[200] < 1.5 < math.exp(free.judged(HEAD).log_probabilities[0] - before.log_probabilities[0])


def test_a_space_without_decisions() -> None:
    single = ChoiceSpace("single@1", (Choice("only", ("one",)),))
    policy = policy_of(single)
    (drawn,) = policy.draw(np.array([[0.5]]))
    assert drawn == Drawn(single.architecture({"only": "one"}), ())
    before = policy.values()["weights"]
    policy.learn([drawn], [1.0], 0.1, 3, 0.2)
    assert np.array_equal(policy.values()["weights"], before)
