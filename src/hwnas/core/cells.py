"""What the cells of NASNet and DARTS share: blocks of two operations on earlier states, and what these lower to."""

from __future__ import annotations

from collections.abc import Callable

from hwnas.core.errors import InputError
from hwnas.core.primitives import Activation, Add, BatchNorm, Concat, Conv, GraphWriter, Pad

Block = tuple[int, str, int, str]  # left state, left operation, right state, right operation
Operate = Callable[[str, str, str, bool], str]  # name, value, operation, whether the cell's stride applies -> value
_MOST_BLOCKS = 100  # published cells have four or five


def check_blocks(kind: str, blocks: tuple[Block, ...], concat: tuple[int, ...]) -> None:
    """Checks that every block reads states before it. States 0 and 1 are what the cell reads, 2 and up its blocks.

    Args:
        kind: of cell, for the message.
        blocks: those of the cell.
        concat: the states that are joined as its value.

    Raises:
        InputError: a block or `concat` names a state that does not exist before it, or there are too many blocks.
    """
    if len(blocks) > _MOST_BLOCKS or len(concat) > 2 + _MOST_BLOCKS:
        raise InputError(f"a {kind} cell has at most {_MOST_BLOCKS} blocks, not {len(blocks):,}")
    for index, block in enumerate(blocks):
        shaped = isinstance(block, tuple) and [type(item) for item in block] == [int, str, int, str]
        if not shaped or not {block[0], block[2]} <= {*range(2 + index)}:
            raise InputError(f"{kind} block {index} must be (state, op, state, op) of earlier states, not {block}")
    states = 2 + len(blocks)
    if not blocks or not concat or not all(type(state) is int and 0 <= state < states for state in concat):
        raise InputError(f"a {kind} cell needs blocks, and concat of states 0 to {states - 1}, not {concat}")


def sum_blocks(
    graph: GraphWriter, name: str, inputs: tuple[str, str], blocks: tuple[Block, ...], operate: Operate
) -> list[str]:
    """The states of a cell: what it reads, then the sum of each block's two operations.

    In a reduction cell, operations that read states 0 and 1 are strided and no others.
    """
    states = [*inputs]
    for index, (left, left_op, right, right_op) in enumerate(blocks):
        block = f"{name}.block{index}"
        a = operate(f"{block}.left", states[left], left_op, left < 2)
        b = operate(f"{block}.right", states[right], right_op, right < 2)
        states.append(graph.add(f"{block}.add", Add(), a, b))
    return states


def factorized_reduction(graph: GraphWriter, name: str, value: str, channels: int, eps: float) -> str:
    """Halves a map without leaving pixels out: 1×1 convolutions of the even and of the odd pixels, joined; batch-norm.

    Source: `factorized_reduction` of tensorflow/models (nasnet_utils.py), `FactorizedReduce` of quark0/darts. A pool of
        one pixel before a convolution, as the former has, is the convolution's stride.
    """
    before, half = graph.shape(value)[0], channels // 2
    shifted = graph.add(f"{name}.shift", Pad(top=-1, bottom=1, left=-1, right=1), value)
    even = graph.add(f"{name}.even.conv", Conv(before, half, (1, 1), 2), value)
    odd = graph.add(f"{name}.odd.conv", Conv(before, channels - half, (1, 1), 2), shifted)
    joined = graph.add(f"{name}.concat", Concat(), even, odd)
    return graph.add(f"{name}.bn", BatchNorm(channels, eps), joined)


def relu_separable(graph: GraphWriter, name: str, value: str, channels: int, depthwise: Conv, eps: float) -> str:
    """ReLU, a depthwise and a pointwise convolution, and one batch-norm behind both."""
    value = graph.add(f"{name}.relu", Activation("relu"), value)
    value = graph.add(f"{name}.depthwise", depthwise, value)
    value = graph.add(f"{name}.pointwise", Conv(depthwise.out_channels, channels, (1, 1)), value)
    return graph.add(f"{name}.bn", BatchNorm(channels, eps), value)
