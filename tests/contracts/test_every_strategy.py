"""The laws of a strategy over every strategy that a fit can take."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import get_args

import numpy as np
import pytest

from hwnas.compose import toy_data
from hwnas.compose.strategies import STRATEGIES as STRATEGY_NAMES
from hwnas.config import FitConfig
from hwnas.core.counted import MacsModel
from hwnas.core.objective import Limited, objective
from hwnas.core.protocols import Checkpoints, NoCheckpoints, Silence
from hwnas.evaluation.in_order import in_order
from hwnas.evaluation.truth_table import TruthTable
from hwnas.nn.build import arrays_of
from hwnas.spaces.toy import BUDGET_MACS, ToySpace, toy_truth
from hwnas.strategies import proxyless_g
from hwnas.strategies.black_box import BlackBoxSettings, Problem
from hwnas.testing.strategies import FewSteps, StrategyContract
from hwnas.training.device import TrainingDevice
from hwnas.training.recipe import Recipe


def proxyless(seed: int, checkpoints: Checkpoints) -> Mapping[str, np.ndarray]:
    settings = proxyless_g.ProxylessGSettings(
        steps=20, warmup_share=0.25, architecture_every=3, recipe=Recipe(batch_size=8, average_share=0.0)
    )
    space = ToySpace()
    found = proxyless_g.search(
        space, toy_data(), MacsModel().terms(space), BUDGET_MACS, settings, seed=seed, device=TrainingDevice("cpu"),
        checkpoints=checkpoints, progress=Silence(),
    )  # fmt: skip
    return {**arrays_of(found.supernet), "alpha": found.gates.alpha.detach().numpy()}


def black_box(name: str) -> FewSteps:
    """Twelve networks of the toy, whose truth is known, at most two proposals for each."""
    space, macs = ToySpace(), MacsModel().terms(ToySpace()).total
    evaluate = partial(in_order, TruthTable(toy_truth(), 1000))
    problem = Problem(space.choices, lambda asked: [{"macs": macs(arch)} for arch in asked], evaluate)

    def few_steps(seed: int, checkpoints: Checkpoints) -> Mapping[str, np.ndarray]:
        wanted = objective(STRATEGY_NAMES[name].reward, {"macs": 4 * BUDGET_MACS})  # most are inside
        settings = BlackBoxSettings(12, proposals_per_evaluation=2)
        found = STRATEGY_NAMES[name].load()(
            problem, wanted, settings, seed=seed, checkpoints=checkpoints, progress=Silence()
        )
        rows = [[int(one.architecture.id, 16), one.accuracy, one.costs["macs"], one.score] for one in found.evaluated]
        return {"rows": np.array(rows), "spent": np.array([found.proposals, found.steps, *found.repeated])}

    return few_steps


STRATEGIES: dict[str, FewSteps] = {"proxyless-g": proxyless, **{name: black_box(name) for name in STRATEGY_NAMES}}


@pytest.fixture(params=STRATEGIES)
def few_steps(request: pytest.FixtureRequest) -> FewSteps:
    return STRATEGIES[request.param]


class TestEveryStrategy(StrategyContract):
    pass


def test_every_strategy_is_listed_here() -> None:
    assert set(STRATEGIES) == set(get_args(FitConfig.model_fields["strategy"].annotation))


@pytest.mark.parametrize("name", STRATEGY_NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_every_black_box_strategy_finds_the_optimum_of_toy(name: str, seed: int) -> None:
    space, macs = ToySpace(), MacsModel().terms(ToySpace()).total
    evaluate = partial(in_order, TruthTable(toy_truth(), 1000))
    problem = Problem(space.choices, lambda asked: [{"macs": macs(arch)} for arch in asked], evaluate)
    found = STRATEGY_NAMES[name].load()(
        problem, Limited(limits={"macs": BUDGET_MACS}), BlackBoxSettings(27), seed=seed,
        checkpoints=NoCheckpoints(), progress=Silence(),
    )  # fmt: skip
    best = found.best()
    assert best and best.architecture == space.optimum
