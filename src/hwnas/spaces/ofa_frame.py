"""What all sub-networks of a Once-for-All supernet share: widths, strides, activations, first and last layers.

The space chooses depth, kernel and expansion; its published networks, the readers of the authors' files and the space
itself get their layers here.

Source: Cai, Gan, Wang, Zhang, Han 2020, "Once-for-All: Train One Network and Specialize it for Efficient Deployment",
and the authors' code (github.com/mit-han-lab/once-for-all, ofa/imagenet_classification/elastic_nn/networks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, MBConv, make_divisible
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape


@dataclass(frozen=True, slots=True)
class OfaUnit:
    """Blocks of one width.

    Args:
        channels: output width of every block.
        stride: of the first block.
        depth: blocks in the largest network.
        activation: after expansion and depthwise convolution.
        squeeze_excite: whether the blocks have it; its width is a quarter of the middle channels, in multiples of 8.
    """

    channels: int
    stride: int
    depth: int = 4
    activation: str = "relu6"
    squeeze_excite: bool = False


@dataclass(frozen=True, slots=True)
class OfaFrame:
    """A supernet without its choices.

    Args:
        stem: the first convolution.
        first: the fixed first block.
        units: in order.
        head: the last convolution.
        hidden_channels: width of the layer between pooling and scores, 0 for none.
        bn_eps: of every batch-norm.
    """

    stem: ConvBnAct
    first: MBConv
    units: tuple[OfaUnit, ...]
    head: ConvBnAct
    hidden_channels: int
    bn_eps: float

    def block(self, unit: int, block: int, kernel: int, expansion: float) -> MBConv:
        """One block.

        Args:
            unit: its unit, from 0.
            block: its place in the unit, from 0.
            kernel: of the depthwise convolution.
            expansion: middle width over input width.
        """
        own = self.units[unit]
        before = own.channels if block else self.units[unit - 1].channels if unit else self.first.out_channels
        stride = 1 if block else own.stride
        layer = MBConv(own.channels, kernel, expansion, stride, activation=own.activation, bn_eps=self.bn_eps)
        if not own.squeeze_excite:
            return layer
        se_channels = make_divisible(layer.middle_channels(before) // 4)
        return replace(layer, se_channels=se_channels, se_gate="hard_sigmoid")

    def classifier(self, classes: int) -> Classifier:
        """The last layer; the hidden one has no bias here, where MobileNetV3's has one."""
        if not self.hidden_channels:
            return Classifier(classes)
        return Classifier(classes, hidden_channels=self.hidden_channels, hidden_bias=False)

    def network(self, input_shape: Shape, classes: int, units: Sequence[Sequence[tuple[int, float]]]) -> NetworkSpec:
        """A sub-network.

        Args:
            input_shape: (channels, height, width) of the images.
            classes: number of classes.
            units: kernel and expansion of the blocks that each unit keeps; the others are left out.

        Raises:
            InputError: another number of units than the supernet has, or of blocks than a unit can have.
        """
        depths = [unit.depth for unit in self.units]
        if len(units) != len(depths) or any(not 0 < len(own) <= most for own, most in zip(units, depths, strict=True)):
            raise InputError(
                f"this supernet has {len(depths)} units of up to {', '.join(map(str, depths))} blocks, not of "
                f"{', '.join(str(len(own)) for own in units) or 'none'}"
            )
        blocks = (
            Node(f"stage{index + 1}.block{block}", self.block(index, block, kernel, expansion))
            for index, unit in enumerate(units)
            for block, (kernel, expansion) in enumerate(unit)
        )
        ends = Node("head", self.head), Node("classifier", self.classifier(classes))
        return NetworkSpec(input_shape, (Node("stem", self.stem), Node("first", self.first), *blocks, *ends))


def ofa_mobilenet_v3(width: float) -> OfaFrame:
    """The frame of `ofa_mbv3_d234_e346_k357`, published at widths 1.0 and 1.2."""
    units = ((24, 2, "relu", False), (40, 2, "relu", True), (80, 2, "hard_swish", False),
             (112, 1, "hard_swish", True), (160, 2, "hard_swish", True))  # fmt: skip
    stem = make_divisible(16 * width)
    return OfaFrame(
        stem=ConvBnAct(stem, 3, 2, activation="hard_swish"),
        first=MBConv(stem, 3, 1, activation="relu"),
        units=tuple(OfaUnit(make_divisible(c * width), s, 4, act, excite) for c, s, act, excite in units),
        head=ConvBnAct(make_divisible(960 * width), 1, activation="hard_swish"),
        hidden_channels=make_divisible(1280 * width),
        bn_eps=1e-5,
    )


def ofa_proxyless(width: float) -> OfaFrame:
    """The frame of `ofa_proxyless_d234_e346_k357`, published at width 1.3."""
    units = ((24, 2, 4), (40, 2, 4), (80, 2, 4), (96, 1, 4), (192, 2, 4), (320, 1, 1))
    eps = 1e-3
    return OfaFrame(
        stem=ConvBnAct(make_divisible(32 * width), 3, 2, bn_eps=eps),
        first=MBConv(make_divisible(16 * width), 3, 1, residual=False, bn_eps=eps),
        units=tuple(OfaUnit(make_divisible(c * width), stride, depth) for c, stride, depth in units),
        head=ConvBnAct(make_divisible(1280 * width), 1, bn_eps=eps),
        hidden_channels=0,
        bn_eps=eps,
    )
