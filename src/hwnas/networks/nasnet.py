"""NASNet-A: mobile, large, and for CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable

from hwnas.core.layers import Act, Classifier, ConvBnAct
from hwnas.core.nasnet import NasnetCell
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import CIFAR10, Published

# Zoph et al. 2018, figure 4; states and order of blocks as in the released code.
NORMAL_BLOCKS = (
    (0, "sep5", 1, "sep3"), (1, "sep5", 1, "sep3"), (0, "avg3", 1, "identity"), (1, "avg3", 1, "avg3"),
    (0, "sep3", 0, "identity"),
)  # fmt: skip
NORMAL_CONCAT = (1, 2, 3, 4, 5, 6)
REDUCTION_BLOCKS = (
    (0, "sep5", 1, "sep7"), (0, "max3", 1, "sep7"), (0, "avg3", 1, "sep5"), (3, "identity", 2, "avg3"),
    (2, "sep3", 0, "max3"),
)  # fmt: skip
REDUCTION_CONCAT = (3, 4, 5, 6)
_STAGES = 3
_PAPER = "Zoph, Vasudevan, Shlens, Le 2018, Learning Transferable Architectures for Scalable Image Recognition"
_ORIGIN = "tensorflow/models, research/slim/nets/nasnet (nasnet.py, nasnet_utils.py)"


def nasnet_a(
    repeats: int, filters: int, stem: int, *, imagenet: bool, skip_reduction: bool = False,
    count_include_pad: bool = False,
) -> Callable[[Shape, int, float], NetworkSpec]:  # fmt: skip
    """NASNet-A "repeats @ filters", as a function of (input shape, classes, width).

    NASNet has no width multiplier; `width` is not looked at.

    Args:
        repeats: normal cells in each of the three stages.
        filters: channels of the value before the classifier, a multiple of 24; of ImageNet networks, of 96.
        stem: channels of the first convolution.
        imagenet: whether the stem is a strided convolution and two reduction cells; else it is one convolution.
        skip_reduction: whether the cell behind a reduction reads, beside it, what the reduction cell itself read as
            the previous state (`skip_reduction_layer_input`); else what it read as the current one.
        count_include_pad: of the cells.
    """
    eps = 1e-3 if imagenet else 1e-5
    first = filters // 24  # six states are joined, and there are two doublings

    def cell(channels: int, reduction: bool) -> NasnetCell:
        if reduction:
            return NasnetCell(channels, REDUCTION_BLOCKS, REDUCTION_CONCAT, True, eps, count_include_pad)
        return NasnetCell(channels, NORMAL_BLOCKS, NORMAL_CONCAT, False, eps)

    def layers(input_shape: Shape, classes: int, width: float) -> NetworkSpec:
        start = ConvBnAct(stem, 3, 2 if imagenet else 1, activation="", bn_eps=eps, valid=imagenet)
        nodes, current, previous = [Node("stem", start)], "stem", "stem"
        for index in range(2 if imagenet else 0):
            name = f"stem_cell{index}"
            nodes.append(Node(name, cell(first // 4 * (index + 1), True), (current, previous)))
            current, previous = name, current
        for stage in range(1, _STAGES + 1):
            for block in range(repeats + (stage > 1)):
                name, reduction = f"stage{stage}.block{block}", stage > 1 and block == 0
                nodes.append(Node(name, cell(first * 2 ** (stage - 1), reduction), (current, previous)))
                current, previous = name, previous if reduction and skip_reduction else current
        nodes += [Node("head", Act("relu")), Node("classifier", Classifier(classes))]
        return NetworkSpec(input_shape, tuple(nodes))

    return layers


PUBLISHED = (
    Published(
        name="nasnet-a-mobile",
        title="NASNet-A (4 @ 1056)",
        paper=_PAPER,
        origin=_ORIGIN,
        resolution=224,
        layers=nasnet_a(4, 1056, 32, imagenet=True),
        reported_top1=74.0,
    ),
    Published(
        name="nasnet-a-large",
        title="NASNet-A (6 @ 4032)",
        paper=_PAPER,
        origin=f"{_ORIGIN}; strided averages as in timm",
        resolution=331,
        layers=nasnet_a(6, 4032, 96, imagenet=True, skip_reduction=True, count_include_pad=True),
        reported_top1=82.7,
        note=(
            "timm's strided averages count the zeros around the map, TensorFlow's do not; this network does as timm"
            " does and takes its weights"
        ),
        timm="nasnetalarge",
    ),
    Published(
        name="nasnet-a-cifar",
        title="NASNet-A (6 @ 768)",
        paper=_PAPER,
        origin=_ORIGIN,
        resolution=32,
        layers=nasnet_a(6, 768, 96, imagenet=False),
        data=CIFAR10,
        reported_top1=96.59,
    ),
)
