"""What a file's writer puts into one layer: a convolution with the batch-norm and the activation that follow it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from hwnas.core.graphs import reader_counts
from hwnas.core.primitives import Activation, BatchNorm, Conv, Graph, Linear, Operation, Primitive
from hwnas.formats.arrays import Arrays


class Fused(NamedTuple):
    """One operation, and those behind it that are part of its layer in a file.

    Args:
        operation: what is done.
        batch_norm: the one that alone reads a convolution's value.
        activation: the one that alone reads the value of what stands before it.
    """

    operation: Operation
    batch_norm: Operation | None = None
    activation: Operation | None = None

    @property
    def value(self) -> str:
        """The name of the value that the layer gives."""
        return (self.activation or self.batch_norm or self.operation).name


def fused(
    graph: Graph, activations: Collection[str] = (), into: tuple[type[Primitive], ...] = (Conv, Linear)
) -> Iterator[Fused]:
    """Operations in order, each together with what is fused into it and therefore does not come again.

    Args:
        graph: the network.
        activations: the kinds that the format can do in one layer with what stands before them.
        into: the primitives with which it can.
    """
    readers = reader_counts(graph)
    behind = {value: one for one in graph.operations for value in one.inputs if readers[value] == 1}
    done: set[str] = set()
    for operation in graph.operations:
        if operation.name in done:
            continue
        batch_norm = activation = None
        after = behind.get(operation.name)
        if isinstance(operation.primitive, Conv) and after and isinstance(after.primitive, BatchNorm):
            batch_norm, after = after, behind.get(after.name)
        if isinstance(operation.primitive, into) and after and isinstance(after.primitive, Activation):
            activation = after if after.primitive.kind in activations else None
        done |= {one.name for one in (batch_norm, activation) if one}
        yield Fused(operation, batch_norm, activation)


def fused_arrays(one: Fused, arrays: Arrays) -> tuple[np.ndarray, np.ndarray | None]:
    """Weight and bias of a convolution or linear layer with its batch-norm folded in, float32, in torch's layout."""
    name = one.operation.name
    weight, bias = arrays[f"{name}.weight"], arrays.get(f"{name}.bias")
    if one.batch_norm is not None:
        scale, shift = scale_and_shift(one.batch_norm, arrays, 0.0 if bias is None else bias)
        weight, bias = (weight * scale[:, None, None, None]).astype(np.float32), shift.astype(np.float32)
    return weight, bias


def scale_and_shift(
    batch_norm: Operation, arrays: Arrays, bias: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """A batch-norm of x + bias as x · scale + shift, in double precision, so that folding itself rounds once.

    Args:
        batch_norm: the operation.
        arrays: those of the network.
        bias: one number per channel, or one for all.

    Returns:
        Scale and shift, float64, one number per channel.

    Raises:
        TypeError: the operation is no batch-norm.
    """
    if not isinstance(batch_norm.primitive, BatchNorm):
        raise TypeError(f"{batch_norm.name!r} is no batch-norm but {batch_norm.primitive}")
    mean, variance, weight, shift = (
        arrays[f"{batch_norm.name}.{key}"].astype(np.float64)
        for key in ("running_mean", "running_var", "weight", "bias")
    )
    scale = weight / np.sqrt(variance + batch_norm.primitive.eps)
    return scale, shift + (bias - mean) * scale
