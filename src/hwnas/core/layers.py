"""LayerSpecs: one layer each as a value, with the primitives it lowers to.

A new kind of layer is one dataclass with `lower()` and an entry in LAYERS. Input channels come from the value it reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, cast

from hwnas.core.errors import FileFormatError, UnknownName
from hwnas.core.primitives import (
    Activation,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    GraphWriter,
    Linear,
    Mul,
    Pad,
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


def conv_bn(
    graph: GraphWriter, name: str, value: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1,
    dilation: int = 1, activation: str | None = None, eps: float = 1e-5,
) -> str:  # fmt: skip
    """Convolution with "same" padding, batch-norm and an activation, written as name.conv, name.bn, name.act."""
    padding = dilation * (kernel - 1) // 2
    conv = Conv(graph.shape(value)[0], channels, (kernel, kernel), stride, (padding, padding), dilation, groups)
    value = graph.add(f"{name}.conv", conv, value)
    value = graph.add(f"{name}.bn", BatchNorm(channels, eps), value)
    return graph.add(f"{name}.act", Activation(activation), value) if activation else value


@dataclass(frozen=True, slots=True)
class ConvBnAct:
    """Convolution, batch-norm, activation ("" for none)."""

    out_channels: int
    kernel: int
    stride: int = 1
    groups: int = 1
    activation: str = "relu6"

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """One convolution with its batch-norm and activation."""
        return conv_bn(
            graph, name, inputs[0], self.out_channels, self.kernel, stride=self.stride, groups=self.groups,
            activation=self.activation or None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MBConv:
    """Mobile inverted bottleneck (MobileNetV2): expand 1×1, depthwise k×k, project 1×1; residual where shapes allow.

    Args:
        out_channels: width of the projection.
        kernel: of the depthwise convolution, odd.
        expansion: middle width over input width; at 1 there is no expansion convolution.
        stride: of the depthwise convolution.
        se_channels: width of the squeeze-excite bottleneck, 0 for none.
        activation: after expansion and depthwise.
        residual: whether to add the input where stride is 1 and widths are equal.
    """

    out_channels: int
    kernel: int
    expansion: float
    stride: int = 1
    se_channels: int = 0
    activation: str = "relu6"
    residual: bool = True

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Expansion, depthwise, squeeze-excite, projection, residual."""
        (start,) = inputs
        in_channels = graph.shape(start)[0]
        middle = round(in_channels * self.expansion)
        value = start
        if self.expansion != 1:
            value = conv_bn(graph, f"{name}.expand", value, middle, 1, activation=self.activation)
        value = conv_bn(
            graph, f"{name}.depthwise", value, middle, self.kernel, stride=self.stride, groups=middle,
            activation=self.activation,
        )  # fmt: skip
        if self.se_channels:
            value = squeeze_excite(graph, f"{name}.se", value, self.se_channels, "relu", "sigmoid")
        value = conv_bn(graph, f"{name}.project", value, self.out_channels, 1)
        if self.residual and self.stride == 1 and in_channels == self.out_channels:
            value = graph.add(f"{name}.add", Add(), value, start)
        return value


def squeeze_excite(graph: GraphWriter, name: str, value: str, hidden: int, activation: str, gate: str) -> str:
    """Squeeze-and-excitation with biased 1×1 convolutions (Hu et al. 2018)."""
    channels = graph.shape(value)[0]
    scale = graph.add(f"{name}.pool", GlobalPool(), value)
    scale = graph.add(f"{name}.reduce", Conv(channels, hidden, (1, 1), bias=True), scale)
    scale = graph.add(f"{name}.act", Activation(activation), scale)
    scale = graph.add(f"{name}.expand", Conv(hidden, channels, (1, 1), bias=True), scale)
    scale = graph.add(f"{name}.gate", Activation(gate), scale)
    return graph.add(f"{name}.scale", Mul(), value, scale)


@dataclass(frozen=True, slots=True)
class Zero:
    """The removed layer: its value is its input. ProxylessNAS's Zero inside a residual block."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Writes nothing."""
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Classifier:
    """Global average pooling and one linear layer to the class scores."""

    classes: int

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Pool, flatten, linear."""
        value = graph.add(f"{name}.pool", GlobalPool(), inputs[0])
        value = graph.add(f"{name}.flatten", Flatten(), value)
        return graph.add(f"{name}.linear", Linear(graph.shape(value)[0], self.classes), value)


@dataclass(frozen=True, slots=True)
class NasnetCell:
    """A NASNet cell (Zoph et al. 2018, figures 2 and 4; the released code's placement of ReLU and reductions).

    It reads two values: the current and the previous hidden state. Both are first brought to `filters` channels and
    to the current map size.

    Args:
        filters: channels of every hidden state.
        blocks: per block (left input, left op, right input, right op); 0 is the current state, 1 the previous one,
            2 and up are earlier blocks; ops are identity, sep3, sep5, sep7, avg3, max3.
        concat: the hidden states that are joined as the cell's value.
        reduction: whether operations that read states 0 and 1 have stride 2.
    """

    filters: int
    blocks: tuple[tuple[int, str, int, str], ...]
    concat: tuple[int, ...]
    reduction: bool = False

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Both input states, then the blocks, then the concatenation."""
        current, previous = inputs
        if graph.shape(previous)[1:] == graph.shape(current)[1:]:
            before = self._project(graph, f"{name}.previous", previous)
        else:
            before = self._factorized_reduction(graph, f"{name}.previous", previous)
        states = [self._project(graph, f"{name}.current", current), before]
        for index, (left, left_op, right, right_op) in enumerate(self.blocks):
            block = f"{name}.block{index}"
            a = self._operation(graph, f"{block}.left", states[left], left_op, self.reduction and left < 2)
            b = self._operation(graph, f"{block}.right", states[right], right_op, self.reduction and right < 2)
            states.append(graph.add(f"{block}.add", Add(), a, b))
        return graph.add(f"{name}.concat", Concat(), *(states[state] for state in self.concat))

    def _project(self, graph: GraphWriter, name: str, value: str, stride: int = 1) -> str:
        value = graph.add(f"{name}.relu", Activation("relu"), value)
        return conv_bn(graph, name, value, self.filters, 1, stride=stride, eps=1e-3)

    def _factorized_reduction(self, graph: GraphWriter, name: str, value: str) -> str:
        value = graph.add(f"{name}.relu", Activation("relu"), value)
        half = self.filters // 2
        channels = graph.shape(value)[0]
        shifted = graph.add(f"{name}.shift", Pad(top=-1, bottom=1, left=-1, right=1), value)
        paths = []
        for path, source, width in (("even", value, half), ("odd", shifted, self.filters - half)):
            pooled = graph.add(f"{name}.{path}.pool", Pool("avg", 1, 2), source)
            paths.append(graph.add(f"{name}.{path}.conv", Conv(channels, width, (1, 1)), pooled))
        joined = graph.add(f"{name}.concat", Concat(), *paths)
        return graph.add(f"{name}.bn", BatchNorm(self.filters, 1e-3), joined)

    def _operation(self, graph: GraphWriter, name: str, value: str, operation: str, reduce: bool) -> str:
        stride = 2 if reduce else 1
        match operation:
            case "identity":
                return self._project(graph, name, value, stride) if reduce else value
            case "sep3" | "sep5" | "sep7":
                kernel = int(operation[-1])
                for repeat, step in enumerate((stride, 1)):
                    value = graph.add(f"{name}.relu{repeat}", Activation("relu"), value)
                    value = _separable(graph, f"{name}.sep{repeat}", value, self.filters, kernel, step)
                return value
            case "avg3" | "max3":
                return graph.add(f"{name}.pool", Pool(operation[:3], 3, stride, 1), value)
            case _:
                raise UnknownName("NASNet operation", operation, ("identity", "sep3", "sep5", "sep7", "avg3", "max3"))


def _separable(graph: GraphWriter, name: str, value: str, filters: int, kernel: int, stride: int) -> str:
    """Depthwise and pointwise convolution with one batch-norm behind both."""
    channels, padding = graph.shape(value)[0], (kernel - 1) // 2
    depthwise = Conv(channels, channels, (kernel, kernel), stride, (padding, padding), groups=channels)
    value = graph.add(f"{name}.depthwise", depthwise, value)
    value = graph.add(f"{name}.pointwise", Conv(channels, filters, (1, 1)), value)
    return graph.add(f"{name}.bn", BatchNorm(filters, 1e-3), value)


@dataclass(frozen=True, slots=True)
class PyramidTreeBlock:
    """A PyramidNet bottleneck whose 3×3 is a tree cell (ProxylessNAS's CIFAR-10 space; published config).

    1×1 down to `width` (BN-conv), grouped 3×3 root to 2·width with channel shuffle, a split into two halves that each
    pass a tree of depth 2, 1×1 up to 4·width, batch-norm, and a shortcut with pooled and zero-padded channels.

    Args:
        width: bottleneck channels, even.
        stride: of the root convolution.
        edges: the 12 searched operations in order: per half, two (edge, then its two children);
            identity, sep3, dil3, sep5, sep7, avg3, max3.
    """

    width: int
    stride: int
    edges: tuple[str, ...]

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Bottleneck in, tree, bottleneck out, shortcut."""
        (start,) = inputs
        value = self._pre_activated(graph, f"{name}.in", start, self.width, 1, relu=False)
        value = self._pre_activated(graph, f"{name}.root", value, 2 * self.width, 3, stride=self.stride, groups=2)
        value = graph.add(f"{name}.root.shuffle", Shuffle(2), value)
        halves = []
        for half in range(2):
            part = graph.add(f"{name}.half{half}.split", Slice(half * self.width, (half + 1) * self.width), value)
            tree = self._tree(graph, f"{name}.half{half}", part, self.edges[6 * half : 6 * half + 6])
            tree = graph.add(f"{name}.half{half}.bn", BatchNorm(self.width), tree)
            halves.append(graph.add(f"{name}.half{half}.add", Add(), part, tree))
        value = graph.add(f"{name}.merge", Add(), *halves)
        value = self._pre_activated(graph, f"{name}.out", value, 4 * self.width, 1)
        value = graph.add(f"{name}.bn", BatchNorm(4 * self.width), value)
        shortcut = start
        if self.stride == 2:
            shortcut = graph.add(f"{name}.shortcut.pool", Pool("avg", 2, 2), shortcut)
        missing = 4 * self.width - graph.shape(shortcut)[0]
        if missing:
            shortcut = graph.add(f"{name}.shortcut.pad", Pad(channels=missing), shortcut)
        return graph.add(f"{name}.add", Add(), value, shortcut)

    def _tree(self, graph: GraphWriter, name: str, value: str, edges: tuple[str, ...]) -> str:
        branches = []
        for branch in range(2):
            edge, *children = edges[3 * branch : 3 * branch + 3]
            base = f"{name}.branch{branch}"
            parent = self._edge(graph, f"{base}.edge", value, edge)
            leaves = [self._edge(graph, f"{base}.leaf{i}", parent, child) for i, child in enumerate(children)]
            branches.append(graph.add(f"{base}.add", Add(), *leaves))
        return graph.add(f"{name}.tree", Add(), *branches)

    def _edge(self, graph: GraphWriter, name: str, value: str, operation: str) -> str:
        match operation:
            case "identity":
                return value
            case "avg3" | "max3":
                return graph.add(f"{name}.pool", Pool(operation[:3], 3, 1, 1), value)
            case "sep3" | "sep5" | "sep7" | "dil3":
                kernel, dilation = int(operation[-1]), 2 if operation == "dil3" else 1
                padding = dilation * (kernel - 1) // 2
                value = graph.add(f"{name}.bn", BatchNorm(self.width), value)
                value = graph.add(f"{name}.relu", Activation("relu"), value)
                depthwise = Conv(self.width, self.width, (kernel, kernel), 1, (padding, padding), dilation, self.width)
                value = graph.add(f"{name}.depthwise", depthwise, value)
                return graph.add(f"{name}.pointwise", Conv(self.width, self.width, (1, 1)), value)
            case _:
                known = ("identity", "sep3", "dil3", "sep5", "sep7", "avg3", "max3")
                raise UnknownName("tree-cell operation", operation, known)

    @staticmethod
    def _pre_activated(
        graph: GraphWriter, name: str, value: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1,
        relu: bool = True,
    ) -> str:  # fmt: skip
        before, padding = graph.shape(value)[0], (kernel - 1) // 2
        value = graph.add(f"{name}.bn", BatchNorm(before), value)
        if relu:
            value = graph.add(f"{name}.relu", Activation("relu"), value)
        conv = Conv(before, channels, (kernel, kernel), stride, (padding, padding), groups=groups)
        return graph.add(f"{name}.conv", conv, value)


LAYERS: dict[str, type] = {
    layer.__name__: layer for layer in (ConvBnAct, MBConv, Zero, Classifier, NasnetCell, PyramidTreeBlock)
}


def layer_to_json(layer: LayerSpec) -> dict[str, Any]:
    """A dictionary of plain values, with the kind under "layer"."""
    return {"layer": type(layer).__name__, **asdict(cast(Any, layer))}


def layer_from_json(data: Mapping[str, Any]) -> LayerSpec:
    """Reads what `layer_to_json` wrote.

    Raises:
        UnknownName: no such kind of layer.
        FileFormatError: a field is missing, unknown or of the wrong type.
    """
    kind = data.get("layer")
    if not isinstance(kind, str):
        raise FileFormatError("a layer needs the field 'layer' with its kind")
    if kind not in LAYERS:
        raise UnknownName("layer kind", kind, LAYERS)
    known = {field.name: field for field in fields(LAYERS[kind])}
    values = {name: _as_tuple(value) for name, value in data.items() if name != "layer"}
    for name, value in values.items():
        if name not in known:
            raise FileFormatError(f"layer {kind} has no field {name!r}; it has {', '.join(known)}")
        _check_field(kind, name, str(known[name].type), value)
    try:
        return cast(LayerSpec, LAYERS[kind](**values))
    except TypeError as reason:
        raise FileFormatError(f"layer {kind}: {reason}") from None


def _check_field(kind: str, name: str, annotation: str, value: Any) -> None:
    """Plain type checks of one field of a layer that comes from a file."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = {
        "int": number and isinstance(value, int) and 0 <= value < 2**31,
        "float": number and math.isfinite(value) and 0 < value < 1e6,
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
    }.get(annotation, isinstance(value, tuple))
    if not good:
        raise FileFormatError(f"layer {kind}: field {name!r} must be {annotation}, not {value!r}")


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
