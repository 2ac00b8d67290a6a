"""The DARTS cell as a LayerSpec."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from hwnas.core.cells import Block, check_blocks, factorized_reduction, relu_separable, sum_blocks
from hwnas.core.errors import UnknownName
from hwnas.core.lowering import conv_bn, map_inputs
from hwnas.core.primitives import Activation, Concat, Conv, GraphWriter, Pool

_OPERATIONS = ("skip", "sep3", "sep5", "dil3", "dil5", "avg3", "max3")
_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class DartsCell:
    """A discretised DARTS cell, normal or reduction.

    It reads two values, the newer one first as NasnetCell does: those of the cell before and of the one before that.
    Both are projected to `channels`; the older one by a factorised reduction where its map is larger.

    Args:
        channels: of every state.
        blocks: per block (left state, left op, right state, right op), numbered as in published genotypes: state 0 is
            the older of the values it reads, 1 the newer, 2 and up are earlier blocks; ops are skip, sep3, sep5, dil3,
            dil5, avg3, max3.
        concat: the states that are joined as the cell's value.
        reduction: whether operations that read states 0 and 1 have stride 2.

    Raises:
        InputError: a block or `concat` names a state that does not exist before it.

    Source: Liu et al. 2019; `Cell` and `OPS` of quark0/darts (cnn/model.py, cnn/operations.py).
    """

    channels: int
    blocks: tuple[Block, ...]
    concat: tuple[int, ...]
    reduction: bool = False

    def __post_init__(self) -> None:
        check_blocks("DARTS", self.blocks, self.concat)

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Both input states, then the blocks, then the concatenation."""
        newer, older = map_inputs(graph, name, inputs, 2)
        older_fits = graph.shape(older)[1:] == graph.shape(newer)[1:]
        starts = (
            self._project(graph, f"{name}.older", older) if older_fits else self._reduce(graph, f"{name}.older", older),
            self._project(graph, f"{name}.newer", newer),
        )
        states = sum_blocks(graph, name, starts, self.blocks, partial(self._operation, graph))
        return graph.add(f"{name}.concat", Concat(), *(states[state] for state in self.concat))

    def _project(self, graph: GraphWriter, name: str, value: str) -> str:
        value = graph.add(f"{name}.relu", Activation("relu"), value)
        return conv_bn(graph, name, value, self.channels, 1, eps=_EPS)

    def _reduce(self, graph: GraphWriter, name: str, value: str) -> str:
        value = graph.add(f"{name}.relu", Activation("relu"), value)
        return factorized_reduction(graph, name, value, self.channels, _EPS)

    def _operation(self, graph: GraphWriter, name: str, value: str, operation: str, strided: bool) -> str:
        stride = 2 if self.reduction and strided else 1
        match operation:
            case "skip":
                return self._reduce(graph, name, value) if stride > 1 else value
            case "sep3" | "sep5":
                value = self._separable(graph, f"{name}.sep0", value, int(operation[-1]), stride, 1)
                return self._separable(graph, f"{name}.sep1", value, int(operation[-1]), 1, 1)
            case "dil3" | "dil5":
                return self._separable(graph, name, value, int(operation[-1]), stride, 2)
            case "avg3" | "max3":
                return graph.add(f"{name}.pool", Pool(operation[:3], 3, stride, 1), value)
            case _:
                raise UnknownName("DARTS operation", operation, _OPERATIONS)

    def _separable(self, graph: GraphWriter, name: str, value: str, kernel: int, stride: int, dilation: int) -> str:
        padding, channels = dilation * (kernel - 1) // 2, self.channels
        depthwise = Conv(channels, channels, (kernel, kernel), stride, (padding, padding), dilation, channels)
        return relu_separable(graph, name, value, channels, depthwise, _EPS)
