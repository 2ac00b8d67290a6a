"""Files of other people through the command line: described, exported with their weights, trained, found in a space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from refusals import Refused

import hwnas
from hwnas import compose
from hwnas.nn.build import build, load_arrays

CONV = {"kernel_size": 3, "stride": 2, "dilation": 1, "groups": 1, "bias": False, "has_shuffle": False, "use_bn": True,
        "act_func": "relu6", "dropout_rate": 0, "ops_order": "weight_bn_act", "name": "ConvLayer"}  # fmt: skip
BLOCK = {"name": "MBInvertedConvLayer", "kernel_size": 5, "stride": 1, "expand_ratio": 3}
IDENTITY = {"name": "IdentityLayer", "in_channels": 8, "out_channels": 8, "use_bn": False, "act_func": None,
            "dropout_rate": 0, "ops_order": "weight_bn_act"}  # fmt: skip
NETWORK = {
    "name": "ProxylessNASNets",
    "bn": {"momentum": 0.1, "eps": 0.001},
    "first_conv": {**CONV, "in_channels": 3, "out_channels": 8},
    "blocks": [
        {"name": "MobileInvertedResidualBlock", "shortcut": IDENTITY,
         "mobile_inverted_conv": {**BLOCK, "in_channels": 8, "out_channels": 8}},
    ],
    "feature_mix_layer": {**CONV, "kernel_size": 1, "stride": 1, "in_channels": 8, "out_channels": 16},
    "classifier": {"name": "LinearLayer", "in_features": 16, "out_features": 4, "bias": True, "use_bn": False,
                   "act_func": None, "dropout_rate": 0, "ops_order": "weight_bn_act"},
    "resolution": 32,
}  # fmt: skip
PARAMS = (216 + 16) + (192 + 48 + 600 + 48 + 192 + 16) + (128 + 32) + (64 + 4)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A network file in the form of ProxylessNAS."""
    path = tmp_path / "net.config"
    path.write_text(json.dumps(NETWORK))
    return path


def test_a_file_is_described_as_its_layers_add_up(said: Any, theirs: Path) -> None:
    found = json.loads(said("describe", str(theirs), "--json"))
    assert found["params"] == PARAMS and found["input_shape"] == [3, 32, 32] and found["paper"] is None
    fitted = json.loads(said("describe", str(theirs), "--resolution", "64", "--classes", "9", "--json"))
    assert fitted["input_shape"] == [3, 64, 64] and fitted["params"] == PARAMS + 5 * 17


def test_their_weights_are_exported(said: Any, theirs: Path, tmp_path: Path) -> None:
    found = compose.open_network(str(theirs))
    rng = np.random.default_rng(0)
    arrays = {name: np.abs(rng.normal(size=value.shape)).astype(np.float32) / 4
              for name, value in build(found.network).state_dict().items()}  # fmt: skip
    checkpoint = {f"module.{found.weight_names[name][0]}": torch.tensor(array) for name, array in arrays.items()}
    torch.save({"state_dict": checkpoint}, tmp_path / "net.pth")
    said("export", str(theirs), "--weights", str(tmp_path / "net.pth"), "--out", str(tmp_path / "out"))
    module = build(found.network).eval()
    load_arrays(module, arrays)
    image = rng.normal(size=(1, 3, 32, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession((tmp_path / "out" / "model.onnx").read_bytes())
    (scores,) = session.run(None, {session.get_inputs()[0].name: image})
    with torch.inference_mode():
        expected = module(torch.tensor(image)).numpy()
        through_timm = hwnas.to_timm(str(tmp_path / "out")).eval()(torch.tensor(image)).numpy()
    assert np.abs(scores - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.abs(through_timm - expected).max() <= 1e-5 * np.abs(expected).max()


def test_an_arch_def_is_trained(said: Any, tmp_path: Path) -> None:
    path = tmp_path / "arch.json"
    path.write_text(json.dumps({"arch_def": [["ds_r1_k3_s1_e1_c8_noskip"], ["ir_r2_k5_s2_e3_c16_se0.25"]],
                                "stem_size": 8, "num_features": 32}))  # fmt: skip
    trained = json.loads(
        said("train", str(path), "--train-steps", "10", "--batch-size", "8", "--out", str(tmp_path / "run"), "--json",
             "--quiet")
    )  # fmt: skip
    assert trained["network"]["params"] > 0
    assert json.loads(said("describe", str(tmp_path / "run"), "--json"))["input_shape"] == [1, 28, 28]


def test_a_published_network_is_found_in_a_space_and_priced_by_a_table(said: Any) -> None:
    found = json.loads(
        said("describe", "proxyless-mobile", "--as", "tunas-proxyless", "--target", "pixel1-tunas", "--json")
    )
    assert found["found_in"]["encoding"] == "0 | 1 0 6 6 | 2 0 1 1 | 5 1 1 1 | 4 1 1 1 | 5 5 2 2 | 5"
    differences = found["found_in"]["differences"]
    assert [text.split(":")[0] for text in differences] == ["activation", "classes"]
    assert found["kind"] == "table" and found["latency_ms"] == pytest.approx(84.41624, abs=1e-3)
    words = said("describe", "proxyless-mobile", "--as", "tunas-proxyless")
    assert "0 | 1 0 6 6 | 2 0 1 1" in words and "activation: relu6, in the space relu" in words
    # What was found decodes to the same kernel, expansion and width in every layer.
    arch = hwnas.Architecture.from_json(found["found_in"]["architecture"])
    again = compose.space_of(arch, None, None).decode(arch)
    published = compose.open_network("proxyless-mobile").network
    searched = [(node.name, node.layer) for node in published.nodes if node.name.startswith("stage")]
    assert [(n, vars_of(layer)) for n, layer in searched] == [
        (node.name, vars_of(node.layer)) for node in again.nodes if node.name.startswith("stage")
    ]


def vars_of(layer: Any) -> tuple[int, float, int]:
    return layer.kernel, layer.expansion, layer.out_channels


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("describe", "mobilenet-v2", "--as", "tunas-proxyless"), ("does not lie in space", "width 24", "32")),
        (("describe", "proxyless-mobile", "--as", "tunas-proxi"), ("unknown space", "tunas-proxyless")),
        (("describe", "mobilenet-v2", "--target", "pixel1-tunas"), ("pixel1-tunas", "has no entry", "nearest")),
        (("describe", "mobilenet-v2", "--target", "pixel"), ("latency table", "pixel1")),
    ],
)
def test_what_is_not_there_is_named(refused: Refused, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(*arguments, words=words)


def test_a_published_table_that_does_not_ship_says_how_it_is_imported(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "empty"))
    refused("describe", "ofa-mobilenet-v3-w1.2-largest", "--target", "note10", words="hwnas import-table", code=4)


def test_a_damaged_file_names_the_field(refused: Refused, here: Path) -> None:
    block = NETWORK["blocks"][0] | {"mobile_inverted_conv": {**BLOCK, "in_channels": 9, "out_channels": 8}}
    (here / "net.json").write_text(json.dumps({**NETWORK, "blocks": [block]}))
    refused("describe", "net.json", words=("net.json", "blocks[0].mobile_inverted_conv.in_channels"))
