"""Small network files as ProxylessNAS, Once-for-All, MCUNet and timm users have them."""

from __future__ import annotations

from typing import Any


def convolution(before: int, width: int, kernel: int = 1, stride: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "name": "ConvLayer", "kernel_size": kernel, "stride": stride, "dilation": 1, "groups": 1, "bias": False,
        "has_shuffle": False, "in_channels": before, "out_channels": width, "use_bn": True, "act_func": "relu6",
        "dropout_rate": 0, "ops_order": "weight_bn_act", **fields,
    }  # fmt: skip


def block(before: int, width: int, kernel: int, stride: int, ratio: int, **fields: Any) -> dict[str, Any]:
    layer = {
        "name": "MBInvertedConvLayer", "in_channels": before, "out_channels": width, "kernel_size": kernel,
        "stride": stride, "expand_ratio": ratio, "mid_channels": None, "act_func": "relu6", "use_se": False, **fields,
    }  # fmt: skip
    same = before == width and stride == 1
    return {"name": "MobileInvertedResidualBlock", "mobile_inverted_conv": layer, "shortcut": same and shortcut(before)}


def shortcut(width: int) -> dict[str, Any]:
    return {
        "name": "IdentityLayer", "in_channels": [width], "out_channels": [width], "use_bn": False, "act_func": None,
        "dropout_rate": 0, "ops_order": "weight_bn_act",
    }  # fmt: skip


def linear(before: int, classes: int, rate: float = 0) -> dict[str, Any]:
    return {
        "name": "LinearLayer", "in_features": before, "out_features": classes, "bias": True, "use_bn": False,
        "act_func": None, "dropout_rate": rate, "ops_order": "weight_bn_act",
    }  # fmt: skip


def proxyless_file() -> dict[str, Any]:
    """Three stages; in the second a removed layer between two others."""
    blocks = [
        block(8, 8, 3, 1, 1), block(8, 16, 5, 2, 3), block(16, 16, 3, 1, 6), block(16, 24, 7, 2, 3),
        {**block(24, 24, 3, 1, 3), "mobile_inverted_conv": {"name": "ZeroLayer", "stride": 1}},
        block(24, 24, 3, 1, 3), block(24, 32, 3, 1, 6),
    ]  # fmt: skip
    blocks[0]["shortcut"] = None
    return plain({
        "name": "ProxylessNASNets", "bn": {"momentum": 0.1, "eps": 0.001, "ws_eps": None},
        "first_conv": convolution(3, 8, 3, 2), "blocks": blocks, "feature_mix_layer": convolution(32, 64),
        "classifier": linear(64, 10), "resolution": 48,
    })  # fmt: skip


def mobilenet_v3_file() -> dict[str, Any]:
    """Squeeze-excite, middle widths, and the 1×1 convolution behind pooling."""
    swish = {"act_func": "h_swish"}
    blocks = [
        block(16, 16, 3, 1, 1, act_func="relu"), block(16, 24, 5, 2, 3, mid_channels=40, act_func="relu"),
        block(24, 24, 3, 1, 4, mid_channels=96, use_se=True, **swish), block(24, 32, 7, 2, 6, use_se=True, **swish),
    ]  # fmt: skip
    return plain({
        "name": "MobileNetV3", "bn": {"momentum": 0.1, "eps": 1e-5}, "first_conv": convolution(3, 16, 3, 2, **swish),
        "blocks": blocks, "final_expand_layer": convolution(32, 96, **swish),
        "feature_mix_layer": convolution(96, 128, use_bn=False, **swish), "classifier": linear(128, 10, 0.1),
    })  # fmt: skip


def arch_def_file() -> dict[str, Any]:
    """Every kind of block and option of an arch_def that is read."""
    return {
        "model": "MobileNetV3", "stem_size": 12, "fix_stem": True, "num_features": 64, "head_bias": False,
        "act_layer": "hard_swish", "channel_multiplier": 0.75, "depth_multiplier": 1.2, "depth_trunc": "ceil",
        "bn_eps": 0.001, "se_from_exp": True, "se_act_layer": "relu", "se_gate_layer": "hard_sigmoid",
        "se_round_channels": True, "num_classes": 10, "in_chans": 3, "resolution": 64, "drop_rate": 0.2,
        "arch_def": [
            ["ds_r1_k3_s1_e1_c16_nre"], ["ir_r2_k3_s2_e4_c24_nr6", "ir_r1_k5_s1_e1_c24_se0.25_noskip"],
            ["dsa_r1_k5_s2_c40_nsw"], ["cn_r1_k1_s1_c96"],
        ],
    }  # fmt: skip


def plain(data: Any) -> Any:
    """JSON's values only: a block without a shortcut has null there."""
    if isinstance(data, dict):
        return {name: None if value is False and name == "shortcut" else plain(value) for name, value in data.items()}
    return [plain(value) for value in data] if isinstance(data, list) else data
