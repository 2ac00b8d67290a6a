"""Slots and readers of values, and the comparison of arrays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.errors import InputError
from hwnas.core.graphs import array_shapes, check_array_shapes, reader_counts, schedule
from hwnas.core.layers import ConvBnAct, MBConv, Zero
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import Activation, Add, Graph, GraphWriter


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    writer = GraphWriter((1, 2, 2))
    values = ["input"]
    for index in range(draw(st.integers(0, 12))):
        if draw(st.booleans()):
            writer.add(f"v{index}", Activation("relu"), draw(st.sampled_from(values)))
        else:
            writer.add(f"v{index}", Add(), draw(st.sampled_from(values)), draw(st.sampled_from(values)))
        values.append(f"v{index}")
    return writer.graph(draw(st.sampled_from(values)))


def _execute(graph: Graph) -> int:
    """Runs the schedule on names instead of tensors; returns how many values were alive at most."""
    plan = schedule(graph)
    slots: list[str | None] = ["input", *[None] * (plan.slots - 1)]
    most = 1
    for step in plan.steps:
        assert [slots[slot] for slot in step.reads] == list(step.operation.inputs)
        slots[step.writes] = step.operation.name
        most = max(most, sum(value is not None for value in slots))
        for slot in step.frees:
            slots[slot] = None
    assert slots[plan.output] == graph.output
    return most


@given(graphs())
def test_every_step_finds_its_values_and_nothing_outlives_its_last_reader(graph: Graph) -> None:
    _execute(graph)
    plan = schedule(graph)
    slots: list[str | None] = ["input", *[None] * (plan.slots - 1)]
    for index, step in enumerate(plan.steps):
        slots[step.writes] = step.operation.name
        for slot in step.frees:
            slots[slot] = None
        needed = {value for later in plan.steps[index + 1 :] for value in later.operation.inputs} | {graph.output}
        alive = {value for value in slots if value is not None}
        assert needed & {s.operation.name for s in plan.steps[: index + 1]} <= alive
        assert alive <= needed


def test_a_chain_needs_one_slot_and_a_residual_two() -> None:
    chain = NetworkSpec((3, 8, 8), (Node("a", ConvBnAct(4, 3)), Node("b", ConvBnAct(4, 3))))
    residual = NetworkSpec((4, 8, 8), (Node("a", MBConv(4, 3, 3)), Node("b", MBConv(4, 3, 3))))
    assert schedule(lower(chain)).slots == 1
    assert schedule(lower(residual)).slots == 2
    assert schedule(lower(residual)).output == 0


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_execute(cell_network: Callable[[str], NetworkSpec], name: str) -> None:
    graph = lower(cell_network(name))
    assert _execute(graph) == schedule(graph).slots < len(graph.operations) / 5


def test_readers_count_the_caller() -> None:
    readers = reader_counts(lower(NetworkSpec((4, 8, 8), (Node("a", MBConv(4, 3, 3)),))))
    assert readers["input"] == 2
    assert readers["a.expand.conv"] == 1
    assert readers["a.add"] == 1
    assert reader_counts(lower(NetworkSpec((4, 8, 8), (Node("a", Zero()),)))) == {"input": 1}


def test_arrays_of_a_layer() -> None:
    shapes = array_shapes(lower(NetworkSpec((3, 8, 8), (Node("a", ConvBnAct(4, 3)),))))
    assert list(shapes.items()) == [
        ("a.conv.weight", (4, 3, 3, 3)),
        ("a.bn.weight", (4,)),
        ("a.bn.bias", (4,)),
        ("a.bn.running_mean", (4,)),
        ("a.bn.running_var", (4,)),
    ]


def test_arrays_that_do_not_fit_are_named() -> None:
    expected = {"a": (1,), "b": (2,), "c": (3,), "d": (4,), "e": (5,)}
    check_array_shapes(expected, dict(reversed(expected.items())))
    with pytest.raises(
        InputError, match=r"missing 4: b, c, d, …; left over 1: z; of another shape 1: a \(shape \(2,\), "
    ):
        check_array_shapes(expected, {"a": (2,), "z": (1,)})
