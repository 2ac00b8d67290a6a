"""TuNAS's three spaces: their sizes to the last digit, published encodings, rules of widths, and what a layer is."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.spaces.ofa import ofa_space
from hwnas.spaces.tunas import (
    from_tunas_indices,
    scale_filters,
    tunas_indices,
    tunas_proxyless_space,
)
from hwnas.spaces.tunas_mobilenet_v3 import tunas_mobilenet_v3_space

PROXYLESS = tunas_proxyless_space(enlarged=False, classes=1000)
ENLARGED = tunas_proxyless_space(enlarged=True, classes=1000)
MOBILENET_V3 = tunas_mobilenet_v3_space(classes=1000)
# tunas/mobile_model_archive.py: filters of stem, first block, stages, head; operations.
ARCHIVE = {
    "MobileNetV2": (
        (32, 16, 24, 32, 64, 96, 160, 320, 1280),
        "0 | 3 3 6 6 | 3 3 3 6 | 3 3 3 3 | 3 3 3 6 | 3 3 3 6 | 3",
        (3_504_872, 300_774_272),
    ),
    "MnasNet-B1": (
        (32, 16, 24, 40, 80, 96, 192, 320, 1280),
        "0 | 0 0 0 6 | 1 1 1 6 | 4 4 4 6 | 3 3 6 6 | 4 4 4 4 | 3",
        (4_383_312, 314_415_872),
    ),
    "ProxylessNAS-Mobile": (
        (32, 16, 32, 40, 80, 96, 192, 320, 1280),
        "0 | 1 0 6 6 | 2 0 1 1 | 5 1 1 1 | 4 1 1 1 | 5 5 2 2 | 5",
        (4_080_512, 320_427_584),
    ),
}


def indices(line: str) -> list[int]:
    return [int(word) for word in line.replace("|", " ").split()]


def test_sizes() -> None:
    filters = 4**3 * 6 * 7**5
    assert PROXYLESS.choices.size() == 3 * 6**6 * 7**15
    assert PROXYLESS.choices.size_with_inactive() == 3 * 6**6 * 12**15
    assert ENLARGED.choices.size() == 3 * 6**6 * 7**15 * filters
    assert ENLARGED.choices.size_with_inactive() == 3 * 6**6 * 12**15 * filters
    # Filters; stem's kernel; the stem's optional branch; 5 layers that are there and 15 that may be.
    filters = 4**2 * 6 * 7**5
    assert MOBILENET_V3.choices.size() == filters * 2 * (3 + 1) * 36**5 * (36 + 1) ** 15
    assert MOBILENET_V3.choices.size_with_inactive() == filters * 2 * (3 * 2) * 36**5 * (36 * 2) ** 15
    assert f"{MOBILENET_V3.choices.size():.1e}" == "2.6e+38"
    assert f"{MOBILENET_V3.choices.size_with_inactive():.1e}" == "8.5e+42"


@pytest.mark.parametrize("name", ARCHIVE)
def test_published_lines_in_the_enlarged_space(name: str) -> None:
    filters, line, (params, macs) = ARCHIVE[name]
    arch = from_tunas_indices(ENLARGED, indices(line), filters)
    assert tunas_indices(arch) == indices(line)
    counts = count(ENLARGED.decode(arch))
    assert (counts.params, counts.macs) == (params, macs)
    network = ENLARGED.decode(arch)
    shapes = [arch[f"{place}.filters"] for place in ("stem", "first", *(f"stage{i}" for i in range(1, 7)), "head")]
    assert tuple(shapes) == filters
    assert len(network.nodes) == 4 + 21 - line.count("6")


def test_a_published_line_in_the_space_of_its_filters() -> None:
    filters, line, (params, macs) = ARCHIVE["ProxylessNAS-Mobile"]
    arch = from_tunas_indices(PROXYLESS, indices(line), filters)
    assert arch == from_tunas_indices(PROXYLESS, indices(line))
    counts = count(PROXYLESS.decode(arch))
    assert (counts.params, counts.macs) == (params, macs)
    with pytest.raises(InputError, match="no stage1 of 24 filters; it has 32"):
        from_tunas_indices(PROXYLESS, indices(ARCHIVE["MnasNet-B1"][1]), ARCHIVE["MnasNet-B1"][0])


def test_indices_are_inverse_on_every_sample() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        arch = PROXYLESS.choices.sample(rng)
        assert from_tunas_indices(PROXYLESS, tunas_indices(arch)) == arch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: 3}, "the first one to 2"),
        ({5: 7}, "from 0 to 6"),
        ({5: -1}, "from 0 to 6"),
        ({1: 6}, "cannot be left out: index 6 of 'stage1.block0'"),
        ({22: 0}, "22 indices"),
    ],
)
def test_indices_that_make_no_sense(change: dict[int, int], message: str) -> None:
    row = dict(enumerate(indices(ARCHIVE["ProxylessNAS-Mobile"][1]))) | change
    with pytest.raises(InputError, match=message):
        from_tunas_indices(PROXYLESS, list(row.values()))


def test_other_spaces_have_no_indices() -> None:
    rng = np.random.default_rng(0)
    for space in (MOBILENET_V3, ofa_space("ofa-proxyless", False)):
        for _ in range(5):
            with pytest.raises(InputError, match="no TuNAS operation indices"):
                tunas_indices(space.choices.sample(rng))


def test_filters_are_rounded_without_the_ten_percent() -> None:
    # 16·0.625 = 10 -> 8, though that is 20 % less; half-way cases go up: 20 -> 24.
    assert [scale_filters(16, m) for m in (0.25, 0.5, 0.625, 0.75, 1.25, 2.0)] == [8, 8, 8, 16, 24, 32]
    assert ENLARGED.filters[0] == (8, 16, 24, 32)
    assert ENLARGED.filters[3] == (16, 24, 32, 40, 48, 64)
    assert ENLARGED.filters[4] == (32, 40, 48, 64, 80, 96, 128)
    assert [len(options) for options in MOBILENET_V3.filters] == [4, 4, 6, 7, 7, 7, 7, 7]


def test_layers_are_those_of_the_released_code() -> None:
    line = indices("2 | 5 6 6 6 | 0 6 6 6 | 0 6 6 6 | 0 1 6 6 | 0 6 6 6 | 0")
    nodes = {node.name: node.layer for node in PROXYLESS.decode(from_tunas_indices(PROXYLESS, line)).nodes}
    assert nodes["stem"] == ConvBnAct(32, 3, 2, activation="relu", bn_eps=1e-3)
    assert nodes["first"] == MBConv(16, 7, 1, activation="relu", residual=False, bn_eps=1e-3)
    one = MBConv(32, 7, 6, 2, activation="relu", residual=False, expand_always=True, bn_eps=1e-3)
    assert nodes["stage1.block0"] == one
    two = MBConv(96, 5, 3, activation="relu", residual=True, expand_always=True, bn_eps=1e-3)
    assert nodes["stage4.block1"] == two


def test_the_mobilenet_v3_like_space_has_squeeze_excite_and_a_hidden_layer() -> None:
    options: dict[str, int | str] = {}
    for choice in MOBILENET_V3.choices.choices:
        options[choice.name] = choice.options[-1]  # everything largest, every optional layer left out
    options["stage2.block1"] = "mbconv"
    nodes = {node.name: node.layer for node in MOBILENET_V3.decode(MOBILENET_V3.choices.architecture(options)).nodes}
    assert list(nodes) == [
        "stem", "stage1.block0", "stage2.block0", "stage2.block1", "stage3.block0", "stage4.block0", "stage5.block0",
        "head", "classifier",
    ]  # fmt: skip
    assert nodes["stem"] == ConvBnAct(32, 5, 2, activation="hard_swish", bn_eps=1e-3)
    second = MBConv(64, 7, 6, 1, 96, "relu", residual=True, expand_always=True, bn_eps=1e-3)
    assert nodes["stage2.block1"] == second
    third = MBConv(128, 7, 6, 2, 96, "hard_swish", residual=False, expand_always=True, bn_eps=1e-3)
    assert nodes["stage3.block0"] == third
    assert nodes["head"] == ConvBnAct(1024, 1, activation="hard_swish", bn_eps=1e-3)
    assert nodes["classifier"] == Classifier(1000, 2048, hidden_bias=True, activation="hard_swish")
    options |= {"first": "sepconv", "first.kernel": 5}
    first = MOBILENET_V3.decode(MOBILENET_V3.choices.architecture(options)).nodes[1]
    assert first.name == "first"
    assert first.layer == MBConv(32, 5, 1, activation="relu", residual=True, bn_eps=1e-3)


def test_kernel_and_expansion_are_decided_only_of_layers_that_are_there() -> None:
    row = [0, 0, 0, 0, 0, *([0, 6, 6, 6] * 4), 0]
    live = from_tunas_indices(PROXYLESS, row).as_dict()
    assert "stage1.block1.kernel" in live and "stage2.block1.kernel" not in live
    assert len(live) == 1 + 2 * 6 + 15 + 2 * 3
