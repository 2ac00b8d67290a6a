"""Once-for-All's spaces: published sizes, largest and smallest networks, and specialised networks to the last digit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwnas.core.architecture import Architecture, Option
from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.spaces.ofa import KNOWN, RESOLUTIONS, OfaSpace, ofa_space
from hwnas.spaces.ofa_frame import ofa_proxyless

MOBILENET_V3, PROXYLESS = ofa_space("ofa-mobilenet-v3", False), ofa_space("ofa-proxyless", False)
WIDE = ofa_space("ofa-mobilenet-v3", False, width=1.2)


def everywhere(space: OfaSpace, kernel: int, expansion: int, depth: int) -> Architecture:
    value = {"kernel": kernel, "expansion": expansion, "depth": depth}
    return space.choices.architecture({c.name: value[c.name.split(".")[-1]] for c in space.choices.choices})


def specialised(space: OfaSpace, line: str) -> Architecture:
    """From published form: units apart by ";", a block "54" for kernel 5 and expansion 4."""
    options: dict[str, Option] = {}
    for stage, unit in enumerate(line.split(";"), start=1):
        blocks = unit.strip().split(",")
        if f"stage{stage}.depth" in [choice.name for choice in space.choices.choices]:
            options[f"stage{stage}.depth"] = len(blocks)
        for index, block in enumerate(blocks):
            options[f"stage{stage}.block{index}.kernel"] = int(block[0])
            options[f"stage{stage}.block{index}.expansion"] = int(block[1])
    return space.choices.architecture(options)


def test_sizes() -> None:
    unit = 9**2 + 9**3 + 9**4
    assert unit == 7_371
    assert MOBILENET_V3.choices.size() == WIDE.choices.size() == unit**5
    assert MOBILENET_V3.choices.size_with_inactive() == (3 * 9**4) ** 5
    assert PROXYLESS.choices.size() == unit**5 * 9
    assert KNOWN["ofa-mobilenet-v3-resolutions"].own.choices.size() == unit**5 * 25
    assert KNOWN["ofa-proxyless-resolutions"].own.choices.size() == unit**5 * 9 * 25


@pytest.mark.parametrize(
    ("space", "kernel", "expansion", "depth", "params", "macs"),
    [
        (MOBILENET_V3, 7, 6, 4, 7_664_760, 566_170_656),
        (MOBILENET_V3, 3, 3, 2, 3_410_792, 121_278_672),
        (MOBILENET_V3, 5, 4, 3, 4_551_792, 250_746_944),
        (WIDE, 7, 6, 4, 10_701_632, 843_101_040),
        (WIDE, 3, 3, 2, 4_602_456, 193_078_200),
    ],
)
def test_the_supernets_largest_smallest_and_middle_networks(
    space: OfaSpace, kernel: int, expansion: int, depth: int, params: int, macs: int
) -> None:
    counts = count(space.decode(everywhere(space, kernel, expansion, depth)))
    assert (counts.params, counts.macs) == (params, macs)


@pytest.mark.parametrize(
    ("space", "resolution", "line", "params", "mmacs"),
    [
        (PROXYLESS, 144, "34,34 ; 36,36,34 ; 33,53 ; 33,54,33,36 ; 36,76,74,36 ; 53", 6_042_264, 225.761),
        (PROXYLESS, 188, "33,33 ; 36,56,34,34 ; 56,33,54 ; 56,34,54 ; 36,56,73,36 ; 76", 6_493_328, 396.708),
        (PROXYLESS, 208, "33,34 ; 53,34 ; 36,73,33 ; 53,54,36 ; 36,54,33 ; 34", 4_933_568, 364.488),
        (MOBILENET_V3, 176, "33,33 ; 74,53,33 ; 56,54,53 ; 34,74,53 ; 56,76,36,34", 5_809_576, 151.109),
        (MOBILENET_V3, 140, "33,33 ; 53,53 ; 74,33 ; 53,34 ; 36,76", 4_304_592, 67.197),
        (WIDE, 224, "53,33,33 ; 54,34,54,33 ; 54,56,33,33 ; 56,76,36,54 ; 76,36,36,33", 9_066_368, 482.413),
        (WIDE, 260, "33,36,33 ; 54,36,33,53 ; 56,56,34,74 ; 56,36,36,34 ; 36,36,56,33", 9_109_040, 743.131),
    ],
)
def test_published_specialised_networks(
    space: OfaSpace, resolution: int, line: str, params: int, mmacs: float
) -> None:  # fmt: skip
    fitted = replace(space, input_shape=(3, resolution, resolution))
    counts = count(fitted.decode(specialised(space, line)))
    assert (counts.params, round(counts.macs / 1e6, 3)) == (params, mmacs)


def test_blocks_beyond_the_depth_decide_nothing() -> None:
    small = everywhere(MOBILENET_V3, 3, 3, 2)
    assert small == everywhere(MOBILENET_V3, 3, 3, 2)
    assert "stage1.block2.kernel" not in small.as_dict()
    assert len(small.choices) == 5 * (1 + 2 * 2)
    assert len(everywhere(MOBILENET_V3, 3, 3, 4).choices) == 5 * (1 + 4 * 2)


def test_layers_are_those_of_the_released_supernets() -> None:
    nodes = {node.name: node.layer for node in WIDE.decode(everywhere(WIDE, 7, 6, 2)).nodes}
    assert nodes["stem"] == ConvBnAct(24, 3, 2, activation="hard_swish")
    assert nodes["first"] == MBConv(24, 3, 1, activation="relu")
    assert nodes["stage2.block0"] == MBConv(48, 7, 6, 2, 48, "relu", se_gate="hard_sigmoid")
    assert nodes["stage4.block1"] == MBConv(136, 7, 6, 1, 208, "hard_swish", se_gate="hard_sigmoid")
    assert nodes["head"] == ConvBnAct(1152, 1, activation="hard_swish")
    assert nodes["classifier"] == Classifier(1000, 1536, hidden_bias=False)
    nodes = {node.name: node.layer for node in PROXYLESS.decode(everywhere(PROXYLESS, 3, 3, 2)).nodes}
    assert nodes["stem"] == ConvBnAct(40, 3, 2, bn_eps=1e-3)
    assert nodes["stage3.block0"] == MBConv(104, 3, 3, 2, bn_eps=1e-3)
    assert nodes["head"] == ConvBnAct(1664, 1, bn_eps=1e-3)
    assert nodes["classifier"] == Classifier(1000)


def test_resolutions_are_searched_where_there_are_several() -> None:
    assert RESOLUTIONS[0] == 128 and RESOLUTIONS[-1] == 224 and len(RESOLUTIONS) == 25
    space = ofa_space("ofa-mobilenet-v3", True, (3, 160, 160))
    assert space.choices["resolution"].options == tuple(range(128, 161, 4))
    rng = np.random.default_rng(0)
    for _ in range(20):
        arch = space.choices.sample(rng)
        assert space.decode(arch).input_shape == (3, arch["resolution"], arch["resolution"])
    for shape in ((3, 128, 128), (3, 160, 164)):
        with pytest.raises(InputError, match="square images of 132 pixels or more"):
            ofa_space("ofa-mobilenet-v3", True, shape)


def test_widths_are_in_the_name() -> None:
    assert [space.choices.name for space in (MOBILENET_V3, WIDE)] == ["ofa-mobilenet-v3@1", "ofa-mobilenet-v3-w1.2@1"]
    assert PROXYLESS.choices.name == "ofa-proxyless@1" and PROXYLESS.frame == ofa_proxyless(1.3)
