"""Tables with a row for each layer: sums by hand, what is refused, and the law of additive models."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

import numpy as np
import pytest
import yaml
from table_networks import (
    SMALL_MS,
    SMALL_ONCE_FOR_ALL,
    SMALL_PROXYLESSNAS,
    small_once_for_all,
    small_proxylessnas,
)

from hwnas.core.errors import FileFormatError, InputError, UnknownLayer
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, Pooling, SepConv, Zero
from hwnas.core.network import LocatedLayer, NetworkSpec, Node, located_layers
from hwnas.hardware.layers import places
from hwnas.hardware.tables.foreign import ForeignFile, open_foreign
from hwnas.hardware.tables.keys import KeyForm, keys_of
from hwnas.hardware.tables.layer_table import LayerTable, Row
from hwnas.spaces.proxyless import proxyless_space
from hwnas.workflows.blocks import blocks


def opened(*texts: str) -> LayerTable:
    files = [ForeignFile(f"{n}.yaml", f"{n}.yaml", yaml.safe_load(text)) for n, text in enumerate(texts)]
    return open_foreign("small", files, "a phone")


PROXYLESSNAS = opened(SMALL_PROXYLESSNAS)
ONCE_FOR_ALL = opened(*SMALL_ONCE_FOR_ALL.values())


def with_layer(name: str, layer: LayerSpec) -> NetworkSpec:
    network = small_proxylessnas()
    return replace(network, nodes=tuple(Node(n.name, layer) if n.name == name else n for n in network.nodes))


def test_a_network_costs_the_sum_of_its_rows() -> None:
    cost = PROXYLESSNAS.cost(small_proxylessnas())
    assert (cost.value, cost.unit, cost.kind) == (SMALL_MS["proxylessnas"], "ms", "table")
    assert cost.provenance == f"small@{PROXYLESSNAS.id}"
    for side in (32, 30):
        assert ONCE_FOR_ALL.cost(small_once_for_all(side)).value == SMALL_MS[side]


def test_each_layer_has_its_price() -> None:
    network = small_once_for_all(30)
    prices = ONCE_FOR_ALL.prices(network)
    assert dict(prices.by_node) == {
        "stem": 1.25, "first": 0.1875, "stage1.block0": 1.75, "head": 0.5, "classifier": 0.0625 + 0.25 + 0.03125,
    }  # fmt: skip
    assert (prices.target, prices.constant_ms) == ("small", 0.0)
    assert prices.cost(network) == ONCE_FOR_ALL.cost(network)
    assert [prices.price_ms(layer) for layer in located_layers(network)] == list(prices.by_node.values())


def test_prices_are_what_a_listing_of_layers_asks_for() -> None:
    network = small_proxylessnas()
    prices = PROXYLESSNAS.prices(network)
    rows = blocks(network, prices)
    assert [row["latency_ms"] for row in rows] == [1.5, 0.25, 2.125, 0.5, 0.75, 0.0625]
    with pytest.raises(InputError, match="another network"):
        prices.cost(with_layer("head", ConvBnAct(16, 1)))
    with pytest.raises(InputError, match="no node 'other'"):
        prices.price_ms(replace(located_layers(network)[0], name="other"))


def test_a_removed_layer_costs_nothing() -> None:
    network = small_proxylessnas()
    nodes = (*network.nodes[:4], Node("stage1.block2", Zero()), *network.nodes[4:])
    assert PROXYLESSNAS.cost(replace(network, nodes=nodes)).value == SMALL_MS["proxylessnas"]


@pytest.mark.parametrize(
    ("name", "layer", "key"),
    [
        ("stage1.block0", MBConv(16, 7, 3, 2), "kernel:7"),
        ("stage1.block0", MBConv(16, 5, 4, 2), "expand:4"),
        ("stage1.block0", MBConv(24, 5, 3, 2), "output:8x8x24"),
        ("stage1.block1", MBConv(16, 3, 6, residual=False), "idskip:0"),
        ("stage1.block1", MBConv(16, 3, 6, se_channels=8), "se:1-hs:0"),
        ("stage1.block1", MBConv(16, 3, 6, activation="hard_swish"), "se:0-hs:1"),
        ("stage1.block1", MBConv(16, 3, 6, activation="swish"), "activation:swish"),
        ("stage1.block1", MBConv(16, 3, 5.5), "expand:5.5"),
        ("first", MBConv(8, 3, 1, residual=False, expand_always=True), "expand_always"),
        ("first", SepConv(8), "SepConv-input:16x16x8-output:16x16x8-kernel:3-stride:1"),
        ("stem", ConvBnAct(8, 5, 2), "ConvBnAct-input:32x32x3-output:16x16x8-kernel:5-stride:2-groups:1"),
        ("head", ConvBnAct(32, 1, groups=2), "groups:2"),
        ("head", Pooling("max", 3, 1), "Pooling"),
        ("classifier", Classifier(11), "Logits-input:8x8x32-output:11"),
        ("classifier", Classifier(10, hidden_channels=64), "AvgPool2D"),
    ],
)
def test_a_layer_that_a_table_lacks_is_named_with_table_and_nearest_entry(
    name: str, layer: LayerSpec, key: str
) -> None:  # fmt: skip
    with pytest.raises(UnknownLayer) as raised:
        PROXYLESSNAS.cost(with_layer(name, layer))
    said = str(raised.value)
    assert said.startswith(f"{name}: latency table 'small' has no entry for layer '") and key in said
    assert said.partition("the nearest entry is '")[2].rstrip("'") in PROXYLESSNAS.rows["32x32"]


def test_relu_and_relu6_are_one_to_a_table() -> None:
    assert PROXYLESSNAS.cost(with_layer("stage1.block1", MBConv(16, 3, 6, activation="relu"))).value == 5.1875


def test_images_of_another_size_are_named_with_the_nearest() -> None:
    with pytest.raises(UnknownLayer, match=r"stem: .*'Conv-input:34x34x3-.* nearest entry is 'Conv-input:3[02]x3"):
        ONCE_FOR_ALL.cost(small_once_for_all(34))
    with pytest.raises(UnknownLayer, match="Conv-input:32x30x3"):
        ONCE_FOR_ALL.cost(replace(small_once_for_all(32), input_shape=(3, 32, 30)))


def test_the_classifier_of_each_form() -> None:
    pooled = LocatedLayer("classifier", Classifier(10), ((32, 8, 8),), (10,))
    assert keys_of(pooled, KeyForm.PROXYLESSNAS) == ("Logits-input:8x8x32-output:10",)
    assert keys_of(pooled, KeyForm.ONCE_FOR_ALL) == (
        "AvgPool2D-input:8x8x32-output:1x1x32", "Logits-input:1x1x32-output:10",
    )  # fmt: skip


def test_terms_are_the_cost_of_every_architecture() -> None:
    space = proxyless_space("proxyless-small", (3, 32, 32), 10)
    rows: dict[str, Row] = {}
    for place in places(space):
        for layer in place.layers.values():
            for key in keys_of(layer, KeyForm.PROXYLESSNAS):
                rows.setdefault(key, Row(0.1 + 0.37 * len(rows) % 1.7))
    table = LayerTable("made", KeyForm.PROXYLESSNAS, "", "a test", "", {"32x32": rows})
    terms = table.terms(space)
    assert {name: set(row) for name, row in terms.by_choice.items()} == {
        choice.name: set(choice.options) for choice in space.choices.choices
    }
    rng = np.random.default_rng(3)
    for arch in (space.choices.sample(rng) for _ in range(100)):
        assert isclose(terms.total(arch), table.cost(space.decode(arch)).value, rel_tol=1e-12)
    first = next(iter(key for key in rows if key.startswith("expanded")))
    with pytest.raises(UnknownLayer):
        replace(table, rows={"32x32": {key: row for key, row in rows.items() if key != first}}).terms(space)


def test_what_a_file_says_of_its_rows_is_kept() -> None:
    assert PROXYLESSNAS.rows["32x32"]["Conv-input:32x32x3-output:16x16x8"] == Row(1.5, 10, 0.5)
    assert ONCE_FOR_ALL.rows["32x32"]["Conv-input:32x32x3-output:16x16x8"] == Row(1.5, 10, 0.25)
    assert PROXYLESSNAS.rows["32x32"]["Logits-input:8x8x32-output:10"] == Row(0.0625)
    assert list(ONCE_FOR_ALL.rows) == ["30x30", "32x32"]


def test_a_table_comes_back_from_json() -> None:
    for table in (PROXYLESSNAS, ONCE_FOR_ALL):
        assert LayerTable.from_json(table.to_json()) == table
    assert PROXYLESSNAS.id != ONCE_FOR_ALL.id == opened(*reversed(SMALL_ONCE_FOR_ALL.values())).id
    assert opened(SMALL_PROXYLESSNAS.replace("0.0625", "0.0626")).id != PROXYLESSNAS.id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("unit", "s"), ("keys", "other"), ("rows", {}), ("rows", {"32x32": {"Conv": {"ms": 1.0}}}),
        ("rows", {"32x32": {"Conv-input:30x30x3-output:16x16x8": {"ms": 1.0}}}), ("device", 3), ("source", None),
        ("rows", {"32x32": {"Logits-input:8x8x32-output:10": {"ms": -1.0}}}), ("keys", "once-for-all"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_a_typed_error(field: str, value: object) -> None:
    with pytest.raises(FileFormatError, match="table"):
        LayerTable.from_json({**PROXYLESSNAS.to_json(), field: value})
