"""Networks written down here against the authors' own config files, layer by layer."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, located_layers
from hwnas.networks.catalogue import published
from hwnas.spaces.ofa_frame import ofa_mobilenet_v3, ofa_proxyless

ACTIVATIONS = {"relu": "relu", "relu6": "relu6", "h_swish": "hard_swish"}
Row = tuple[Any, ...]


def read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def block_rows(config: dict[str, Any]) -> list[Row]:
    """(input, middle and output channels, kernel, stride, activation, squeeze-excite, residual) of every kept block."""
    rows: list[Row] = []
    for block in config["blocks"]:
        own = block.get("mobile_inverted_conv") or block["conv"]
        if own["name"] == "ZeroLayer":
            continue
        middle = own.get("mid_channels") or round(own["in_channels"] * own["expand_ratio"])
        activation, excite = ACTIVATIONS[own.get("act_func", "relu6")], bool(own.get("use_se"))
        sizes = (own["in_channels"], middle, own["out_channels"], own["kernel_size"], own["stride"])
        rows.append((*sizes, activation, excite, block["shortcut"] is not None))
    return rows


def convolution_row(config: dict[str, Any]) -> Row:
    assert config["use_bn"] and not config["bias"]
    return config["out_channels"], config["kernel_size"], config["stride"], ACTIVATIONS[config["act_func"]]


def compare(network: NetworkSpec, config: dict[str, Any]) -> None:
    layers = located_layers(network)
    blocks = [(layer.layer, layer.input_shapes[0][0]) for layer in layers if isinstance(layer.layer, MBConv)]
    assert [
        (
            before, layer.middle_channels(before), layer.out_channels, layer.kernel, layer.stride, layer.activation,
            layer.se_channels > 0, layer.residual and layer.stride == 1 and before == layer.out_channels,
        )
        for layer, before in blocks
    ] == block_rows(config)  # fmt: skip
    stem, head, classifier = layers[0].layer, layers[-2].layer, layers[-1].layer
    assert isinstance(stem, ConvBnAct) and isinstance(head, ConvBnAct) and isinstance(classifier, Classifier)
    last = config.get("final_expand_layer") or config["feature_mix_layer"]
    for own, theirs in ((stem, config["first_conv"]), (head, last)):
        assert (own.out_channels, own.kernel, own.stride, own.activation) == convolution_row(theirs)
    assert {config["bn"]["eps"]} == {stem.bn_eps, head.bn_eps, *(layer.bn_eps for layer, _ in blocks)}
    mix = config["feature_mix_layer"] if "final_expand_layer" in config else None
    assert (mix["out_channels"] if mix else 0) == classifier.hidden_channels
    if mix:
        assert (mix["use_bn"], mix["bias"], ACTIVATIONS[mix["act_func"]]) == (
            False, classifier.hidden_bias, classifier.activation,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["mobile", "mobile-14", "cpu", "gpu"])
def test_proxyless_networks_are_those_of_the_configs(shared_data: Path, name: str) -> None:
    config = read(shared_data / "proxylessnas" / f"proxyless_{name.replace('-', '_')}.config")
    compare(published(f"proxyless-{name}").network(), config)


def test_sub_networks_of_once_for_all_are_those_of_the_configs(shared_data: Path) -> None:
    files = sorted((shared_data / "ofa" / "specialized").glob("*.json"))
    assert len(files) == 25
    frames = [ofa_mobilenet_v3(1.0), ofa_mobilenet_v3(1.2), ofa_proxyless(1.3)]
    for file in files:
        config = read(file)
        rows = block_rows(config)
        kind, stem = config["name"], config["first_conv"]["out_channels"]
        (frame,) = (
            one for one in frames
            if one.stem.out_channels == stem and (one.hidden_channels > 0) == (kind == "MobileNetV3")
        )  # fmt: skip
        # The first block is fixed; the units differ in their width.
        units = [list(unit) for _, unit in groupby(rows[1:], key=lambda row: row[2])]
        blocks = [[(row[3], row[1] // row[0]) for row in unit] for unit in units]
        compare(frame.network((3, 224, 224), 1000, blocks), config)
