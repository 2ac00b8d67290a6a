"""LayerSpecs with a whole cell inside: NASNet's, and the tree block of ProxylessNAS's CIFAR-10 space."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.errors import InputError, UnknownName
from hwnas.core.lowering import conv_bn, map_inputs
from hwnas.core.primitives import Activation, Add, BatchNorm, Concat, Conv, GraphWriter, Pad, Pool, Shuffle, Slice

_MOST_BLOCKS = 100  # published cells have five


@dataclass(frozen=True, slots=True)
class NasnetCell:
    """A NASNet cell (Zoph et al. 2018, figures 2 and 4; placement of ReLU and reductions as in the released code).

    It reads two values: the current and the previous hidden state. The current one is projected to `filters` channels,
    the previous one where its channels or map size differ; where both are the same value (a network's first cell) the
    previous one is left as it is.

    Args:
        filters: channels of every hidden state.
        blocks: per block (left input, left op, right input, right op); 0 is the current state, 1 the previous one,
            2 and up are earlier blocks; ops are identity, sep3, sep5, sep7, avg3, max3.
        concat: the hidden states that are joined as the cell's value.
        reduction: whether operations that read states 0 and 1 have stride 2.

    Differs: strided windows are padded symmetrically; TensorFlow pads even maps on the right and below only.

    Raises:
        InputError: a block or `concat` names a state that does not exist before it.
    """

    filters: int
    blocks: tuple[tuple[int, str, int, str], ...]
    concat: tuple[int, ...]
    reduction: bool = False

    def __post_init__(self) -> None:
        if len(self.blocks) > _MOST_BLOCKS or len(self.concat) > 2 + _MOST_BLOCKS:
            raise InputError(f"a NASNet cell has at most {_MOST_BLOCKS} blocks, not {len(self.blocks):,}")
        for index, block in enumerate(self.blocks):
            shaped = isinstance(block, tuple) and [type(item) for item in block] == [int, str, int, str]
            if not shaped or not {block[0], block[2]} <= {*range(2 + index)}:
                raise InputError(f"NASNet block {index} must be (state, op, state, op) of earlier states, not {block}")
        states = 2 + len(self.blocks)
        if not self.blocks or not self.concat or not all(type(s) is int and 0 <= s < states for s in self.concat):
            raise InputError(f"a NASNet cell needs blocks, and concat of states 0 to {states - 1}, not {self.concat}")

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Both input states, then the blocks, then the concatenation."""
        current, previous = map_inputs(graph, name, inputs, 2)
        before = previous
        if graph.shape(previous)[1:] != graph.shape(current)[1:]:
            before = graph.add(f"{name}.previous.relu", Activation("relu"), previous)
            before = self._factorized_reduction(graph, f"{name}.previous", before)
        elif previous != current and graph.shape(previous)[0] != self.filters:
            before = self._project(graph, f"{name}.previous", previous)
        states = [self._project(graph, f"{name}.current", current), before]
        for index, (left, left_op, right, right_op) in enumerate(self.blocks):
            block = f"{name}.block{index}"
            a = self._operation(graph, f"{block}.left", states[left], left_op, self.reduction and left < 2)
            b = self._operation(graph, f"{block}.right", states[right], right_op, self.reduction and right < 2)
            states.append(graph.add(f"{block}.add", Add(), a, b))
        joined = []
        for state in self.concat:
            value = states[state]
            if graph.shape(value)[1:] != graph.shape(states[-1])[1:]:
                value = self._factorized_reduction(graph, f"{name}.output{state}", value)
            elif graph.shape(value)[0] != self.filters:
                value = conv_bn(graph, f"{name}.output{state}", value, self.filters, 1, eps=1e-3)
            joined.append(value)
        return graph.add(f"{name}.concat", Concat(), *joined)

    def _project(self, graph: GraphWriter, name: str, value: str, stride: int = 1) -> str:
        value = graph.add(f"{name}.relu", Activation("relu"), value)
        return conv_bn(graph, name, value, self.filters, 1, stride=stride, eps=1e-3)

    def _factorized_reduction(self, graph: GraphWriter, name: str, value: str) -> str:
        half, channels = self.filters // 2, graph.shape(value)[0]
        shifted = graph.add(f"{name}.shift", Pad(top=-1, bottom=1, left=-1, right=1), value)
        paths = []
        for path, source, width in (("even", value, half), ("odd", shifted, self.filters - half)):
            pooled = graph.add(f"{name}.{path}.pool", Pool("avg", 1, 2), source)
            paths.append(graph.add(f"{name}.{path}.conv", Conv(channels, width, (1, 1)), pooled))
        joined = graph.add(f"{name}.concat", Concat(), *paths)
        return graph.add(f"{name}.bn", BatchNorm(self.filters, 1e-3), joined)

    def _operation(self, graph: GraphWriter, name: str, value: str, operation: str, reduce: bool) -> str:
        stride, fits = 2 if reduce else 1, graph.shape(value)[0] == self.filters
        match operation:
            case "identity":
                return value if fits and not reduce else self._project(graph, name, value, stride)
            case "sep3" | "sep5" | "sep7":
                kernel = int(operation[-1])
                for repeat, step in enumerate((stride, 1)):
                    value = graph.add(f"{name}.relu{repeat}", Activation("relu"), value)
                    value = _separable(graph, f"{name}.sep{repeat}", value, self.filters, kernel, step)
                return value
            case "avg3" | "max3":
                value = graph.add(f"{name}.pool", Pool(operation[:3], 3, stride, 1), value)
                return value if fits else conv_bn(graph, name, value, self.filters, 1, eps=1e-3)
            case _:
                raise UnknownName("NASNet operation", operation, ("identity", "sep3", "sep5", "sep7", "avg3", "max3"))


def _separable(graph: GraphWriter, name: str, value: str, filters: int, kernel: int, stride: int) -> str:
    """Depthwise and pointwise convolution with one batch-norm behind both."""
    channels, padding = graph.shape(value)[0], (kernel - 1) // 2
    depthwise = Conv(channels, channels, (kernel, kernel), stride, (padding, padding), groups=channels)
    value = graph.add(f"{name}.depthwise", depthwise, value)
    value = graph.add(f"{name}.pointwise", Conv(channels, filters, (1, 1)), value)
    return graph.add(f"{name}.bn", BatchNorm(filters, 1e-3), value)


@dataclass(frozen=True, slots=True)
class PyramidTreeBlock:
    """A PyramidNet bottleneck whose 3×3 is a tree cell (ProxylessNAS's CIFAR-10 space; published config).

    1×1 down to `width` (BN-conv), grouped 3×3 root to 2·width with channel shuffle, a split into two halves that each
    pass a tree of depth 2, 1×1 up to 4·width, batch-norm, and a shortcut with pooled and zero-padded channels.

    Args:
        width: bottleneck channels, even.
        stride: of the root convolution.
        edges: the 12 searched operations in order: per half, two (edge, then its two children);
            identity, sep3, dil3, sep5, sep7, avg3, max3.

    Raises:
        InputError: there are not 12 edges.
    """

    width: int
    stride: int
    edges: tuple[str, ...]

    def __post_init__(self) -> None:
        if [type(edge) for edge in self.edges] != [str] * 12:
            raise InputError(f"a tree block has 12 edges, each the name of an operation, not {self.edges}")

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        """Bottleneck in, tree, bottleneck out, shortcut."""
        (start,) = map_inputs(graph, name, inputs)
        value = self._pre_activated(graph, f"{name}.in", start, self.width, 1, relu=False)
        value = self._pre_activated(graph, f"{name}.root", value, 2 * self.width, 3, stride=self.stride, groups=2)
        value = graph.add(f"{name}.root.shuffle", Shuffle(2), value)
        halves = []
        for half in range(2):
            part = graph.add(f"{name}.half{half}.split", Slice(half * self.width, (half + 1) * self.width), value)
            tree = self._tree(graph, f"{name}.half{half}", part, self.edges[6 * half : 6 * half + 6])
            tree = graph.add(f"{name}.half{half}.bn", BatchNorm(self.width), tree)
            halves.append(graph.add(f"{name}.half{half}.add", Add(), part, tree))
        value = graph.add(f"{name}.merge", Add(), *halves)
        value = self._pre_activated(graph, f"{name}.out", value, 4 * self.width, 1)
        value = graph.add(f"{name}.bn", BatchNorm(4 * self.width), value)
        shortcut = start
        if self.stride == 2:
            shortcut = graph.add(f"{name}.shortcut.pool", Pool("avg", 2, 2), shortcut)
        missing = 4 * self.width - graph.shape(shortcut)[0]
        if missing > 0:
            shortcut = graph.add(f"{name}.shortcut.pad", Pad(channels=missing), shortcut)
        return graph.add(f"{name}.add", Add(), value, shortcut)

    def _tree(self, graph: GraphWriter, name: str, value: str, edges: tuple[str, ...]) -> str:
        branches = []
        for branch in range(2):
            edge, *children = edges[3 * branch : 3 * branch + 3]
            base = f"{name}.branch{branch}"
            parent = self._edge(graph, f"{base}.edge", value, edge)
            leaves = [self._edge(graph, f"{base}.leaf{i}", parent, child) for i, child in enumerate(children)]
            branches.append(graph.add(f"{base}.add", Add(), *leaves))
        return graph.add(f"{name}.tree", Add(), *branches)

    def _edge(self, graph: GraphWriter, name: str, value: str, operation: str) -> str:
        match operation:
            case "identity":
                return value
            case "avg3" | "max3":
                return graph.add(f"{name}.pool", Pool(operation[:3], 3, 1, 1), value)
            case "sep3" | "sep5" | "sep7" | "dil3":
                kernel, dilation = int(operation[-1]), 2 if operation == "dil3" else 1
                padding = dilation * (kernel - 1) // 2
                value = graph.add(f"{name}.bn", BatchNorm(self.width), value)
                value = graph.add(f"{name}.relu", Activation("relu"), value)
                depthwise = Conv(self.width, self.width, (kernel, kernel), 1, (padding, padding), dilation, self.width)
                value = graph.add(f"{name}.depthwise", depthwise, value)
                return graph.add(f"{name}.pointwise", Conv(self.width, self.width, (1, 1)), value)
            case _:
                known = ("identity", "sep3", "dil3", "sep5", "sep7", "avg3", "max3")
                raise UnknownName("tree-cell operation", operation, known)

    @staticmethod
    def _pre_activated(
        graph: GraphWriter, name: str, value: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1,
        relu: bool = True,
    ) -> str:  # fmt: skip
        before, padding = graph.shape(value)[0], (kernel - 1) // 2
        value = graph.add(f"{name}.bn", BatchNorm(before), value)
        if relu:
            value = graph.add(f"{name}.relu", Activation("relu"), value)
        conv = Conv(before, channels, (kernel, kernel), stride, (padding, padding), groups=groups)
        return graph.add(f"{name}.conv", conv, value)
