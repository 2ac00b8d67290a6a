"""Networks and layers as JSON: round trips, and damaged files that fail with a typed error."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.counting import count
from hwnas.core.errors import FileFormatError, HwnasError, InputError, UnknownName
from hwnas.core.layer_json import layer_from_json, layer_to_json
from hwnas.core.layers import BnAct, Classifier, ConvBnAct, MBConv, Sum, Zero
from hwnas.core.network import NetworkSpec, Node, located_layers, lower
from hwnas.core.pyramid import PyramidTreeBlock
from hwnas.nn.build import build_layer
from hwnas.spaces.proxyless import proxyless_space

SMALL = NetworkSpec(
    (3, 16, 16),
    (
        Node("stem", ConvBnAct(8, 3, 2)),
        Node("block", MBConv(8, 5, 3, se_channels=4, activation="hard_swish")),
        Node("removed", Zero()),
        Node("activate", BnAct("swish"), ("block",)),
        Node("classifier", Classifier(10)),
    ),
)


def test_round_trip_of_random_architectures() -> None:
    space = proxyless_space("proxyless-small", (1, 28, 28), 10)
    rng = np.random.default_rng(0)
    for _ in range(10):
        network = space.decode(space.choices.sample(rng))
        assert NetworkSpec.from_json(json.loads(json.dumps(network.to_json()))) == network


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_round_trip_of_cells(cell_network: Callable[[str], NetworkSpec], name: str) -> None:
    network = cell_network(name)
    assert NetworkSpec.from_json(json.loads(json.dumps(network.to_json()))) == network
    for node in network.nodes:
        assert layer_from_json(json.loads(json.dumps(layer_to_json(node.layer)))) == node.layer


def test_a_node_reads_the_one_before_unless_it_says_otherwise() -> None:
    graph = lower(SMALL)
    readers = {operation.name: operation.inputs for operation in graph.operations}
    assert readers["block.expand.conv"] == ("stem.act",)
    assert readers["activate.bn"] == ("block.add",)
    assert graph.output == "classifier.linear"


def test_located_layers_know_their_shapes_and_equal_layers_share_a_key() -> None:
    block = MBConv(8, 3, 6)
    nodes = (Node("a", ConvBnAct(8, 3, 2)), Node("b", block), Node("c", block), Node("d", MBConv(8, 3, 6, 2)))
    a, b, c, d = located_layers(NetworkSpec((3, 16, 16), nodes))
    assert (a.input_shapes, a.output_shape) == (((3, 16, 16),), (8, 8, 8))
    assert d.output_shape == (8, 4, 4)
    assert b.key == c.key != d.key
    (alone,) = located_layers(NetworkSpec((8, 4, 4), (Node("x", block),)))
    assert alone.key != b.key


def test_a_sum_adds_all_that_it_reads() -> None:
    values = [torch.full((1, 2, 3, 3), float(value)) for value in (1, 10, 100)]
    for read, expected in ((2, 11.0), (3, 111.0)):
        found = build_layer(Sum(), ((2, 3, 3),) * read)(*values[:read])
        assert torch.equal(found, torch.full((1, 2, 3, 3), expected))
    nodes = (
        Node("a", ConvBnAct(3, 1)),
        Node("b", ConvBnAct(3, 1), ("input",)),
        Node("sum", Sum(), ("a", "b", "input")),
    )
    network = NetworkSpec((3, 4, 4), nodes)
    assert NetworkSpec.from_json(json.loads(json.dumps(network.to_json()))) == network
    assert lower(network).output == "sum.add1"


@pytest.mark.parametrize(("inputs", "message"), [(("a",), "reads 2 value"), (("a", "input"), "different shapes")])
def test_a_sum_of_one_value_or_of_different_shapes_is_refused(inputs: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lower(NetworkSpec((3, 4, 4), (Node("a", ConvBnAct(8, 1)), Node("sum", Sum(), inputs))))


def _damaged(**changes: Any) -> dict[str, Any]:
    data = copy.deepcopy(SMALL.to_json())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = data
        for key in parents:
            place = place[int(key[1:]) if key[0] == "n" and key[1:].isdigit() else key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "hwnas-network@1.*int"),
        (_damaged(format="hwnas-network@2"), "hwnas-network@2"),
        (_damaged(input_shape=[3, 16]), "'input_shape'"),
        (_damaged(input_shape=[3, 16, "16"]), "'input_shape'"),
        (_damaged(input_shape=[3, 16, 10**9]), "'input_shape'"),
        (_damaged(nodes=[]), "'nodes'"),
        (_damaged(nodes={}), "'nodes'"),
        (_damaged(nodes__n0__name=None), "node 0"),
        (_damaged(nodes__n0__inputs="stem"), "'stem'.*'inputs'"),
        (_damaged(nodes__n0__layer=None), "'layer'"),
        (_damaged(nodes__n0__layer="ConvBnAkt"), "did you mean 'ConvBnAct'"),
        (_damaged(nodes__n0__kernel=None), "kernel"),
        (_damaged(nodes__n0__kernel="3"), "ConvBnAct.*'kernel' must be int"),
        (_damaged(nodes__n0__kernel=0), "ConvBnAct.*'kernel' must be int"),
        (_damaged(nodes__n0__stride=0), "'stride'"),
        (_damaged(nodes__n0__groups=0), "'groups'"),
        (_damaged(nodes__n0__groups=2), "'stem'.*groups"),
        (_damaged(nodes__n0__kernel=True), "'kernel'"),
        (_damaged(nodes__n0__dilatation=1), "no field 'dilatation'"),
        (_damaged(nodes__n0__activation="gelu"), "gelu"),
        (_damaged(nodes__n1__expansion=float("nan")), "'expansion'"),
        (_damaged(nodes__n1__expansion=0.01), "'block"),
        (_damaged(nodes__n1__inputs=["nowhere"]), "'block'.*'nowhere'"),
        (_damaged(nodes__n1__inputs=["stem", "stem"]), "'block' reads 1 value"),
        (_damaged(nodes__n1__inputs=["classifier"]), "unknown node 'classifier'"),
        (_damaged(nodes__n1__name="stem"), "two nodes are named 'stem'"),
        (_damaged(nodes__n4__classes=0), "'classes'"),
    ],
)
def test_damaged_networks_name_the_field(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NetworkSpec.from_json(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"layer": "NasnetCell", "filters": 4, "blocks": [], "concat": [2]}, "needs blocks"),
        ({"layer": "NasnetCell", "filters": 4, "blocks": [[0, "sep3", 2, "sep3"]], "concat": [2]}, "block 0"),
        ({"layer": "NasnetCell", "filters": 4, "blocks": [[0, "sep3", 1]], "concat": [2]}, "block 0"),
        ({"layer": "NasnetCell", "filters": 4, "blocks": [7], "concat": [2]}, "block 0"),
        ({"layer": "NasnetCell", "filters": 4, "blocks": [[0, "sep3", 1, "sep3"]], "concat": [3]}, "concat"),
        ({"layer": "NasnetCell", "filters": 4, "blocks": [[0, "sep3", 1, "sep3"]], "concat": [[2]]}, "concat"),
        ({"layer": "NasnetCell", "filters": 4, "blocks": [[0, "sep3", 1, "sep3"]], "concat": [2.0]}, "concat"),
        ({"layer": "DartsCell", "channels": 4, "blocks": [[0, "sep3", 2, "skip"]], "concat": [2]}, "DARTS block 0"),
        ({"layer": "PyramidTreeBlock", "width": 4, "stride": 1, "edges": ["sep3"] * 11}, "12 edges"),
        ({"layer": "PyramidTreeBlock", "width": 4, "stride": 1, "edges": ["sep3"] * 11 + [3]}, "12 edges"),
        ({"layer": ["MBConv"]}, "'layer'"),
    ],
)
def test_damaged_cells_name_the_field(data: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        layer_from_json(data)


def test_unknown_operations_in_cells_are_named() -> None:
    cell = {"layer": "NasnetCell", "filters": 4, "blocks": [[0, "sep4", 1, "sep3"]], "concat": [2]}
    darts = {"layer": "DartsCell", "channels": 4, "blocks": [[0, "skip", 1, "none"]], "concat": [2]}
    tree = {"layer": "PyramidTreeBlock", "width": 4, "stride": 1, "edges": ["sep3"] * 11 + ["zap"]}
    two = ["input", "input"]
    for layer, inputs, message in ((cell, two, "sep4"), (darts, two, "none"), (tree, ["input"], "zap")):
        data = {
            "format": "hwnas-network@1",
            "input_shape": [4, 8, 8],
            "nodes": [{"name": "a", "inputs": inputs, **layer}],
        }
        with pytest.raises(UnknownName, match=message):
            NetworkSpec.from_json(data)


def test_a_window_that_does_not_fit_names_the_operation() -> None:
    block = PyramidTreeBlock(4, 2, ("identity",) * 12)
    with pytest.raises(InputError, match=r"'a.shortcut.pool'.*window of 2 does not fit a map of 1"):
        lower(NetworkSpec((4, 1, 1), (Node("a", block),)))


def test_layers_that_cannot_read_what_they_are_given() -> None:
    for layer in (Classifier(3), Zero(), BnAct(), MBConv(8, 3, 3), ConvBnAct(8, 3)):
        with pytest.raises(InputError, match="'b'"):
            lower(NetworkSpec((3, 8, 8), (Node("a", Classifier(3)), Node("b", layer))))


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(0, 3), max_size=3),
)


@settings(max_examples=300)
@given(st.data())
def test_whatever_a_file_says_the_error_is_ours(data: st.DataObject) -> None:
    network = data.draw(st.sampled_from([SMALL.to_json(), _TREE, _CELL]))
    damaged = copy.deepcopy(network)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = damaged
        while isinstance(place, (dict, list)) and place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(list(keys)))
            if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
                place[key] = data.draw(values)
                break
            place = place[key]
    try:
        read = NetworkSpec.from_json(damaged)
    except HwnasError as error:
        assert str(error)
    else:
        assert count(read).layers == len(read.nodes)


_TREE = {
    "format": "hwnas-network@1",
    "input_shape": [4, 8, 8],
    "nodes": [
        {"name": "a", "layer": "PyramidTreeBlock", "width": 2, "stride": 2, "edges": ["sep3", "avg3", "dil3"] * 4}
    ],
}
_CELL = {
    "format": "hwnas-network@1",
    "input_shape": [4, 8, 8],
    "nodes": [
        {"name": "a", "layer": "ConvBnAct", "out_channels": 4, "kernel": 3, "stride": 2},
        {
            "name": "b",
            "layer": "NasnetCell",
            "filters": 2,
            "blocks": [[0, "sep3", 1, "identity"], [2, "avg3", 1, "max3"]],
            "concat": [2, 3],
            "inputs": ["a", "input"],
        },
    ],
}
