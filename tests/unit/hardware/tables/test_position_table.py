"""TuNAS's Pixel-1 model: the sums of its release, what it refuses, and how far apart a stage's positions are."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from table_networks import PROXYLESS_MOBILE, proxyless, uniform

from hwnas.core.errors import FileFormatError, UnknownLayer
from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.hardware.tables.position_table import position_table, shipped_table

TABLE = shipped_table("pixel1-tunas")
BIAS, ROWS = TABLE.terms_by_position()
# Of the unrounded model; the rows that ship have four decimals.
SUMS = {
    "ProxylessNAS-Mobile": (PROXYLESS_MOBILE, 3, 84.41624),
    "all k3e3": (uniform("k3e3"), 3, 70.73982),
    "all k3e6": (uniform("k3e6"), 3, 135.30721),
    "all k7e6, k7 first": (uniform("k7e6"), 7, 219.09141),
    "first of stages k3e3": (uniform("k3e3", "Z"), 3, 30.93611),
    "TuNAS's own test": (
        "k5e3 Z Z Z | k5e6 k5e3 k5e3 k3e3 | k7e6 k5e6 k7e6 k7e6 | k5e6 k3e3 k5e3 k5e3 | k5e6 k7e3 k3e3 k5e3 | k7e6",
        3, 84.01667,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_published_sums_hold(name: str) -> None:
    operations, kernel, ms = SUMS[name]
    cost = TABLE.cost(proxyless(operations, 32, kernel))
    assert cost.value == pytest.approx(ms, abs=2e-4)  # the largest deviation is 1.7e-4
    assert (cost.unit, cost.kind, cost.provenance) == ("ms", "table", f"pixel1-tunas@{TABLE.id}")


def test_the_rows_are_those_of_the_release(shared_data: Path) -> None:
    released = json.loads((shared_data / "tunas" / "pixel1_cost_model.json").read_text())
    assert released["bias"] == BIAS
    positions = {row["name"].replace(".", ".block"): row for row in released["layers"]}
    assert set(positions) == set(ROWS)
    for place, row in positions.items():
        assert set(row["choices"]) == set(ROWS[place])
        for option, ms in zip(row["choices"], row["ms"], strict=True):
            assert ROWS[place][option] == pytest.approx(ms, abs=0.00501)  # they are rounded to 0.01 there


def test_each_layer_has_a_row_and_the_removed_ones_are_in_the_constant() -> None:
    prices = TABLE.prices(proxyless(uniform("k3e3", "Z"), 32, 5))
    assert list(prices.by_node) == ["stem", "first", *(f"stage{n}.block0" for n in range(1, 7)), "head", "classifier"]
    assert prices.by_node["first"] == ROWS["sepconv"]["k5"] and prices.by_node["stem"] == 0.0
    assert prices.by_node["stage5.block0"] == ROWS["stage5.block0"]["k3e3"]
    removed = sum(ROWS[f"stage{stage}.block{block}"]["zero"] for stage in range(1, 6) for block in (1, 2, 3))
    assert prices.constant_ms == pytest.approx(BIAS + removed)


def test_a_layer_may_stand_anywhere_in_its_stage_for_little() -> None:
    later = [[ROWS[f"stage{stage}.block{block}"] for block in (1, 2, 3)] for stage in range(1, 6)]
    apart = [abs(a[option] - b[option]) for rows in later for a, b in combinations(rows, 2) for option in a]
    assert max(apart) <= 0.013
    network = proxyless("k3e3 Z Z k7e6 | " + uniform("k3e3").partition("| ")[2], 32)
    exact = TABLE.cost(proxyless("k3e3 k7e6 Z Z | " + uniform("k3e3").partition("| ")[2], 32)).value
    assert TABLE.cost(network).value == exact  # equal networks cost the same, whatever their nodes are called


def test_the_cost_is_the_bias_and_a_row_of_each_position() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        chosen = {place: rng.choice([option for option in row if option != "zero"]) for place, row in ROWS.items()}
        for stage in range(1, 6):
            for block in range(int(rng.integers(1, 5)), 4):
                chosen[f"stage{stage}.block{block}"] = "zero"
        stages = [[o for place, o in chosen.items() if place.startswith(f"stage{stage}.")] for stage in range(1, 7)]
        operations = " | ".join(" ".join(stage) for stage in stages).replace("zero", "Z")
        network = proxyless(operations, 32, int(chosen["sepconv"][1]))
        expected = BIAS + sum(ROWS[place][option] for place, option in chosen.items())
        assert TABLE.cost(network).value == pytest.approx(expected, rel=1e-12)


def test_names_of_nodes_do_not_count() -> None:
    network = proxyless(PROXYLESS_MOBILE, 32)
    named = tuple(Node(f"n{number}", node.layer) for number, node in enumerate(network.nodes))
    assert TABLE.cost(replace(network, nodes=named)).value == TABLE.cost(network).value
    assert TABLE.cost(proxyless(PROXYLESS_MOBILE, 32, classes=1001)).value == TABLE.cost(network).value


def changed(name: str, *layers: Node) -> NetworkSpec:
    network = proxyless(PROXYLESS_MOBILE, 32)
    nodes = [one for node in network.nodes for one in (layers if node.name == name else (node,))]
    return replace(network, nodes=tuple(nodes))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (proxyless(PROXYLESS_MOBILE, 24), ("stage1.block0: ", "112x112x16-output:56x56x24", "56x56x32")),
        (replace(proxyless(PROXYLESS_MOBILE, 32), input_shape=(3, 192, 192)), ("stem: ", "'Conv-input:192x192x3")),
        (proxyless(PROXYLESS_MOBILE, 32, 9), ("first: ", "kernel:9")),
        (proxyless(PROXYLESS_MOBILE, 32, classes=10), ("classifier: ", "output:10'", "output:100")),
        (proxyless(PROXYLESS_MOBILE + " k3e3", 32), ("stage6.block1: ", "'stage6.block1'", "'stage6.block0'")),
        (proxyless("k3e3 " + PROXYLESS_MOBILE.replace("Z", "k3e3"), 32), ("'stage1.block4'", "'stage1.block3'")),
        (changed("classifier"), ("the network's end: ", "Logits-input:7x7x1280")),
        (changed("head"), ("classifier: ", "Logits-input:7x7x320", "Logits-input:7x7x1280")),
        (changed("head", Node("head", ConvBnAct(1280, 1), ("stage5.block3",))), ("head: ", "stage5.block3")),
        (changed("stage1.block0", Node("x", MBConv(32, 5, 3, 2, se_channels=8))), ("x: ", "se:1-hs:0")),
        (changed("stage1.block0", Node("x", MBConv(32, 5, 3, 2, activation="swish"))), ("activation:swish",)),
        (NetworkSpec((3, 224, 224), (Node("stem", ConvBnAct(32, 3, 2)), Node("c", Classifier(1000)))), ("c: ",)),
    ],
)
def test_other_networks_are_refused_by_their_first_layer_that_does_not_belong(
    network: NetworkSpec, words: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownLayer) as raised:
        TABLE.cost(network)
    assert all(word in str(raised.value) for word in (*words, "latency table 'pixel1-tunas'", "the nearest entry is"))


def test_the_shipped_file_says_where_it_comes_from() -> None:
    assert TABLE.licence == "Apache-2.0" and "google-research" in TABLE.source and "Pixel 1" in TABLE.device


@pytest.mark.parametrize("data", [None, [], {}, {"format": "hwnas-position-table@2", "unit": "ms"}])
def test_another_file_is_a_typed_error(data: object) -> None:
    with pytest.raises(FileFormatError, match="positions|position-table"):
        position_table(data)
