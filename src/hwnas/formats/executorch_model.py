"""The values and nodes of an ExecuTorch program that XNNPACK runs, while it is written, and their bytes.

Sources: ExecuTorch 1.5.1, `exir/_serialize/program.fbs` and `_program.py` for the file,
`backends/xnnpack/serialization/schema.fbs` and `xnnpack_graph_serialize.py` for the graph in it. Fields stand here in
the order of these schemas, which only ever grow at their ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from hwnas.core.errors import TargetUnavailable
from hwnas.core.primitives import Shape

METHOD = "forward"
NOTHING = 2**32 - 1  # in the place of a value: there is none
FREE = -np.inf, np.inf  # a result that is not clipped
_KINDS = {
    "Add": 1, "FullyConnected": 2, "Sigmoid": 4, "StaticTranspose": 5, "Clamp": 6, "Conv2d": 7, "StaticConstantPad": 10,
    "AvgPooling2d": 11, "DepthwiseConv2d": 13, "MaxPooling2d": 14, "Multiply": 15, "GlobalAvgPooling2d": 19,
    "StaticReshape": 20, "Hardswish": 24, "Concatenate2": 32, "Concatenate3": 33, "Concatenate4": 34, "StaticSlice": 35,
    "Concatenate5": 38,
}  # fmt: skip
_EXTERNAL_INPUT, _EXTERNAL_OUTPUT = 1, 2
_FLOAT32, _XNN_FLOAT32 = np.uint8(6), np.int16(1)
_TENSOR, _DELEGATE_CALL, _TENSOR_VALUE, _IN_SEGMENT = np.uint8(5), np.uint8(2), np.uint8(1), np.uint8(1)
_DELEGATE: tuple[Any, ...] = "XnnpackBackend", (_IN_SEGMENT, 0), []
_UNKNOWN_ORIGIN = 2**16 - 1  # the node of a PyTorch graph that a node comes from
_ALIGNMENT = 16  # of arrays, in bytes, inside the graph's segment and in memory
_SEGMENT_ALIGNMENT = 128
_GRAPH_HEADER_BYTES, _PROGRAM_HEADER_BYTES = 32, 32
_SEAL = b"written by hwnas; the SHA-256 of what comes before it: "
# How a caller's arguments become a list of tensors and back: one tensor, and one tensor.
_ONE = '{"type": null, "context": null, "children_spec": []}'
_ARGUMENTS = (
    '[1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", '
    f'"children_spec": [{_ONE}]}}, {{"type": "builtins.dict", "context": "[]", "children_spec": []}}]}}]'
)


def is_whole(file: bytes) -> bool:
    """Whether a file is as `ExecuTorchModel` packed it, to the last bit."""
    end = len(file) - hashlib.sha256().digest_size * 2
    return file[: max(end, 0)].endswith(_SEAL) and _digest(file[: end - len(_SEAL)]) == file[end:]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph.

    Args:
        index: by which nodes know it.
        sizes: as XNNPACK sees it, maps channels last.
    """

    index: int
    sizes: Shape


class ExecuTorchModel:
    """Collects values, constants and nodes of the one graph of a program; all in float32.

    Args:
        images: sizes of what the caller gives, channels first.
        scores: sizes of what the caller gets, channels first.

    Raises:
        TargetUnavailable: the package flatbuffers is not installed.
    """

    def __init__(self, images: Shape, scores: Shape) -> None:
        try:
            import flatbuffers
        except ImportError as reason:
            raise TargetUnavailable(
                f"ExecuTorch files need the package flatbuffers ({reason}): pip install 'hwnas[executorch]'"
            ) from None
        self._flatbuffers: Any = flatbuffers
        self._values: list[tuple[Any, ...]] = []
        self._nodes: list[tuple[Any, ...]] = []
        self._constants: list[np.ndarray] = []
        self._known: dict[tuple[Shape, bytes], Value] = {}
        self.images = self._add(images, external=0, flags=_EXTERNAL_INPUT)
        self.scores = self._add(scores, external=1, flags=_EXTERNAL_OUTPUT)

    def value(self, sizes: Shape) -> Value:
        """A new tensor that a node will write."""
        return self._add(sizes)

    def constant(self, array: np.ndarray) -> Value:
        """A tensor with constant content; equal ones are one.

        Only for what XNNPACK packs when it loads: weights and biases. The file may be gone from memory later.
        """
        content = np.ascontiguousarray(array, "<f4")
        key = (content.shape, content.tobytes())
        if key not in self._known:
            self._constants.append(content)
            self._known[key] = self._add(content.shape, constant=len(self._constants))
        return self._known[key]

    def node(self, kind: str, *fields: Any, clip: tuple[float, float] = FREE) -> None:
        """Appends a node.

        Args:
            kind: its name in the schema without "XNN", such as "Conv2d".
            fields: all of its fields, in order: integers (float where the schema says so), sequences, and values.
            clip: the least and the largest that it gives.
        """
        bounds = None if clip == FREE else tuple(float(bound) for bound in clip)
        self._nodes.append((np.uint8(_KINDS[kind]), tuple(map(_plain, fields)), _UNKNOWN_ORIGIN, bounds))

    def packed(self) -> bytes:
        """The file: program, graph, and a seal over both."""
        graph = self._graph()
        digits = len(_digest(b""))
        seal_offset = _up(len(graph), _SEGMENT_ALIGNMENT)
        segments = [(np.uint64(0), np.uint64(len(graph))), (np.uint64(seal_offset), np.uint64(len(_SEAL) + digits))]
        no_constants = 0, np.zeros(1, np.uint64)  # of the program itself, which must say so
        program = self._finished(b"ET12", (0, [self._plan()], [], [], segments, no_constants, [], []))
        size = len(program) + _PROGRAM_HEADER_BYTES
        base = _up(size, _SEGMENT_ALIGNMENT)
        header = b"eh00" + _little(_PROGRAM_HEADER_BYTES, 4)
        header += b"".join(_little(one, 8) for one in (size, base, seal_offset + len(_SEAL) + digits))
        # The header stands behind the eight bytes that a flatbuffer begins with: where its root is, and what it is.
        root = _little(int.from_bytes(program[:4], "little") + len(header), 4)
        whole = _padded(root + program[4:8] + header + program[8:], base) + _padded(graph, seal_offset)
        return whole + _SEAL + _digest(whole)

    def _add(self, sizes: Shape, constant: int = 0, external: int = NOTHING, flags: int = 0) -> Value:
        value = Value(len(self._values), tuple(sizes))
        dims = np.array(sizes, np.uint32)
        fields = (_XNN_FLOAT32, len(sizes), dims, constant, external, flags, value.index)
        self._values.append((_TENSOR_VALUE, fields))
        return value

    def _graph(self) -> bytes:
        """What XNNPACK is given: a header, the nodes and values, and the arrays."""
        places, arrays, end = [(np.uint64(0), np.uint64(0))], [], 0
        for array in self._constants:
            places.append((np.uint64(end), np.uint64(array.nbytes)))
            arrays.append(_padded(array.tobytes(), _up(array.nbytes, _ALIGNMENT)))
            end += len(arrays[-1])
        ends = [np.array([value.index], np.uint32) for value in (self.images, self.scores)]
        nodes = self._finished(b"XN01", ("0", self._nodes, self._values, 2, *ends, None, None, places))
        start = _GRAPH_HEADER_BYTES + _up(len(nodes), _ALIGNMENT)
        header = bytes(4) + b"XH00" + _little(30, 2)  # its length
        header += b"".join(_little(one, 4) for one in (_GRAPH_HEADER_BYTES, len(nodes), start)) + _little(end, 8)
        return _padded(_padded(header, _GRAPH_HEADER_BYTES) + nodes, start) + b"".join(arrays)

    def _plan(self) -> tuple[Any, ...]:
        """One call of XNNPACK, between two tensors that lie one behind the other in the memory that is planned."""
        tensors, end = [], 0
        for value in (self.images, self.scores):
            place = 1, end & NOTHING, end >> 32
            order = np.arange(len(value.sizes), dtype=np.uint8)
            tensors.append((_TENSOR, (_FLOAT32, 0, np.array(value.sizes, np.int32), order, None, 0, place)))
            end += _up(4 * prod(value.sizes), _ALIGNMENT)
        first, second, both = (np.array(indices, np.int32) for indices in ((0,), (1,), (0, 1)))
        none = np.zeros(0, np.int32)
        chain = none, none, [(_DELEGATE_CALL, (0, both))]
        spaces = np.array([0, end], np.int64)
        return METHOD, (_ARGUMENTS, f"[1, {_ONE}]"), tensors, first, second, [chain], [], [_DELEGATE], spaces

    def _finished(self, identifier: bytes, root: tuple[Any, ...]) -> bytes:
        builder = self._flatbuffers.Builder(2**16)
        builder.Finish(self._written(builder, root), file_identifier=identifier)
        return bytes(builder.Output())

    def _written(self, builder: Any, value: Any) -> int:
        """Writes what stands outside of its table, and returns where: a text, a vector, a list of tables, a table.

        A table is a tuple of its fields in the schema's order, None where one is left out; an int is one of 32 bits,
        any other number a scalar of numpy's.
        """
        if isinstance(value, str):
            return int(builder.CreateString(value))
        if isinstance(value, np.ndarray):
            return int(builder.CreateNumpyVector(value))
        places = [self._written(builder, one) if _is_outside(one) else None for one in value]
        if isinstance(value, list):
            builder.StartVector(4, len(places), 4)
            for place in reversed(places):
                builder.PrependUOffsetTRelative(place)
            return int(builder.EndVector())
        builder.StartObject(len(value))
        for slot, (one, place) in enumerate(zip(value, places, strict=True)):
            if place is not None:
                builder.PrependUOffsetTRelativeSlot(slot, place, 0)
            elif one is not None:
                self._scalar(builder, slot, one)
        return int(builder.EndObject())

    def _scalar(self, builder: Any, slot: int, value: int | float | np.generic) -> None:
        kinds = self._flatbuffers.number_types
        if isinstance(value, int):
            value = np.uint32(value)
        elif isinstance(value, float):
            value = np.float32(value)
        flags = {
            "uint8": kinds.Uint8Flags, "int16": kinds.Int16Flags, "uint32": kinds.Uint32Flags,
            "uint64": kinds.Uint64Flags, "float32": kinds.Float32Flags,
        }[value.dtype.name]  # fmt: skip
        builder.PrependSlot(flags, slot, value.item(), 0)


def _is_outside(value: Any) -> bool:
    return isinstance(value, (str, list, tuple, np.ndarray))


def _plain(field: Any) -> Any:
    """A node's field as it is written: a value is its index, a sequence of integers a vector."""
    if isinstance(field, Value):
        return field.index
    return np.array(field, np.uint32) if isinstance(field, Sequence) else field


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _little(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


def _up(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _padded(content: bytes, size: int) -> bytes:
    return content + bytes(size - len(content))
