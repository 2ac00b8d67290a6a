"""The NASNet cell as a LayerSpec."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from hwnas.core.cells import Block, check_blocks, factorized_reduction, relu_separable, sum_blocks
from hwnas.core.errors import UnknownName
from hwnas.core.lowering import added, conv_bn, map_inputs, same_as_tensorflow
from hwnas.core.primitives import Activation, Concat, Conv, GraphWriter, Pad, Pool

_OPERATIONS = ("identity", "sep3", "sep5", "sep7", "avg3", "max3")


@dataclass(frozen=True, slots=True)
class NasnetCell:
    """A NASNet cell, normal or reduction; the ImageNet stem consists of reduction cells, too.

    It reads two values: the current and the previous hidden state. The current one is projected to `filters` channels,
    the previous one where its channels or map size differ; where both are the same value (a network's first cell) the
    previous one is left as it is. Strided windows lie as TensorFlow's "same" padding puts them.

    Args:
        filters: channels of every hidden state.
        blocks: per block (left state, left op, right state, right op); state 0 is the current one, 1 the previous one,
            2 and up are earlier blocks; ops are identity, sep3, sep5, sep7, avg3, max3.
        concat: the hidden states that are joined as the cell's value.
        reduction: whether operations that read states 0 and 1 have stride 2.
        bn_eps: of every batch-norm.
        count_include_pad: whether strided averages count the zeros around the map; timm does, TensorFlow does not.

    Raises:
        InputError: a block or `concat` names a state that does not exist before it.

    Source: Zoph et al. 2018, figures 2 and 4; ReLU, reductions and 1×1 convolutions as in tensorflow/models
        (research/slim/nets/nasnet/nasnet_utils.py).
    """

    filters: int
    blocks: tuple[Block, ...]
    concat: tuple[int, ...]
    reduction: bool = False
    bn_eps: float = added(1e-3)
    count_include_pad: bool = added(False)

    def __post_init__(self) -> None:
        check_blocks("NASNet", self.blocks, self.concat)

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Both input states, then the blocks, then the concatenation."""
        current, previous = map_inputs(graph, name, inputs, 2)
        before = self._previous(graph, f"{name}.previous", current, previous)
        now = self._project(graph, f"{name}.current", current)
        states = sum_blocks(graph, name, (now, before), self.blocks, partial(self._operation, graph))
        joined = []
        for state in self.concat:
            value, output = states[state], f"{name}.output{state}"
            if graph.shape(value)[1:] != graph.shape(states[-1])[1:]:
                value = factorized_reduction(graph, output, value, self.filters, self.bn_eps)
            elif graph.shape(value)[0] != self.filters:
                value = conv_bn(graph, output, value, self.filters, 1, eps=self.bn_eps)
            joined.append(value)
        return graph.add(f"{name}.concat", Concat(), *joined)

    def _previous(self, graph: GraphWriter, name: str, current: str, previous: str) -> str:
        """The previous state in the size and with the channels of this cell."""
        if graph.shape(previous)[1:] != graph.shape(current)[1:]:
            value = graph.add(f"{name}.relu", Activation("relu"), previous)
            return factorized_reduction(graph, name, value, self.filters, self.bn_eps)
        if previous != current and graph.shape(previous)[0] != self.filters:
            return self._project(graph, name, previous)
        return previous

    def _project(self, graph: GraphWriter, name: str, value: str, stride: int = 1) -> str:
        value = graph.add(f"{name}.relu", Activation("relu"), value)
        return conv_bn(graph, name, value, self.filters, 1, stride=stride, eps=self.bn_eps)

    def _operation(self, graph: GraphWriter, name: str, value: str, operation: str, strided: bool) -> str:
        stride = 2 if self.reduction and strided else 1
        fits = graph.shape(value)[0] == self.filters
        match operation:
            case "identity":
                return value if fits and stride == 1 else self._project(graph, name, value, stride)
            case "sep3" | "sep5" | "sep7":
                for repeat, step in enumerate((stride, 1)):
                    value = self._separable(graph, f"{name}.sep{repeat}", value, int(operation[-1]), step)
                return value
            case "avg3" | "max3":
                value = self._pool(graph, name, value, operation[:3], stride)
                return value if fits else conv_bn(graph, name, value, self.filters, 1, eps=self.bn_eps)
            case _:
                raise UnknownName("NASNet operation", operation, _OPERATIONS)

    def _separable(self, graph: GraphWriter, name: str, value: str, kernel: int, stride: int) -> str:
        channels = graph.shape(value)[0]
        padding, more = same_as_tensorflow(graph.shape(value), kernel, stride)
        if any(more):
            value = graph.add(f"{name}.pad", Pad(bottom=more[0], right=more[1]), value)
        depthwise = Conv(channels, channels, (kernel, kernel), stride, padding, groups=channels)
        return relu_separable(graph, name, value, self.filters, depthwise, self.bn_eps)

    def _pool(self, graph: GraphWriter, name: str, value: str, kind: str, stride: int) -> str:
        (top, left), (down, right) = same_as_tensorflow(graph.shape(value), 3, stride)
        if kind == "avg" and stride > 1 and self.count_include_pad:
            value = graph.add(f"{name}.pad", Pad(0, top, top + down, left, left + right), value)
            return graph.add(f"{name}.pool", Pool("avg", 3, stride), value)
        # A pool pads all sides alike. Where only the far side is to be padded, the map moves by one pixel, and the
        # first window, which then lies before the map, is cut off: padding is neither averaged nor a maximum.
        if down or right:
            value = graph.add(f"{name}.shift", Pad(top=down, left=right), value)
        value = graph.add(f"{name}.pool", Pool(kind, 3, stride, 1), value)
        return graph.add(f"{name}.crop", Pad(top=-down, left=-right), value) if down or right else value
