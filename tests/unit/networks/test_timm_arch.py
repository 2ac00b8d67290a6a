"""A timm arch_def read by us is the network that timm builds of it: names, parameters, outputs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from foreign_files import arch_def_file
from timm.layers import get_act_layer
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

from hwnas.core.counting import count
from hwnas.core.errors import FileFormatError
from hwnas.core.layers import Classifier, ConvBnAct, MBConv, SepConv
from hwnas.core.network import NetworkSpec
from hwnas.networks.foreign import read_foreign
from hwnas.nn.build import build, load_arrays
from hwnas.nn.foreign_weights import renamed

MNASNET_A1 = [
    ["ds_r1_k3_s1_e1_c16_noskip"], ["ir_r2_k3_s2_e6_c24"], ["ir_r3_k5_s2_e3_c40_se0.25"], ["ir_r4_k3_s2_e6_c80"],
    ["ir_r2_k3_s1_e6_c112_se0.25"], ["ir_r3_k5_s2_e6_c160_se0.25"], ["ir_r1_k3_s1_e6_c320"],
]  # fmt: skip
MOBILENET_V2 = [
    ["ds_r1_k3_s1_c16"], ["ir_r2_k3_s2_e6_c24"], ["ir_r3_k3_s2_e6_c32"], ["ir_r4_k3_s2_e6_c64"], ["ir_r3_k3_s1_e6_c96"],
    ["ir_r3_k3_s2_e6_c160"], ["ir_r1_k3_s1_e6_c320"],
]  # fmt: skip
EFFICIENTNET_B0 = [
    ["ds_r1_k3_s1_e1_c16_se0.25"], ["ir_r2_k3_s2_e6_c24_se0.25"], ["ir_r2_k5_s2_e6_c40_se0.25"],
    ["ir_r3_k3_s2_e6_c80_se0.25"], ["ir_r3_k5_s1_e6_c112_se0.25"], ["ir_r4_k5_s2_e6_c192_se0.25"],
    ["ir_r1_k3_s1_e6_c320_se0.25"],
]  # fmt: skip
MOBILENET_V3_SMALL = [
    ["ds_r1_k3_s2_e1_c16_se0.25_nre"], ["ir_r1_k3_s2_e4.5_c24_nre", "ir_r1_k3_s1_e3.67_c24_nre"],
    ["ir_r1_k5_s2_e4_c40_se0.25", "ir_r2_k5_s1_e6_c40_se0.25"], ["ir_r2_k5_s1_e3_c48_se0.25"],
    ["ir_r3_k5_s2_e6_c96_se0.25"], ["cn_r1_k1_s1_c576"],
]  # fmt: skip
# What timm's own model of that name passes to its class, beside the arch_def.
V3 = {
    "model": "MobileNetV3", "act_layer": "hard_swish", "se_act_layer": "relu", "se_gate_layer": "hard_sigmoid",
    "se_round_channels": True,
}  # fmt: skip
NAMED: dict[str, Any] = {
    "semnasnet_100": MNASNET_A1,
    "mobilenetv2_100": {"arch_def": MOBILENET_V2, "act_layer": "relu6"},
    "mobilenetv2_110d": {
        "arch_def": MOBILENET_V2, "act_layer": "relu6", "channel_multiplier": 1.1, "depth_multiplier": 1.2,
        "fix_stem": True,
        "fix_first_last": True,
    },
    "efficientnet_b0": {"arch_def": EFFICIENTNET_B0, "act_layer": "swish"},
    "mobilenetv3_small_100": {**V3, "arch_def": MOBILENET_V3_SMALL, "num_features": 1024},
    "mobilenetv3_small_075": {
        **V3, "arch_def": MOBILENET_V3_SMALL, "num_features": 1024, "channel_multiplier": 0.75,
    },
}  # fmt: skip


def used(model: nn.Module) -> nn.Module:
    """With batch-norms as after training, so that a wrong one shows."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.copy_(0.1 * torch.randn(part.num_features, generator=generator))
                part.running_var.copy_(0.5 + torch.rand(part.num_features, generator=generator))
                part.weight.copy_(0.5 + torch.rand(part.num_features, generator=generator))
                part.bias.copy_(0.1 * torch.randn(part.num_features, generator=generator))
    return model.eval()


def difference(found: Any, theirs: nn.Module) -> float:
    """The largest difference of a score between timm's model and ours with its weights, in standard deviations."""
    network: NetworkSpec = found.network
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    ours = build(network).eval()
    load_arrays(ours, renamed(state, network, found.weight_names))
    images = torch.randn(2, *network.input_shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected, got = theirs(images), ours(images)
    return float((expected - got).abs().max() / expected.std())


@pytest.mark.parametrize("name", NAMED)
def test_named_models_of_timm(name: str) -> None:
    import timm

    found = read_foreign(NAMED[name], (3, 64, 64))
    theirs = used(timm.create_model(name))
    assert count(found.network).params == sum(value.numel() for value in theirs.parameters())
    assert difference(found, theirs) < 1e-5


def test_every_field_and_kind_of_block() -> None:
    data = arch_def_file()
    found = read_foreign(data)
    squeeze = partial(
        SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=partial(round_channels)
    )
    theirs = MobileNetV3(
        decode_arch_def(data["arch_def"], 1.2, "ceil"), num_classes=10, stem_size=12, fix_stem=True, num_features=64,
        head_bias=False, act_layer=get_act_layer("hard_swish"), norm_layer=partial(nn.BatchNorm2d, eps=0.001),
        se_layer=squeeze, round_chs_fn=partial(round_channels, multiplier=0.75),
    )  # fmt: skip
    assert difference(found, used(theirs)) < 1e-5
    assert found.network.input_shape == (3, 64, 64) and found.notes and "drop_rate is 0.2" in found.notes[0]
    layers = {node.name: node.layer for node in found.network.nodes}
    shared = {"bn_eps": 0.001}
    # 12 channels: the depthwise convolution keeps the stem's; 12 * 4 = 48; 18 -> 24 by the 10 % rule.
    assert layers["stem"] == ConvBnAct(12, 3, 2, activation="hard_swish", **shared)
    assert layers["stage1.block0"] == MBConv(16, 3, 1, activation="relu", **shared)
    assert [name for name in layers if name.startswith("stage2")] == [f"stage2.block{index}" for index in range(4)]
    last = layers["stage2.block3"]
    assert isinstance(last, MBConv) and last.expand_always and not last.residual and last.se_gate == "hard_sigmoid"
    assert layers["stage3.block0"] == SepConv(32, 5, 2, "swish", 0.001)
    assert layers["classifier"] == Classifier(10, hidden_channels=64, hidden_bias=False)


@pytest.mark.parametrize("rounding", ["ceil", "round"])
@pytest.mark.parametrize("multiplier", [0.3, 0.5, 1.0, 1.1, 1.4, 2.2, 3.1])
def test_repeats_scale_as_timm_scales_them(multiplier: float, rounding: str) -> None:
    arch_def = [
        ["ds_r1_k3_s1_c16", "ir_r2_k3_s1_e3_c16"],
        ["ir_r3_k3_s2_e6_c24", "ir_r1_k5_s1_e6_c24", "ir_r4_k3_s1_e3_c24"],
        ["ir_r5_k3_s2_e6_c32"],
    ]
    network = read_foreign(
        {"arch_def": arch_def, "depth_multiplier": multiplier, "depth_trunc": rounding}, (3, 32, 32)
    ).network
    theirs = decode_arch_def(arch_def, multiplier, rounding)
    for stage, blocks in enumerate(theirs, start=1):
        ours = [node.layer.kernel for node in network.nodes if node.name.startswith(f"stage{stage}.")]  # type: ignore[attr-defined]
        assert ours == [block["dw_kernel_size"] for block in blocks]


def test_a_bare_list_has_the_defaults_of_timm() -> None:
    network = read_foreign([["ir_r1_k3_s1_e1_c20"]]).network
    theirs = EfficientNet(decode_arch_def([["ir_r1_k3_s1_e1_c20"]]))
    assert count(network).params == sum(value.numel() for value in theirs.parameters())
    assert network.input_shape == (3, 224, 224)
    assert network.nodes[1].layer == MBConv(24, 3, 1, activation="relu", expand_always=True)  # 20 is rounded to 24


def test_a_stride_behind_the_first_block_of_a_stage_is_none() -> None:
    rows = [["ir_r1_k3_s2_e3_c24", "ir_r1_k5_s2_e3_c24"]]
    network = read_foreign(rows, (3, 32, 32)).network
    assert [node.layer.stride for node in network.nodes[1:3]] == [2, 1]  # type: ignore[attr-defined]
    assert difference(read_foreign(rows, (3, 32, 32)), used(EfficientNet(decode_arch_def(rows)))) < 1e-5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("er_r1_k3_s2_e4_c24", "is of a kind that cannot be read"),
        ("uir_r1_a3_k5_s2_e4_c24", "is of a kind that cannot be read"),
        ("", "is of a kind that cannot be read"),
        ("ir_r1_k3_s2_c24", "needs the option 'e'"),
        ("ir_k3_s2_e3_c24", "needs the option 'r'"),
        ("ir_r1_s2_e3_c24", "needs the option 'k'"),
        ("ir_r1_k3_e3_c24", "needs the option 's'"),
        ("ir_r1_k3_s2_e3", "needs the option 'c'"),
        ("ir_r0_k3_s2_e3_c24", "needs the option 'r'"),
        ("ir_r1.5_k3_s2_e3_c24", "needs the option 'r'"),
        ("ir_r1_k4_s2_e3_c24", "needs an odd kernel"),
        ("ir_r1_k3_s3_e3_c24", "needs an odd kernel k, and a stride s of 1 or 2"),
        ("ir_r1_k3.5_s2_e3_c24", "needs the option 'k'"),
        ("ir_r1_k3_s2_e3_c24_a3", "the option 'a3', which no layer of ours can follow"),
        ("ir_r1_k3_s2_e3_c24_cc4", "the option 'cc4'"),
        ("ir_r1_k3_s2_e3_c24_nmi", "the option 'nmi'"),
        ("ir_r1_k3_s2_e3_c24_", "the option ''"),
        ("ir_r1_k3_k5_s2_e3_c24", "the option 'k' twice"),
        ("ir_r1_k3_s2_e1e9_c24", "the option 'e1e9'"),
        ("ir_r1_k3_s2_e3_c24_se0.001", "leaves no channel of 48"),
        ("ir_r1_k3_s2_e3_c999999", "needs the option 'c'"),
        ("ir_r1_k3_s2_e3_c" + "9" * 5000, "has the option"),
        ("ir_r60000_k3_s2_e3_c24", "is repeated 60,000 times"),
        ("ds_r1_k3_s1_e3_c16", "only an ir block expands"),
        ("dsa_r1_k3_s1_c16_se0.25", "the option 'se0.25'"),
        ("cn_r1_k3_s1_c16_skip", "no cn block of ours has a residual"),
    ],
)
def test_a_block_that_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(FileFormatError) as error:
        read_foreign([["ds_r1_k3_s1_c16"], [text]])
    message = str(error.value)
    assert said in message and "arch_def[1][0]" in message and len(message) < 600


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stem_size": "32"}, "field 'stem_size'"),
        ({"act_layer": "mish"}, "field 'act_layer'"),
        ({"pad_type": "same"}, "field 'pad_type'"),
        ({"global_pool": "avgmax"}, "field 'global_pool'"),
        ({"head_norm": True}, "field 'head_norm' is not known"),
        ({"head_bias": False}, "field 'head_bias'"),
        ({"num_features": -1}, "field 'num_features'"),
        ({"channel_multiplier": float("nan")}, "field 'channel_multiplier'"),
        ({"depth_multiplier": 0}, "field 'depth_multiplier'"),
        ({"arch_def": []}, "field 'arch_def'"),
        ({"arch_def": ["ir_r1_k3_s1_e3_c16"]}, "arch_def[0] must be a list"),
        ({"arch_def": [[3]]}, "arch_def[0][0] must be a block string"),
        ({"arch_def": [["ir_r1_k3_s2_e3_c16"]] * 5}, "(arch_def[4][0]) would shrink the map 64-fold"),
        ({"arch_def": [["ir_r900_k3_s1_e3_c16"]] * 2}, "at most 1000 blocks"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_read_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(FileFormatError) as error:
        read_foreign({"arch_def": [["ds_r1_k3_s1_c16"]], **fields})
    assert said in str(error.value)


def test_without_a_head() -> None:
    network = read_foreign({"arch_def": [["cn_r1_k1_s1_c64"]], "num_features": 0}, (3, 32, 32)).network
    assert [node.name for node in network.nodes] == ["stem", "stage1.block0", "classifier"]
    theirs = EfficientNet(decode_arch_def([["cn_r1_k1_s1_c64"]]), num_features=0)
    found = read_foreign({"arch_def": [["cn_r1_k1_s1_c64"]], "num_features": 0}, (3, 32, 32))
    assert difference(found, used(theirs)) < 1e-5
    assert np.prod(network.input_shape) == 3 * 32 * 32
