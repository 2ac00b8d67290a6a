"""What a layer does, counted: the terms in which its price can be written where not every layer can be timed.

Only what engines execute counts: batch-norm is folded into the convolution before it and ReLU is part of that, so
neither has a term. What costs alike has one name; a convolution on a map of one pixel is a linear layer, whose MACs
are its weights and no term of their own. Engines keep the channels of a map in blocks of as many as a vector register
holds: a map that does not fill its last block is ragged, and what works on it has terms of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod
from typing import Any, TypeVar

from hwnas.core.counting import count, macs
from hwnas.core.errors import FileFormatError, HwnasError, quoted
from hwnas.core.layer_json import layer_from_json
from hwnas.core.network import LocatedLayer, lower
from hwnas.core.primitives import Activation, BatchNorm, Conv, Flatten, Linear, Operation, Shape, parameter_shapes
from hwnas.hardware.layers import alone

Found = TypeVar("Found")
_PART_OF_A_CONVOLUTION = ("relu", "relu6")
_LINEAR = "linear"
_WEIGHTS = "weights"
_BLOCK = 16  # channels: f32 in 512 bits, and what 8 or 4 divide
_REMEMBERED = 20_000  # layers; a space that searches widths has thousands


def features(layer: LocatedLayer) -> dict[str, float]:
    """A layer's terms by name.

    Returns:
        "operations", "ragged values", and for every kind of operation "KIND values" (read and written), "KIND weights"
        (values as well) and, of convolutions, "KIND MACs" and "KIND ragged MACs", where KIND is for example
        "depthwise 5x5" or "convolution 3x3 strided".

    Raises:
        InputError: the layer reads values of different shapes.
    """
    graph = lower(alone(layer))
    shapes = graph.shapes()
    found: Counter[str] = Counter()
    for operation in graph.operations:
        kind = kind_of(operation, shapes)
        if not kind:
            continue
        found["operations"] += 1
        maps = [*(shapes[name] for name in operation.inputs), operation.shape]
        ragged = sum(prod(shape) for shape in maps if _is_ragged(shape))
        found[f"{kind} values"] += sum(map(prod, maps))
        found["ragged values"] += ragged
        found[f"{kind} {_WEIGHTS}"] += sum(prod(shape) for shape in parameter_shapes(operation.primitive).values())
        if isinstance(operation.primitive, Conv) and kind != _LINEAR:
            found[f"{kind} MACs"] += macs(operation, shapes)
            found[f"{kind} ragged MACs"] += macs(operation, shapes) if ragged else 0
    return {name: float(value) for name, value in found.items() if value}


@lru_cache(maxsize=_REMEMBERED)
def features_by_key(key: str) -> Mapping[str, float]:
    """The terms of the layer that a table's key stands for.

    Raises:
        FileFormatError: it is no such key.
    """
    return _of_key(key, features)


@lru_cache(maxsize=_REMEMBERED)
def merged_by_key(key: str) -> Mapping[str, float]:
    """The same with all weights as one term, "weights": fewer terms, where an engine keeps all of them alike."""
    found: Counter[str] = Counter()
    for name, amount in features_by_key(key).items():
        found[_WEIGHTS if name.endswith(f" {_WEIGHTS}") else name] += amount  # type: ignore[assignment]
    return dict(found)


@lru_cache(maxsize=_REMEMBERED)
def macs_by_key(key: str) -> float:
    """The multiply-accumulates of the layer that a table's key stands for.

    Raises:
        FileFormatError: it is no such key.
    """
    return _of_key(key, lambda layer: float(count(alone(layer)).macs))


def _of_key(key: str, asked: Callable[[LocatedLayer], Found]) -> Found:
    try:
        data = json.loads(key)
        shapes = tuple(tuple(map(_side, shape)) for shape in data.pop("input_shapes"))
        return asked(LocatedLayer("layer", layer_from_json(data), shapes, ()))
    except (HwnasError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
        raise FileFormatError(f"latency model: {quoted(key)} is no layer ({reason})") from None


def _side(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**16:
        raise ValueError(f"{quoted(value)} is no side of a map")
    return value


def _is_ragged(shape: Shape) -> bool:
    return shape[0] % _BLOCK > 0 and prod(shape[1:]) > 1


def kind_of(operation: Operation, shapes: Mapping[str, Shape]) -> str:
    """What an operation is called, for example "depthwise 5x5"; empty for what takes no time of its own.

    Args:
        operation: one of a graph.
        shapes: of the graph's values, by name.
    """
    match operation.primitive:
        case BatchNorm() | Flatten():
            return ""
        case Activation(kind=kind):
            return "" if kind in _PART_OF_A_CONVOLUTION else kind
        case Linear():
            return _LINEAR
        case Conv() as conv:
            side = "x".join(map(str, conv.kernel))
            if prod(operation.shape[1:]) == 1 and prod(shapes[operation.inputs[0]][1:]) == 1:
                return _LINEAR
            if conv.stride > 1 and prod(conv.kernel) > 1:
                side += " strided"  # engines have algorithms for stride 1 alone
            if conv.groups == 1:
                return f"convolution {side}"
            return f"depthwise {side}" if conv.groups == conv.in_channels else f"grouped {side}"
        case other:
            return type(other).__name__.lower()
