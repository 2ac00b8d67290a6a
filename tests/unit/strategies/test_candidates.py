"""Where candidates come from: inside the constraint, distinct, spread."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.cost import CostTerms
from hwnas.core.counted import MacsModel
from hwnas.core.protocols import Silence
from hwnas.core.trial import Quality
from hwnas.nn.gates import Gates
from hwnas.spaces.proxyless import proxyless_space
from hwnas.strategies.candidates import (
    Constraint,
    fixed_candidates,
    learned_candidates,
    nearest_inside,
    random_candidates,
)
from hwnas.strategies.ranking import rank

SMALL = ChoiceSpace("small@1", (Choice("a", ("s", "m", "l")), Choice("b", ("s", "m", "l"))))
TERMS = CostTerms(1.0, {"a": {"s": 1.0, "m": 2.0, "l": 4.0}, "b": {"s": 1.0, "m": 2.0, "l": 4.0}})
SPACE = proxyless_space("proxyless-small", (1, 24, 24), 10)
MACS = MacsModel().terms(SPACE)


def gates_at(a: tuple[float, ...], b: tuple[float, ...]) -> Gates:
    gates = Gates(SMALL, np.random.default_rng(0))
    with torch.no_grad():
        gates.alpha.copy_(torch.tensor([a, b]).log())
    return gates


def arch(a: str, b: str) -> Architecture:
    return SMALL.architecture({"a": a, "b": b})


def test_the_nearest_inside_gives_up_the_least_probability_for_what_it_saves() -> None:
    # From (l, l), cost 9. In a the step to m loses little probability, in b every step loses much.
    gates = gates_at((0.1, 0.4, 0.5), (0.01, 0.01, 0.98))
    assert nearest_inside(gates, TERMS, 9.0) == arch("l", "l")
    assert nearest_inside(gates, TERMS, 7.0) == arch("m", "l")
    assert nearest_inside(gates, TERMS, 6.0) == arch("s", "l")
    assert nearest_inside(gates, TERMS, 3.0) == arch("s", "s")


def test_the_nearest_inside_a_limit_below_everything_is_the_cheapest() -> None:
    assert nearest_inside(gates_at((0.2, 0.3, 0.5), (0.2, 0.3, 0.5)), TERMS, 0.5) == arch("s", "s")


@pytest.mark.parametrize("limit", np.linspace(3.0, 9.0, 7))
@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_inside_is_inside_wherever_anything_is(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    gates = gates_at(tuple(rng.dirichlet(np.ones(3))), tuple(rng.dirichlet(np.ones(3))))
    assert TERMS.total(nearest_inside(gates, TERMS, limit)) <= limit


def test_learned_candidates_begin_with_the_argmax_where_it_is_inside() -> None:
    gates = gates_at((0.2, 0.2, 0.6), (0.3, 0.4, 0.3))
    everything = learned_candidates(gates, Constraint(TERMS, 9.0), 9, np.random.default_rng(0))
    assert everything[0] == gates.argmax() == arch("l", "m")
    assert set(everything) == {arch(a, b) for a, b in product("sml", "sml")}
    inside = learned_candidates(gates, Constraint(TERMS, 5.0), 9, np.random.default_rng(0))
    assert set(inside) == {arch("s", "s"), arch("m", "s"), arch("s", "m"), arch("m", "m")}
    assert len(learned_candidates(gates, Constraint(TERMS, 9.0), 4, np.random.default_rng(0))) == 4


def test_where_no_draw_is_inside_the_argmax_is_moved() -> None:
    settled = gates_at((1e-12, 1e-12, 1.0), (1e-12, 1e-12, 1.0))
    found = learned_candidates(settled, Constraint(TERMS, 4.0), 9, np.random.default_rng(0))
    assert len(found) == 1 and TERMS.total(found[0]) <= 4.0
    assert learned_candidates(settled, Constraint(TERMS, 2.0), 9, np.random.default_rng(0)) == []
    nothing = Constraint(TERMS, 4.0, lambda arch: 2.0)
    assert learned_candidates(settled, nothing, 9, np.random.default_rng(0)) == []


def test_the_argmax_is_moved_inside_what_is_limited_beside_latency() -> None:
    settled, share = gates_at((1e-13, 1e-12, 1.0), (1e-12, 1e-12, 1.0)), {"s": 0.5, "m": 0.9, "l": 1.5}
    constraint = Constraint(TERMS, 9.0, lambda one: share[str(one["a"])])
    assert learned_candidates(settled, constraint, 9, np.random.default_rng(0)) == [arch("m", "l")]
    both = Constraint(TERMS, 5.0, lambda one: share[str(one["a"])])
    (moved,) = learned_candidates(settled, both, 9, np.random.default_rng(0))
    assert moved in both
    rejected = Constraint(TERMS, 9.0, lambda one: share[str(one["a"])], frozenset([arch("m", "l")]))
    assert learned_candidates(settled, rejected, 9, np.random.default_rng(0)) == []


def test_random_candidates_are_feasible_distinct_and_spread() -> None:
    limit = MACS.least() + 0.6 * (MACS.greatest() - MACS.least())
    constraint = Constraint(MACS, limit, lambda arch: 2.0 * (arch["stage1.block1"] == "k3e3"))
    found = random_candidates(SPACE, constraint, 40, np.random.default_rng(0))
    assert len(found) == len(set(found)) == 40
    assert all(arch in constraint for arch in found)
    costs = np.asarray(sorted(MACS.total(arch) for arch in found))
    # Every fifth of the range has its share, while plain sampling crowds the middle.
    counts, _ = np.histogram(costs, bins=5, range=(float(costs[0]), float(costs[-1])))
    assert counts.min() >= 4
    assert costs[0] < 0.35 * limit and costs[-1] > 0.97 * limit
    rng = np.random.default_rng(0)
    plain = [MACS.total(SPACE.choices.sample(rng)) for _ in range(200)]
    assert np.std(costs) > 1.5 * np.std([cost for cost in plain if cost <= limit])


def test_random_candidates_by_the_seed() -> None:
    constraint = Constraint(MACS, 0.5 * MACS.greatest())
    first, again, other = (random_candidates(SPACE, constraint, 10, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_fewer_candidates_where_there_are_fewer() -> None:
    class Small:
        choices = SMALL

    found = random_candidates(Small(), Constraint(TERMS, 4.0), 50, np.random.default_rng(0))  # type: ignore[arg-type]
    assert set(found) == {arch("s", "s"), arch("m", "s"), arch("s", "m")}


def test_fixed_candidates_are_the_uniform_networks_inside() -> None:
    constraint = Constraint(MACS, 0.4 * MACS.greatest())
    found = fixed_candidates(SPACE, constraint)
    expected = {arch for arch in SPACE.uniform_architectures().values() if MACS.total(arch) <= constraint.limit_ms}
    assert set(found) == expected and len(found) == len(expected) > 3
    assert fixed_candidates(SPACE, Constraint(MACS, 0.0)) == []


def test_ranking_is_by_loss() -> None:
    losses = {arch("s", "s"): 0.5, arch("m", "s"): 0.2, arch("l", "s"): 0.9}

    class Known:
        def evaluate(self, arch: Architecture) -> Quality:
            return Quality(losses[arch], 1 - losses[arch], 10, "table")

    trials = rank(losses, Known(), TERMS, "random", "a target", Silence())
    assert [trial.architecture for trial in trials] == [arch("m", "s"), arch("s", "s"), arch("l", "s")]
    latency = trials[0].latency
    assert (latency.value, latency.unit, latency.kind, latency.provenance) == (4.0, "ms", "model", "a target")
    assert {trial.source for trial in trials} == {"random"}
