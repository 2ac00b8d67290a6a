"""Networks that published tables were made for, from lists of operations as papers and configs give them."""

from __future__ import annotations

from hwnas.core.layers import Classifier, ConvBnAct, MBConv, make_divisible
from hwnas.core.network import NetworkSpec, Node

PROXYLESS_MOBILE = (
    "k5e3 k3e3 Z Z | k7e3 k3e3 k5e3 k5e3 | k7e6 k5e3 k5e3 k5e3 | k5e6 k5e3 k5e3 k5e3 | k7e6 k7e6 k7e3 k7e3 | k7e6"
)
_MBV3_UNITS = (  # width, stride, activation, squeeze-excite of the Once-for-All MobileNetV3 supernet of width 1.2
    (32, 2, "relu", False), (48, 2, "relu", True), (96, 2, "hard_swish", False), (136, 1, "hard_swish", True),
    (192, 2, "hard_swish", True),
)  # fmt: skip


def proxyless(operations: str, width: int, first_kernel: int = 3, classes: int = 1000) -> NetworkSpec:
    """ProxylessNAS's and TuNAS's skeleton at 224 pixels; `width` is that of the first stage."""
    nodes = [Node("stem", ConvBnAct(32, 3, 2)), Node("first", MBConv(16, first_kernel, 1, residual=False))]
    for stage, row in enumerate(operations.split("|")):
        channels, stride = ((width, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))[stage]
        for block, operation in enumerate(row.split()):
            if operation != "Z":
                layer = MBConv(channels, int(operation[1]), int(operation[3]), stride if block == 0 else 1)
                nodes.append(Node(f"stage{stage + 1}.block{block}", layer))
    last = (Node("head", ConvBnAct(1280, 1)), Node("classifier", Classifier(classes)))
    return NetworkSpec((3, 224, 224), (*nodes, *last))


def uniform(operation: str, rest: str | None = None) -> str:
    """One operation in every layer, or `rest` in all but the first of a stage."""
    stage = " ".join([operation, *[rest or operation] * 3])
    return " | ".join([stage] * 5 + [operation])


def once_for_all(operations: str, side: int) -> NetworkSpec:
    """A network of the Once-for-All MobileNetV3 supernet of width 1.2: "33,34 ; 53" is k3e3 k3e4, then k5e3."""
    nodes = [
        Node("stem", ConvBnAct(24, 3, 2, activation="hard_swish")),
        Node("first", MBConv(24, 3, 1, activation="relu")),
    ]
    before = 24
    for stage, (row, unit) in enumerate(zip(operations.split(";"), _MBV3_UNITS, strict=True), start=1):
        channels, stride, activation, excite = unit
        for block, (kernel, expansion) in enumerate(cell.strip() for cell in row.split(",")):
            hidden = make_divisible(before * int(expansion) // 4) if excite else 0
            layer = MBConv(
                channels, int(kernel), int(expansion), stride if block == 0 else 1, hidden, activation,
                se_gate="hard_sigmoid",
            )  # fmt: skip
            nodes.append(Node(f"stage{stage}.block{block}", layer))
            before = channels
    head = Node("head", ConvBnAct(1152, 1, activation="hard_swish"))
    last = Node("classifier", Classifier(1000, hidden_channels=1536, hidden_bias=False))
    return NetworkSpec((3, side, side), (*nodes, head, last))


def same_everywhere(operation: str, depth: int) -> str:
    """One operation in every layer of every unit, each of `depth` layers: ("54", 3) is k5e4d3."""
    return " ; ".join([",".join([operation] * depth)] * 5)


# Two small tables by hand: what a user may import, where the published ones are not at hand.
SMALL_PROXYLESSNAS = """\
Conv-input:32x32x3-output:16x16x8: {mean: 1.5, count: 10, var: 0.25}
expanded_conv-input:16x16x8-output:16x16x8-expand:1-kernel:3-stride:1-idskip:0: {mean: 0.25, count: 10, var: 0.0}
expanded_conv-input:16x16x8-output:8x8x16-expand:3-kernel:5-stride:2-idskip:0: {mean: 2.125}
expanded_conv-input:8x8x16-output:8x8x16-expand:6-kernel:3-stride:1-idskip:1: {mean: 0.5}
Conv_1-input:8x8x16-output:8x8x32: {mean: 0.75}
Logits-input:8x8x32-output:10: {mean: 0.0625}
"""
# 30 pixels become 15, then 8: the later rows have the keys that images of 32 have, and other values.
SMALL_ONCE_FOR_ALL = {
    32: """\
Conv-input:32x32x3-output:16x16x8: {mean: 1.5, count: 10, std: 0.25}
expanded_conv-input:16x16x8-output:16x16x8-expand:8-kernel:3-stride:1-idskip:1-se:0-hs:0: {mean: 0.25}
expanded_conv-input:16x16x8-output:8x8x16-expand:24-kernel:5-stride:2-idskip:0-se:1-hs:1: {mean: 2.0}
Conv_1-input:8x8x16-output:8x8x32: {mean: 0.75}
AvgPool2D-input:8x8x32-output:1x1x32: {mean: 0.125}
Conv_2-input:1x1x32-output:1x1x64: {mean: 0.5}
Logits-input:1x1x64-output:10: {mean: 0.0625}
""",
    30: """\
Conv-input:30x30x3-output:15x15x8: {mean: 1.25}
expanded_conv-input:15x15x8-output:15x15x8-expand:8-kernel:3-stride:1-idskip:1-se:0-hs:0: {mean: 0.1875}
expanded_conv-input:15x15x8-output:8x8x16-expand:24-kernel:5-stride:2-idskip:0-se:1-hs:1: {mean: 1.75}
Conv_1-input:8x8x16-output:8x8x32: {mean: 0.5}
AvgPool2D-input:8x8x32-output:1x1x32: {mean: 0.0625}
Conv_2-input:1x1x32-output:1x1x64: {mean: 0.25}
Logits-input:1x1x64-output:10: {mean: 0.03125}
""",
}
SMALL_MS = {"proxylessnas": 5.1875, 32: 5.1875, 30: 4.03125}


def small_proxylessnas() -> NetworkSpec:
    """What SMALL_PROXYLESSNAS has a row for each layer of."""
    nodes = (
        Node("stem", ConvBnAct(8, 3, 2)),
        Node("first", MBConv(8, 3, 1, residual=False)),
        Node("stage1.block0", MBConv(16, 5, 3, 2)),
        Node("stage1.block1", MBConv(16, 3, 6)),
        Node("head", ConvBnAct(32, 1)),
        Node("classifier", Classifier(10)),
    )
    return NetworkSpec((3, 32, 32), nodes)


def small_once_for_all(side: int) -> NetworkSpec:
    """What SMALL_ONCE_FOR_ALL has a row for each layer of."""
    nodes = (
        Node("stem", ConvBnAct(8, 3, 2, activation="hard_swish")),
        Node("first", MBConv(8, 3, 1, activation="relu")),
        Node("stage1.block0", MBConv(16, 5, 3, 2, 8, "hard_swish", se_gate="hard_sigmoid")),
        Node("head", ConvBnAct(32, 1, activation="hard_swish")),
        Node("classifier", Classifier(10, hidden_channels=64, hidden_bias=False)),
    )
    return NetworkSpec((3, side, side), nodes)
