"""Network JSON of ProxylessNAS, Once-for-All and MCUNet: what their `config` property writes.

Source: github.com/mit-han-lab/proxylessnas, github.com/mit-han-lab/once-for-all (ofa/utils/layers.py, networks/),
github.com/mit-han-lab/mcunet; files in github.com/han-cai/files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hwnas.core.errors import FileFormatError
from hwnas.core.graphs import array_shapes
from hwnas.core.layers import Classifier, ConvBnAct, MBConv, make_divisible
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import Shape
from hwnas.networks.foreign.fields import Fields
from hwnas.networks.foreign.found import ForeignNetwork

DEFAULT_RESOLUTION = 224  # of networks whose file carries none
_ACTIVATIONS = {"relu": "relu", "relu6": "relu6", "h_swish": "hard_swish", "swish": "swish"}
_BLOCK_NAMES = ("MobileInvertedResidualBlock", "ResidualBlock")
_LAYER_FIELDS = ("mobile_inverted_conv", "conv")  # older and newer releases, in files and in checkpoints
_MBCONV_NAMES = ("MBInvertedConvLayer", "MBConvLayer")
_MBCONV_PARTS = {  # our operation -> their module
    "expand.conv": "inverted_bottleneck.conv",
    "expand.bn": "inverted_bottleneck.bn",
    "depthwise.conv": "depth_conv.conv",
    "depthwise.bn": "depth_conv.bn",
    "se.reduce": "depth_conv.se.fc.reduce",
    "se.expand": "depth_conv.se.fc.expand",
    "project.conv": "point_linear.conv",
    "project.bn": "point_linear.bn",
}
_CONV_PARTS = {"conv": "conv", "bn": "bn"}


def read_proxyless(data: Any, input_shape: Shape | None, classes: int | None) -> ForeignNetwork:
    """ProxylessNAS, MCUNet and Once-for-All's Proxyless space: stem, blocks, perhaps a 1×1 convolution, classifier.

    Args:
        data: the content of the file.
        input_shape: (channels, height, width); None for the file's own.
        classes: None for the file's own.

    Raises:
        FileFormatError: names the field.
    """
    file = Fields(data)
    reading = _begin(file, input_shape)
    if file.value("feature_mix_layer") is not None:
        reading.convolution(file, "feature_mix_layer", "head")
    linear = file.inner("classifier")
    reading.add("classifier", Classifier(_linear(linear, reading, classes)), {"linear": "classifier.linear"})
    return _end(file, reading)


def read_mobilenet_v3(data: Any, input_shape: Shape | None, classes: int | None) -> ForeignNetwork:
    """Once-for-All's MobileNetV3: behind pooling stands another 1×1 convolution, without batch-norm.

    Args:
        data: the content of the file.
        input_shape: (channels, height, width); None for the file's own.
        classes: None for the file's own.

    Raises:
        FileFormatError: names the field.
    """
    file = Fields(data)
    reading = _begin(file, input_shape)
    reading.convolution(file, "final_expand_layer", "head")
    mix = file.inner("feature_mix_layer")
    for name, value in (("kernel_size", 1), ("stride", 1), ("groups", 1), ("use_bn", False)):
        mix.one_of(name, (value,))
    hidden, activation = _convolution_width(mix, reading.channels), _activation(mix)
    bias = mix.flag("bias")
    mix.done()
    reading.channels = hidden
    count = _linear(file.inner("classifier"), reading, classes)
    layer = Classifier(count, hidden_channels=hidden, hidden_bias=bias, activation=activation)
    reading.add("classifier", layer, {"hidden": "feature_mix_layer.conv", "linear": "classifier.linear"})
    return _end(file, reading)


@dataclass
class _Reading:
    """A network as far as its file has been read."""

    input_shape: Shape
    channels: int  # of what the next layer reads
    bn_eps: float
    nodes: list[Node] = field(default_factory=list)
    modules: dict[str, tuple[str, ...]] = field(default_factory=dict)  # our operation -> names of their module
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, layer: Any, parts: dict[str, str], *prefixes: str) -> None:
        self.nodes.append(Node(name, layer))
        for ours, theirs in parts.items():
            self.modules[f"{name}.{ours}"] = tuple(f"{prefix}{theirs}" for prefix in prefixes or ("",))

    def convolution(self, file: Fields, name: str, node: str) -> None:
        """Reads a ConvLayer with batch-norm."""
        layer = file.inner(name)
        kernel, stride = _kernel(layer), layer.whole("stride")
        groups = layer.whole("groups", 1)
        layer.one_of("use_bn", (True,))
        layer.one_of("bias", (False,), False)
        if layer.flag("has_shuffle", False) and groups > 1:
            raise layer.wrong("has_shuffle", "false: no layer of ours shuffles behind such a convolution")
        activation = _activation(layer, may_lack=True)
        width = _convolution_width(layer, self.channels)
        if self.channels % groups or width % groups:
            raise layer.wrong("groups", f"a divisor of {self.channels} and {width}")
        layer.done()
        self.channels = width
        made = ConvBnAct(width, kernel, stride, groups, activation, self.bn_eps)
        self.add(node, made, _CONV_PARTS, f"{name}.")

    def blocks(self, file: Fields) -> None:
        """Reads the blocks; stages begin where the width or the size of the map changes."""
        stage, position = 0, 0
        for index, row in enumerate(file.rows("blocks")):
            block = Fields(row, f"blocks[{index}]")
            block.one_of("name", _BLOCK_NAMES)
            kind = next((name for name in _LAYER_FIELDS if block.has(name)), _LAYER_FIELDS[0])
            layer = block.inner(kind)
            shortcut = self._shortcut(block)
            removed = layer.one_of("name", (*_MBCONV_NAMES, "ZeroLayer")) == "ZeroLayer"
            made = None if removed else self._mbconv(layer, shortcut, first=index == 0)
            if removed:  # their forward returns the block's input then, whatever the shortcut says
                layer.one_of("stride", (1,), 1)
            layer.done()
            block.done()
            changes = made is not None and (made.stride != 1 or made.out_channels != self.channels)
            stage, position = (stage + 1, 0) if changes and index or index == 1 else (stage, position + 1)
            if made is not None:
                self.channels = made.out_channels
                name = f"stage{stage}.block{position}" if index else "first"
                self.add(name, made, _MBCONV_PARTS, *(f"blocks.{index}.{one}." for one in _LAYER_FIELDS))

    def _shortcut(self, block: Fields) -> bool:
        if block.value("shortcut") is None:
            return False
        identity = block.inner("shortcut")
        identity.one_of("name", ("IdentityLayer",))
        identity.arriving("in_channels", self.channels)
        identity.arriving("out_channels", self.channels)
        for name, value in (("use_bn", False), ("act_func", None), ("ops_order", "weight_bn_act")):
            identity.one_of(name, (value,), value)
        identity.number("dropout_rate", 0, 0, 0)
        identity.done()
        return True

    def _mbconv(self, layer: Fields, shortcut: bool, first: bool) -> MBConv:
        layer.arriving("in_channels", self.channels)
        out, stride = layer.whole("out_channels"), layer.whole("stride")
        kernel, ratio = _kernel(layer), layer.number("expand_ratio", 0.01, 100)
        middle = round(self.channels * ratio)
        if layer.value("mid_channels", None) is not None:
            middle = layer.whole("mid_channels")
        if middle < 1 or (ratio == 1 and middle != self.channels):
            raise layer.wrong("mid_channels", f"{self.channels} or null where expand_ratio is 1, and never below 1")
        layer.one_of("groups", (None,), None)
        unchanged = stride == 1 and out == self.channels
        if shortcut and not unchanged:
            place = layer.place.rsplit(".", 1)[0]
            raise FileFormatError(f"field '{place}.shortcut' must be null: the block changes its input's shape")
        squeezed = make_divisible(middle // 4) if layer.flag("use_se", False) else 0
        activation = _activation(layer, default="relu6")
        return MBConv(
            out,
            kernel,
            ratio if middle == round(self.channels * ratio) else middle / self.channels,
            stride,
            squeezed,
            activation,
            # As our spaces write it: only the fixed first block says that it has no residual where shapes forbid one.
            residual=shortcut or not (unchanged or first),
            expand_always=ratio != 1 and middle == self.channels,
            se_gate="hard_sigmoid" if squeezed else "sigmoid",
            bn_eps=self.bn_eps,
        )


def _begin(file: Fields, input_shape: Shape | None) -> _Reading:
    file.value("name")
    norm = file.inner("bn")
    eps = norm.number("eps", 1e-12, 1)
    norm.number("momentum", 0, 1, 0.1)  # of training: running statistics are read as they are
    norm.one_of("ws_eps", (None,), None)
    norm.done()
    side = file.whole("resolution", DEFAULT_RESOLUTION)
    channels = input_shape[0] if input_shape else file.inner("first_conv").whole("in_channels")
    reading = _Reading(input_shape or (channels, side, side), channels, eps)
    reading.convolution(file, "first_conv", "stem")
    reading.blocks(file)
    return reading


def _end(file: Fields, reading: _Reading) -> ForeignNetwork:
    file.done()
    network = NetworkSpec(reading.input_shape, tuple(reading.nodes))
    names = {}
    for array in array_shapes(lower(network)):
        operation, kind = array.rsplit(".", 1)
        names[array] = tuple(f"{module}.{kind}" for module in reading.modules[operation])
    return ForeignNetwork(network, f"{file.data['name']} JSON", names, tuple(reading.notes))


def _convolution_width(layer: Fields, arriving: int) -> int:
    """Checks what every ConvLayer must say, and returns its width."""
    layer.one_of("name", ("ConvLayer",))
    layer.arriving("in_channels", arriving)
    layer.one_of("dilation", (1,), 1)
    layer.one_of("use_se", (False,), False)
    layer.one_of("ops_order", ("weight_bn_act",), "weight_bn_act")
    layer.number("dropout_rate", 0, 0, 0)
    layer.flag("has_shuffle", False)
    return layer.whole("out_channels")


def _linear(layer: Fields, reading: _Reading, classes: int | None) -> int:
    """Checks the classifier and returns its number of scores."""
    layer.one_of("name", ("LinearLayer",))
    layer.arriving("in_features", reading.channels)
    layer.one_of("bias", (True,), True)
    layer.one_of("use_bn", (False,), False)
    layer.one_of("act_func", (None,), None)
    layer.one_of("ops_order", ("weight_bn_act",), "weight_bn_act")
    rate = layer.number("dropout_rate", 0, 0.99, 0)
    if rate:
        reading.notes.append(f"classifier.dropout_rate is {rate:g}: dropout is a matter of training, not of a network")
    count = layer.whole("out_features")
    layer.done()
    return classes or count


def _kernel(layer: Fields) -> int:
    size = layer.whole("kernel_size")
    if size % 2 == 0:
        raise layer.wrong("kernel_size", "odd")
    return size


def _activation(layer: Fields, may_lack: bool = False, default: str | None = None) -> str:
    known = (*_ACTIVATIONS, None) if may_lack else tuple(_ACTIVATIONS)
    name = layer.one_of("act_func", known, default) if default else layer.one_of("act_func", known)
    return _ACTIVATIONS[name] if name else ""
