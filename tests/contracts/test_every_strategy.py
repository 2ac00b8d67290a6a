"""The laws of a strategy over every strategy that a fit can take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import pytest

from hwnas.compose import toy_data
from hwnas.config import FitConfig
from hwnas.core.counted import MacsModel
from hwnas.core.protocols import Checkpoints, Silence
from hwnas.nn.build import arrays_of
from hwnas.spaces.toy import BUDGET_MACS, ToySpace
from hwnas.strategies import proxyless_g
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


STRATEGIES: dict[str, FewSteps] = {"proxyless-g": proxyless}


@pytest.fixture(params=STRATEGIES)
def few_steps(request: pytest.FixtureRequest) -> FewSteps:
    return STRATEGIES[request.param]


class TestEveryStrategy(StrategyContract):
    pass


def test_every_strategy_is_listed_here() -> None:
    assert set(STRATEGIES) == set(get_args(FitConfig.model_fields["strategy"].annotation))
