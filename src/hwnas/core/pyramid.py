"""The tree block of ProxylessNAS's CIFAR-10 space as a LayerSpec."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.errors import InputError, UnknownName
from hwnas.core.lowering import map_inputs
from hwnas.core.primitives import Activation, Add, BatchNorm, Conv, GraphWriter, Pad, Pool, Shuffle, Slice

TREE_OPERATIONS = ("identity", "sep3", "dil3", "sep5", "sep7", "avg3", "max3")


@dataclass(frozen=True, slots=True)
class PyramidTreeBlock:
    """A PyramidNet bottleneck whose 3×3 is a tree cell.

    1×1 down to `width` (BN-conv), grouped 3×3 root to 2·width with channel shuffle, a split into two halves that each
    pass a tree of depth 2, 1×1 up to 4·width, batch-norm, and a shortcut with pooled and zero-padded channels.

    Args:
        width: bottleneck channels, even.
        stride: of the root convolution.
        edges: the 12 searched operations in order: per half, two (edge, then its two children);
            identity, sep3, dil3, sep5, sep7, avg3, max3.

    Raises:
        InputError: there are not 12 edges.

    Source: Cai et al. 2019, ProxylessNAS; `ResidualTreeBlock` and `TreeNode` of mit-han-lab/proxylessnas
        (proxyless_nas/cifar_modules.py). A batch-norm lies before what it is for, as `ops_order` of the published
        config says ("bn_act_weight").
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
                raise UnknownName("tree-cell operation", operation, TREE_OPERATIONS)

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
