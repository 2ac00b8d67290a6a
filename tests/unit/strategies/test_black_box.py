"""The black-box loop: what it spends, what it gives for free, how it ends and goes on; and toy's known optimum."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pytest

from hwnas.controllers.categorical import CategoricalController, CategoricalSettings
from hwnas.controllers.evolution import EvolutionController, EvolutionSettings
from hwnas.controllers.random import RandomController
from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.counted import MacsModel
from hwnas.core.errors import EvaluationFailed, FileFormatError
from hwnas.core.objective import Limited
from hwnas.core.protocols import Checkpoint, Checkpoints, Controller, NoCheckpoints, Silence
from hwnas.core.trial import Quality
from hwnas.evaluation.in_order import in_order
from hwnas.evaluation.truth_table import TruthTable
from hwnas.spaces.toy import BUDGET_MACS, ToySpace, toy_truth
from hwnas.strategies.black_box import BlackBoxSettings, Problem, search
from hwnas.strategies.evaluated import BlackBoxSearched
from hwnas.testing.controllers import MakeController
from hwnas.testing.strategies import FewSteps, KeptCheckpoints, StrategyContract

SPACE = ToySpace()
MACS = MacsModel().terms(SPACE).total
ACCURACY = TruthTable(toy_truth(), 1000)


def evolution(space: ChoiceSpace, seed: int) -> Controller:
    return EvolutionController(space, seed, EvolutionSettings(5, 3))


MAKERS: dict[str, MakeController] = {
    "random": RandomController, "evolution": evolution, "reinforce": CategoricalController,
}  # fmt: skip


class Listed:
    """A controller that proposes what it is given, and keeps what it observes."""

    def __init__(self, steps: Sequence[Sequence[Architecture]]) -> None:
        self.steps = list(steps)
        self.observed: list[tuple[Architecture, float]] = []
        self.asked: list[int] = []

    def propose(self, count: int) -> list[Architecture]:
        self.asked.append(count)
        return list(self.steps.pop(0)) if self.steps else []

    def observe(self, scored: Sequence[tuple[Architecture, float]]) -> None:
        self.observed += scored

    def best_guess(self) -> Architecture:
        return self.observed[0][0]

    def state_dict(self) -> dict[str, object]:
        return {}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        pass


class CountedCalls:
    def __init__(self) -> None:
        self.calls: list[Architecture] = []

    def evaluate(self, arch: Architecture) -> Quality:
        self.calls.append(arch)
        return ACCURACY.evaluate(arch)


def run(
    controller: Controller, settings: BlackBoxSettings, limit: float = BUDGET_MACS,
    checkpoints: Checkpoints | None = None, evaluator: CountedCalls | TruthTable = ACCURACY,
) -> BlackBoxSearched:  # fmt: skip
    problem = Problem(
        SPACE.choices, lambda asked: [{"macs": MACS(arch)} for arch in asked], partial(in_order, evaluator)
    )
    return search(
        controller, problem, Limited(limits={"macs": limit}), settings, checkpoints=checkpoints or NoCheckpoints(),
        progress=Silence(),
    )  # fmt: skip


def kernels(*options: str) -> Architecture:
    return SPACE.choices.architecture(dict(zip(("conv1", "conv2", "conv3"), options, strict=True)))


SMALL, LARGE, BEST = kernels("k3", "k3", "k3"), kernels("k7", "k7", "k7"), SPACE.optimum


def test_repeats_and_what_is_over_the_limit_cost_nothing() -> None:
    controller, evaluator = Listed([[SMALL], [LARGE], [SMALL], [BEST], [SMALL]]), CountedCalls()
    found = run(controller, BlackBoxSettings(2), evaluator=evaluator)
    assert evaluator.calls == [SMALL, BEST] and [one.architecture for one in found.evaluated] == [SMALL, BEST]
    assert (found.proposals, found.steps) == (4, 4)
    accuracy = toy_truth()
    assert controller.observed == [
        (SMALL, accuracy[SMALL]), (LARGE, -MACS(LARGE) / BUDGET_MACS), (SMALL, accuracy[SMALL]), (BEST, accuracy[BEST]),
    ]  # fmt: skip
    best, first = found.best(), found.best(1)
    assert best and best.architecture == BEST and best.costs == {"macs": MACS(BEST)} and best.score == accuracy[BEST]
    assert first and first.architecture == SMALL


def test_a_batch_that_is_larger_than_what_is_left_is_evaluated_as_far_as_that_goes() -> None:
    controller = Listed([[SMALL, BEST, kernels("k3", "k3", "k5"), SMALL]])
    found = run(controller, BlackBoxSettings(2, batch=4))
    assert len(found.evaluated) == 2 and found.proposals == 4
    assert [arch for arch, _ in controller.observed] == [SMALL, BEST, SMALL]


def test_it_ends_with_the_proposals() -> None:
    controller = Listed([[SMALL]] * 100)
    found = run(controller, BlackBoxSettings(2, proposals_per_evaluation=5))
    assert found.proposals == 10 and len(found.evaluated) == 1
    batches = Listed([[SMALL] * 4, [SMALL] * 4, [SMALL] * 2, [SMALL]])
    assert run(batches, BlackBoxSettings(2, batch=4, proposals_per_evaluation=5)).proposals == 10
    assert batches.asked == [4, 4, 2]


def test_it_ends_with_the_space() -> None:
    found = run(RandomController(SPACE.choices, 0), BlackBoxSettings(100), limit=1e12)
    assert len(found.evaluated) == found.proposals == 27


def test_where_nothing_is_inside_the_limit_nothing_is_best() -> None:
    found = run(RandomController(SPACE.choices, 0), BlackBoxSettings(100), limit=1.0)
    assert found.best() is None and found.proposals == 27


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("seed", range(5))
def test_the_known_optimum_is_found(name: str, seed: int) -> None:
    best = run(MAKERS[name](SPACE.choices, seed), BlackBoxSettings(27)).best()
    assert best and best.architecture == SPACE.optimum


def test_a_controller_that_has_learned_delivers_what_it_found() -> None:
    for seed in range(5):
        controller = CategoricalController(SPACE.choices, seed, CategoricalSettings(lr=0.1))
        run(controller, BlackBoxSettings(27))
        assert controller.best_guess() == SPACE.optimum, seed


def few_steps_of(name: str) -> FewSteps:
    def few_steps(seed: int, checkpoints: Checkpoints) -> Mapping[str, np.ndarray]:
        controller = MAKERS[name](SPACE.choices, seed)
        found = run(controller, BlackBoxSettings(12, proposals_per_evaluation=2), checkpoints=checkpoints)
        rows = [[one.accuracy, one.costs["macs"], one.score] for one in found.evaluated]
        order = [int(one.architecture.id, 16) for one in found.evaluated]
        state = np.frombuffer(json.dumps(controller.state_dict()).encode(), np.uint8)
        return {"rows": np.array(rows), "order": np.array(order), "spent": np.array([found.proposals, found.steps]),
                "state": state}  # fmt: skip

    return few_steps


class TestTheLoop(StrategyContract):
    @pytest.fixture(params=MAKERS)
    def few_steps(self, request: pytest.FixtureRequest) -> FewSteps:
        return few_steps_of(request.param)


@pytest.mark.parametrize("evaluated", [[[{}, 1, {}, 3, ""]], [["a"]], 7, [[SMALL.to_json(), 1, 2, 3, ""]]])
def test_checkpoints_that_are_damaged(evaluated: object) -> None:
    controller = RandomController(SPACE.choices, 0)
    state = {
        "controller": controller.state_dict(),
        "evaluated": evaluated,
        "proposals": 1,
        "repeated": [],
        "forgiven": 0,
    }
    kept = KeptCheckpoints([Checkpoint(1, {}, state)])
    with pytest.raises(FileFormatError):
        run(controller, BlackBoxSettings(5), checkpoints=kept)


class FailsOn:
    """An evaluator that cannot evaluate some."""

    def __init__(self, failing: Iterable[Architecture]) -> None:
        self.failing = set(failing)

    def evaluate(self, arch: Architecture) -> Quality:
        if arch in self.failing:
            raise EvaluationFailed(f"{arch.id} broke")
        return ACCURACY.evaluate(arch)


ALL = list(SPACE.choices.enumerate())


def test_with_three_tenths_failing_the_best_of_the_rest_is_found() -> None:
    accuracy = toy_truth()
    for seed in range(5):
        drawn = np.random.default_rng(seed).permutation(len(ALL))[: round(0.3 * len(ALL))]
        broken = {ALL[index] for index in drawn}
        found = run(RandomController(SPACE.choices, seed), BlackBoxSettings(27), limit=1e12, evaluator=FailsOn(broken))
        best = found.best()
        assert best and best.accuracy == max(accuracy[arch] for arch in set(ALL) - broken)
        failed = {one.architecture: one for one in found.evaluated if one.failure}
        assert failed and set(failed) <= broken
        assert all(one.accuracy == one.score == 0 and one.failure.endswith("broke") for one in failed.values())
        assert not {one.architecture for one in found.front("macs")} & set(failed)


def test_where_most_fail_the_search_stops_and_can_go_on() -> None:
    kept, listed = KeptCheckpoints(), [[arch] for arch in ALL]
    with pytest.raises(EvaluationFailed, match=r"search: 11 of the last 20 networks.*the last one: [0-9a-f]+ broke"):
        run(Listed(listed), BlackBoxSettings(27), limit=1e12, checkpoints=kept, evaluator=FailsOn(ALL[9:]))
    assert len(kept.saved[-1].state["evaluated"]) == 20  # nine that worked, then eleven that did not
    rest = Listed(listed[20:])
    found = run(rest, BlackBoxSettings(27), limit=1e12, checkpoints=kept)
    assert len(found.evaluated) == 27 and found.forgiven == 20
    assert sum(bool(one.failure) for one in found.evaluated) == 11


def test_a_batch_is_priced_together_and_observed_in_the_order_of_proposals() -> None:
    asked: list[list[Architecture]] = []

    def price(architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        asked.append(list(architectures))
        return [{"macs": MACS(arch)} for arch in architectures]

    controller = Listed([[SMALL, BEST, SMALL, LARGE], [BEST, SMALL]])
    problem = Problem(SPACE.choices, price, partial(in_order, ACCURACY))
    search(
        controller, problem, Limited(limits={"macs": BUDGET_MACS}), BlackBoxSettings(3, batch=4),
        checkpoints=NoCheckpoints(), progress=Silence(),
    )  # fmt: skip
    assert asked == [[SMALL, BEST, LARGE], []]
    assert [arch for arch, _ in controller.observed] == [SMALL, BEST, SMALL, LARGE, BEST, SMALL]


def test_repeats_among_the_latest_proposals_are_counted() -> None:
    found = run(Listed([[SMALL, BEST], [SMALL], [LARGE], [SMALL, BEST]]), BlackBoxSettings(9, batch=2))
    assert found.repeated == (False, False, True, False, True, True)
