"""ExecuTorch straight from a NetworkSpec and its arrays, all of it for XNNPACK: what is measured is also what ships.

The nodes are those that ExecuTorch's own exporter makes, which takes 14 CPU seconds for MobileNetV2 and is not used.
Images come channels first, as PyTorch's do, and are turned over once; from there on maps are channels last.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import assert_never

import numpy as np

from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec, lower
from hwnas.core.primitives import (
    Activation,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    Graph,
    Linear,
    Mul,
    Operation,
    Pad,
    Pool,
    Shape,
    Shuffle,
    Slice,
)
from hwnas.formats.arrays import Arrays, check_graph_arrays
from hwnas.formats.executorch_model import FREE, NOTHING, ExecuTorchModel, Value
from hwnas.formats.fusing import Fused, fused, fused_arrays, scale_and_shift

_CLIPS = {"relu": (0.0, inf), "relu6": (0.0, 6.0)}
_CHANNELS_LAST, _CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_KEEP_DIMS = 64  # XNN_FLAG_KEEP_DIMS
_JOINED = 5  # values that one node joins at most


def to_executorch(network: NetworkSpec, arrays: Arrays, *, batch: int = 1) -> bytes:
    """The network as an ExecuTorch program (.pte), float32; equal arguments give equal bytes.

    Where nobody else reads the value between, a batch-norm is folded into the convolution before it, and a ReLU or
    ReLU6 is done by the node before it. Any other batch-norm is a depthwise convolution of one pixel.

    Args:
        network: the network.
        arrays: float32, exactly those of `expected_arrays`.
        batch: images per call, at least 1; fixed in the file.

    Returns:
        The file, with one method "forward": of images (batch, channels, height, width), the scores (batch, classes), or
        (batch, channels, height, width) where the network ends in a map.

    Raises:
        InputError: the arrays do not belong to the network, or the batch is below 1.
        TargetUnavailable: the package flatbuffers is not installed.
    """
    if batch < 1:
        raise InputError(f"an ExecuTorch file needs a batch of at least 1, not {batch}")
    graph = lower(network)
    check_graph_arrays(graph, arrays)
    return _ExecuTorchWriter(graph, arrays, batch).file()


class _ExecuTorchWriter:
    """Puts operations into a model, one method per kind; `file` at the end."""

    def __init__(self, graph: Graph, arrays: Arrays, batch: int) -> None:
        self._graph = graph
        self._arrays = arrays
        self._batch = batch
        output = graph.shapes()[graph.output]
        self._model = ExecuTorchModel((batch, *graph.input_shape), (batch, *output))
        self._is_map = len(output) > 1
        self._values = {"input": self._transposed(self._model.images, _CHANNELS_LAST)}

    def file(self) -> bytes:
        """The finished file."""
        for one in fused(self._graph, tuple(_CLIPS), into=(Conv, Linear, BatchNorm, Add, Mul)):
            self._write(one)
        if self._is_map:
            self._transpose(self._values[self._graph.output], self._model.scores, _CHANNELS_FIRST)
        return self._model.packed()

    def _write(self, one: Fused) -> None:
        """Appends the nodes of one operation, with what is fused into it."""
        operation, model = one.operation, self._model
        inputs = [self._values[value] for value in operation.inputs]
        last = one.value == self._graph.output and not self._is_map
        output = self._values[one.value] = model.scores if last else model.value(self._sizes(operation.shape))
        clip = FREE
        if one.activation is not None and isinstance(one.activation.primitive, Activation):
            clip = _CLIPS[one.activation.primitive.kind]
        match operation.primitive:
            case Conv():
                self._conv(operation.primitive, inputs[0], fused_arrays(one, self._arrays), output, clip)
            case Linear():
                weight, bias = (self._optional(array) for array in fused_arrays(one, self._arrays))
                model.node("FullyConnected", inputs[0], weight, bias, output, 0, clip=clip)
            case BatchNorm(channels):
                scale, shift = scale_and_shift(operation, self._arrays)
                pixel = Conv(channels, channels, (1, 1), groups=channels)
                self._conv(pixel, inputs[0], (scale[:, None, None, None], shift), output, clip)
            case Activation(kind):
                self._activation(kind, inputs[0], output)
            case Pool():
                self._pool(operation, operation.primitive, inputs[0], output)
            case GlobalPool():
                model.node("GlobalAvgPooling2d", inputs[0], output, _KEEP_DIMS)
            case Flatten():
                self._flatten(inputs[0], output)
            case Add():
                model.node("Add", *inputs, output, 0, clip=clip)
            case Mul():
                model.node("Multiply", *inputs, output, 0, clip=clip)
            case Concat():
                self._concat(inputs, output)
            case Slice(start):
                self._slice(inputs[0], output, (*(0,) * len(operation.shape), start))
            case Pad():
                self._pad_or_crop(operation.primitive, inputs[0], output)
            case Shuffle(groups):
                self._shuffle(groups, inputs[0], output)
            case _:
                assert_never(operation.primitive)

    def _optional(self, array: np.ndarray | None) -> Value | int:
        return NOTHING if array is None else self._model.constant(array)

    def _conv(
        self,
        conv: Conv,
        source: Value,
        arrays: tuple[np.ndarray, np.ndarray | None],
        output: Value,
        clip: tuple[float, float] = FREE,
    ) -> None:
        weight, bias = arrays
        depthwise = conv.groups == conv.in_channels
        filters = self._model.constant(weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)))
        (top, left), (height, width) = conv.padding, conv.kernel
        self._model.node(
            "DepthwiseConv2d" if depthwise else "Conv2d",
            top, left, top, left,  # top, right, bottom, left
            height, width, conv.stride, conv.stride, conv.dilation, conv.dilation,
            conv.in_channels // conv.groups, conv.out_channels // conv.groups, conv.groups,
            0, 0,  # of transposed convolutions alone
            source, filters, self._optional(bias), output, 0, clip=clip,
        )  # fmt: skip

    def _activation(self, kind: str, source: Value, output: Value) -> None:
        model = self._model
        match kind:
            case "swish":
                gate = model.value(source.sizes)
                model.node("Sigmoid", source, gate, 0)
                model.node("Multiply", source, gate, output, 0)
            case "hard_sigmoid":
                self._hard_sigmoid(source, output)
            case "hard_swish":
                model.node("Hardswish", source, output, 0)
            case "sigmoid":
                model.node("Sigmoid", source, output, 0)
            case _:
                model.node("Clamp", source, output, 0, clip=_CLIPS[kind])

    def _hard_sigmoid(self, source: Value, output: Value) -> None:
        """clip(x / 6 + 1 / 2, 0, 1) as a convolution of one pixel.

        A sum with a constant would read it where it lies, and the runtime gives the file's memory back once it has
        loaded it; what convolutions need of the file they pack.
        """
        batch, *_, channels = source.sizes
        pixel = Conv(channels, channels, (1, 1), groups=channels)
        arrays = np.full((channels, 1, 1, 1), 1 / 6), np.full(channels, 0.5)
        if len(source.sizes) == 4:
            self._conv(pixel, source, arrays, output, (0.0, 1.0))
            return
        given, found = (self._model.value((batch, 1, 1, channels)) for _ in range(2))
        self._reshape(source, given)
        self._conv(pixel, given, arrays, found, (0.0, 1.0))
        self._reshape(found, output)

    def _pool(self, operation: Operation, pool: Pool, source: Value, output: Value) -> None:
        """What XNNPACK averages are the pixels of the map, not its padding, as PyTorch does where it is told to."""
        if pool.kernel == 1:  # XNNPACK refuses such a pool
            channels = operation.shape[0]
            pixel = Conv(channels, channels, (1, 1), pool.stride, groups=channels)
            self._conv(pixel, source, (np.ones((channels, 1, 1, 1)), None), output)
            return
        kind, dilation = {"max": ("MaxPooling2d", 1), "avg": ("AvgPooling2d", 0)}[pool.kind]
        self._model.node(
            kind, *(pool.padding,) * 4, pool.kernel, pool.kernel, pool.stride, pool.stride, dilation, dilation,
            source, output, _KEEP_DIMS,
        )  # fmt: skip

    def _concat(self, inputs: Sequence[Value], output: Value) -> None:
        """One node joins two to five values; more are joined in parts first."""
        axis, parts = len(output.sizes) - 1, list(inputs)
        while len(parts) > _JOINED:
            first = parts[:_JOINED]
            joined = self._model.value((*output.sizes[:-1], sum(one.sizes[-1] for one in first)))
            self._concat(first, joined)
            parts = [joined, *parts[_JOINED:]]
        if len(parts) == 1:
            self._reshape(parts[0], output)
            return
        places: list[Value | int] = [*parts, *[NOTHING] * (_JOINED - len(parts))]
        self._model.node(f"Concatenate{len(parts)}", axis, *places[:4], output, 0, places[4])

    def _slice(self, source: Value, output: Value, begin: Shape) -> None:
        self._model.node("StaticSlice", len(begin), begin, output.sizes, source, output, 0)

    def _pad_or_crop(self, pad: Pad, source: Value, output: Value) -> None:
        edges = ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, pad.channels))
        before, after = (tuple(max(edge[side], 0) for edge in edges) for side in (0, 1))
        if any(amount < 0 for edge in edges for amount in edge):
            sizes = zip(output.sizes, before, after, strict=True)
            cropped = self._model.value(tuple(size - first - last for size, first, last in sizes))
            self._slice(source, cropped, tuple(max(-edge[0], 0) for edge in edges))
            source = cropped
        self._model.node("StaticConstantPad", before, after, 0.0, source, output, 0)

    def _flatten(self, source: Value, output: Value) -> None:
        """In PyTorch's order, channels first; with one pixel or one channel there is only one order."""
        _, height, width, channels = source.sizes
        if height * width > 1 and channels > 1:
            source = self._transposed(source, _CHANNELS_FIRST)
        self._reshape(source, output)

    def _shuffle(self, groups: int, source: Value, output: Value) -> None:
        *pixels, channels = source.sizes
        grouped = self._model.value((*pixels, groups, channels // groups))
        self._reshape(source, grouped)
        self._reshape(self._transposed(grouped, (0, 1, 2, 4, 3)), output)

    def _transposed(self, source: Value, axes: Shape) -> Value:
        output = self._model.value(tuple(source.sizes[axis] for axis in axes))
        self._transpose(source, output, axes)
        return output

    def _transpose(self, source: Value, output: Value, axes: Shape) -> None:
        self._model.node("StaticTranspose", len(axes), axes, source, output, 0)

    def _reshape(self, source: Value, output: Value) -> None:
        self._model.node("StaticReshape", len(output.sizes), output.sizes, source, output, 0)

    def _sizes(self, shape: Shape) -> Shape:
        """(channels, height, width) or (features,) as a value's sizes."""
        return (self._batch, *shape[1:], shape[0])
