"""How timm lays out a network that is made of blocks which timm has: its stem, stacks of blocks, head, and names.

Both directions stand on it: reading an `arch_def` with its checkpoint, and making a timm model of a network.

Source: github.com/huggingface/pytorch-image-models, timm/models/_efficientnet_builder.py and _efficientnet_blocks.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from hwnas.core.errors import InputError, quoted
from hwnas.core.graphs import array_shapes
from hwnas.core.layers import Classifier, ConvBnAct, MBConv, SepConv
from hwnas.core.network import LocatedLayer, NetworkSpec, located_layers, lower

_SQUEEZE = {"se.reduce": "se.conv_reduce", "se.expand": "se.conv_expand"}
_INVERTED = {  # InvertedResidual
    "expand.conv": "conv_pw", "expand.bn": "bn1", "depthwise.conv": "conv_dw", "depthwise.bn": "bn2",
    "project.conv": "conv_pwl", "project.bn": "bn3", **_SQUEEZE,
}  # fmt: skip
_SEPARABLE = {  # DepthwiseSeparableConv
    "depthwise.conv": "conv_dw", "depthwise.bn": "bn1", "project.conv": "conv_pw", "project.bn": "bn2",
    "pointwise.conv": "conv_pw", "pointwise.bn": "bn2", **_SQUEEZE,
}  # fmt: skip
_CONV = {"conv": "conv", "bn": "bn1"}  # ConvBnAct
_STEM = {"conv": "conv_stem", "bn": "bn1"}
_HEAD = {"conv": "conv_head", "bn": "bn2"}
_CLASSIFIER = {"hidden": "conv_head", "linear": "classifier"}


@dataclass(frozen=True, slots=True)
class TimmBlock:
    """A layer that timm has as a block: where it stands, and what arrives there."""

    name: str
    layer: ConvBnAct | MBConv | SepConv
    in_channels: int


@dataclass(frozen=True, slots=True)
class TimmLayout:
    """The nodes of a network where timm has them.

    Args:
        stem: the first convolution, of the first node.
        stacks: timm's stages: only the first block of one may have a stride.
        head: the convolution between the last stack and pooling; None without one.
        classifier: pooling and scores.
        names: timm's name for every array of ours.
    """

    stem: ConvBnAct
    stacks: tuple[tuple[TimmBlock, ...], ...]
    head: ConvBnAct | None
    classifier: Classifier
    names: dict[str, str]


def timm_layout(network: NetworkSpec) -> TimmLayout:
    """Lays a network out as timm would.

    Nodes "stage1.block0" and "stage1.block1" are one stack unless the second has a stride; a 1×1 convolution "head"
    before a classifier without a hidden layer is timm's head.

    Raises:
        InputError: a node is of a kind that timm's EfficientNet and MobileNetV3 do not have there; names it.
    """
    _check_chain(network)
    first, *blocks = located_layers(network)
    last = blocks.pop() if blocks else first
    stem, classifier, head = first.layer, last.layer, None
    if not isinstance(stem, ConvBnAct):
        raise InputError(f"node {quoted(first.name)} must be the stem of a timm model: a ConvBnAct")
    if not isinstance(classifier, Classifier):
        raise InputError(f"node {quoted(last.name)} must be what ends a timm model: a Classifier")
    tables = {first.name: _STEM, last.name: _CLASSIFIER}
    if blocks and not classifier.hidden_channels and _is_head(blocks[-1]):
        head = blocks[-1].layer
        tables[blocks.pop().name] = _HEAD
    if not blocks:
        raise InputError(f"node {quoted(last.name)} follows no block; a timm model has at least one")
    stacks = _stacks(blocks)
    return TimmLayout(stem, stacks, cast(ConvBnAct | None, head), classifier, _names(network, tables, stacks))


def _check_chain(network: NetworkSpec) -> None:
    before = "input"
    for node in network.nodes:
        if node.inputs not in ((), (before,)):
            raise InputError(f"node {quoted(node.name)} reads other nodes than the one before it; timm has chains only")
        before = node.name


def _stacks(located: list[LocatedLayer]) -> tuple[tuple[TimmBlock, ...], ...]:
    stacks: list[list[TimmBlock]] = []
    for one in located:
        if not isinstance(one.layer, (ConvBnAct, MBConv, SepConv)):
            kind = type(one.layer).__name__
            raise InputError(
                f"node {quoted(one.name)} is a {kind}; timm's EfficientNet and MobileNetV3 have no such block"
            )
        block = TimmBlock(one.name, one.layer, one.input_shapes[0][0])
        if not stacks or block.layer.stride > 1 or _stage(block.name) != _stage(stacks[-1][-1].name):
            stacks.append([])
        stacks[-1].append(block)
    return tuple(map(tuple, stacks))


def _names(
    network: NetworkSpec, tables: dict[str, dict[str, str]], stacks: tuple[tuple[TimmBlock, ...], ...]
) -> dict[str, str]:
    arrays = tuple(array_shapes(lower(network)))
    places = {node: ("", table) for node, table in tables.items()}
    for index, stack in enumerate(stacks):
        for position, block in enumerate(stack):
            expands = f"{block.name}.expand.conv.weight" in arrays
            table = _CONV if isinstance(block.layer, ConvBnAct) else _INVERTED if expands else _SEPARABLE
            places[block.name] = (f"blocks.{index}.{position}.", table)
    names = {}
    for node, (place, table) in places.items():
        for array in (one for one in arrays if one.startswith(f"{node}.")):
            operation, kind = array.removeprefix(f"{node}.").rsplit(".", 1)
            names[array] = f"{place}{table[operation]}.{kind}"
    return names


def _is_head(block: LocatedLayer) -> bool:
    layer = block.layer
    plain = isinstance(layer, ConvBnAct) and (layer.kernel, layer.stride, layer.groups) == (1, 1, 1)
    return plain and _stage(block.name) == ""


def _stage(name: str) -> str:
    return name.rpartition(".")[0]
