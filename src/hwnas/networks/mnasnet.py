"""MnasNet-A1, -B1 and -small, of any width.

Source: Tan, Chen, Pang et al. 2019; the block strings of the authors' code (github.com/tensorflow/tpu,
models/official/mnasnet/mnasnet_models.py). Squeeze-excite has a quarter of the block's *input* channels; the head does
not scale with the width.
Differs: the epsilon of batch-norm is 1e-5, as in torchvision and timm, and not the authors' 1e-3; the first block of
MnasNet-small has the residual that timm gives it, where the authors' code has none (it declares 16 inputs and gets 8).
So weights from there give the same scores; parameters and MACs are the same either way.
"""

from __future__ import annotations

from functools import partial

from hwnas.core.layers import Classifier, ConvBnAct, MBConv, make_divisible
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import Published

_Stage = tuple[
    int, int, int, int, int, bool
]  # layers, kernel, stride of the first, expansion, channels, squeeze-excite
_A1: tuple[_Stage, ...] = (
    (2, 3, 2, 6, 24, False),
    (3, 5, 2, 3, 40, True),
    (4, 3, 2, 6, 80, False),
    (2, 3, 1, 6, 112, True),
    (3, 5, 2, 6, 160, True),
    (1, 3, 1, 6, 320, False),
)
_B1: tuple[_Stage, ...] = (
    (3, 3, 2, 3, 24, False),
    (3, 5, 2, 3, 40, False),
    (3, 5, 2, 6, 80, False),
    (2, 3, 1, 6, 96, False),
    (4, 5, 2, 6, 192, False),
    (1, 3, 1, 6, 320, False),
)
_SMALL: tuple[_Stage, ...] = (
    (1, 3, 2, 3, 16, False),
    (2, 3, 2, 6, 16, False),
    (4, 5, 2, 6, 32, True),
    (3, 3, 1, 6, 32, True),
    (3, 5, 2, 6, 88, True),
    (1, 3, 1, 6, 144, False),
)
_HEAD_CHANNELS = 1280


def _mnasnet(
    stages: tuple[_Stage, ...], stem: int, first: int, first_residual: bool,
    input_shape: Shape, classes: int, width: float,
) -> NetworkSpec:  # fmt: skip
    """A MnasNet: stem, the fixed first block, stages, head.

    Args:
        stages: rows of the network's table.
        stem: channels of the stem at width 1.
        first: channels of the first block at width 1.
        first_residual: whether the first block may have a residual.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.
        width: multiplies every width but the head's.
    """
    channels = make_divisible(first * width)
    nodes = [
        Node("stem", ConvBnAct(make_divisible(stem * width), 3, 2, activation="relu")),
        Node("first", MBConv(channels, 3, 1, activation="relu", residual=first_residual)),
    ]
    for stage, (layers, kernel, first_stride, expansion, base, squeeze_excite) in enumerate(stages, start=1):
        out = make_divisible(base * width)
        for block in range(layers):
            layer = MBConv(
                out, kernel, expansion, first_stride if block == 0 else 1,
                se_channels=max(1, channels // 4) if squeeze_excite else 0, activation="relu",
            )  # fmt: skip
            nodes.append(Node(f"stage{stage}.block{block}", layer))
            channels = out
    nodes.append(Node("head", ConvBnAct(_HEAD_CHANNELS, 1, activation="relu")))
    return NetworkSpec(input_shape, (*nodes, Node("classifier", Classifier(classes))))


_PAPER = "Tan, Chen, Pang et al. 2019, MnasNet: Platform-Aware Neural Architecture Search for Mobile"
_ORIGIN = "the block strings of github.com/tensorflow/tpu, models/official/mnasnet/mnasnet_models.py"
PUBLISHED = (
    Published(
        name="mnasnet-a1",
        title="MnasNet-A1 1.0",
        paper=_PAPER,
        origin=_ORIGIN,
        resolution=224,
        layers=partial(_mnasnet, _A1, 32, 16, False),
        scales=True,
        reported_top1=75.2,
        note="The authors' README says 312M MACs in its text and 315.2M in its table; there are 311.6M with "
        "squeeze-excite",
        timm="semnasnet_100",
    ),
    Published(
        name="mnasnet-b1",
        title="MnasNet-B1 1.0",
        paper=_PAPER,
        origin=_ORIGIN,
        resolution=224,
        layers=partial(_mnasnet, _B1, 32, 16, False),
        scales=True,
        reported_top1=74.5,
        note="The paper says 315M MACs; there are 314.4M",
        torchvision="mnasnet1_0",
        timm="mnasnet_100",
    ),
    Published(
        name="mnasnet-small",
        title="MnasNet-small 1.0",
        paper=_PAPER,
        origin=_ORIGIN,
        resolution=224,
        layers=partial(_mnasnet, _SMALL, 8, 8, True),
        scales=True,
        reported_top1=66.0,
        note='The authors\' README says "about 66 %"; the first block has a residual in timm and here, and none in '
        "their code, whose block string declares 16 inputs where the stem gives 8",
        timm="mnasnet_small",
    ),
)
