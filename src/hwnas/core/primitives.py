"""The primitives that every layer lowers to, and the graph they form.

MACs, params, memory, the torch builder, the ONNX writer and the stand-alone source are each written once over these.
Shapes are without the batch axis: (channels, height, width), or (features,) after Flatten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from hwnas.core.errors import InputError, quoted

Shape = tuple[int, ...]
LARGEST_VALUE = 2**26  # numbers in one image or map; 256 MiB of f32
MOST_OPERATIONS = 10_000  # the largest published networks have about 5,000
ACTIVATIONS = ("relu", "relu6", "sigmoid", "hard_sigmoid", "hard_swish", "swish")


@dataclass(frozen=True, slots=True)
class Conv:
    """2-D convolution; weight (out_channels, in_channels/groups, kernel height, kernel width)."""

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    groups: int = 1
    bias: bool = False


@dataclass(frozen=True, slots=True)
class Linear:
    """Fully connected layer on (features,); weight (out_features, in_features)."""

    in_features: int
    out_features: int
    bias: bool = True


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation per channel: weight, bias; running_mean, running_var."""

    channels: int
    eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class Activation:
    """Element-wise non-linearity, one of ACTIVATIONS (hard_swish is x·ReLU6(x+3)/6, swish is x·sigmoid(x))."""

    kind: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Max or average pooling with symmetric zero padding; the average does not count padding."""

    kind: str
    kernel: int
    stride: int
    padding: int = 0


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """Average over height and width: (C, H, W) -> (C, 1, 1)."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """(C, H, W) -> (C·H·W,)."""


@dataclass(frozen=True, slots=True)
class Add:
    """Sum of two values of equal shape."""


@dataclass(frozen=True, slots=True)
class Mul:
    """Product of (C, H, W) with a value of equal shape or of shape (C, 1, 1)."""


@dataclass(frozen=True, slots=True)
class Concat:
    """Concatenation along channels."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Channels start:stop."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Pad:
    """Zero padding; `channels` are appended at the end, a negative spatial amount crops."""

    channels: int = 0
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Channel shuffle: (groups, C/groups) transposed."""

    groups: int


Primitive = (
    Conv | Linear | BatchNorm | Activation | Pool | GlobalPool | Flatten | Add | Mul | Concat | Slice | Pad | Shuffle
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One primitive in a graph; its value carries its name.

    Args:
        name: unique dotted path, for example "stage1.block0.expand.conv"; parameters are named below it.
        primitive: what it does.
        inputs: the values it reads.
        shape: the shape of its value.
    """

    name: str
    primitive: Primitive
    inputs: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Graph:
    """A network as primitives in execution order. The value "input" is the image (C, H, W)."""

    input_shape: Shape
    operations: tuple[Operation, ...]
    output: str

    def shapes(self) -> dict[str, Shape]:
        """The shape of every value, by name."""
        return {"input": self.input_shape, **{operation.name: operation.shape for operation in self.operations}}


class GraphWriter:
    """Collects primitives while layers lower; checks names and shapes as it goes."""

    def __init__(self, input_shape: Shape) -> None:
        self._input_shape = input_shape
        self._shapes: dict[str, Shape] = {"input": input_shape}
        self._operations: list[Operation] = []

    def shape(self, value: str) -> Shape:
        """The shape of a value written so far."""
        return self._shapes[value]

    def add(self, name: str, primitive: Primitive, *inputs: str) -> str:
        """Appends a primitive and returns the name of its value.

        Raises:
            InputError: the name is taken, an input is unknown, the shapes do not fit, or the network is endless.
        """
        if len(self._operations) >= MOST_OPERATIONS:
            raise InputError(f"a network has at most {MOST_OPERATIONS:,} operations, and this one has more")
        if name in self._shapes:
            raise InputError(f"two operations are named {quoted(name)}")
        for value in inputs:
            if value not in self._shapes:
                raise InputError(f"operation {quoted(name)} reads unknown value {quoted(value)}")
        try:
            shape = output_shape(primitive, [self._shapes[value] for value in inputs])
        except ValueError as reason:
            raise InputError(f"operation {quoted(name)}: {reason}") from None
        self._shapes[name] = shape
        self._operations.append(Operation(name, primitive, inputs, shape))
        return name

    def graph(self, output: str) -> Graph:
        """The finished graph."""
        return Graph(self._input_shape, tuple(self._operations), output)


def output_shape(primitive: Primitive, inputs: Sequence[Shape]) -> Shape:
    """The shape of a primitive's value.

    Raises:
        ValueError: the inputs do not fit; the message says how.
    """
    first = inputs[0]
    match primitive:
        case Conv():
            fits = len(first) == 3 and first[0] == primitive.in_channels
            _require(fits, f"expects {primitive.in_channels} channels, not {first}")
            groups = primitive.groups
            even = groups > 0 and primitive.in_channels % groups == 0 and primitive.out_channels % groups == 0
            _require(even, f"cannot split {primitive.in_channels} and {primitive.out_channels} channels by {groups}")
            spatial = tuple(
                _window(size, kernel, primitive.stride, pad, primitive.dilation)
                for size, kernel, pad in zip(first[1:], primitive.kernel, primitive.padding, strict=True)
            )
            return (primitive.out_channels, *spatial)
        case Linear():
            _require(first == (primitive.in_features,), f"expects {primitive.in_features} features, not {first}")
            return (primitive.out_features,)
        case BatchNorm():
            _require(first[0] == primitive.channels, f"expects {primitive.channels} channels, not {first}")
            return first
        case Activation():
            known = primitive.kind in ACTIVATIONS
            _require(known, f"activation {quoted(primitive.kind)} is none of {', '.join(ACTIVATIONS)}")
            return first
        case Pool():
            _require(primitive.kind in ("max", "avg"), f"pool kind {primitive.kind!r} is neither max nor avg")
            _require(len(first) == 3, f"pools a map, not {first}")
            windows = [_window(size, primitive.kernel, primitive.stride, primitive.padding, 1) for size in first[1:]]
            return (first[0], *windows)
        case GlobalPool():
            _require(len(first) == 3, f"pools a map, not {first}")
            return (first[0], 1, 1)
        case Flatten():
            features = 1
            for size in first:
                features *= size
            return (features,)
        case Add():
            _require(len(inputs) == 2 and inputs[1] == first, f"adds values of different shapes {list(inputs)}")
            return first
        case Mul():
            fits = len(inputs) == 2 and inputs[1] in (first, (first[0], 1, 1))
            _require(fits, f"multiplies values of shapes {list(inputs)}")
            return first
        case Concat():
            _require(all(shape[1:] == first[1:] for shape in inputs), f"joins values of shapes {list(inputs)}")
            return (sum(shape[0] for shape in inputs), *first[1:])
        case Slice():
            _require(0 <= primitive.start < primitive.stop <= first[0], f"takes channels outside {first}")
            return (primitive.stop - primitive.start, *first[1:])
        case Pad():
            _require(len(first) == 3, f"pads a map, not {first}")
            height = first[1] + primitive.top + primitive.bottom
            width = first[2] + primitive.left + primitive.right
            return (first[0] + primitive.channels, height, width)
        case Shuffle():
            even = first[0] % primitive.groups == 0
            _require(even, f"cannot split {first[0]} channels into {primitive.groups} groups")
            return first
        case _:
            assert_never(primitive)


def parameter_shapes(primitive: Primitive) -> dict[str, Shape]:
    """The trainable arrays of a primitive, by name, in torch's layout."""
    match primitive:
        case Conv():
            weight: Shape = (primitive.out_channels, primitive.in_channels // primitive.groups, *primitive.kernel)
            return {"weight": weight, **({"bias": (primitive.out_channels,)} if primitive.bias else {})}
        case Linear():
            weight = (primitive.out_features, primitive.in_features)
            return {"weight": weight, **({"bias": (primitive.out_features,)} if primitive.bias else {})}
        case BatchNorm():
            return {"weight": (primitive.channels,), "bias": (primitive.channels,)}
        case _:
            return {}


def buffer_shapes(primitive: Primitive) -> dict[str, Shape]:
    """The arrays that are stored but not trained, by name."""
    if isinstance(primitive, BatchNorm):
        return {"running_mean": (primitive.channels,), "running_var": (primitive.channels,)}
    return {}


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    _require(stride > 0 and kernel > 0, f"a window of {kernel} cannot move by {stride}")
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    _require(out > 0, f"a window of {kernel} does not fit a map of {size}")
    return out


def _require(fits: bool, reason: str) -> None:
    if not fits:
        raise ValueError(reason)
