"""What a file's writer puts into one layer: a convolution with the batch-norm and the activation that follow it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from hwnas.core.graphs import reader_counts
from hwnas.core.primitives import Activation, BatchNorm, Conv, Graph, Linear, Operation
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


def fused(graph: Graph, activations: Collection[str] = ()) -> Iterator[Fused]:
    """Operations in order, each together with what is fused into it and therefore does not come again.

    Args:
        graph: the network.
        activations: the kinds that the format can do in one layer with a convolution or a linear layer.
    """
    readers = reader_counts(graph)
    behind = {value: one for one in graph.operations for value in one.inputs if readers[value] == 1}
    done: set[str] = set()
    for operation in graph.operations:
        if operation.name in done:
            continue
        batch_norm = activation = None
        if isinstance(operation.primitive, Conv | Linear):
            after = behind.get(operation.name)
            if isinstance(operation.primitive, Conv) and after and isinstance(after.primitive, BatchNorm):
                batch_norm, after = after, behind.get(after.name)
            if after and isinstance(after.primitive, Activation) and after.primitive.kind in activations:
                activation = after
            done |= {one.name for one in (batch_norm, activation) if one}
        yield Fused(operation, batch_norm, activation)


def fused_arrays(one: Fused, arrays: Arrays) -> tuple[np.ndarray, np.ndarray | None]:
    """Weight and bias of a convolution or linear layer with its batch-norm folded in, float32, in torch's layout."""
    name = one.operation.name
    weight, bias = arrays[f"{name}.weight"], arrays.get(f"{name}.bias")
    if one.batch_norm is not None and isinstance(one.batch_norm.primitive, BatchNorm):
        # In double precision, so that folding itself rounds once.
        mean, variance, scale, shift = (
            arrays[f"{one.batch_norm.name}.{key}"].astype(np.float64)
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        factor = scale / np.sqrt(variance + one.batch_norm.primitive.eps)
        shift = shift + ((0.0 if bias is None else bias) - mean) * factor
        weight, bias = (weight * factor[:, None, None, None]).astype(np.float32), shift.astype(np.float32)
    return weight, bias
