"""α and its two-path update: by hand, against differences, and against enumeration of every pair."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch.nn import functional

from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace, EqualPlaces
from hwnas.core.cost import CostTerms
from hwnas.core.seeds import rng_for
from hwnas.nn.gates import Gates, Pairs, expected_cost_of_pairs, gate_to_alpha, pair_probabilities, rescale
from hwnas.nn.supernet import PathSupernet
from hwnas.spaces.proxyless import ProxylessSpace

UNEVEN = ChoiceSpace("uneven@1", (Choice("few", ("a", "b")), Choice("many", ("a", "b", "c", "d"))))
THREE = ChoiceSpace("three@1", (Choice("only", ("a", "b", "c")),))
TINY = ProxylessSpace(
    name="tiny@1",
    input_shape=(1, 8, 8),
    classes=3,
    stem_channels=8,
    stem_stride=1,
    first_channels=8,
    stage_channels=(8, 16),
    stage_layers=(2, 2),
    stage_strides=(1, 2),
    head_channels=16,
    kernels=(3, 5),
    expansions=(1, 3),
)


def gates_at(space: ChoiceSpace, *rows: list[float]) -> Gates:
    """Gates with these probabilities."""
    gates = Gates(space, np.random.default_rng(0))
    with torch.no_grad():
        for row, probabilities in enumerate(rows):
            gates.alpha[row, : len(probabilities)] = torch.tensor(probabilities).log()
    return gates


def pair_of(space: ChoiceSpace, active: list[int], other: list[int]) -> Pairs:
    def arch(columns: list[int]) -> Architecture:
        chosen = zip(space.choices, columns, strict=True)
        return Architecture(space.name, tuple((choice.name, choice.options[column]) for choice, column in chosen))

    return Pairs(torch.tensor([active, other]).T, arch(active), arch(other))


# ∂L/∂g


@pytest.fixture(scope="module")
def problem() -> tuple[PathSupernet, torch.Tensor, torch.Tensor, Pairs]:
    """A supernet in double precision, images, labels, and a pair of paths in which Zero is once active, once not."""
    supernet = PathSupernet(TINY, seed=0).double().train()
    images = torch.randn(5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pairs = pair_of(TINY.choices, [0, 4, 1, 3], [3, 1, 2, 4])
    assert (pairs.active["stage1.block1"], pairs.other["stage2.block1"]) == ("zero", "zero")
    return supernet, images, torch.tensor([0, 1, 2, 0, 1]), pairs


def loss_at(problem, switch: torch.Tensor) -> torch.Tensor:
    supernet, images, labels, pairs = problem
    return functional.cross_entropy(supernet.forward_two_paths(images, pairs.active, pairs.other, switch), labels)


def central_differences(problem, switch: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    found = torch.zeros_like(switch)
    with torch.no_grad():
        for index in np.ndindex(*switch.shape):
            moved = torch.zeros_like(switch)
            moved[index] = step
            found[index] = (loss_at(problem, switch + moved) - loss_at(problem, switch - moved)) / (2 * step)
    return found


def test_gate_gradients_are_central_differences_at_the_active_path(problem) -> None:
    switch = torch.tensor([[1.0, 0.0]] * 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss_at(problem, switch), switch)
    # Every choice is pushed, also where Zero is active. (Only from one side: a batch-norm further on takes the scale
    # of the active option back out.)
    assert (gradient.abs().amax(dim=1) > 1e-4).all()
    torch.testing.assert_close(gradient, central_differences(problem, switch.detach()), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("row", range(4))
def test_gate_gradients_are_central_differences_at_mixed_gates(problem, row: int) -> None:
    # The path beside carries no gradient further back, so mixed gates are exact up to the row that is looked at.
    mixed = torch.tensor([[0.7, 0.4], [0.2, 0.9], [1.1, -0.3], [0.5, 0.5]], dtype=torch.float64)
    mixed[row + 1 :] = torch.tensor([1.0, 0.0], dtype=torch.float64)
    mixed.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss_at(problem, mixed), mixed)
    expected = central_differences(problem, mixed.detach())
    torch.testing.assert_close(gradient[row:], expected[row:], rtol=1e-5, atol=1e-8)


def test_at_the_gates_of_training_two_paths_are_the_active_path(problem) -> None:
    supernet, images, _, pairs = problem
    switch = torch.tensor([[1.0, 0.0]] * 4, dtype=torch.float64)
    two = supernet.forward_two_paths(images, pairs.active, pairs.other, switch)
    torch.testing.assert_close(two, supernet(images, pairs.active), rtol=1e-12, atol=1e-12)
    swapped = supernet.forward_two_paths(images, pairs.active, pairs.other, switch.flip(1))
    torch.testing.assert_close(swapped, supernet(images, pairs.other), rtol=1e-12, atol=1e-12)


# ∂L/∂α


def test_alpha_gradient_by_hand() -> None:
    p = torch.tensor([[1 / 8, 2 / 8, 5 / 8]])
    gate_gradient = torch.tensor([[8.0, -4.0, 1.6]])
    # Σ_j ∂L/∂g_j p_j = 1 − 1 + 1 = 1, so ∂L/∂α = p·(∂L/∂g − 1) = (7/8, −5/4, 3/8), which sums to zero.
    torch.testing.assert_close(gate_to_alpha(gate_gradient, p), torch.tensor([[0.875, -1.25, 0.375]]))


def test_alpha_gradient_is_autograds_for_a_loss_linear_in_the_gates() -> None:
    alpha = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(6, 5, dtype=torch.float64)
    p = torch.softmax(alpha, dim=1)
    (expected,) = torch.autograd.grad((weights * p).sum(), alpha)
    torch.testing.assert_close(gate_to_alpha(weights, p.detach()), expected, rtol=1e-12, atol=1e-12)


# the two-path update as a whole

SHARES = [0.2, 0.5, 0.3]
WEIGHTS = torch.tensor([2.0, -1.0, 0.5])  # L(g) = Σ w·g
RATE = 0.4


def updated(pairs: Pairs) -> np.ndarray:
    """Probabilities after one step of plain gradient descent on one pair, by the functions of the search."""
    gates = gates_at(THREE, SHARES)
    before = gates.alpha.detach().clone()
    p = pair_probabilities(gates.alpha, pairs).detach()
    gradient = gate_to_alpha(WEIGHTS[pairs.columns], p)
    with torch.no_grad():
        gates.alpha.scatter_add_(1, pairs.columns, -RATE * gradient)
        rescale(gates.alpha, before, pairs)
    return gates.probabilities()[0].double().numpy()


def expected_by_hand(active: int, other: int) -> np.ndarray:
    """The same by hand: the two share their mass anew, the third keeps its own."""
    p, w = np.asarray(SHARES), WEIGHTS.double().numpy()
    mass = p[active] + p[other]
    a, b = p[active] / mass, p[other] / mass
    push = RATE * a * b * (w[active] - w[other])
    odds = p[active] / p[other] * np.exp(-2 * push)
    result = p.copy()
    result[active], result[other] = mass * odds / (1 + odds), mass / (1 + odds)
    return result


def probability_of(active: int, other: int) -> float:
    """Of drawing these two without replacement, in either order, and the first of them being the active one."""
    p = SHARES
    drawn = p[active] * p[other] / (1 - p[active]) + p[other] * p[active] / (1 - p[other])
    return drawn * p[active] / (p[active] + p[other])


def test_the_two_path_update_against_enumeration_of_all_ordered_pairs() -> None:
    everything = list(permutations(range(3), 2))
    assert sum(probability_of(*pair) for pair in everything) == pytest.approx(1.0)
    for active, other in everything:
        found = updated(pair_of(THREE, [active], [other]))
        np.testing.assert_allclose(found, expected_by_hand(active, other), rtol=1e-5)
    exact = sum(probability_of(*pair) * expected_by_hand(*pair) for pair in everything)

    gates, rng, draws = gates_at(THREE, SHARES), np.random.default_rng(0), 6000
    by_pair = {pair: updated(pair_of(THREE, [pair[0]], [pair[1]])) for pair in everything}
    drawn = [tuple(gates.sample_pairs(rng).columns[0].tolist()) for _ in range(draws)]
    moved = np.asarray([by_pair[pair] for pair in drawn])
    error = (moved.mean(axis=0) - exact) / (moved.std(axis=0) / draws**0.5)
    assert np.abs(error).max() < 3.5
    # The step lowers the expected loss, and by more than its own noise.
    assert float((exact - np.asarray(SHARES)) @ WEIGHTS.double().numpy()) < -0.05


def test_pairs_are_drawn_as_often_as_they_should_be() -> None:
    gates, rng, draws = gates_at(THREE, SHARES), np.random.default_rng(1), 6000
    counts = Counter(tuple(gates.sample_pairs(rng).columns[0].tolist()) for _ in range(draws))
    everything = list(permutations(range(3), 2))
    expected = [draws * probability_of(*pair) for pair in everything]
    assert chisquare([counts[pair] for pair in everything], expected).pvalue > 1e-3


def test_paths_are_drawn_by_softmax_of_alpha() -> None:
    gates, rng, draws = gates_at(UNEVEN, [0.9, 0.1], [0.1, 0.2, 0.3, 0.4]), np.random.default_rng(2), 6000
    drawn = Counter(gates.sample(rng) for _ in range(draws))
    expected = {
        (few, many): draws * p * q
        for few, p in zip("ab", (0.9, 0.1), strict=True)
        for many, q in zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True)
    }
    found = {(str(arch["few"]), str(arch["many"])): count for arch, count in drawn.items()}
    assert set(found) == set(expected)
    assert chisquare([found[key] for key in expected], list(expected.values())).pvalue > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_rescaling_keeps_what_was_not_drawn(seed: int) -> None:
    gates = Gates(UNEVEN, rng_for(seed, "start"))
    rng = np.random.default_rng(seed)
    alpha = torch.where(gates.alpha.detach().isinf(), -torch.inf, torch.from_numpy(rng.normal(0, 2, (2, 4))))
    before, pairs = alpha.clone(), gates.sample_pairs(rng)
    alpha.scatter_add_(1, pairs.columns, torch.from_numpy(rng.normal(0, 3, (2, 2))))
    moved = alpha.clone()
    rescale(alpha, before, pairs)
    untouched = torch.ones_like(alpha, dtype=torch.bool).scatter(1, pairs.columns, False)
    torch.testing.assert_close(alpha.softmax(1)[untouched], before.softmax(1)[untouched], rtol=1e-12, atol=0)
    # Between the two, the optimiser's step stands.
    ratio, wanted = (values.gather(1, pairs.columns).diff(dim=1) for values in (alpha, moved))
    torch.testing.assert_close(ratio, wanted, rtol=1e-12, atol=1e-12)


# latency

COSTS = {"few": {"a": 1.0, "b": 3.0}, "many": {"a": 0.0, "b": 2.0, "c": 4.0, "d": 8.0}}


def test_expected_cost_by_hand() -> None:
    gates = gates_at(UNEVEN, [0.25, 0.75], [0.1, 0.2, 0.3, 0.4])
    terms = CostTerms(10.0, COSTS)
    assert gates.expected_cost(terms) == pytest.approx(10 + 2.5 + 4.8)


def test_expected_cost_of_pairs_is_exact_and_pulls_on_the_pair_only() -> None:
    gates = gates_at(UNEVEN, [0.25, 0.75], [0.1, 0.2, 0.3, 0.4])
    pairs = pair_of(UNEVEN, [1, 3], [0, 1])
    p = pair_probabilities(gates.alpha, pairs)
    expected = expected_cost_of_pairs(gates, p, pairs, gates.cost_matrix(CostTerms(10.0, COSTS)), 10.0)
    assert expected.item() == pytest.approx(17.3, rel=1e-6)
    (gradient,) = torch.autograd.grad(expected, gates.alpha)
    few, many = 0.75 * 0.25 * (3 - 1), (0.4 / 0.6) * (0.2 / 0.6) * (8 - 2)
    by_hand = torch.tensor([[-few, few, 0, 0], [0, -many, 0, many]])
    torch.testing.assert_close(gradient, by_hand, rtol=1e-5, atol=1e-7)


# options that are not there, and gates that have settled


def test_absent_options_are_never_drawn_and_stay_absent() -> None:
    gates = Gates(UNEVEN, rng_for(0, "start"))
    optimizer = torch.optim.Adam([gates.alpha], lr=0.1, betas=(0.0, 0.999))
    rng = np.random.default_rng(0)
    for _ in range(200):
        pairs = gates.sample_pairs(rng)
        assert (pairs.columns[:, 0] != pairs.columns[:, 1]).all() and pairs.columns[0].max() <= 1
        assert UNEVEN.canonical(pairs.active) == pairs.active and UNEVEN.canonical(pairs.other) == pairs.other
        before = gates.alpha.detach().clone()
        p = pair_probabilities(gates.alpha, pairs).detach()
        gradient = gate_to_alpha(torch.from_numpy(rng.normal(size=(2, 2))).float(), p)
        gates.alpha.grad = torch.zeros_like(before).scatter_(1, pairs.columns, gradient)
        optimizer.step()
        with torch.no_grad():
            rescale(gates.alpha, before, pairs)
    assert (gates.alpha[0, 2:] == -torch.inf).all()
    assert gates.alpha[0, :2].isfinite().all() and gates.alpha[1].isfinite().all()
    torch.testing.assert_close(gates.probabilities().sum(1), torch.ones(2))
    assert set(gates.as_dict()["few"]) == {"a", "b"}


def test_a_settled_gate_still_has_a_pair_of_options_that_exist() -> None:
    gates = gates_at(UNEVEN, [1.0, 1e-30], [1e-30, 1.0, 1e-30, 1e-30])
    rng = np.random.default_rng(0)
    others = Counter(tuple(gates.sample_pairs(rng).columns.flatten().tolist()) for _ in range(300))
    assert {key[:3] for key in others} == {(0, 1, 1)}  # the settled options stay active
    assert {key[3] for key in others} == {0, 2, 3}
    assert gates.entropy() == pytest.approx(0.0, abs=1e-6)
    assert gates.argmax().as_dict() == {"few": "a", "many": "b"}


def test_gates_begin_undecided() -> None:
    gates = Gates(UNEVEN, rng_for(0, "start"))
    assert gates.entropy() == pytest.approx((np.log(2) + np.log(4)) / 2, abs=1e-4)
    assert 0 < gates.alpha[1].abs().max() < 0.01


def test_paths_of_equal_places_are_proposed_in_canonical_form() -> None:
    choices = tuple(Choice(name, ("none", "x", "y")) for name in "ab")
    space = ChoiceSpace("places@1", choices, (EqualPlaces(("a", "b"), "none"),))
    gates = gates_at(space, [0.8, 0.1, 0.1], [0.1, 0.2, 0.7])
    assert gates.argmax().choices == (("a", "y"), ("b", "none"))
    rng = np.random.default_rng(0)
    drawn = [gates.sample(rng) for _ in range(200)]
    assert all(space.canonical(arch) == arch for arch in drawn)
    # Pairs are what stands at each place: a gradient of one place is none of another.
    active = [gates.sample_pairs(rng).active.choices for _ in range(200)]
    assert (("a", "none"), ("b", "y")) in active and (("a", "none"), ("b", "x")) in active
