"""A network layer by layer, in words and numbers; no torch."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

from hwnas.core.counting import macs
from hwnas.core.darts import DartsCell
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, SepConv
from hwnas.core.nasnet import NasnetCell
from hwnas.core.network import LocatedLayer, NetworkSpec, located_layers, lower
from hwnas.core.primitives import parameter_shapes
from hwnas.core.protocols import LayerCostModel
from hwnas.core.pyramid import PyramidTreeBlock


def blocks(network: NetworkSpec, model: LayerCostModel | None) -> list[dict[str, Any]]:
    """The network layer by layer, with params, MACs and, by the model, latency and its share.

    There are no shares where a layer's price is below zero: such prices mean something in sums only.

    Raises:
        UnknownLayer: the model knows no such layer; names it and the nearest.
    """
    located = located_layers(network)
    prices = [model.price_ms(layer) if model else None for layer in located]
    # Shares are of the layers' sum: what a call costs besides belongs to none, and as fitted may be below zero.
    known = [price for price in prices if price is not None]
    total = sum(known) if min(known, default=0.0) >= 0 else 0.0
    params, counted = _counts(network)
    rows = []
    for layer, price in zip(located, prices, strict=True):
        name = layer.name
        row = {"name": name, "text": layer_text(layer), "params": params[name], "macs": counted[name]}
        rows.append({**row, "latency_ms": price, "share": price / total if price is not None and total else None})
    return rows


def layer_text(located: LocatedLayer) -> str:
    """One layer in a few words: kind, kernel, expansion, channels, map."""
    size = "x".join(str(side) for side in located.output_shape[1:]) or "scores"
    layer: LayerSpec = located.layer
    match layer:
        case MBConv():
            excited = ", squeeze-excite" if layer.se_channels else ""
            kind = f"MBConv {layer.kernel}x{layer.kernel}, expansion {layer.expansion:g}{excited}"
            kind = f"{kind}, {layer.out_channels} channels"
        case ConvBnAct():
            kind = f"Conv {layer.kernel}x{layer.kernel}, {layer.out_channels} channels"
        case NasnetCell() | DartsCell():
            family = "DARTS" if isinstance(layer, DartsCell) else "NASNet"
            role = "reduction" if layer.reduction else "normal"
            kind = f"{family} {role} cell, {located.output_shape[0]} channels"
        case PyramidTreeBlock():
            kind = f"Tree block, width {layer.width}, {located.output_shape[0]} channels"
        case SepConv():
            kind = f"SepConv {layer.kernel}x{layer.kernel}, {layer.out_channels} channels"
        case Classifier():
            hidden = f"hidden layer of {layer.hidden_channels}, " if layer.hidden_channels else ""
            return f"Global pool, {hidden}linear to {layer.classes} classes"
        case _:
            kind = f"{type(layer).__name__}, {located.output_shape[0]} channels"
    return f"{kind}, {size}"


def _counts(network: NetworkSpec) -> tuple[Counter[str], Counter[str]]:
    """Params and MACs by node: an operation's name begins with that of its node."""
    graph = lower(network)
    shapes = graph.shapes()
    names = {node.name for node in network.nodes}
    params: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for operation in graph.operations:
        node = operation.name
        while node and node not in names:  # "stage1.block0.expand.conv", "stage1.block0.expand", "stage1.block0"
            node = node.rpartition(".")[0]
        params[node] += sum(prod(shape) for shape in parameter_shapes(operation.primitive).values())
        counted[node] += macs(operation, shapes)
    return params, counted
