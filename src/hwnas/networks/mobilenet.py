"""MobileNet V1, V2 and V3."""

from __future__ import annotations

from hwnas.core.layers import Classifier, ConvBnAct, MBConv, make_divisible
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import Published

_V2_STAGES = (  # expansion, channels, layers, stride of the first (Sandler et al. 2018, table 2)
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


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


PUBLISHED = (
    Published(
        name="mobilenet-v2",
        title="MobileNetV2 1.0",
        paper="Sandler, Howard, Zhu, Zhmoginov, Chen 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        origin="the paper's table 2; widths are rounded as in the authors' code",
        resolution=224,
        layers=mobilenet_v2,
        scales=True,
        reported_top1=72.0,
        torchvision="mobilenet_v2",
        timm="mobilenetv2_100",
    ),
)
