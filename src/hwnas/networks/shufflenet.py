"""ShuffleNetV2 of the four published widths."""

from __future__ import annotations

from functools import partial

from hwnas.core.layers import Classifier, ConvBnAct, Pooling, ShuffleUnit
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import Published

_STEM_CHANNELS = 24
_LAYERS = (4, 8, 4)  # of the three stages; the first layer of each halves the map
_WIDTHS = (  # name, stages, head (Ma et al. 2018, table 5), top-1 and MACs in millions in the authors' repository
    ("x0.5", (48, 96, 192), 1024, 61.1, 41, 40.5),
    ("x1.0", (116, 232, 464), 1024, 69.4, 146, 144.9),
    ("x1.5", (176, 352, 704), 1024, 72.6, 299, 295.8),
    ("x2.0", (244, 488, 976), 2048, 75.0, 591, 583.3),
)


def _shufflenet_v2(
    stages: tuple[int, ...], head: int, input_shape: Shape, classes: int, _width: float
) -> NetworkSpec:  # fmt: skip
    """ShuffleNetV2: stem and pool, three stages, head."""
    nodes = [
        Node("stem", ConvBnAct(_STEM_CHANNELS, 3, 2, activation="relu")),
        Node("pool", Pooling("max", 3, 2)),
    ]
    for stage, (channels, layers) in enumerate(zip(stages, _LAYERS, strict=True), start=1):
        for block in range(layers):
            nodes.append(Node(f"stage{stage}.block{block}", ShuffleUnit(channels, stride=1 if block else 2)))
    nodes.append(Node("head", ConvBnAct(head, 1, activation="relu")))
    return NetworkSpec(input_shape, (*nodes, Node("classifier", Classifier(classes))))


PUBLISHED = tuple(
    Published(
        name=f"shufflenet-v2-{width}",
        title=f"ShuffleNetV2 {width[1:]}×",
        paper="Ma, Zhang, Zheng, Sun 2018, ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
        origin="the paper's table 5; accuracy from github.com/megvii-model/ShuffleNet-Series",
        resolution=224,
        layers=partial(_shufflenet_v2, stages, head),
        reported_top1=top1,
        note=f"The authors say {macs}M MACs; convolutions and the linear layer are {counted}M",
        torchvision=f"shufflenet_v2_{width.replace('.', '_')}",
    )
    for width, stages, head, top1, macs, counted in _WIDTHS
)
