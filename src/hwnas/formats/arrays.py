"""The arrays of a network as numpy values: which it needs, and random ones for measuring."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from hwnas.core.errors import InputError
from hwnas.core.graphs import array_shapes, check_array_shapes
from hwnas.core.network import NetworkSpec, lower
from hwnas.core.primitives import Graph, Shape

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
        Weights N(0, 2/fan-in), running variance and batch-norm weight 1, running mean and every bias 0, float32.

    Source: He et al. 2015, eq. 10. Fan-in, not fan-out: with batch-norm at rest, a depthwise layer initialised by
        fan-out would shrink its input by the square root of its width, and a deep network would end in denormal
        numbers, on which CPUs are many times slower than on those of a trained network.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for name, shape in expected_arrays(network).items():
        kind = name.rsplit(".", 1)[1]
        if kind == "weight" and len(shape) > 1:
            deviation = np.float32((2.0 / prod(shape[1:])) ** 0.5)
            arrays[name] = rng.standard_normal(shape, dtype=np.float32) * deviation
        else:
            ones = kind in ("weight", "running_var")
            arrays[name] = np.full(shape, 1.0 if ones else 0.0, dtype=np.float32)
    return arrays
