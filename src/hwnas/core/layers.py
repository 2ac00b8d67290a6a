"""LayerSpecs: one layer each as a value, with the primitives it lowers to.

A new kind of layer is one dataclass with `lower()` and an entry in LAYERS (layer_json.py). Input channels come from the
value it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hwnas.core.lowering import add_input, added, conv_bn, map_inputs, squeeze_excite
from hwnas.core.primitives import (
    Activation,
    Add,
    BatchNorm,
    Concat,
    Flatten,
    GlobalPool,
    GraphWriter,
    Linear,
    Pool,
    Shuffle,
    Slice,
)


class LayerSpec(Protocol):
    """One layer as a value; frozen and hashable."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Writes the layer's primitives under `name` and returns the value that they end in."""
        ...


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Rounds to a multiple of `divisor`, never more than 10 % down (MobileNetV2 and all its successors)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


@dataclass(frozen=True, slots=True)
class ConvBnAct:
    """Convolution, batch-norm, activation ("" for none); `valid` without padding, as TensorFlow calls it."""

    out_channels: int
    kernel: int
    stride: int = 1
    groups: int = 1
    activation: str = "relu6"
    bn_eps: float = added(1e-5)
    valid: bool = added(False)

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """One convolution with its batch-norm and activation."""
        (value,) = map_inputs(graph, name, inputs)
        return conv_bn(
            graph, name, value, self.out_channels, self.kernel, stride=self.stride, groups=self.groups,
            activation=self.activation or None, eps=self.bn_eps, valid=self.valid,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Act:
    """An activation: what ends a network whose cells begin with one (NASNet)."""

    activation: str = "relu"

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """One activation."""
        (value,) = map_inputs(graph, name, inputs)
        return graph.add(f"{name}.act", Activation(self.activation), value)


@dataclass(frozen=True, slots=True)
class BnAct:
    """Batch-norm and an activation: what ends a network whose blocks activate first (PyramidNet)."""

    activation: str = "relu"

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """One batch-norm and its activation."""
        (value,) = map_inputs(graph, name, inputs)
        value = graph.add(f"{name}.bn", BatchNorm(graph.shape(value)[0]), value)
        return graph.add(f"{name}.act", Activation(self.activation), value)


@dataclass(frozen=True, slots=True)
class SepConv:
    """Depthwise-separable convolution: depthwise k×k and pointwise 1×1, each with batch-norm and activation.

    Source: Howard et al. 2017, MobileNets, figure 3.
    """

    out_channels: int
    kernel: int = 3
    stride: int = 1
    activation: str = "relu"
    bn_eps: float = 1e-5

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Depthwise, pointwise."""
        (value,) = map_inputs(graph, name, inputs)
        channels = graph.shape(value)[0]
        value = conv_bn(
            graph, f"{name}.depthwise", value, channels, self.kernel, stride=self.stride, groups=channels,
            activation=self.activation, eps=self.bn_eps,
        )  # fmt: skip
        pointwise = f"{name}.pointwise"
        return conv_bn(graph, pointwise, value, self.out_channels, 1, activation=self.activation, eps=self.bn_eps)


@dataclass(frozen=True, slots=True)
class MBConv:
    """Mobile inverted bottleneck (MobileNetV2): expand 1×1, depthwise k×k, project 1×1; residual where shapes allow.

    Args:
        out_channels: width of the projection.
        kernel: of the depthwise convolution, odd.
        expansion: middle width over input width; at 1 there is no expansion convolution.
        stride: of the depthwise convolution.
        se_channels: width of the squeeze-excite bottleneck behind the depthwise convolution, 0 for none.
        activation: after expansion and depthwise.
        residual: whether to add the input where stride is 1 and widths are equal.
        expand_always: whether there is an expansion convolution at expansion 1, too (TuNAS, timm).
        se_activation: between the two convolutions of squeeze-excite.
        se_gate: what its scale ends in.
        bn_eps: of every batch-norm.
        pool_shortcut: whether the input is added 3×3 average-pooled (MnasNet's skip operation "pool").
    """

    out_channels: int
    kernel: int
    expansion: float
    stride: int = 1
    se_channels: int = 0
    activation: str = "relu6"
    residual: bool = True
    expand_always: bool = added(False)
    se_activation: str = added("relu")
    se_gate: str = added("sigmoid")
    bn_eps: float = added(1e-5)
    pool_shortcut: bool = added(False)

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Expansion, depthwise, squeeze-excite, projection, residual."""
        (start,) = map_inputs(graph, name, inputs)
        in_channels = graph.shape(start)[0]
        middle = self.middle_channels(in_channels)
        value, eps = start, self.bn_eps
        if self.expansion != 1 or self.expand_always:
            value = conv_bn(graph, f"{name}.expand", value, middle, 1, activation=self.activation, eps=eps)
        value = conv_bn(
            graph, f"{name}.depthwise", value, middle, self.kernel, stride=self.stride, groups=middle,
            activation=self.activation, eps=eps,
        )  # fmt: skip
        if self.se_channels:
            value = squeeze_excite(graph, f"{name}.se", value, self.se_channels, self.se_activation, self.se_gate)
        value = conv_bn(graph, f"{name}.project", value, self.out_channels, 1, eps=eps)
        if self.residual and self.stride == 1 and in_channels == self.out_channels:
            value = add_input(graph, name, value, start, self.pool_shortcut)
        return value

    def middle_channels(self, in_channels: int) -> int:
        """Width of the depthwise convolution."""
        return round(in_channels * self.expansion)


@dataclass(frozen=True, slots=True)
class ResidualConv:
    """Convolution, batch-norm, activation; then squeeze-excite and the input, where shapes allow.

    What MnasNet's search space calls a regular convolution. The published networks have none; the paper does not say in
    which order the parts stand, here they stand as in MBConv.

    Args:
        out_channels: width.
        kernel: odd.
        stride: of the convolution.
        se_channels: width of the squeeze-excite bottleneck, 0 for none.
        activation: behind the convolution.
        residual: whether to add the input where stride is 1 and widths are equal.
        pool_shortcut: whether the input is added 3×3 average-pooled.
        bn_eps: of the batch-norm.
    """

    out_channels: int
    kernel: int
    stride: int = 1
    se_channels: int = 0
    activation: str = "relu"
    residual: bool = True
    pool_shortcut: bool = False
    bn_eps: float = 1e-5

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Convolution, squeeze-excite, residual."""
        (start,) = map_inputs(graph, name, inputs)
        value = conv_bn(
            graph, name, start, self.out_channels, self.kernel, stride=self.stride, activation=self.activation,
            eps=self.bn_eps,
        )  # fmt: skip
        if self.se_channels:
            value = squeeze_excite(graph, f"{name}.se", value, self.se_channels, "relu", "sigmoid")
        if self.residual and self.stride == 1 and graph.shape(start) == graph.shape(value):
            value = add_input(graph, name, value, start, self.pool_shortcut)
        return value


@dataclass(frozen=True, slots=True)
class ShuffleUnit:
    """ShuffleNetV2's unit: half of the channels pass (stride 1), or both branches read all of them (stride 2).

    A branch is 1×1, depthwise k×k, 1×1; at stride 2 the other one is depthwise k×k, 1×1. Joined, then shuffled by two.

    Source: Ma et al. 2018, ShuffleNet V2, figure 3 c and d.
    """

    out_channels: int
    kernel: int = 3
    stride: int = 1

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Both branches, joined and shuffled."""
        (start,) = map_inputs(graph, name, inputs)
        channels, half = graph.shape(start)[0], self.out_channels // 2
        if self.stride == 1:
            passed = graph.add(f"{name}.pass", Slice(0, channels // 2), start)
            value = graph.add(f"{name}.branch", Slice(channels // 2, channels), start)
        else:
            passed, value = self._depthwise(graph, f"{name}.short.depthwise", start), start
            passed = conv_bn(graph, f"{name}.short.project", passed, half, 1, activation="relu")
        value = conv_bn(graph, f"{name}.main.expand", value, half, 1, activation="relu")
        value = self._depthwise(graph, f"{name}.main.depthwise", value)
        value = conv_bn(graph, f"{name}.main.project", value, half, 1, activation="relu")
        value = graph.add(f"{name}.concat", Concat(), passed, value)
        return graph.add(f"{name}.shuffle", Shuffle(2), value)

    def _depthwise(self, graph: GraphWriter, name: str, value: str) -> str:
        channels = graph.shape(value)[0]
        return conv_bn(graph, name, value, channels, self.kernel, stride=self.stride, groups=channels)


@dataclass(frozen=True, slots=True)
class BasicBlock:
    """ResNet's block of two 3×3 convolutions with a shortcut, projected where shapes differ.

    Source: He et al. 2016, Deep Residual Learning, figure 5 left; projection is their option B.
    """

    out_channels: int
    stride: int = 1

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Two convolutions, shortcut, sum."""
        (start,) = map_inputs(graph, name, inputs)
        value = conv_bn(graph, f"{name}.conv1", start, self.out_channels, 3, stride=self.stride, activation="relu")
        value = conv_bn(graph, f"{name}.conv2", value, self.out_channels, 3)
        return _residual(graph, name, value, start, self.stride)


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """ResNet's bottleneck: 1×1, 3×3, 1×1 with a shortcut, projected where shapes differ.

    Source: He et al. 2016, figure 5 right. The stride is in the 3×3 convolution, as in torchvision ("v1.5").
    """

    out_channels: int
    middle_channels: int
    stride: int = 1

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Three convolutions, shortcut, sum."""
        (start,) = map_inputs(graph, name, inputs)
        middle = self.middle_channels
        value = conv_bn(graph, f"{name}.conv1", start, middle, 1, activation="relu")
        value = conv_bn(graph, f"{name}.conv2", value, middle, 3, stride=self.stride, activation="relu")
        value = conv_bn(graph, f"{name}.conv3", value, self.out_channels, 1)
        return _residual(graph, name, value, start, self.stride)


@dataclass(frozen=True, slots=True)
class Pooling:
    """Max or average pooling with "same" padding; an average does not count padding."""

    kind: str
    kernel: int
    stride: int

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """One pool."""
        (value,) = map_inputs(graph, name, inputs)
        return graph.add(f"{name}.pool", Pool(self.kind, self.kernel, self.stride, (self.kernel - 1) // 2), value)


@dataclass(frozen=True, slots=True)
class Zero:
    """The removed layer: its value is its input. ProxylessNAS's Zero inside a residual block."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Writes nothing."""
        (value,) = map_inputs(graph, name, inputs)
        return value


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of the values that it reads, two or more of one shape: where branches meet, or a shortcut ends."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """One addition for every value but the first."""
        value, *others = map_inputs(graph, name, inputs, max(2, len(inputs)))
        for index, other in enumerate(others):
            value = graph.add(f"{name}.add{index}", Add(), value, other)
        return value


@dataclass(frozen=True, slots=True)
class Classifier:
    """Global average pooling and one linear layer to the class scores; before it, if asked for, a hidden layer.

    Args:
        classes: number of scores.
        hidden_channels: width of the layer between pooling and scores, 0 for none (MobileNetV3).
        hidden_bias: whether that layer has a bias.
        activation: behind that layer.
    """

    classes: int
    hidden_channels: int = added(0)
    hidden_bias: bool = added(True)
    activation: str = added("hard_swish")

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Pool, flatten, linear."""
        (value,) = map_inputs(graph, name, inputs)
        value = graph.add(f"{name}.pool", GlobalPool(), value)
        value = graph.add(f"{name}.flatten", Flatten(), value)
        if self.hidden_channels:
            hidden = Linear(graph.shape(value)[0], self.hidden_channels, self.hidden_bias)
            value = graph.add(f"{name}.hidden", hidden, value)
            value = graph.add(f"{name}.act", Activation(self.activation), value)
        return graph.add(f"{name}.linear", Linear(graph.shape(value)[0], self.classes), value)


def _residual(graph: GraphWriter, name: str, value: str, start: str, stride: int) -> str:
    """Adds the shortcut, projected by a 1×1 convolution where shapes differ, and activates."""
    if graph.shape(start) != graph.shape(value):
        start = conv_bn(graph, f"{name}.shortcut", start, graph.shape(value)[0], 1, stride=stride)
    value = graph.add(f"{name}.add", Add(), value, start)
    return graph.add(f"{name}.act", Activation("relu"), value)
