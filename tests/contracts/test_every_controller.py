"""The laws of a controller over every controller, and the toy's truth inside its budget as the known problem."""

from __future__ import annotations

from functools import partial

import pytest

from hwnas.controllers.categorical import CategoricalController
from hwnas.controllers.evolution import EvolutionController, EvolutionSettings
from hwnas.controllers.random import RandomController, SpreadOrder
from hwnas.controllers.recurrent import POLICY_GRADIENT, RecurrentController
from hwnas.core.counted import MacsModel
from hwnas.core.objective import objective
from hwnas.spaces.toy import BUDGET_MACS, ToySpace, toy_truth
from hwnas.strategies.guided import controller as guided
from hwnas.testing.controllers import SPACE, ControllerContract, KnownScores, MakeController

CONTROLLERS: dict[str, MakeController] = {
    "random": RandomController,
    "random, spread": partial(RandomController, order=SpreadOrder),
    "evolution": partial(EvolutionController, settings=EvolutionSettings(population=10, sample=4)),
    "guided": guided,
    "reinforce": CategoricalController,
    "ppo": RecurrentController,
    "policy-gradient": partial(RecurrentController, settings=POLICY_GRADIENT),
}


@pytest.fixture(scope="module")
def known_scores() -> KnownScores:
    space, truth = ToySpace(), toy_truth()
    terms, wanted = MacsModel().terms(space), objective("hard-limit", {"macs": BUDGET_MACS})
    scores = {arch: wanted.score(accuracy, {"macs": terms.total(arch)}) for arch, accuracy in truth.items()}
    assert max(scores, key=lambda arch: scores[arch]) == space.optimum
    return space.choices, scores


class TestEveryController(ControllerContract):
    @pytest.fixture(params=CONTROLLERS)
    def make_controller(self, request: pytest.FixtureRequest) -> MakeController:
        return CONTROLLERS[request.param]


def test_the_space_of_the_contract_has_what_makes_spaces_difficult() -> None:
    # kind a: 1; b and c: kernel 3, or 5 with two ratios. Blocks: none, one of two, two, three kept.
    assert SPACE.size() == (1 + 2 * 3) * (1 + 2 + 4 + 8) == 105
