"""The tensors and operators of a LiteRT (TensorFlow Lite) file while it is written, and their bytes.

The schema is the one that the package ai-edge-litert ships with its runtime, so that the two cannot disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hwnas.core.errors import TargetUnavailable
from hwnas.core.primitives import Shape

DIGEST = "written by hwnas; its SHA-256, taken with 64 zeros in this place: "
IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
ALIGNMENT = 16  # of every array in the file, in bytes, as the schema asks: a kernel may read it where it lies


_ZEROS = "0" * 64


def is_whole(file: bytes) -> bool:
    """Whether a file is as `LiteRtModel` packed it, to the last bit.

    The runtime checks that a file can be read as its schema says, and then trusts it. Of 9,800 damaged files none made
    version 2.3.0 crash, but 44 % ran: some with other weights or padding, two for longer than anybody waited.
    """
    start = file.find(DIGEST.encode()) + len(DIGEST)
    blank = file[:start] + _ZEROS.encode() + file[start + len(_ZEROS) :]
    return hashlib.sha256(blank).hexdigest().encode() == file[start : start + len(_ZEROS)]


class LiteRtModel:
    """Collects tensors, constants and operators; tensors are known by their index.

    `schema` is the generated module with the classes of every operator's options.

    Raises:
        TargetUnavailable: the package ai-edge-litert is not installed.
    """

    def __init__(self) -> None:
        try:
            import flatbuffers
            from ai_edge_litert import schema_py_generated
        except ImportError as reason:
            raise TargetUnavailable(
                f"LiteRT files need the package ai-edge-litert ({reason}): pip install 'hwnas[litert]'"
            ) from None
        self.schema: Any = schema_py_generated
        self._flatbuffers: Any = flatbuffers
        self._codes: dict[tuple[str, int], int] = {}
        self._operators: list[Any] = []
        self._tensors: list[Any] = []
        self._buffers = [_Buffer(b"", self.schema)]  # the first is that of every tensor without constant content
        self._constants: dict[tuple[Any, ...], int] = {}

    def sizes(self, tensor: int) -> Shape:
        """The shape of a tensor, batch and all."""
        return tuple(self._tensors[tensor].shape)

    def name(self, tensor: int) -> str:
        """The name of a tensor."""
        return str(self._tensors[tensor].name)

    def tensor(self, name: str, sizes: Shape) -> int:
        """A new float32 tensor that an operator will write, or the caller."""
        return self._add(name, sizes, self.schema.TensorType.FLOAT32, buffer=0)

    def constant(self, name: str, value: np.ndarray) -> int:
        """A float32 or int32 tensor with constant content; equal ones are one."""
        content = value.astype(value.dtype.newbyteorder("<")).tobytes()
        key = (value.dtype.str, value.shape, content)
        if key not in self._constants:
            kinds = {
                np.dtype(np.float32): self.schema.TensorType.FLOAT32,
                np.dtype(np.int32): self.schema.TensorType.INT32,
            }
            self._buffers.append(_Buffer(content, self.schema))
            self._constants[key] = self._add(name, value.shape, kinds[value.dtype], len(self._buffers) - 1)
        return self._constants[key]

    def numbers(self, name: str, values: float | Sequence[float]) -> int:
        """A constant of one or several float32 numbers."""
        return self.constant(name, np.atleast_1d(np.asarray(values, np.float32)))

    def integers(self, name: str, values: Sequence[int] | Sequence[tuple[int, int]]) -> int:
        """A constant of int32 numbers: sizes, axes, amounts of padding."""
        return self.constant(name, np.asarray(values, np.int32))

    def operator(self, kind: str, inputs: Sequence[int], output: int, options: Any = None, version: int = 1) -> None:
        """Appends an operator.

        Args:
            kind: its name in the schema, such as "CONV_2D".
            inputs: the tensors that it reads.
            output: the tensor that it writes.
            options: an object of the schema's class for this kind, or None where it has none.
            version: the oldest of the kind that knows what is asked for.
        """
        table = "NONE" if options is None else type(options).__name__.removesuffix("T")
        operator = self.schema.OperatorT(
            opcodeIndex=self._codes.setdefault((kind, version), len(self._codes)),
            inputs=list(inputs),
            outputs=[output],
            builtinOptions=options,
            builtinOptionsType=getattr(self.schema.BuiltinOptions, table),
        )
        self._operators.append(operator)

    def packed(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """The file.

        Args:
            inputs: by name, the tensors that the caller writes.
            outputs: by name, those that he reads.
        """
        schema = self.schema
        graph = schema.SubGraphT(
            name="main",
            tensors=self._tensors,
            operators=self._operators,
            inputs=list(inputs.values()),
            outputs=list(outputs.values()),
        )
        read, written = (
            [schema.TensorMapT(name=name, tensorIndex=index) for name, index in tensors.items()]
            for tensors in (inputs, outputs)
        )
        signature = schema.SignatureDefT(signatureKey="serving_default", inputs=read, outputs=written)
        model = schema.ModelT(
            version=SCHEMA_VERSION,
            description=DIGEST + _ZEROS,
            operatorCodes=[self._code(kind, version) for kind, version in self._codes],
            subgraphs=[graph],
            buffers=self._buffers,
            signatureDefs=[signature],
        )
        arrays = sum(len(buffer.content) + ALIGNMENT for buffer in self._buffers)
        builder = self._flatbuffers.Builder(arrays + 2**16)
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
        file = bytes(builder.Output())
        blank = DIGEST + _ZEROS
        return file.replace(blank.encode(), (DIGEST + hashlib.sha256(file).hexdigest()).encode(), 1)

    def _add(self, name: str, sizes: Shape, kind: int, buffer: int) -> int:
        self._tensors.append(self.schema.TensorT(name=name, shape=list(sizes), type=kind, buffer=buffer))
        return len(self._tensors) - 1

    def _code(self, kind: str, version: int) -> Any:
        code = getattr(self.schema.BuiltinOperator, kind)
        old = min(code, 127)  # one byte, which is all that old runtimes read
        return self.schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=old, version=version)


class _Buffer(NamedTuple):
    """The bytes of one array; the schema's own class would align them to one byte."""

    content: bytes
    schema: Any

    def Pack(self, builder: Any) -> int:  # noqa: N802
        """Writes the buffer, under the name by which the schema calls it, and returns where it stands."""
        if self.content:
            builder.Prep(ALIGNMENT, len(self.content))
            vector = builder.CreateByteVector(self.content)
        self.schema.BufferStart(builder)
        if self.content:
            self.schema.BufferAddData(builder, vector)
        return int(self.schema.BufferEnd(builder))
