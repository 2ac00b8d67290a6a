"""Parts that several layers lower to."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from hwnas.core.errors import InputError
from hwnas.core.primitives import Activation, Add, BatchNorm, Conv, GlobalPool, GraphWriter, Mul, Pool, Shape

LATER = "added in a later version"


def added(default: Any) -> Any:
    """A field that a LayerSpec got after its first version: files and table keys have it only where it differs."""
    return field(default=default, metadata={LATER: True})


def map_inputs(graph: GraphWriter, name: str, inputs: tuple[str, ...], count: int = 1) -> tuple[str, ...]:
    """The values that a layer reads.

    Raises:
        InputError: they are not `count` values of shape (channels, height, width).
    """
    shapes = [graph.shape(value) for value in inputs]
    if len(inputs) != count or any(len(shape) != 3 for shape in shapes):
        raise InputError(f"layer {name!r} reads {count} value(s) of shape (channels, height, width), not {shapes}")
    return inputs


def conv_bn(
    graph: GraphWriter, name: str, value: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1,
    dilation: int = 1, activation: str | None = None, eps: float = 1e-5, valid: bool = False,
) -> str:  # fmt: skip
    """Convolution, batch-norm and an activation, written as name.conv, name.bn, name.act.

    Padding keeps the map's size at stride 1, or is none at all (`valid`).
    """
    padding, before = 0 if valid else dilation * (kernel - 1) // 2, graph.shape(value)[0]
    if groups < 1 or before % groups or channels % groups:
        raise InputError(f"layer {name!r}: {before} and {channels} channels do not divide into {groups} groups")
    conv = Conv(before, channels, (kernel, kernel), stride, (padding, padding), dilation, groups)
    value = graph.add(f"{name}.conv", conv, value)
    value = graph.add(f"{name}.bn", BatchNorm(channels, eps), value)
    return graph.add(f"{name}.act", Activation(activation), value) if activation else value


def same_as_tensorflow(shape: Shape, kernel: int, stride: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """TensorFlow's "same" padding of a window on a map: above and left, and how much more below and right.

    Where a strided window does not come out even, the pixel that remains is padded on the far side; padding both sides
    alike would move every window by one pixel.
    """
    totals = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in shape[1:]]
    (top, more_below), (left, more_right) = ((total // 2, total % 2) for total in totals)
    return (top, left), (more_below, more_right)


def squeeze_excite(graph: GraphWriter, name: str, value: str, hidden: int, activation: str, gate: str) -> str:
    """Squeeze-and-excitation with biased 1×1 convolutions (Hu et al. 2018)."""
    channels = graph.shape(value)[0]
    scale = graph.add(f"{name}.pool", GlobalPool(), value)
    scale = graph.add(f"{name}.reduce", Conv(channels, hidden, (1, 1), bias=True), scale)
    scale = graph.add(f"{name}.act", Activation(activation), scale)
    scale = graph.add(f"{name}.expand", Conv(hidden, channels, (1, 1), bias=True), scale)
    scale = graph.add(f"{name}.gate", Activation(gate), scale)
    return graph.add(f"{name}.scale", Mul(), value, scale)


def add_input(graph: GraphWriter, name: str, value: str, start: str, pooled: bool) -> str:
    """The residual sum of a layer's value and what it read, `pooled` for 3×3 average-pooled at stride 1."""
    if pooled:
        start = graph.add(f"{name}.pool", Pool("avg", 3, 1, 1), start)
    return graph.add(f"{name}.add", Add(), value, start)
