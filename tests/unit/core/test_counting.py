"""Counts against published figures, torch's counter, and by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hwnas.core.counting import count
from hwnas.core.layers import ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.nn.build import build
from hwnas.spaces.proxyless import PRESETS, proxyless_space

Published = Callable[[str], NetworkSpec]


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("mobilenet-v2", 3_504_872, 300_774_272),
        ("mobile", 4_080_512, 320_427_584),
        ("cpu", 4_361_648, 439_243_864),
        ("gpu", 7_119_848, 465_260_160),
        ("mobile-14", 6_857_568, 580_883_408),
    ],
)
def test_published_networks(published: Published, name: str, params: int, macs: int) -> None:
    counts = count(published(name))
    assert (counts.params, counts.macs) == (params, macs)


def test_proxyless_imagenet_has_the_published_size() -> None:
    assert proxyless_space("proxyless-imagenet", (3, 224, 224), 1000).choices.size() == 6**6 * 7**15


def _torch_counts(network: NetworkSpec) -> tuple[int, int]:
    with torch.device("meta"):
        module = build(network).eval()
        with FlopCounterMode(display=False) as counter:
            module(torch.empty(1, *network.input_shape))
    return sum(parameter.numel() for parameter in module.parameters()), counter.get_total_flops() // 2


@pytest.mark.parametrize("preset", PRESETS)
def test_random_architectures_count_as_torch_counts(preset: str) -> None:
    space = proxyless_space(preset, PRESETS[preset][0].input_shape, 10)
    rng = np.random.default_rng(5)
    for _ in range(3):
        network = space.decode(space.choices.sample_spread(rng))
        counts = count(network)
        assert (counts.params, counts.macs) == _torch_counts(network)


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_count_as_torch_counts(cell_network: Published, name: str) -> None:
    network = cell_network(name)
    counts = count(network)
    assert (counts.params, counts.macs) == _torch_counts(network)


def test_squeeze_excite_is_counted() -> None:
    network = NetworkSpec((8, 4, 4), (Node("block", MBConv(8, 3, 2, se_channels=4)),))
    counts = count(network)
    se_params = (16 * 4 + 4) + (4 * 16 + 16)
    assert counts.params == (8 * 16 + 32) + (16 * 9 + 32) + se_params + (16 * 8 + 16)
    assert counts.macs == 16 * (8 * 16 + 16 * 9 + 16 * 8) + 2 * 16 * 4


def test_peak_of_a_chain_by_hand() -> None:
    # image 3·8·8 = 192 values, 4·8·8 = 256, 8·4·4 = 128: at worst the image and the first map.
    nodes = (Node("a", ConvBnAct(4, 3)), Node("b", ConvBnAct(8, 3, 2)))
    assert count(NetworkSpec((3, 8, 8), nodes)).peak_activation_bytes == 4 * (192 + 256)
    # With a wide second map: 256 + 16·4·4 = 512 is more than 192 + 256.
    nodes = (Node("a", ConvBnAct(4, 3)), Node("b", ConvBnAct(16, 3, 2)))
    assert count(NetworkSpec((3, 8, 8), nodes)).peak_activation_bytes == 4 * (256 + 256)


def test_peak_of_a_residual_by_hand() -> None:
    # Depthwise reads 6·8·8 and writes 6·8·8 while the block's input 2·8·8 waits for the addition.
    block = MBConv(2, 3, 3)
    assert count(NetworkSpec((2, 8, 8), (Node("a", block),))).peak_activation_bytes == 4 * 64 * (2 + 6 + 6)
    block = MBConv(2, 3, 3, residual=False)
    assert count(NetworkSpec((2, 8, 8), (Node("a", block),))).peak_activation_bytes == 4 * 64 * (6 + 6)
