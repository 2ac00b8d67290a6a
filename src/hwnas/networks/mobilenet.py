"""MobileNet V1, V2 and V3.

Source: the papers' tables; rounding of widths and ReLU6 in V1 and V2 as in the authors' code
(github.com/tensorflow/models, research/slim/nets).
Differs: the epsilon of batch-norm in V1 and V2 is 1e-5, as in torchvision and timm, and not the authors' 1e-3, so that
weights from there give the same scores. In V3 it is 1e-3, the authors' and torchvision's; timm's mobilenetv3_large_100
and mobilenetv3_small_100 are the same networks with `bn_eps=1e-3`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hwnas.core.layers import Classifier, ConvBnAct, MBConv, SepConv, make_divisible
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import Published

_V3_PAPER = "Howard, Sandler, Chu et al. 2019, Searching for MobileNetV3"

_V1_STAGES = (  # channels, layers, stride of the first (Howard et al. 2017, table 1)
    (64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2),
)  # fmt: skip
_V2_STAGES = (  # expansion, channels, layers, stride of the first (Sandler et al. 2018, table 2)
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip

_V3Block = tuple[int, int, int, bool, str, int]  # kernel, middle channels, channels, squeeze-excite, activation, stride
_V3_LARGE: tuple[tuple[_V3Block, ...], ...] = (  # Howard et al. 2019, table 1
    ((3, 16, 16, False, "relu", 1),),
    ((3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1)),
    ((5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1)),
    ((3, 240, 80, False, "hard_swish", 2), (3, 200, 80, False, "hard_swish", 1),
     (3, 184, 80, False, "hard_swish", 1), (3, 184, 80, False, "hard_swish", 1)),
    ((3, 480, 112, True, "hard_swish", 1), (3, 672, 112, True, "hard_swish", 1)),
    ((5, 672, 160, True, "hard_swish", 2), (5, 960, 160, True, "hard_swish", 1), (5, 960, 160, True, "hard_swish", 1)),
)  # fmt: skip
_V3_SMALL: tuple[tuple[_V3Block, ...], ...] = (  # Howard et al. 2019, table 2
    ((3, 16, 16, True, "relu", 2),),
    ((3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1)),
    ((5, 96, 40, True, "hard_swish", 2), (5, 240, 40, True, "hard_swish", 1), (5, 240, 40, True, "hard_swish", 1)),
    ((5, 120, 48, True, "hard_swish", 1), (5, 144, 48, True, "hard_swish", 1)),
    ((5, 288, 96, True, "hard_swish", 2), (5, 576, 96, True, "hard_swish", 1), (5, 576, 96, True, "hard_swish", 1)),
)  # fmt: skip
_V3_EPS = 1e-3


def mobilenet_v1(input_shape: Shape, classes: int, width: float) -> NetworkSpec:
    """MobileNetV1 of any width, in multiples of 8 channels as its published widths are."""
    nodes = [Node("stem", ConvBnAct(make_divisible(32 * width), 3, 2))]
    for stage, (channels, layers, first_stride) in enumerate(_V1_STAGES, start=1):
        for block in range(layers):
            layer = SepConv(make_divisible(channels * width), 3, first_stride if block == 0 else 1, activation="relu6")
            nodes.append(Node(f"stage{stage}.block{block}", layer))
    return NetworkSpec(input_shape, (*nodes, Node("classifier", Classifier(classes))))


def mobilenet_v2(input_shape: Shape, classes: int, width: float) -> NetworkSpec:
    """MobileNetV2 of any width; the last convolution only grows with it."""
    nodes = [Node("stem", ConvBnAct(make_divisible(32 * width), 3, 2))]
    for stage, (expansion, channels, layers, first_stride) in enumerate(_V2_STAGES, start=1):
        out = make_divisible(channels * width)
        for block in range(layers):
            layer = MBConv(out, 3, expansion, first_stride if block == 0 else 1)
            nodes.append(Node(f"stage{stage}.block{block}", layer))
    nodes.append(Node("head", ConvBnAct(make_divisible(1280 * max(1.0, width)), 1)))
    return NetworkSpec(input_shape, (*nodes, Node("classifier", Classifier(classes))))


def _mobilenet_v3(
    stages: tuple[tuple[_V3Block, ...], ...], hidden: int, input_shape: Shape, classes: int, _width: float
) -> NetworkSpec:
    """MobileNetV3: stem, fixed first block, stages, a 1×1 convolution as wide as the last block's middle, `hidden`."""
    channels = 16
    nodes = [Node("stem", ConvBnAct(channels, 3, 2, activation="hard_swish", bn_eps=_V3_EPS))]
    for stage, blocks in enumerate(stages):
        for block, row in enumerate(blocks):
            name = f"stage{stage}.block{block}" if stage else "first"
            nodes.append(Node(name, _v3_layer(channels, row)))
            channels = row[2]
    last_middle = stages[-1][-1][1]
    head = ConvBnAct(last_middle, 1, activation="hard_swish", bn_eps=_V3_EPS)
    classifier = Classifier(classes, hidden_channels=hidden, hidden_bias=True)
    return NetworkSpec(input_shape, (*nodes, Node("head", head), Node("classifier", classifier)))


def _v3_layer(in_channels: int, row: _V3Block) -> MBConv:
    """A block; squeeze-excite has a quarter of the middle channels, in multiples of 8."""
    kernel, middle, channels, squeeze_excite, activation, stride = row
    # 6 and 6.0 are written differently in keys of latency tables, so whole ratios are whole numbers.
    expansion = middle // in_channels if middle % in_channels == 0 else middle / in_channels
    layer = MBConv(channels, kernel, expansion, stride, activation=activation, bn_eps=_V3_EPS)
    if not squeeze_excite:
        return layer
    return replace(layer, se_channels=make_divisible(middle // 4), se_gate="hard_sigmoid")


PUBLISHED = (
    Published(
        name="mobilenet-v1",
        title="MobileNetV1 1.0",
        paper="Howard, Zhu, Chen et al. 2017, MobileNets: Efficient Convolutional Neural Networks for Mobile Vision "
        "Applications",
        origin="the paper's table 1; ReLU6 as in the authors' code",
        resolution=224,
        layers=mobilenet_v1,
        scales=True,
        reported_top1=70.6,
        note="The paper reports 70.6 %, the authors' repository 70.9 %; for width 0.75 they say 325M and 317M MACs, "
        "and there are 325.4M",
        timm="mobilenetv1_100",
    ),
    Published(
        name="mobilenet-v2",
        title="MobileNetV2 1.0",
        paper="Sandler, Howard, Zhu, Zhmoginov, Chen 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        origin="the paper's table 2; widths are rounded as in the authors' code",
        resolution=224,
        layers=mobilenet_v2,
        scales=True,
        reported_top1=72.0,
        note="The paper says 3.4M parameters, the authors' repository 3.47M and 71.8 %; there are 3.50M",
        torchvision="mobilenet_v2",
        timm="mobilenetv2_100",
    ),
    Published(
        name="mobilenet-v3-large",
        title="MobileNetV3-Large 1.0",
        paper=_V3_PAPER,
        origin="the paper's table 1",
        resolution=224,
        layers=partial(_mobilenet_v3, _V3_LARGE, 1280),
        reported_top1=75.2,
        note="The paper says 219M MACs and 5.4M parameters, the authors' repository 217M; there are 216.6M (215.1M "
        "without squeeze-excite) and 5.48M. Once-for-All's version has no bias in the 1280-wide layer: 1,280 less",
        torchvision="mobilenet_v3_large",
        timm="mobilenetv3_large_100",
    ),
    Published(
        name="mobilenet-v3-small",
        title="MobileNetV3-Small 1.0",
        paper=_V3_PAPER,
        origin="the paper's table 2",
        resolution=224,
        layers=partial(_mobilenet_v3, _V3_SMALL, 1024),
        reported_top1=67.4,
        note="The authors' repository says 66M MACs, 2.9M parameters and 67.5 %; there are 56.5M and 2.54M",
        torchvision="mobilenet_v3_small",
        timm="mobilenetv3_small_100",
    ),
)
