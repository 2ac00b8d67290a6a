"""The arrays of a network as numpy values: which it needs, and random ones for measuring."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from hwnas.core.errors import InputError
from hwnas.core.graphs import array_shapes, check_array_shapes, check_sizes
from hwnas.core.network import NetworkSpec, lower
from hwnas.core.primitives import Activation, Add, BatchNorm, Concat, Conv, Graph, Linear, Mul, Shape

Arrays = Mapping[str, np.ndarray]


def expected_arrays(network: NetworkSpec) -> dict[str, Shape]:
    """The shape of every array that the network needs, by name, in execution order."""
    return array_shapes(lower(network))


def check_arrays(network: NetworkSpec, arrays: Arrays) -> None:
    """Checks that arrays are exactly those of a network.

    Raises:
        InputError: arrays are missing, left over, of another shape, not float32 or not finite; names them.
    """
    check_graph_arrays(lower(network), arrays)


def check_graph_arrays(graph: Graph, arrays: Arrays) -> None:
    """Like `check_arrays`, for a network that is lowered already.

    Raises:
        InputError: arrays are missing, left over, of another shape, not float32 or not finite; names them.
    """
    check_array_shapes(array_shapes(graph), {name: array.shape for name, array in arrays.items()})
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise InputError(f"array {name!r} is {array.dtype}, expected float32: convert it before exporting")
        if not np.isfinite(array).all():
            raise InputError(f"array {name!r} holds NaN or infinity: training diverged or the file is damaged")


def random_arrays(network: NetworkSpec, seed: int) -> dict[str, np.ndarray]:
    """Arrays to measure a network with before it is trained.

    Args:
        network: the network.
        seed: equal seeds give equal arrays.

    Returns:
        Weights N(0, 2/fan-in), batch-norm weight 1, running mean and every bias 0, running variance about what its
        batch-norm reads, float32.

    Raises:
        InputError: the network is too large for memory.

    Source: He et al. 2015, eq. 10. Fan-in, not fan-out: a depthwise layer initialised by fan-out would shrink its input
        by the square root of its width. Values must stay of one size from end to end, as in a trained network: on
        denormal numbers CPUs are many times slower, and infinite ones make the result NaN.
    """
    rng = np.random.default_rng(seed)
    graph = lower(network)
    check_sizes(graph)
    moments = _second_moments(graph)
    read = {operation.name: operation.inputs[0] for operation in graph.operations}
    arrays: dict[str, np.ndarray] = {}
    for name, shape in array_shapes(graph).items():
        operation, _, kind = name.rpartition(".")
        if kind == "weight" and len(shape) > 1:
            deviation = np.float32((2.0 / prod(shape[1:])) ** 0.5)
            arrays[name] = rng.standard_normal(shape, dtype=np.float32) * deviation
        else:
            filled = {"weight": 1.0, "running_var": moments[read[operation]]}.get(kind, 0.0)
            arrays[name] = np.full(shape, filled, dtype=np.float32)
    return arrays


def _second_moments(graph: Graph) -> dict[str, float]:
    """About how large the mean square of every value is under random weights, for images of mean square 1."""
    moments = {"input": 1.0}
    for operation in graph.operations:
        first, *others = (moments[value] for value in operation.inputs)
        match operation.primitive:
            case Conv() | Linear():
                moment = 2 * first
            case BatchNorm():
                moment = 1.0
            case Activation(kind):
                moment = 0.25 if kind in ("sigmoid", "hard_sigmoid") else first / 2
            case Add():
                moment = first + sum(others)
            case Mul():
                moment = first * prod(others)
            case Concat():
                moment = (first + sum(others)) / len(operation.inputs)
            case _:
                moment = first
        moments[operation.name] = moment
    return moments
