"""MACs, params and peak activation memory, each counted once, over primitives."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from hwnas.core.network import NetworkSpec, lower
from hwnas.core.primitives import Activation, BatchNorm, Conv, Graph, Linear, Operation, Shape, parameter_shapes

BYTES_PER_VALUE = 4  # f32


@dataclass(frozen=True, slots=True)
class Counts:
    """What a network costs by counting.

    Args:
        params: trainable values, batch-norm's two per channel included, running statistics not.
        macs: multiply-accumulates of convolutions and linear layers at batch 1, squeeze-excite included.
        peak_activation_bytes: largest sum of live activations in bytes, see `peak_activation_bytes`.
        layers: nodes of the NetworkSpec.
    """

    params: int
    macs: int
    peak_activation_bytes: int
    layers: int


def count(network: NetworkSpec) -> Counts:
    """Counts a network; nothing is built or run."""
    graph = lower(network)
    shapes = graph.shapes()
    return Counts(
        params=sum(prod(s) for op in graph.operations for s in parameter_shapes(op.primitive).values()),
        macs=sum(macs(operation, shapes) for operation in graph.operations),
        peak_activation_bytes=peak_activation_bytes(graph),
        layers=len(network.nodes),
    )


def macs(operation: Operation, shapes: dict[str, Shape]) -> int:
    """Multiply-accumulates of one operation at batch 1; zero for all but Conv and Linear."""
    match operation.primitive:
        case Conv(in_channels=channels, kernel=kernel, groups=groups):
            return prod(operation.shape) * channels // groups * prod(kernel)
        case Linear(in_features=features, out_features=out):
            return features * out
        case _:
            return 0


def peak_activation_bytes(graph: Graph) -> int:
    """Largest sum of live f32 activations at batch 1, in bytes, executing in graph order.

    A value lives from the operation that writes it to the last one that reads it; the image and the output count.
    BatchNorm and Activation work in place where nobody else reads their input, as engines that fuse them do.
    """
    last_use = {graph.output: len(graph.operations)}
    for index, operation in enumerate(graph.operations):
        for value in operation.inputs:
            last_use[value] = max(index, last_use.get(value, 0))
    shapes = graph.shapes()
    size = {name: prod(shape) * BYTES_PER_VALUE for name, shape in shapes.items()}
    live = {"input"}
    peak = size["input"]
    for index, operation in enumerate(graph.operations):
        if isinstance(operation.primitive, (BatchNorm, Activation)) and last_use[operation.inputs[0]] == index:
            live.discard(operation.inputs[0])
        live.add(operation.name)
        peak = max(peak, sum(size[value] for value in live))
        live = {value for value in live if last_use.get(value, -1) > index}
    return peak
