"""NetworkSpec: a whole network as data. Everything that measures, builds or exports a network starts from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.core.errors import FileFormatError, InputError, quoted
from hwnas.core.graphs import check_names, check_sizes
from hwnas.core.layer_json import layer_from_json, layer_to_json
from hwnas.core.layers import LayerSpec
from hwnas.core.primitives import MOST_OPERATIONS, Graph, GraphWriter, Shape

FORMAT = "hwnas-network@1"


@dataclass(frozen=True, slots=True)
class Node:
    """A named layer. `inputs` are names of earlier nodes or "input"; by default the node before."""

    name: str
    layer: LayerSpec
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocatedLayer:
    """A layer where it stands in a network: what a latency table prices.

    Args:
        name: the node's name.
        layer: the layer.
        input_shapes: (channels, height, width) of each value that it reads.
        output_shape: of its value.
    """

    name: str
    layer: LayerSpec
    input_shapes: tuple[Shape, ...]
    output_shape: Shape

    @property
    def key(self) -> str:
        """Equal exactly for layers that cost the same: the layer and the shapes it reads, as JSON text."""
        data = {**layer_to_json(self.layer), "input_shapes": self.input_shapes}
        return json.dumps(data, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Input shape (channels, height, width) and named nodes; the last node is the output."""

    input_shape: Shape
    nodes: tuple[Node, ...]

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` is its inverse."""
        nodes = [
            {"name": node.name, **layer_to_json(node.layer), **({"inputs": list(node.inputs)} if node.inputs else {})}
            for node in self.nodes
        ]
        return {"format": FORMAT, "input_shape": list(self.input_shape), "nodes": nodes}

    @staticmethod
    def from_json(data: Any) -> NetworkSpec:
        """Reads what `to_json` wrote, and checks that the layers fit together.

        Raises:
            FileFormatError: the format is another one, or a field is missing or wrong; the message names it.
            InputError: the layers do not fit together.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise FileFormatError(f"expected a network in format {FORMAT!r}, found {quoted(found)}")
        shape, rows = data.get("input_shape"), data.get("nodes")
        if not isinstance(shape, list) or len(shape) != 3 or not all(type(s) is int and 0 < s < 2**16 for s in shape):
            raise FileFormatError("network: field 'input_shape' must be [channels, height, width]")
        if not isinstance(rows, list) or not rows:
            raise FileFormatError("network: field 'nodes' must be a list with at least one node")
        if len(rows) > MOST_OPERATIONS:
            raise FileFormatError(f"network: {len(rows):,} layers; at most {MOST_OPERATIONS:,} are read")
        network = NetworkSpec(tuple(shape), tuple(_node_from_json(index, row) for index, row in enumerate(rows)))
        graph = lower(network)
        check_names(graph)
        check_sizes(graph)
        return network


def lower(network: NetworkSpec) -> Graph:
    """The network as primitives.

    Raises:
        InputError: names clash, a node reads an unknown value, or shapes do not fit.
    """
    writer = GraphWriter(network.input_shape)
    values = {"input": "input"}
    before = "input"
    for node in network.nodes:
        if node.name in values:
            raise InputError(f"two nodes are named {quoted(node.name)}")
        values[node.name] = node.layer.lower(writer, node.name, _inputs(node, before, values))
        before = node.name
    return writer.graph(values[before])


def located_layers(network: NetworkSpec) -> tuple[LocatedLayer, ...]:
    """Every node with the shapes that it reads and writes, in order."""
    writer = GraphWriter(network.input_shape)
    values = {"input": "input"}
    before = "input"
    located = []
    for node in network.nodes:
        inputs = _inputs(node, before, values)
        value = node.layer.lower(writer, node.name, inputs)
        shapes = tuple(writer.shape(value) for value in inputs)
        located.append(LocatedLayer(node.name, node.layer, shapes, writer.shape(value)))
        values[node.name] = value
        before = node.name
    return tuple(located)


def _inputs(node: Node, before: str, values: Mapping[str, str]) -> tuple[str, ...]:
    names = node.inputs or (before,)
    for name in names:
        if name not in values:
            raise InputError(f"node {quoted(node.name)} reads unknown node {quoted(name)}")
    return tuple(values[name] for name in names)


def _node_from_json(index: int, row: Any) -> Node:
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str) or not row["name"]:
        raise FileFormatError(f"network: node {index} must be an object with a 'name'")
    inputs = row.get("inputs", [])
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise FileFormatError(f"network: node {quoted(row['name'])}: 'inputs' must be a list of names")
    layer = layer_from_json({key: value for key, value in row.items() if key not in ("name", "inputs")})
    return Node(row["name"], layer, tuple(inputs))
