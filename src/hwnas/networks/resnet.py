"""ResNet-18, -34 and -50."""

from __future__ import annotations

from functools import partial

from hwnas.core.layers import BasicBlock, Bottleneck, Classifier, ConvBnAct, Pooling
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import Published

_CHANNELS = (64, 128, 256, 512)
_EXPANSION = 4  # a bottleneck's output over its middle


def _resnet(
    layers: tuple[int, ...], bottleneck: bool, input_shape: Shape, classes: int, _width: float
) -> NetworkSpec:  # fmt: skip
    """A ResNet for images of ImageNet's size: stem and pool, four stages (He et al. 2016, table 1)."""
    nodes = [Node("stem", ConvBnAct(64, 7, 2, activation="relu")), Node("pool", Pooling("max", 3, 2))]
    for stage, (channels, count) in enumerate(zip(_CHANNELS, layers, strict=True), start=1):
        for block in range(count):
            stride = 2 if stage > 1 and block == 0 else 1
            plain = BasicBlock(channels, stride)
            layer = Bottleneck(_EXPANSION * channels, channels, stride) if bottleneck else plain
            nodes.append(Node(f"stage{stage}.block{block}", layer))
    return NetworkSpec(input_shape, (*nodes, Node("classifier", Classifier(classes))))


_PAPER = "He, Zhang, Ren, Sun 2016, Deep Residual Learning for Image Recognition"
_ORIGIN = "the paper's table 1; shortcuts are projected where shapes differ (option B)"
PUBLISHED = (
    Published(
        name="resnet-18",
        title="ResNet-18",
        paper=_PAPER,
        origin=_ORIGIN,
        resolution=224,
        layers=partial(_resnet, (2, 2, 2, 2), False),
        note="The paper gives the error over ten crops only, 27.88 %, with shortcuts that are not projected",
        torchvision="resnet18",
        timm="resnet18",
    ),
    Published(
        name="resnet-34",
        title="ResNet-34",
        paper=_PAPER,
        origin=_ORIGIN,
        resolution=224,
        layers=partial(_resnet, (3, 4, 6, 3), False),
        note="The paper gives the error over ten crops only, 24.52 %",
        torchvision="resnet34",
        timm="resnet34",
    ),
    Published(
        name="resnet-50",
        title="ResNet-50",
        paper=_PAPER,
        origin=f"{_ORIGIN}; the stride is in the 3×3 convolution, as in torchvision",
        resolution=224,
        layers=partial(_resnet, (3, 4, 6, 3), True),
        reported_top1=75.3,
        note="The paper says 3.8G MACs and has the stride in the first 1×1 convolution; as here there are 4.09G",
        torchvision="resnet50",
        timm="resnet50",
    ),
)
