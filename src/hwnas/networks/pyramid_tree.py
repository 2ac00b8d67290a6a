"""ProxylessNAS's network for CIFAR-10: a PyramidNet of tree blocks."""

from __future__ import annotations

from hwnas.core.layers import BnAct, Classifier, ConvBnAct
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.core.pyramid import PyramidTreeBlock
from hwnas.networks.published import CIFAR10, Published

# What was searched: one text a stage, one word a block, one letter an edge in the order of PyramidTreeBlock.
_EDGES = (
    "7dim7m555d77 aaai3imdi7dd 73ai5a33add5 a5d53dd737i7 a5did577amim 77mm35ad37ii "
    "dimm777537ii d57d57maa537 75mdiim3amad 53ii37357i57 775a35dadid3 5a5d33a775d3 "
    "m73m7d3a5m7i 3md77d5i3d73 dm3adda5ii5i 5d5iaad55573 7555d3im7d37 miid3i757mid",
    "d5ama7573aam 7i7di7d37mm5 ma3didmm5mia d73aa337iadd dmam7i7didam 7m75mimadim7 "
    "ia55m5d7addm 3adidddaa3a3 dm77imm55m5d 3737aim377mm 7775a33id3a3 5aiia5a3a7am "
    "iad3i7i7maid 75im7dmdm777 3m37i35i335i dd37d733dimi mi5i5a3ai7ad 775mda775355",
    "aaaada75iiia mia75iiaii7i d7m3i5a3iima 7a57a3ma3imm ia7ii7ia5ma7 d5iim57d75id "
    "miamamdi5a3i 75777ad3m77a ddmad37iddm5 aamd3md7diai ma7m335aidi3 57ddimm357mi "
    "73m7dammm55m mia5d3573377 ia5377i7773a 553mai5am55i 3d3mmaimd733 73m75i5m3m37",
)
_OPERATIONS = {
    "i": "identity", "a": "avg3", "m": "max3", "d": "dil3", "3": "sep3", "5": "sep5", "7": "sep7",
}  # fmt: skip
_STEM, _ADDED = 16, 84  # PyramidNet's first width and what all blocks together add to it
_BLOCKS = sum(len(stage.split()) for stage in _EDGES)


def pyramid_tree(
    input_shape: Shape, blocks: tuple[tuple[PyramidTreeBlock, ...], ...], classes: int, stem: int = _STEM
) -> NetworkSpec:
    """PyramidNet's frame around tree blocks: a convolution, stages, batch-norm and ReLU, the scores.

    Args:
        input_shape: (channels, height, width).
        blocks: those of each stage.
        classes: how many scores.
        stem: channels of the convolution.
    """
    nodes = [Node("stem", ConvBnAct(stem, 3, activation=""))]
    for stage, row in enumerate(blocks, start=1):
        nodes += [Node(f"stage{stage}.block{index}", block) for index, block in enumerate(row)]
    nodes += [Node("head", BnAct()), Node("classifier", Classifier(classes))]
    return NetworkSpec(input_shape, tuple(nodes))


def proxyless_cifar(input_shape: Shape, classes: int, width: float) -> NetworkSpec:
    """The network that ProxylessNAS (gradient-based) found for CIFAR-10."""
    stages, count = [], 0
    for stage, words in enumerate(_EDGES):
        blocks: list[PyramidTreeBlock] = []
        for word in words.split():
            count += 1
            even = 2 * (round(_STEM + _ADDED * count / _BLOCKS) // 2)  # the root convolution has two groups
            stride = 2 if stage and not blocks else 1
            blocks.append(PyramidTreeBlock(even, stride, tuple(_OPERATIONS[letter] for letter in word)))
        stages.append(tuple(blocks))
    return pyramid_tree(input_shape, tuple(stages), classes)


PUBLISHED = (
    Published(
        name="proxyless-cifar",
        title="ProxylessNAS (CIFAR-10)",
        paper="Cai, Zhu, Han 2019, ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware",
        origin="han-cai/files, proxylessnas/proxyless_cifar.config; mit-han-lab/proxylessnas, cifar_modules.py",
        resolution=32,
        layers=proxyless_cifar,
        data=CIFAR10,
        reported_top1=97.92,
    ),
)
