"""ncnn's .param text and .bin weights straight from a NetworkSpec and its arrays, as one file: a ZIP archive of both.

Source: ncnn, docs/developer-guide: operators.md has the layers and their numbered parameters,
    param-and-model-file-structure.md the two files.
"""

from __future__ import annotations

import io
import zipfile
from typing import assert_never

import numpy as np

from hwnas.core.errors import InputError, quoted
from hwnas.core.graphs import reader_counts
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
from hwnas.formats.onnx_file import INPUT_NAME, OUTPUT_NAME

PARAM, BIN = "model.param", "model.bin"  # the members of the archive, in this order
MAGIC = "7767517"
LONGEST_NAME = 255  # bytes: ncnn reads a name into 256
IN_F32 = bytes(4)  # before a layer's weights: they are f32, not f16, int8 or a table
_SIXTH = "1.66666667e-01"  # ncnn reads at most 15 characters of a number
ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "Clip 0=0.0 1=6.0",
    "sigmoid": "Sigmoid",
    "hard_sigmoid": f"HardSigmoid 0={_SIXTH} 1=0.5",
    "hard_swish": f"HardSwish 0={_SIXTH} 1=0.5",
    "swish": "Swish",
}
FUSED_ACTIVATIONS = {
    "relu": "9=1",
    "relu6": "9=3 -23310=2,0.0,6.0",
    "sigmoid": "9=4",
    "hard_swish": f"9=6 -23310=2,{_SIXTH},0.5",
}


def to_ncnn(network: NetworkSpec, arrays: Arrays) -> bytes:
    """The network as one ncnn file, for one image a call; equal arguments give equal bytes.

    Layers are named after operations, blobs after values. A batch-norm is folded into the convolution before it, and an
    activation is part of the layer before it, where ncnn has that and nobody else reads what lies between.

    Args:
        network: the network.
        arrays: float32, exactly those of `expected_arrays`.

    Returns:
        A ZIP archive (stored) of model.param and model.bin: blob "images" (channels, height, width) in, "scores" out.

    Raises:
        InputError: the arrays do not belong to the network, or a name cannot stand in a .param text.
    """
    graph = lower(network)
    check_graph_arrays(graph, arrays)
    return archive(*_NcnnWriter(graph, arrays).parts())


def archive(param: str, weights: bytes) -> bytes:
    """A .param text and the content of a .bin as one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
        for name, content in ((PARAM, param.encode()), (BIN, weights)):
            entry = zipfile.ZipInfo(name)  # dated 1980, the earliest that there is
            entry.create_system = 3  # otherwise the archive tells on which system it was written
            packed.writestr(entry, content)
    return file.getvalue()


def is_name(text: str) -> bool:
    """Whether ncnn reads it as one word of a .param text."""
    return text.isprintable() and 0 < len(text.encode()) <= LONGEST_NAME and " " not in text


class _NcnnWriter:
    """Collects lines of layers and bytes of weights; one method per job, `parts` at the end.

    ncnn's global pooling gives a vector (C) where the network has a map (C, 1, 1). Such a value stays a vector while
    what reads it can do so: a 1×1 convolution is an inner product then. For all else it is reshaped.
    """

    def __init__(self, graph: Graph, arrays: Arrays) -> None:
        self._graph = graph
        self._arrays = arrays
        self._shapes = graph.shapes()
        self._readers = reader_counts(graph)
        self._lines: list[str] = []
        self._blobs: list[str] = []
        self._weights: list[bytes] = []
        self._unread: dict[str, list[str]] = {}  # the blobs of a value, one for each of its readers
        self._vectors: set[str] = set()  # values of shape (C, 1, 1) that are vectors in ncnn

    def parts(self) -> tuple[str, bytes]:
        """The .param text and the content of the .bin."""
        channels, height, width = self._graph.input_shape
        self._line("Input", INPUT_NAME, [], [INPUT_NAME], f"0={width} 1={height} 2={channels}")
        self._share("input", INPUT_NAME)
        for one in fused(self._graph, FUSED_ACTIVATIONS):
            self._write(one)
        if self._graph.output == "input":
            self._line("Noop", "identity", [self._unread["input"].pop()], [OUTPUT_NAME])
        self._check_blobs()
        lines = (MAGIC, f"{len(self._lines)} {len(self._blobs)}", *self._lines)
        return "".join(f"{line}\n" for line in lines), b"".join(self._weights)

    def _write(self, one: Fused) -> None:
        """Appends the layers of one operation, with what is fused into it."""
        operation, primitive = one.operation, one.operation.primitive
        vector = all(value in self._vectors for value in operation.inputs)  # its value is a vector, too
        match primitive:
            case Conv(kernel=(1, 1), padding=(0, 0), groups=1) if vector:
                self._layer(one, "InnerProduct", self._inner_product(one), vector)
            case Conv(groups=groups):
                kind = "Convolution" if groups == 1 else "ConvolutionDepthWise"
                self._layer(one, kind, self._convolution(one, primitive))
            case Linear():
                self._layer(one, "InnerProduct", self._inner_product(one))
            case BatchNorm(channels, eps):
                for key in ("weight", "running_mean", "running_var", "bias"):
                    self._weights.append(_f32(self._arrays[f"{operation.name}.{key}"]))
                self._layer(one, "BatchNorm", f"0={channels} 1={eps:.8e}", vector)
            case Activation(kind):
                name, _, parameters = ACTIVATIONS[kind].partition(" ")
                self._layer(one, name, parameters, vector)
            case Pool(kind, kernel, stride, padding):
                # 5=1 rounds sizes down, 6=0 leaves the padding out of averages.
                average = int(kind == "avg")
                self._layer(one, "Pooling", f"0={average} 1={kernel} 2={stride} 3={padding} 5=1 6=0")
            case GlobalPool():
                self._layer(one, "Pooling", "0=1 4=1", gives=True)
            case Flatten():
                self._layer(one, "Flatten", "", vector=True)
            case Add():
                self._layer(one, "BinaryOp", "0=0", vector)
            case Mul():  # a vector multiplies channel by channel
                self._layer(one, "BinaryOp", "0=2", vector=True, gives=vector)
            case Concat():
                self._layer(one, "Concat", "0=0", vector)
            case Slice(start, stop):
                self._layer(one, "Crop", f"-23309=1,{start} -23310=1,{stop} -23311=1,0", vector)
            case Pad():
                self._pad(one, primitive)
            case Shuffle(groups):
                self._layer(one, "ShuffleChannel", f"0={groups}")
            case _:
                assert_never(primitive)

    def _layer(
        self, one: Fused, kind: str, parameters: str = "", vector: bool = False, *, gives: bool | None = None,
        inputs: list[str] | None = None,
    ) -> None:  # fmt: skip
        """Appends one layer.

        Args:
            one: the operation and what is fused into it.
            kind: ncnn's name of the layer.
            parameters: "number=value" of each, with spaces between.
            vector: whether it reads vectors as they are; and gives one, if not told otherwise.
            gives: whether its value is a vector in ncnn, where it is (C, 1, 1).
            inputs: the blobs that it reads, if not simply those of its inputs.
        """
        name, value, shape = one.operation.name, one.value, one.operation.shape
        if inputs is None:
            inputs = [self._read(read, vector) for read in one.operation.inputs]
        if (vector if gives is None else gives) and len(shape) == 3:
            self._vectors.add(value)
        blob = OUTPUT_NAME if self._graph.output == value and self._readers[value] == 1 else value
        if self._graph.output == value and value in self._vectors:
            self._line(kind, name, inputs, [f"{value}.vector"], parameters)
            self._vectors.remove(value)
            kind, name, inputs, parameters = "Reshape", f"{value}.map", [f"{value}.vector"], _as_map(shape)
        self._line(kind, name, inputs, [blob], parameters)
        self._share(value, blob)

    def _pad(self, one: Fused, pad: Pad) -> None:
        """A crop where amounts are negative, then a padding where they are positive."""
        (value,), name = one.operation.inputs, one.operation.name
        _, height, width = self._shapes[value]
        top, bottom, left, right = (max(amount, 0) for amount in (pad.top, pad.bottom, pad.left, pad.right))
        padding = f"0={top} 1={bottom} 2={left} 3={right} 8={pad.channels}"
        if min(pad.top, pad.bottom, pad.left, pad.right) >= 0:
            return self._layer(one, "Padding", padding)
        start = f"-23309=2,{max(-pad.top, 0)},{max(-pad.left, 0)}"
        stop = f"-23310=2,{height + min(pad.bottom, 0)},{width + min(pad.right, 0)}"
        crop = f"{start} {stop} -23311=2,1,2"
        if not any((top, bottom, left, right, pad.channels)):
            return self._layer(one, "Crop", crop)
        self._line("Crop", f"{name}.crop", [self._read(value)], [f"{name}.crop"], crop)
        return self._layer(one, "Padding", padding, inputs=[f"{name}.crop"])

    def _convolution(self, one: Fused, conv: Conv) -> str:
        """The parameters of a convolution; its arrays go to the weights."""
        bias, size = self._write_arrays(one)
        (high, wide), (above, left) = conv.kernel, conv.padding
        parameters = f"0={conv.out_channels} 1={wide} 11={high} 2={conv.dilation} 3={conv.stride} 4={left} 14={above}"
        groups = f" 7={conv.groups}" if conv.groups > 1 else ""
        return f"{parameters} 5={bias} 6={size}{groups}{_fused_activation(one)}"

    def _inner_product(self, one: Fused) -> str:
        """The parameters of a linear layer, or of a 1×1 convolution of a vector; its arrays go to the weights."""
        bias, size = self._write_arrays(one)
        return f"0={one.operation.shape[0]} 1={bias} 2={size}{_fused_activation(one)}"

    def _write_arrays(self, one: Fused) -> tuple[int, int]:
        """Appends weight and bias; whether there is a bias, and how many values the weight has."""
        weight, bias = fused_arrays(one, self._arrays)
        self._weights += [IN_F32, _f32(weight)]
        if bias is not None:
            self._weights.append(_f32(bias))
        return int(bias is not None), weight.size

    def _read(self, value: str, vector: bool = False) -> str:
        """A blob of a value for one reader, as a map if that reader cannot have a vector."""
        blob = self._unread[value].pop(0)
        if vector or value not in self._vectors:
            return blob
        self._line("Reshape", f"{blob}.map", [blob], [f"{blob}.map"], _as_map(self._shapes[value]))
        return f"{blob}.map"

    def _share(self, value: str, blob: str) -> None:
        """Makes a blob for every reader of a value: in ncnn, a blob has one."""
        readers = self._readers[value]
        blobs = [blob] if readers == 1 else [f"{blob}.{index}" for index in range(readers)]
        if self._graph.output == value != "input":
            blobs[-1] = OUTPUT_NAME
        if readers > 1:
            self._line("Split", f"{blob}.split", [blob], blobs)
        self._unread[value] = blobs

    def _line(self, kind: str, name: str, inputs: list[str], outputs: list[str], parameters: str = "") -> None:
        for one in (name, *outputs):
            if not is_name(one):
                raise InputError(
                    f"the name {quoted(one)} cannot stand in a .param text: it needs 1 to {LONGEST_NAME} bytes, "
                    "none of them a space; rename a node of the network"
                )
        parts = (kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, parameters)
        self._lines.append(" ".join(part for part in parts if part))
        self._blobs += outputs

    def _check_blobs(self) -> None:
        if len(set(self._blobs)) != len(self._blobs):
            twice = sorted({name for name in self._blobs if self._blobs.count(name) > 1})
            raise InputError(f"two blobs of the ncnn file would be named {twice[0]!r}: rename a node of the network")


def _as_map(shape: Shape) -> str:
    """The parameters of a Reshape from a vector (C) to a map (C, 1, 1)."""
    return f"0=1 1=1 2={shape[0]}"


def _fused_activation(one: Fused) -> str:
    if one.activation is None or not isinstance(one.activation.primitive, Activation):
        return ""
    return f" {FUSED_ACTIVATIONS[one.activation.primitive.kind]}"


def _f32(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype="<f4").tobytes()
