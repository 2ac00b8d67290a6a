"""Reads a file of `to_ncnn` back as far as it takes to know that ncnn can run it.

ncnn believes a .param text: where sizes do not fit together it reads beside its arrays, and gives other scores or ends
the process. So every line is checked, with the shapes that the primitives give, and whatever the writer would not have
written is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from math import prod
from typing import NamedTuple

from hwnas.core.errors import FileFormatError, quoted
from hwnas.core.graphs import LARGEST_ARRAYS
from hwnas.core.primitives import (
    LARGEST_VALUE,
    MOST_OPERATIONS,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    Linear,
    Mul,
    Pad,
    Pool,
    Primitive,
    Shape,
    Shuffle,
    Slice,
    output_shape,
    parameter_shapes,
)
from hwnas.formats.ncnn_file import ACTIVATIONS, BIN, FUSED_ACTIVATIONS, IN_F32, MAGIC, PARAM, is_name
from hwnas.formats.onnx_file import OUTPUT_NAME

_PARAMETER = re.compile(r"(-?[0-9]{1,5})=([0-9]{1,9}(?:,[0-9]{1,9})*)")
_BATCH_NORM = re.compile(r"0=([0-9]{1,9}) 1=[0-9][.][0-9]{8}e[-+][0-9]{2}")
_COUNT = re.compile(r"[0-9]{1,6}")
_LONGEST_TEXT = 2**23  # bytes: the largest published network has 0.15 million
_ARRAY = 23300  # the parameter that is an array has the number minus this minus its own


class NcnnFile(NamedTuple):
    """What a file holds.

    Args:
        param: the .param text, in UTF-8.
        weights: the content of the .bin.
        input_shape: (channels, height, width) of an image.
        output_shape: of its scores.
    """

    param: bytes
    weights: bytes
    input_shape: Shape
    output_shape: Shape


def read_ncnn(file: bytes) -> NcnnFile:
    """The parts of a file that `to_ncnn` wrote.

    Raises:
        FileFormatError: the file is damaged, or of another origin; the message says where.
    """
    param, weights = _unpacked(file)
    try:
        text = param.decode()
    except UnicodeDecodeError:
        raise FileFormatError(f"{PARAM} is no text: the file is damaged; write it again") from None
    check = _Check(weights)
    scores = check.text(text)
    return NcnnFile(param, weights, check.input_shape, scores)


def _unpacked(file: bytes) -> tuple[bytes, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as packed:
            entries = packed.infolist()
            if [entry.filename for entry in entries] != [PARAM, BIN]:
                raise FileFormatError(f"an ncnn file is an archive of {PARAM} and {BIN}, and this one is of others")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise FileFormatError(f"{PARAM} and {BIN} must be stored as they are, and here they are compressed")
            param, weights = (packed.read(entry) for entry in entries)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError) as reason:
        raise FileFormatError(f"no ncnn file, or a damaged one ({quoted(str(reason))}): write it again") from None
    if len(param) > _LONGEST_TEXT or len(weights) > 5 * LARGEST_ARRAYS:
        raise FileFormatError("the file is larger than any network that is written here")
    return param, weights


class _Check:
    """Follows the lines of a .param text through the weights; `shapes` are what ncnn's blobs have, vectors as (C,)."""

    def __init__(self, weights: bytes) -> None:
        self._weights = weights
        self._read = 0  # bytes of the weights that belong to lines so far
        self._unread: dict[str, Shape] = {}  # blobs that nobody has read; in ncnn, a blob is read once
        self._names: set[str] = set()
        self.input_shape: Shape = ()

    def text(self, text: str) -> Shape:
        """Checks a whole text; returns the shape of the scores."""
        magic, counts, *lines, end = text.split("\n") if text.count("\n") > 1 else ("", "", "")
        if magic != MAGIC or end:
            raise FileFormatError(f"{PARAM} begins with {MAGIC} and ends with a whole line, and this one does not")
        if len(lines) > 4 * MOST_OPERATIONS:
            raise FileFormatError(f"{PARAM} has {len(lines):,} layers; at most {4 * MOST_OPERATIONS:,} are read")
        for number, line in enumerate(lines, start=3):
            try:
                self._line(line)
            except ValueError as reason:
                raise FileFormatError(f"{PARAM}, line {number}: {reason}; write the file again") from None
        if counts != f"{len(lines)} {len(self._names)}" or OUTPUT_NAME not in self._unread:
            raise FileFormatError(f"{PARAM} is not whole: layers, or the blob {OUTPUT_NAME!r}, are missing")
        if self._read != len(self._weights):
            raise FileFormatError(f"{BIN} has {len(self._weights):,} bytes, and {PARAM} tells of {self._read:,}")
        return self._unread[OUTPUT_NAME]

    def _line(self, line: str) -> None:
        words = line.split(" ")
        if len(words) < 4 or not all(map(is_name, words)) or not all(_COUNT.fullmatch(word) for word in words[2:4]):
            raise ValueError(f"{quoted(line)} is no layer")
        kind, first = words[0], 4 + int(words[2])
        inputs, outputs, rest = words[4:first], words[first : first + int(words[3])], words[first + int(words[3]) :]
        for blob in inputs:
            if blob not in self._unread:
                raise ValueError(f"blob {quoted(blob)} is not there to be read")
        shapes = [self._unread.pop(blob) for blob in dict.fromkeys(inputs)]
        if len(inputs) != len(shapes) or not outputs or (len(outputs) > 1 and kind != "Split"):
            raise ValueError(f"{quoted(kind)} reads or writes blobs as no layer does that is written here")
        shape = self._input(" ".join(rest)) if kind == "Input" else self._shape(kind, " ".join(rest), shapes)
        if not 0 < prod(shape) <= LARGEST_VALUE:
            raise ValueError(f"a value of {shape} is empty or too large")
        for blob in outputs:
            if blob in self._names:
                raise ValueError(f"blob {quoted(blob)} is there twice")
            self._names.add(blob)
            self._unread[blob] = shape

    def _input(self, parameters: str) -> Shape:
        if self._names:
            raise ValueError("there is more than one input, or it does not come first")
        width, height, channels = _numbers(parameters, 0, 1, 2)
        self.input_shape = (channels, height, width)
        return self.input_shape

    def _shape(self, kind: str, parameters: str, shapes: list[Shape]) -> Shape:
        """The shape of a layer's value; its weights are passed."""
        if not shapes:
            raise ValueError(f"a layer {quoted(kind)} reads nothing")
        first, alone = shapes[0], len(shapes) == 1
        match kind, parameters:
            case (("Convolution" | "ConvolutionDepthWise" | "InnerProduct" | "BatchNorm"), _) if alone:
                return self._with_weights(kind, parameters, first)
            case (("Split" | "Noop"), "") if alone:
                return first
            case "Reshape", _ if alone and parameters == f"0=1 1=1 2={first[0]}" and len(first) == 1:
                return (first[0], 1, 1)
            case "Pooling", "0=1 4=1" if alone and len(first) == 3:
                return (first[0],)
            case "Pooling", _ if alone:
                average, size, stride, padding, _, _ = _numbers(parameters, 0, 1, 2, 3, 5, 6)
                _check_padded(first, padding, padding)
                return output_shape(Pool("avg" if average else "max", size, stride, padding), shapes)
            case "BinaryOp", "0=2" if sorted(map(len, shapes)) == [1, 3]:
                vector, whole = sorted(shapes, key=len)
                return output_shape(Mul(), [whole, (*vector, 1, 1)])
            case "BinaryOp", ("0=0" | "0=2"):
                return output_shape(Add() if parameters == "0=0" else Mul(), shapes)
            case "Concat", "0=0" if len({len(shape) for shape in shapes}) == 1:
                return output_shape(Concat(), shapes)
            case "Flatten", "" if alone:
                return output_shape(Flatten(), shapes)
            case "Crop", _ if alone:
                return _cropped(parameters, first)
            case "Padding", _ if alone:
                top, bottom, left, right, channels = _numbers(parameters, 0, 1, 2, 3, 8)
                return output_shape(Pad(channels, top, bottom, left, right), shapes)
            case "ShuffleChannel", _ if alone and len(first) == 3 and parameters != "0=0":
                return output_shape(Shuffle(*_numbers(parameters, 0)), shapes)
            case _ if alone and f"{kind} {parameters}".strip() in ACTIVATIONS.values():
                return first
        raise ValueError(f"no layer {quoted(f'{kind} {parameters}')} of values of {shapes} is written here")

    def _with_weights(self, kind: str, parameters: str, shape: Shape) -> Shape:
        """The shape of the value of a layer that has arrays; passes them."""
        primitive: Primitive
        if kind == "BatchNorm":
            fits = _BATCH_NORM.fullmatch(parameters)
            self._pass(4 * 4 * shape[0])
            return output_shape(BatchNorm(int(fits[1]) if fits else 0), [shape])
        for activation in FUSED_ACTIVATIONS.values():
            parameters = parameters.removesuffix(f" {activation}")
        if kind == "InnerProduct":
            features, bias, size = _numbers(parameters, 0, 1, 2)
            primitive = Linear(shape[0], features, bool(bias))
        else:
            parameters += "" if kind == "ConvolutionDepthWise" else " 7=1"
            numbers = _numbers(parameters, 0, 1, 11, 2, 3, 4, 14, 5, 6, 7)
            out, wide, high, dilation, stride, left, above, bias, size, groups = numbers
            if dilation < 1:
                raise ValueError("a dilation of 0 is none")
            _check_padded(shape, above, left)
            primitive = Conv(shape[0], out, (high, wide), stride, (above, left), dilation, groups, bool(bias))
        value = output_shape(primitive, [shape])
        if size != prod(parameter_shapes(primitive)["weight"]):
            raise ValueError(f"a weight of {size} values does not fit values of {shape}")
        if self._weights[self._read : self._read + len(IN_F32)] != IN_F32:
            raise ValueError("its weight is not in f32")
        self._pass(len(IN_F32) + 4 * (size + (value[0] if bias else 0)))
        return value

    def _pass(self, count: int) -> None:
        self._read += count
        if self._read > len(self._weights):
            raise ValueError(f"{BIN} ends before its weights")


def _numbers(parameters: str, *keys: int) -> tuple[int, ...]:
    """The whole numbers of a layer, which has exactly these."""
    return tuple(number for (number,) in _arrays(parameters, *keys))  # more than one is a ValueError


def _arrays(parameters: str, *keys: int) -> list[tuple[int, ...]]:
    found = [_PARAMETER.fullmatch(part) for part in parameters.split(" ")]
    if [int(one[1]) if one else None for one in found] != list(keys):
        raise ValueError(f"the parameters {quoted(parameters)} are not those of such a layer")
    return [tuple(map(int, one[2].split(","))) for one in found if one]


def _cropped(parameters: str, shape: Shape) -> Shape:
    starts, stops, axes = _arrays(parameters, -_ARRAY - 9, -_ARRAY - 10, -_ARRAY - 11)
    if axes == (1, 0) and len(starts) == len(stops) == 2 and starts[0] == stops[0] == 1:
        return output_shape(Slice(starts[1], stops[1]), [shape])
    if axes == (2, 1, 2) and len(starts) == len(stops) == 3 and starts[0] == stops[0] == 2 and len(shape) == 3:
        for start, stop, length in zip(starts[1:], stops[1:], shape[1:], strict=True):
            if not start < stop <= length:
                raise ValueError(f"a crop from {start} to {stop} does not fit {shape}")
        return (shape[0], *(stop - start for start, stop in zip(starts[1:], stops[1:], strict=True)))
    raise ValueError("such a crop is not written here")


def _check_padded(shape: Shape, above: int, left: int) -> None:
    """Checks that a map with zeros around it can be held in memory."""
    if len(shape) == 3 and shape[0] * (shape[1] + 2 * above) * (shape[2] + 2 * left) > LARGEST_VALUE:
        raise ValueError(f"a padding of {above} and {left} makes values of {shape} too large")
