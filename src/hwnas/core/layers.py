"""LayerSpecs: one layer each as a value, with the primitives it lowers to.

A new kind of layer is one dataclass with `lower()` and an entry in LAYERS. Input channels come from the value it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, cast

from hwnas.core.cells import NasnetCell, PyramidTreeBlock
from hwnas.core.errors import FileFormatError, InputError, UnknownName, quoted
from hwnas.core.lowering import conv_bn, map_inputs, squeeze_excite
from hwnas.core.primitives import (
    Activation,
    Add,
    BatchNorm,
    Flatten,
    GlobalPool,
    GraphWriter,
    Linear,
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
    """Convolution, batch-norm, activation ("" for none)."""

    out_channels: int
    kernel: int
    stride: int = 1
    groups: int = 1
    activation: str = "relu6"

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """One convolution with its batch-norm and activation."""
        (value,) = map_inputs(graph, name, inputs)
        return conv_bn(
            graph, name, value, self.out_channels, self.kernel, stride=self.stride, groups=self.groups,
            activation=self.activation or None,
        )  # fmt: skip


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
        (start,) = map_inputs(graph, name, inputs)
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


@dataclass(frozen=True, slots=True)
class Zero:
    """The removed layer: its value is its input. ProxylessNAS's Zero inside a residual block."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Writes nothing."""
        (value,) = map_inputs(graph, name, inputs)
        return value


@dataclass(frozen=True, slots=True)
class Classifier:
    """Global average pooling and one linear layer to the class scores."""

    classes: int

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Pool, flatten, linear."""
        (value,) = map_inputs(graph, name, inputs)
        value = graph.add(f"{name}.pool", GlobalPool(), value)
        value = graph.add(f"{name}.flatten", Flatten(), value)
        return graph.add(f"{name}.linear", Linear(graph.shape(value)[0], self.classes), value)


_MAY_BE_ZERO = ("se_channels",)
LAYERS: dict[str, type] = {
    layer.__name__: layer for layer in (ConvBnAct, BnAct, MBConv, Zero, Classifier, NasnetCell, PyramidTreeBlock)
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
            raise FileFormatError(f"layer {kind} has no field {quoted(name)}; it has {', '.join(known)}")
        _check_field(kind, name, str(known[name].type), value)
    try:
        return cast(LayerSpec, LAYERS[kind](**values))
    except (TypeError, InputError) as reason:
        raise FileFormatError(f"layer {kind}: {reason}") from None


def _check_field(kind: str, name: str, annotation: str, value: Any) -> None:
    """Plain type checks of one field of a layer that comes from a file."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = {
        "int": number and isinstance(value, int) and (name not in _MAY_BE_ZERO) <= value < 2**31,
        "float": number and 0 < value < 1e6,
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
    }.get(annotation, isinstance(value, tuple))
    if not good:
        raise FileFormatError(f"layer {kind}: field {name!r} must be {annotation}, not {quoted(value)}")


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
