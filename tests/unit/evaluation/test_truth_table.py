"""The toy's truth as a table: what every network scores, without training."""

from __future__ import annotations

import pytest

from hwnas.core.architecture import Architecture
from hwnas.core.counted import MacsModel
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Silence
from hwnas.evaluation.truth_table import TruthTable
from hwnas.spaces.toy import BUDGET_MACS, ToySpace, receptive_field, toy_truth
from hwnas.strategies.candidates import Constraint
from hwnas.strategies.ranking import rank


def test_the_table_holds_every_network_and_its_best_inside_the_budget_is_the_known_optimum() -> None:
    space, truth = ToySpace(), toy_truth()
    terms = MacsModel().terms(space)
    assert set(truth) == set(space.choices.enumerate())
    constraint = Constraint(terms, BUDGET_MACS)
    inside = [arch for arch in truth if arch in constraint]
    best, *others = rank(inside, TruthTable(truth, 1000), terms, "table", "counted", Silence())
    assert best.architecture == space.optimum and best.quality.accuracy > 0.9
    assert others and all(trial.quality.accuracy < 0.55 for trial in others)
    assert all(truth[arch] < 0.55 for arch in truth if receptive_field(arch) < 11)


def test_an_architecture_that_the_table_lacks_is_named() -> None:
    arch = Architecture("toy@1", (("conv1", "k9"),))
    with pytest.raises(EvaluationFailed, match=arch.id):
        TruthTable(toy_truth(), 1000).evaluate(arch)
