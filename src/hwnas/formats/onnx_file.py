"""ONNX straight from a NetworkSpec and its arrays: what is measured, and the same file is what ships.

Opset 17 and IR version 8: every engine of today reads them, newer ones are refused by some.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, assert_never

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
    Pad,
    Pool,
    Shape,
    Shuffle,
    Slice,
)
from hwnas.formats.arrays import Arrays, check_graph_arrays
from hwnas.formats.fusing import Fused, fused, fused_arrays

OPSET = 17
IR_VERSION = 8
INPUT_NAME = "images"
OUTPUT_NAME = "scores"


def to_onnx(network: NetworkSpec, arrays: Arrays, *, batch: int = 1) -> bytes:
    """The network as an ONNX file; equal arguments give equal bytes.

    Nodes are named after operations, tensors after values. A batch-norm is folded into the convolution before it where
    nobody else reads that convolution's value.

    Args:
        network: the network.
        arrays: float32, exactly those of `expected_arrays`.
        batch: images per call, at least 1; fixed in the file.

    Returns:
        The file: input "images" (batch, channels, height, width), output "scores".

    Raises:
        InputError: the arrays do not belong to the network, or the batch is below 1.
    """
    if batch < 1:
        raise InputError(f"an ONNX file needs a batch of at least 1, not {batch}")
    graph = lower(network)
    check_graph_arrays(graph, arrays)
    return _OnnxWriter(graph, arrays, batch).file()


class _Node(NamedTuple):
    kind: str
    inputs: tuple[str, ...]
    output: str
    name: str
    attributes: dict[str, Any]


class _OnnxWriter:
    """Collects nodes and constants; one method per job, `file` at the end."""

    def __init__(self, graph: Graph, arrays: Arrays, batch: int) -> None:
        self._graph = graph
        self._arrays = arrays
        self._batch = batch
        self._shapes = graph.shapes()
        self._nodes: list[_Node] = []
        self._constants: dict[str, np.ndarray] = {}
        self._tensors = {"input": INPUT_NAME, graph.output: OUTPUT_NAME}

    def file(self) -> bytes:
        """The finished file."""
        from onnx import TensorProto, helper

        if self._graph.output == "input":
            self._nodes.append(_Node("Identity", (INPUT_NAME,), OUTPUT_NAME, "identity", {}))
        for one in fused(self._graph):
            self._write(one)
        self._check_names()
        nodes = [helper.make_node(n.kind, n.inputs, [n.output], name=n.name, **n.attributes) for n in self._nodes]
        kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
        constants = [
            helper.make_tensor(name, kinds[value.dtype], value.shape, value.tobytes(), raw=True)
            for name, value in self._constants.items()
        ]
        images, scores = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (self._batch, *shape))
            for name, shape in (
                (INPUT_NAME, self._graph.input_shape),
                (OUTPUT_NAME, self._shapes[self._graph.output]),
            )
        )
        graph = helper.make_graph(nodes, "network", [images], [scores], constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hwnas")
        return bytes(model.SerializeToString())

    def _write(self, one: Fused) -> None:
        """Appends the nodes of one operation, with the batch-norm behind a convolution folded in."""
        operation = one.operation
        name, inputs = operation.name, tuple(self._tensor(value) for value in operation.inputs)
        output = self._tensor(one.value)

        def node(kind: str, *inputs: str, output: str = output, name: str = name, **attributes: Any) -> str:
            self._nodes.append(_Node(kind, inputs, output, name, attributes))
            return output

        match operation.primitive:
            case Conv():
                node("Conv", *inputs, *self._fused_constants(one), **_window(operation.primitive))
            case Linear():
                node("Gemm", *inputs, *self._fused_constants(one), transB=1)
            case BatchNorm(eps=eps):
                names = self._arrays_of(name, ("weight", "bias", "running_mean", "running_var"))
                node("BatchNormalization", *inputs, *names, epsilon=eps)
            case Activation("swish"):
                gate = node("Sigmoid", *inputs, output=f"{name}.sigmoid", name=f"{name}.sigmoid")
                node("Mul", *inputs, gate)
            case Activation("relu6"):
                low, high = (self._constant(f"constant.{n}", np.float32(v)) for n, v in (("zero", 0), ("six", 6)))
                node("Clip", *inputs, low, high)
            case Activation("hard_sigmoid"):
                node("HardSigmoid", *inputs, alpha=1 / 6, beta=0.5)
            case Activation(kind):
                node(_ACTIVATIONS[kind], *inputs)
            case Pool("max"):
                node("MaxPool", *inputs, **_window(operation.primitive))
            case Pool():
                node("AveragePool", *inputs, **_window(operation.primitive), count_include_pad=0)
            case GlobalPool():
                node("GlobalAveragePool", *inputs)
            case Flatten():
                node("Flatten", *inputs, axis=1)
            case Add() | Mul():
                node(type(operation.primitive).__name__, *inputs)
            case Concat():
                node("Concat", *inputs, axis=1)
            case Slice(start, stop):
                node("Slice", *inputs, *(self._integers(f"constant.{n}", (n,)) for n in (start, stop, 1)))
            case Pad():
                node("Pad", *inputs, self._integers(f"{name}.pads", _pads(operation.primitive)), mode="constant")
            case Shuffle(groups):
                channels, height, width = operation.shape
                split = self._integers(f"{name}.split", (self._batch, groups, channels // groups, height * width))
                whole = self._integers(f"{name}.whole", (self._batch, channels, height, width))
                value = node("Reshape", *inputs, split, output=f"{name}.groups", name=f"{name}.groups")
                value = node("Transpose", value, output=f"{name}.mixed", name=f"{name}.mixed", perm=(0, 2, 1, 3))
                node("Reshape", value, whole)
            case _:
                assert_never(operation.primitive)

    def _arrays_of(self, name: str, keys: tuple[str, ...]) -> list[str]:
        return [self._constant(f"{name}.{key}", self._arrays[f"{name}.{key}"]) for key in keys]

    def _fused_constants(self, one: Fused) -> Iterator[str]:
        """The names of a layer's weight and bias, batch-norm folded in."""
        for key, value in zip(("weight", "bias"), fused_arrays(one, self._arrays), strict=True):
            if value is not None:
                yield self._constant(f"{one.operation.name}.{key}", value)

    def _tensor(self, value: str) -> str:
        return self._tensors.get(value, value)

    def _constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self._constants[name] = np.asarray(value)
        return name

    def _integers(self, name: str, values: tuple[int, ...]) -> str:
        return self._constant(name, np.asarray(values, dtype=np.int64))

    def _check_names(self) -> None:
        names = [INPUT_NAME, *self._constants, *(node.output for node in self._nodes)]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise InputError(f"two tensors of the ONNX file would be named {twice[0]!r}: rename a node of the network")


def _window(primitive: Conv | Pool) -> dict[str, Any]:
    if isinstance(primitive, Pool):
        size, pad = primitive.kernel, primitive.padding
        return {"kernel_shape": (size, size), "strides": (primitive.stride,) * 2, "pads": (pad,) * 4}
    return {
        "kernel_shape": primitive.kernel,
        "strides": (primitive.stride, primitive.stride),
        "pads": primitive.padding * 2,
        "dilations": (primitive.dilation, primitive.dilation),
        "group": primitive.groups,
    }


def _pads(pad: Pad) -> Shape:
    """Begins and ends per axis (batch, channels, height, width); onnxruntime crops where they are negative."""
    return (0, 0, pad.top, pad.left, 0, pad.channels, pad.bottom, pad.right)


_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "hard_swish": "HardSwish"}
