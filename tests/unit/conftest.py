"""Published networks and small odd ones as NetworkSpecs, and arrays as training would leave them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.pyramid import PyramidTreeBlock
from hwnas.networks.darts import darts_v2
from hwnas.networks.nasnet import nasnet_a
from hwnas.networks.pyramid_tree import pyramid_tree
from hwnas.testing.engines import used_arrays as arrays_as_after_training

# No deadline: the machine may be busy. No database: tests leave nothing behind.
settings.register_profile("hwnas", deadline=None, database=None)
settings.load_profile("hwnas")

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


def _tree() -> NetworkSpec:
    first = ("sep7", "dil3", "identity", "max3", "sep7", "max3", "sep5", "sep5", "sep5", "dil3", "sep7", "sep7")
    second = ("dil3", "sep5", "avg3", "max3", "avg3", "sep7", "sep5", "sep7", "sep3", "avg3", "avg3", "max3")
    return pyramid_tree((3, 16, 16), ((PyramidTreeBlock(6, 1, first),), (PyramidTreeBlock(10, 2, second),)), 10)


@pytest.fixture
def published() -> Callable[[str], NetworkSpec]:
    """Published networks by name."""

    def get(name: str) -> NetworkSpec:
        match name:
            case "mobilenet-v2":
                return _mobilenet_v2()
            case _:
                return _proxyless(name)

    return get


@pytest.fixture
def cell_network() -> Callable[[str], NetworkSpec]:
    """Networks of cells, each of which reads two values, and of trees: "nasnet", "darts", "tree".

    The cells' maps are 30, 15 and 8 pixels wide: a reduction of an even and one of an odd size.
    """
    makers: dict[str, Callable[[], NetworkSpec]] = {
        "nasnet": lambda: nasnet_a(1, 144, 9, imagenet=False)((3, 30, 30), 10, 1.0),
        "darts": lambda: darts_v2(4, 4)((3, 30, 30), 10, 1.0),
        "tree": _tree,
    }
    return lambda name: makers[name]()


@pytest.fixture
def used_arrays() -> Callable[[NetworkSpec, int], dict[str, np.ndarray]]:
    """Arrays with batch-norms that do something, as after training."""
    return arrays_as_after_training
