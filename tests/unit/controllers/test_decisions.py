"""Which choices are decisions: live ones, not after a removal in equal places, not of one option."""

from __future__ import annotations

import pytest

from hwnas.controllers.decisions import Decisions
from hwnas.core.errors import InputError
from hwnas.testing.controllers import SPACE

BLOCKS = {"block0": "none", "block1": "none", "block2": "none"}


def test_the_options_stand_in_a_row() -> None:
    places = Decisions(SPACE)
    assert (places.counts, places.starts, places.width) == ([3, 2, 2, 1, 3, 3, 3], [0, 3, 5, 7, 8, 11, 14], 17)
    assert places.columns["ratio"] == slice(5, 7)


def test_what_is_no_decision_is_left_out() -> None:
    places = Decisions(SPACE)
    # kind a leaves no kernel to decide; the first removed block removes the others.
    shallow = SPACE.architecture({"kind": "a", "only": "one", **BLOCKS})
    assert places.of(shallow) == [(slice(0, 3), 0), (slice(8, 11), 1)]
    deep = SPACE.architecture({"kind": "c", "kernel": 5, "ratio": 2, "only": "one", **BLOCKS, "block2": "y"})
    # kind c, kernel 5, ratio 2, then block0: y moved to the front, block1: none; block2 follows it.
    assert places.of(deep) == [
        (slice(0, 3), 2), (slice(3, 5), 1), (slice(5, 7), 1), (slice(8, 11), 2), (slice(11, 14), 1),
    ]  # fmt: skip


def test_what_is_settled_already_is_entered() -> None:
    places = Decisions(SPACE)
    rows = [{"kind": "b", "only": "one", "block0": "x"}, {"kind": "b", "only": "one", "block0": "none"}]
    assert places.settle(SPACE["block1"], rows) == [0]
    assert rows[0].keys() == {"kind", "only", "block0"} and rows[1]["block1"] == "none"
    assert places.settle(SPACE["only"], [start := {}]) == [] and start == {"only": "one"}
    assert places.settle(SPACE["kernel"], [small := {"kind": "a"}]) == [] and small == {"kind": "a"}


def test_an_architecture_of_another_space_is_refused() -> None:
    arch = SPACE.architecture({"kind": "a", "only": "one", **BLOCKS})
    with pytest.raises(InputError, match="other@1"):
        Decisions(SPACE).of(type(arch)("other@1", arch.choices))
