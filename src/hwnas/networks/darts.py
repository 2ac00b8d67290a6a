"""DARTS-V2 for CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable

from hwnas.core.darts import DartsCell
from hwnas.core.layers import Classifier, ConvBnAct
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.networks.published import CIFAR10, Published

# The genotype DARTS_V2 of quark0/darts, cnn/genotypes.py; figures 4 and 5 of the paper.
NORMAL_BLOCKS = ((0, "sep3", 1, "sep3"), (0, "sep3", 1, "sep3"), (1, "sep3", 0, "skip"), (0, "skip", 2, "dil3"))
REDUCTION_BLOCKS = ((0, "max3", 1, "max3"), (2, "skip", 1, "max3"), (0, "max3", 2, "skip"), (2, "skip", 1, "max3"))
CONCAT = (2, 3, 4, 5)


def darts_v2(cells: int, channels: int) -> Callable[[Shape, int, float], NetworkSpec]:
    """A network of DARTS-V2 cells without the auxiliary head, as a function of (input shape, classes, width).

    DARTS has no width multiplier; `width` is not looked at.

    Args:
        cells: at least 3; those after each third are reduction cells.
        channels: of the first cells, doubled by each reduction cell; the stem has three times as many.
    """

    def layers(input_shape: Shape, classes: int, width: float) -> NetworkSpec:
        nodes = [Node("stem", ConvBnAct(3 * channels, 3, activation=""))]
        newer, older = "stem", "stem"
        stage, block = 1, 0
        for index in range(cells):
            reduction = index in (cells // 3, 2 * cells // 3)
            if reduction:
                stage, block = stage + 1, 0
            blocks = REDUCTION_BLOCKS if reduction else NORMAL_BLOCKS
            layer = DartsCell(channels * 2 ** (stage - 1), blocks, CONCAT, reduction)
            nodes.append(Node(f"stage{stage}.block{block}", layer, (newer, older)))
            newer, older, block = nodes[-1].name, newer, block + 1
        return NetworkSpec(input_shape, (*nodes, Node("classifier", Classifier(classes))))

    return layers


PUBLISHED = (
    Published(
        name="darts-v2",
        title="DARTS (second order, V2)",
        paper="Liu, Simonyan, Yang 2019, DARTS: Differentiable Architecture Search",
        origin="quark0/darts, cnn/genotypes.py (DARTS_V2) and cnn/model.py (NetworkCIFAR, 20 cells, 36 channels)",
        resolution=32,
        layers=darts_v2(20, 36),
        data=CIFAR10,
        reported_top1=97.24,
    ),
)
