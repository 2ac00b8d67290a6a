"""LiteRT (TensorFlow Lite) straight from a NetworkSpec and its arrays: what is measured is also what ships.

Maps are channels last, (batch, height, width, channels), from the images on: as cameras give and kernels want them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
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
from hwnas.formats.fusing import Fused, fused, fused_arrays, scale_and_shift
from hwnas.formats.litert_model import LiteRtModel

INPUT_NAME = "images"
OUTPUT_NAME = "scores"


def to_litert(network: NetworkSpec, arrays: Arrays, *, batch: int = 1) -> bytes:
    """The network as a LiteRT file (.tflite), float32; equal arguments give equal bytes.

    Tensors are named after values. Where nobody else reads the value between, a batch-norm is folded into the
    convolution before it, and a ReLU or ReLU6 is done by the operator before it.

    Args:
        network: the network.
        arrays: float32, exactly those of `expected_arrays`.
        batch: images per call, at least 1; fixed in the file.

    Returns:
        The file: input "images" (batch, height, width, channels); output "scores" (batch, classes), or (batch, height,
        width, channels) where the network ends in a map.

    Raises:
        InputError: the arrays do not belong to the network, or the batch is below 1.
        TargetUnavailable: the package ai-edge-litert, whose schema is used, is not installed.
    """
    if batch < 1:
        raise InputError(f"a LiteRT file needs a batch of at least 1, not {batch}")
    graph = lower(network)
    check_graph_arrays(graph, arrays)
    return _LiteRtWriter(graph, arrays, batch).file()


class _LiteRtWriter:
    """Puts operations into a model, one method per kind; `file` at the end."""

    def __init__(self, graph: Graph, arrays: Arrays, batch: int) -> None:
        self._graph = graph
        self._arrays = arrays
        self._batch = batch
        self._model = LiteRtModel()
        self._schema = self._model.schema
        self._nonnegative: set[int] = set()
        self._tensors = {"input": self._model.tensor(INPUT_NAME, self._sizes(graph.input_shape))}

    def file(self) -> bytes:
        """The finished file."""
        images = self._tensors["input"]
        for one in fused(self._graph, ("relu", "relu6"), into=(Conv, Linear, BatchNorm, Add, Mul)):
            self._write(one)
        if self._graph.output == "input":
            self._tensors["input"] = self._model.tensor(OUTPUT_NAME, self._sizes(self._graph.input_shape))
            self._reshape(images, self._tensors["input"])
        return self._model.packed({INPUT_NAME: images}, {OUTPUT_NAME: self._tensors[self._graph.output]})

    def _write(self, one: Fused) -> None:
        """Appends the operators of one operation, with what is fused into it."""
        operation, schema = one.operation, self._schema
        inputs = [self._tensors[value] for value in operation.inputs]
        name = OUTPUT_NAME if one.value == self._graph.output else one.value
        output = self._tensors[one.value] = self._model.tensor(name, self._sizes(operation.shape))
        clip = {"fusedActivationFunction": self._clip(one.activation)}
        if (one.activation or operation).primitive in _NONNEGATIVE:
            self._nonnegative.add(output)
        match operation.primitive:
            case Conv():
                self._conv(one, operation.primitive, inputs[0], output, clip)
            case Linear():
                arrays = self._weight_and_bias(one, (0, 1))
                options = schema.FullyConnectedOptionsT(**clip)
                self._model.operator("FULLY_CONNECTED", (*inputs, *arrays), output, options)
            case BatchNorm():
                scaled = self._beside(output, "scaled")
                scale, shift = (
                    self._model.constant(f"{operation.name}.{key}", array.astype(np.float32))
                    for key, array in zip(("scale", "shift"), scale_and_shift(operation, self._arrays), strict=True)
                )
                self._model.operator("MUL", (inputs[0], scale), scaled, schema.MulOptionsT())
                self._model.operator("ADD", (scaled, shift), output, schema.AddOptionsT(**clip))
            case Activation(kind):
                self._activation(kind, inputs[0], output)
            case Pool():
                self._pool(operation, operation.primitive, inputs[0], output)
            case GlobalPool():
                axes = self._model.integers("constant.height_width", (1, 2))
                self._model.operator("MEAN", (*inputs, axes), output, schema.ReducerOptionsT(keepDims=True))
            case Flatten():
                self._flatten(inputs[0], output)
            case Add():
                self._model.operator("ADD", inputs, output, schema.AddOptionsT(**clip))
            case Mul():
                self._model.operator("MUL", inputs, output, schema.MulOptionsT(**clip))
            case Concat():
                axis = len(operation.shape)
                self._model.operator("CONCATENATION", inputs, output, schema.ConcatenationOptionsT(axis=axis))
            case Slice(start):
                self._slice(inputs[0], output, (*(0,) * len(operation.shape), start))
            case Pad():
                self._pad_or_crop(operation.primitive, inputs[0], output)
            case Shuffle(groups):
                self._shuffle(groups, inputs[0], output)
            case _:
                assert_never(operation.primitive)

    def _clip(self, activation: Operation | None) -> int:
        kinds = self._schema.ActivationFunctionType
        if activation is None or not isinstance(activation.primitive, Activation):
            return int(kinds.NONE)
        return int({"relu": kinds.RELU, "relu6": kinds.RELU6}[activation.primitive.kind])

    def _conv(self, one: Fused, conv: Conv, source: int, output: int, clip: dict[str, int]) -> None:
        same, source = self._windows(source, output, conv.kernel, conv.stride, conv.padding, conv.dilation)
        options = {
            "padding": self._schema.Padding.SAME if same else self._schema.Padding.VALID,
            "strideH": conv.stride,
            "strideW": conv.stride,
            "dilationHFactor": conv.dilation,
            "dilationWFactor": conv.dilation,
            **clip,
        }
        if 1 < conv.groups == conv.in_channels:
            arrays = self._weight_and_bias(one, (1, 2, 3, 0))
            multiplier = conv.out_channels // conv.in_channels
            depthwise = self._schema.DepthwiseConv2DOptionsT(depthMultiplier=multiplier, **options)
            version = 2 if conv.dilation > 1 else 1
            self._model.operator("DEPTHWISE_CONV_2D", (source, *arrays), output, depthwise, version)
        else:
            arrays = self._weight_and_bias(one, (0, 2, 3, 1))
            version = 6 if conv.groups > 1 else 1
            self._model.operator("CONV_2D", (source, *arrays), output, self._schema.Conv2DOptionsT(**options), version)

    def _weight_and_bias(self, one: Fused, axes: Shape) -> tuple[int, int]:
        """The constants of a layer, always with a bias: not every kernel on every phone does without."""
        weight, bias = fused_arrays(one, self._arrays)
        if bias is None:
            bias = np.zeros(len(weight), np.float32)
        name = one.operation.name
        weight_index = self._model.constant(f"{name}.weight", weight.transpose(axes))
        return weight_index, self._model.constant(f"{name}.bias", bias)

    def _activation(self, kind: str, source: int, output: int) -> None:
        model, schema = self._model, self._schema
        match kind:
            case "swish":
                gate = self._beside(output, "sigmoid")
                model.operator("LOGISTIC", (source,), gate)
                model.operator("MUL", (source, gate), output, schema.MulOptionsT())
            case "hard_sigmoid":
                clipped = self._beside(output, "relu6")
                relu6 = schema.AddOptionsT(fusedActivationFunction=schema.ActivationFunctionType.RELU6)
                model.operator("ADD", (source, model.numbers("constant.three", 3)), clipped, relu6)
                model.operator("MUL", (clipped, model.numbers("constant.sixth", 1 / 6)), output, schema.MulOptionsT())
            case "hard_swish":
                model.operator("HARD_SWISH", (source,), output, schema.HardSwishOptionsT())
            case _:
                model.operator(_ACTIVATIONS[kind], (source,), output)

    def _pool(self, operation: Operation, pool: Pool, source: int, output: int) -> None:
        """Where padding must be explicit, a maximum is padded by what is never the largest, and an average by zeros,
        after which windows with fewer pixels of the image are made up for. Zeros wherever they do: XNNPACK knows no
        others.
        """
        model, schema = self._model, self._schema
        window = (pool.kernel, pool.kernel), pool.stride, (pool.padding, pool.padding)
        zeros = pool.kind == "avg" or source in self._nonnegative
        same, padded = self._windows(source, output, *window, filler=0.0 if zeros else _LOWEST)
        options = schema.Pool2DOptionsT(
            padding=schema.Padding.SAME if same else schema.Padding.VALID,
            strideH=pool.stride,
            strideW=pool.stride,
            filterHeight=pool.kernel,
            filterWidth=pool.kernel,
        )
        if pool.kind == "max":
            model.operator("MAX_POOL_2D", (padded,), output, options)
        elif padded == source:
            model.operator("AVERAGE_POOL_2D", (padded,), output, options)
        else:
            _, *sizes, _ = model.sizes(source)
            rows, columns = (_pixels(size, out, pool) for size, out in zip(sizes, operation.shape[1:], strict=True))
            factor = (pool.kernel**2 / np.outer(rows, columns)).astype(np.float32)
            average = self._beside(output, "average")
            model.operator("AVERAGE_POOL_2D", (padded,), average, options)
            constant = model.constant(f"{operation.name}.factor", factor[None, :, :, None])
            model.operator("MUL", (average, constant), output, schema.MulOptionsT())

    def _windows(
        self,
        source: int,
        output: int,
        kernel: tuple[int, int],
        stride: int,
        padding: tuple[int, int],
        dilation: int = 1,
        filler: float = 0.0,
    ) -> tuple[bool, int]:
        """Whether windows lie as "same" padding lays them (else "valid"), and the tensor that they move over.

        Operators have no other padding than these two, and for strides above 1 "same" puts less before the first pixel
        than PyTorch does wherever fewer are needed in all. Then the map is padded before, as far as windows reach.
        """
        same, pads = True, []
        _, *sizes, _ = self._model.sizes(source)
        _, *outs, _ = self._model.sizes(output)
        for size, out, width, pad in zip(sizes, outs, kernel, padding, strict=True):
            needed = max((out - 1) * stride + dilation * (width - 1) + 1 - size, 0)
            same = same and out == -(-size // stride) and needed // 2 == pad
            pads.append((pad, max(needed - pad, 0)))
        if same or not np.any(pads):
            return same, source
        amounts = ((0, 0), *pads, (0, 0))
        grown = tuple(size + sum(amount) for size, amount in zip(self._model.sizes(source), amounts, strict=True))
        padded = self._beside(output, "padded", grown)
        self._pad(source, padded, amounts, filler)
        return False, padded

    def _pad(self, source: int, output: int, amounts: Sequence[tuple[int, int]], filler: float = 0.0) -> None:
        pads = self._model.integers(f"{self._model.name(output)}.pads", amounts)
        if filler == 0.0:
            self._model.operator("PAD", (source, pads), output, self._schema.PadOptionsT())
        else:
            constant = self._model.numbers("constant.lowest", filler)
            self._model.operator("PADV2", (source, pads, constant), output, self._schema.PadV2OptionsT())

    def _pad_or_crop(self, pad: Pad, source: int, output: int) -> None:
        edges = ((0, 0), (pad.top, pad.bottom), (pad.left, pad.right), (0, pad.channels))
        grow = [(max(before, 0), max(after, 0)) for before, after in edges]
        if any(amount < 0 for edge in edges for amount in edge):
            sizes = zip(self._model.sizes(output), grow, strict=True)
            cropped = self._beside(output, "cropped", tuple(size - sum(amount) for size, amount in sizes))
            self._slice(source, cropped, tuple(max(-before, 0) for before, _ in edges))
            source = cropped
        self._pad(source, output, grow)

    def _slice(self, source: int, output: int, begin: Shape) -> None:
        name = self._model.name(output)
        start = self._model.integers(f"{name}.begin", begin)
        sizes = self._model.integers(f"{name}.sizes", self._model.sizes(output))
        self._model.operator("SLICE", (source, start, sizes), output, self._schema.SliceOptionsT())

    def _flatten(self, source: int, output: int) -> None:
        """In PyTorch's order, channels first; with one pixel or one channel there is only one order."""
        batch, height, width, channels = self._model.sizes(source)
        if height * width > 1 and channels > 1:
            channels_first = self._beside(output, "channels_first", (batch, channels, height, width))
            self._transpose(source, channels_first, (0, 3, 1, 2))
            source = channels_first
        self._reshape(source, output)

    def _shuffle(self, groups: int, source: int, output: int) -> None:
        *pixels, channels = self._model.sizes(source)
        count, members = prod(pixels), channels // groups
        grouped = self._beside(output, "grouped", (count, groups, members))
        mixed = self._beside(output, "mixed", (count, members, groups))
        self._reshape(source, grouped)
        self._transpose(grouped, mixed, (0, 2, 1))
        self._reshape(mixed, output)

    def _transpose(self, source: int, output: int, axes: Shape) -> None:
        constant = self._model.integers(f"{self._model.name(output)}.axes", axes)
        self._model.operator("TRANSPOSE", (source, constant), output, self._schema.TransposeOptionsT())

    def _reshape(self, source: int, output: int) -> None:
        sizes = self._model.sizes(output)
        constant = self._model.integers(f"{self._model.name(output)}.shape", sizes)
        self._model.operator("RESHAPE", (source, constant), output, self._schema.ReshapeOptionsT(newShape=list(sizes)))

    def _beside(self, tensor: int, suffix: str, sizes: Shape | None = None) -> int:
        """A new tensor on the way to another, of the same shape unless another is given."""
        return self._model.tensor(f"{self._model.name(tensor)}.{suffix}", sizes or self._model.sizes(tensor))

    def _sizes(self, shape: Shape) -> Shape:
        """(channels, height, width) or (features,) as a tensor's sizes."""
        return (self._batch, *shape[1:], shape[0])


def _pixels(size: int, out: int, pool: Pool) -> np.ndarray:
    """How many rows (or columns) of the image are under each window of a pool."""
    start = np.arange(out) * pool.stride - pool.padding
    return np.minimum(start + pool.kernel, size) - np.maximum(start, 0)


_ACTIVATIONS = {"relu": "RELU", "relu6": "RELU6", "sigmoid": "LOGISTIC"}
_NONNEGATIVE = {Activation(kind) for kind in ("relu", "relu6", "sigmoid", "hard_sigmoid")}
_LOWEST = float(np.finfo(np.float32).min)
