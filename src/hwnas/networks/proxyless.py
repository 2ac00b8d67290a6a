"""The published ProxylessNAS networks for ImageNet: Mobile, CPU, GPU and Mobile-14.

Source: Cai, Zhu, Han 2019; the network configs that the authors publish (github.com/han-cai/files,
proxylessnas/proxyless_*.config). Batch-norm's epsilon is 1e-3; the first block has no residual.
"""

from __future__ import annotations

from functools import partial

from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import Published

_STRIDES = (2, 2, 2, 1, 2, 1)
_EPS = 1e-3
# The layers of each stage by kernel and expansion; "-" is one that the search removed.
_MOBILE = "k5e3 k3e3 - - | k7e3 k3e3 k5e3 k5e3 | k7e6 k5e3 k5e3 k5e3 | k5e6 k5e3 k5e3 k5e3 | k7e6 k7e6 k7e3 k7e3 | k7e6"
_CPU = "k3e6 k3e3 k3e3 k3e3 | k3e6 k3e3 k3e3 k5e3 | k3e6 - - k3e3 | k5e6 k3e3 k3e3 k3e3 | k5e6 k5e3 k5e3 k3e3 | k5e6"
_GPU = "k5e3 - - - | k7e3 - - k3e3 | k7e6 - - k5e3 | k5e6 - k3e3 k5e3 | k7e6 k7e6 k7e6 k5e6 | k7e6"


def _proxyless(
    stem: int, first: int, widths: tuple[int, ...], head: int, operations: str,
    input_shape: Shape, classes: int, _width: float,
) -> NetworkSpec:  # fmt: skip
    """A published network: stem, the fixed first block, six stages, head; blocks keep their places in the space."""
    nodes = [
        Node("stem", ConvBnAct(stem, 3, 2, bn_eps=_EPS)),
        Node("first", MBConv(first, 3, 1, residual=False, bn_eps=_EPS)),
    ]
    stages = zip(widths, _STRIDES, operations.split("|"), strict=True)
    for stage, (channels, first_stride, row) in enumerate(stages, start=1):
        for block, operation in enumerate(row.split()):
            if operation == "-":
                continue
            kernel, expansion = int(operation[1]), int(operation[3])
            layer = MBConv(channels, kernel, expansion, first_stride if block == 0 else 1, bn_eps=_EPS)
            nodes.append(Node(f"stage{stage}.block{block}", layer))
    nodes.append(Node("head", ConvBnAct(head, 1, bn_eps=_EPS)))
    return NetworkSpec(input_shape, (*nodes, Node("classifier", Classifier(classes))))


_PAPER = "Cai, Zhu, Han 2019, ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware"
_ORIGIN = "github.com/han-cai/files, proxylessnas/"
PUBLISHED = (
    Published(
        name="proxyless-mobile",
        title="ProxylessNAS Mobile",
        paper=_PAPER,
        origin=f"{_ORIGIN}proxyless_mobile.config",
        resolution=224,
        layers=partial(_proxyless, 32, 16, (32, 40, 80, 96, 192, 320), 1280, _MOBILE),
        reported_top1=74.6,
        note="Stage 1 is 32 wide, while the released search space and its Pixel 1 latency table have 24",
    ),
    Published(
        name="proxyless-cpu",
        title="ProxylessNAS CPU",
        paper=_PAPER,
        origin=f"{_ORIGIN}proxyless_cpu.config",
        resolution=224,
        layers=partial(_proxyless, 40, 24, (32, 48, 88, 104, 216, 360), 1432, _CPU),
        reported_top1=75.3,
    ),
    Published(
        name="proxyless-gpu",
        title="ProxylessNAS GPU",
        paper=_PAPER,
        origin=f"{_ORIGIN}proxyless_gpu.config",
        resolution=224,
        layers=partial(_proxyless, 40, 24, (32, 56, 112, 128, 256, 432), 1728, _GPU),
        reported_top1=75.1,
    ),
    Published(
        name="proxyless-mobile-14",
        title="ProxylessNAS Mobile-14",
        paper=_PAPER,
        origin=f"{_ORIGIN}proxyless_mobile_14.config",
        resolution=224,
        layers=partial(_proxyless, 48, 24, (40, 56, 112, 136, 256, 448), 1792, _MOBILE),
        reported_top1=76.7,
    ),
)
