"""What several rooms ask of a Graph: the arrays it needs, who reads a value, and in which slots values live."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from hwnas.core.errors import InputError, quoted
from hwnas.core.primitives import LARGEST_VALUE, Graph, Operation, Shape, buffer_shapes, parameter_shapes

LARGEST_ARRAYS = 2**28  # numbers in all arrays of a network; 1 GiB of f32
_PART = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation with the slots it works on.

    Args:
        operation: what is done.
        reads: the slot of each input.
        writes: the slot of its value; it may be the slot of an input that nobody needs any more.
        frees: slots that nobody reads after this step.
    """

    operation: Operation
    reads: tuple[int, ...]
    writes: int
    frees: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A graph in execution order with every value in a slot, as few slots as the order allows.

    Args:
        steps: in order; the network's inputs lie in the first slots before the first of them.
        slots: how many there are.
        output: the slot that holds the result after the last step.
    """

    steps: tuple[Step, ...]
    slots: int
    output: int


def schedule(graph: Graph, inputs: tuple[str, ...] = ("input",)) -> Schedule:
    """Assigns slots to values: a value takes the lowest slot that is free when it is written.

    Args:
        graph: the network or layer.
        inputs: the values that are given; operations of these names are not executed.
    """
    operations = [operation for operation in graph.operations if operation.name not in inputs]
    last_use = {value: index for index, operation in enumerate(operations) for value in operation.inputs}
    last_use[graph.output] = len(operations)
    slot = {name: index for index, name in enumerate(inputs)}
    count = len(inputs)
    free = {slot[name] for name in inputs if name not in last_use}
    steps = []
    for index, operation in enumerate(operations):
        reads = tuple(slot[value] for value in operation.inputs)
        dying = {slot[value] for value in operation.inputs if last_use[value] == index}
        free |= dying
        writes = min(free, default=count)
        count = max(count, writes + 1)
        free.discard(writes)
        frees = dying - {writes}
        if operation.name not in last_use:
            free.add(writes)
            frees |= {writes}
        slot[operation.name] = writes
        steps.append(Step(operation, reads, writes, tuple(sorted(frees))))
    return Schedule(tuple(steps), count, slot[graph.output])


def reader_counts(graph: Graph) -> dict[str, int]:
    """How many operations read each value; the caller who gets the output counts as one."""
    counts = {name: 0 for name in graph.shapes()}
    for operation in graph.operations:
        for value in operation.inputs:
            counts[value] += 1
    counts[graph.output] += 1
    return counts


def check_names(graph: Graph) -> None:
    """Checks that operations can be parts of a torch module and of Python source.

    Raises:
        InputError: a name is not made of letters, digits, _ and dots, or it has a part that torch keeps for itself.
    """
    for operation in graph.operations:
        parts = operation.name.split(".")
        if not all(_PART.fullmatch(part) for part in parts) or "training" in parts:
            raise InputError(
                f"the name {quoted(operation.name)} cannot stand in a module or in Python source: the parts of a node's"
                " name begin with a letter, consist of a-z, A-Z, 0-9 and _, and are not 'training'; for example "
                "'stage1.block0'"
            )


def check_sizes(graph: Graph) -> None:
    """Checks that a network can be held in memory, before anything is made of it.

    Raises:
        InputError: a value of the network, or all of its arrays, are too large; names the operation.
    """
    total = 0
    for operation in graph.operations:
        total += sum(map(prod, parameter_shapes(operation.primitive).values()))
        shown = "x".join(map(str, operation.shape))
        if prod(operation.shape) > LARGEST_VALUE:
            raise InputError(
                f"operation {quoted(operation.name)} gives {shown}, more than {LARGEST_VALUE:,} values: take smaller "
                "images, or fewer channels"
            )
        if total > LARGEST_ARRAYS:
            raise InputError(
                f"the arrays up to operation {quoted(operation.name)} hold more than {LARGEST_ARRAYS:,} values: take "
                "fewer channels or classes"
            )


def array_shapes(graph: Graph) -> dict[str, Shape]:
    """Every array of the graph by name, parameters and running statistics, in execution order."""
    return {
        f"{operation.name}.{name}": shape
        for operation in graph.operations
        for name, shape in (parameter_shapes(operation.primitive) | buffer_shapes(operation.primitive)).items()
    }


def check_array_shapes(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> None:
    """Compares the arrays that a network needs with those that are there.

    Raises:
        InputError: arrays are missing, left over or of another shape; the message names up to three of each.
    """
    missing = [name for name in expected if name not in found]
    left_over = [name for name in found if name not in expected]
    unlike = [
        f"{name} (shape {tuple(found[name])}, expected {shape})"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    faults = [
        f"{what} {len(names)}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        for what, names in (("missing", missing), ("left over", left_over), ("of another shape", unlike))
        if names
    ]
    if faults:
        raise InputError(
            f"the arrays do not belong to this network; {'; '.join(faults)}. Use the weights and the network that were "
            "saved together"
        )
