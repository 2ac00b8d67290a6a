"""Published networks and small odd ones as NetworkSpecs, and arrays as training would leave them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from hwnas.core.cells import NasnetCell, PyramidTreeBlock
from hwnas.core.layers import BnAct, Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.testing.engines import used_arrays as arrays_as_after_training

# No deadline: the machine may be busy. No database: tests leave nothing behind.
settings.register_profile("hwnas", deadline=None, database=None)
settings.load_profile("hwnas")

NASNET_A_NORMAL = {
    "blocks": (
        (0, "sep5", 1, "sep3"),
        (1, "sep5", 1, "sep3"),
        (0, "avg3", 1, "identity"),
        (1, "avg3", 1, "avg3"),
        (0, "sep3", 0, "identity"),
    ),
    "concat": (1, 2, 3, 4, 5, 6),
}
NASNET_A_REDUCTION = {
    "blocks": (
        (0, "sep5", 1, "sep7"),
        (0, "max3", 1, "sep7"),
        (0, "avg3", 1, "sep5"),
        (3, "identity", 2, "avg3"),
        (2, "sep3", 0, "max3"),
    ),
    "concat": (3, 4, 5, 6),
    "reduction": True,
}
_MOBILE_OPS = (
    "k5e3 k3e3 Z Z | k7e3 k3e3 k5e3 k5e3 | k7e6 k5e3 k5e3 k5e3 | k5e6 k5e3 k5e3 k5e3 | k7e6 k7e6 k7e3 k7e3 | k7e6"
)
# name -> stem, first block, stages, head, operations
_PROXYLESS = {
    "mobile": (32, 16, (32, 40, 80, 96, 192, 320), 1280, _MOBILE_OPS),
    "mobile-14": (48, 24, (40, 56, 112, 136, 256, 448), 1792, _MOBILE_OPS),
    "cpu": (40, 24, (32, 48, 88, 104, 216, 360), 1432,
            "k3e6 k3e3 k3e3 k3e3 | k3e6 k3e3 k3e3 k5e3 | k3e6 Z Z k3e3 | k5e6 k3e3 k3e3 k3e3 | "
            "k5e6 k5e3 k5e3 k3e3 | k5e6"),
    "gpu": (40, 24, (32, 56, 112, 128, 256, 432), 1728,
            "k5e3 Z Z Z | k7e3 Z Z k3e3 | k7e6 Z Z k5e3 | k5e6 Z k3e3 k5e3 | k7e6 k7e6 k7e6 k5e6 | k7e6"),
}  # fmt: skip


def _proxyless(name: str) -> NetworkSpec:
    stem, first, widths, head, operations = _PROXYLESS[name]
    nodes = [Node("stem", ConvBnAct(stem, 3, 2)), Node("first", MBConv(first, 3, 1, residual=False))]
    for stage, (width, row) in enumerate(zip(widths, operations.split("|"), strict=True)):
        for block, operation in enumerate(row.split()):
            if operation != "Z":
                stride = (2, 2, 2, 1, 2, 1)[stage] if block == 0 else 1
                layer = MBConv(width, int(operation[1]), int(operation[3]), stride)
                nodes.append(Node(f"stage{stage}.block{block}", layer))
    return NetworkSpec((3, 224, 224), (*nodes, Node("head", ConvBnAct(head, 1)), Node("classifier", Classifier(1000))))


def _mobilenet_v2() -> NetworkSpec:
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    nodes = [Node("stem", ConvBnAct(32, 3, 2))]
    for expansion, width, repeats, stride in rows:
        for repeat in range(repeats):
            layer = MBConv(width, 3, expansion, stride if repeat == 0 else 1)
            nodes.append(Node(f"width{width}.block{repeat}", layer))
    return NetworkSpec((3, 224, 224), (*nodes, Node("head", ConvBnAct(1280, 1)), Node("classifier", Classifier(1000))))


def nasnet(filters: int, repeats: int, stem: int, size: int, classes: int, imagenet_stem: bool) -> NetworkSpec:
    nodes = [Node("stem", ConvBnAct(stem, 3, 2, activation=""))]
    history = ["stem", "stem"]

    def cell(name: str, width: int, kind: dict[str, object]) -> None:
        nodes.append(Node(name, NasnetCell(width, **kind), (history[-1], history[-2])))
        history.append(name)

    if imagenet_stem:
        cell("stem0", filters // 4, NASNET_A_REDUCTION)
        cell("stem1", filters // 2, NASNET_A_REDUCTION)
    for stage in range(3):
        if stage:
            cell(f"reduction{stage}", filters * 2**stage, NASNET_A_REDUCTION)
        for repeat in range(repeats):
            cell(f"stage{stage}.cell{repeat}", filters * 2**stage, NASNET_A_NORMAL)
    nodes.append(Node("classifier", Classifier(classes)))
    return NetworkSpec((3, size, size), tuple(nodes))


def _tree() -> NetworkSpec:
    first = ("sep7", "dil3", "identity", "max3", "sep7", "max3", "sep5", "sep5", "sep5", "dil3", "sep7", "sep7")
    second = ("dil3", "sep5", "avg3", "max3", "avg3", "sep7", "sep5", "sep7", "sep3", "avg3", "avg3", "max3")
    nodes = (
        Node("stem", ConvBnAct(16, 3, activation="")),
        Node("block1", PyramidTreeBlock(6, 1, first)),
        Node("block2", PyramidTreeBlock(10, 2, second)),
        Node("activate", BnAct()),
        Node("classifier", Classifier(10)),
    )
    return NetworkSpec((3, 16, 16), nodes)


@pytest.fixture
def published() -> Callable[[str], NetworkSpec]:
    """Published networks by name."""

    def get(name: str) -> NetworkSpec:
        match name:
            case "mobilenet-v2":
                return _mobilenet_v2()
            case "nasnet-a-mobile":
                return nasnet(44, 4, 32, 224, 1000, imagenet_stem=True)
            case "nasnet-a-large":
                return nasnet(168, 6, 96, 331, 1000, imagenet_stem=True)
            case _:
                return _proxyless(name)

    return get


@pytest.fixture
def cell_network() -> Callable[[str], NetworkSpec]:
    """The format's touchstones: "nasnet" (normal and reduction cells on an odd map) and "tree" (two tree blocks)."""
    makers = {"nasnet": lambda: nasnet(6, 1, 9, 30, 10, imagenet_stem=False), "tree": _tree}
    return lambda name: makers[name]()


@pytest.fixture
def used_arrays() -> Callable[[NetworkSpec, int], dict[str, np.ndarray]]:
    """Arrays with batch-norms that do something, as after training."""
    return arrays_as_after_training
