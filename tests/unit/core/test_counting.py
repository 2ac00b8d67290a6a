"""Counts against published figures, torch's counter, and by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hwnas.core.cells import PyramidTreeBlock
from hwnas.core.counting import count
from hwnas.core.layers import BnAct, Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.nn.build import build
from hwnas.spaces.proxyless import PRESETS, proxyless_space

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("HWNAS_DATA", ROOT.parent / "shared" / "data"))
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


def test_published_nasnet_a(published: Published) -> None:
    # Keras's NASNetMobile and timm's nasnetalarge; the paper says 5.3M with 564M MACs, and 88.9M with 23.8B.
    mobile, large = count(published("nasnet-a-mobile")), count(published("nasnet-a-large"))
    assert mobile.params == 5_289_978 and round(mobile.macs / 1e6) == 564
    assert large.params == 88_753_150 and round(large.macs / 1e9, 1) == 23.8


def _operation(edge: dict[str, Any]) -> str:
    if edge["name"] == "IdentityLayer":
        return "identity"
    if edge["name"] == "PoolingLayer":
        return f"{edge['pool_type']}{edge['kernel_size']}"
    return f"{'dil' if edge['dilation'] == 2 else 'sep'}{edge['kernel_size']}"


def test_published_proxyless_cifar_network() -> None:
    path = DATA / "proxylessnas" / "proxyless_cifar.config"
    if not path.exists():
        pytest.skip(f"no {path}: set HWNAS_DATA to a folder with proxylessnas/proxyless_cifar.config")
    nodes = [Node("stem", ConvBnAct(16, 3, activation=""))]
    for index, block in enumerate(json.loads(path.read_text())["blocks"][1:-1]):
        (root,), (tree,) = block["cell"]["edges"], block["cell"]["child_nodes"]
        edges = []
        for half in tree["child_nodes"]:
            for edge, leaves in zip(half["edges"], half["child_nodes"], strict=True):
                edges += [edge, *leaves["edges"]]
        layer = PyramidTreeBlock(block["in_bottle"]["out_channels"], root["stride"], tuple(map(_operation, edges)))
        nodes.append(Node(f"block{index}", layer))
    network = NetworkSpec((3, 32, 32), (*nodes, Node("activate", BnAct()), Node("classifier", Classifier(10))))
    counts = count(network)
    assert len(nodes) == 55
    assert (counts.params, counts.macs) == (5_731_530, 1_213_155_872)


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


@pytest.mark.parametrize("name", ["nasnet", "tree"])
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
