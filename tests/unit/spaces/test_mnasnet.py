"""MnasNet's space: its size, what its options mean, and a network by hand."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional

from hwnas.core.architecture import Option
from hwnas.core.layers import ConvBnAct, MBConv, ResidualConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.formats.onnx_file import to_onnx
from hwnas.nn.build import build, load_arrays
from hwnas.spaces.mnasnet import MnasnetSpace, mnasnet_space
from hwnas.testing.engines import used_arrays

SPACE = MnasnetSpace()
PLAIN: dict[str, Option] = {"op": "mbconv6", "kernel": 3, "se": "none", "filters": "1.0", "skip": "identity"}
LAYERS = (1, 2, 3, 4, 3, 3, 1)  # MobileNetV2's


def options(**changes: Option) -> dict[str, Option]:
    """MobileNetV2 with changes: stage2_op="conv"."""
    found: dict[str, Option] = {}
    for stage, layers in enumerate(LAYERS, start=1):
        found |= {f"stage{stage}.{what}": option for what, option in PLAIN.items()} | {f"stage{stage}.layers": layers}
    return found | {name.replace("_", ".", 1): option for name, option in changes.items()}


def layers(**changes: Option) -> dict[str, object]:
    arch = SPACE.choices.architecture(options(**changes))
    return {node.name: node.layer for node in SPACE.decode(arch).nodes}


def test_sizes() -> None:
    assert 4 * 2 * 2 * 3 * 3 * 3 == 432
    assert SPACE.choices.size_with_inactive() == 432**7
    # Blocks of 0, 1 or 2 layers; of 1, 2 or 3; and five of two layers or more, where every choice is live.
    operations = 4 * 2 * 2 * 3
    first, second = 1 + operations + 3 * operations, operations + 2 * 3 * operations
    assert SPACE.choices.size() == first**2 * second * 432**4


def test_a_block_without_layers_leaves_no_node_and_decides_nothing() -> None:
    arch = SPACE.choices.architecture(options(stage1_layers=0, stage7_layers=0))
    assert {name for name, _ in arch.choices if name.startswith(("stage1", "stage7"))} == {
        "stage1.layers", "stage7.layers",
    }  # fmt: skip
    names = [node.name for node in SPACE.decode(arch).nodes]
    assert names[:2] == ["stem", "stage2.block0"] and names[-2:] == ["head", "classifier"]
    assert "stage6.block2" == names[-3]


def test_the_skip_is_live_with_two_layers_or_more() -> None:
    assert "stage2.skip" not in SPACE.choices.architecture(options(stage2_layers=1)).as_dict()
    assert "stage2.skip" in SPACE.choices.architecture(options(stage2_layers=2)).as_dict()


def test_operations_are_layers() -> None:
    found = layers(
        stage2_op="conv", stage2_kernel=5, stage2_se="0.25", stage2_skip="pool", stage3_op="sepconv",
        stage4_op="mbconv3", stage4_filters="1.25", stage4_skip="none", stage5_se="0.25", stage6_skip="pool",
    )  # fmt: skip
    assert found["stem"] == ConvBnAct(32, 3, 2, activation="relu", bn_eps=1e-3)
    # Squeeze-excite has a quarter of what the layer reads: 16, then 24 channels.
    assert found["stage2.block0"] == ResidualConv(24, 5, 2, 4, residual=False, bn_eps=1e-3)
    assert found["stage2.block1"] == ResidualConv(24, 5, 1, 6, residual=True, pool_shortcut=True, bn_eps=1e-3)
    assert found["stage3.block1"] == MBConv(32, 3, 1, activation="relu", bn_eps=1e-3)
    assert found["stage4.block1"] == MBConv(80, 3, 3, activation="relu", residual=False, bn_eps=1e-3)
    assert found["stage5.block0"] == MBConv(96, 3, 6, 1, 20, "relu", residual=False, bn_eps=1e-3)
    assert found["stage6.block1"] == MBConv(160, 3, 6, activation="relu", bn_eps=1e-3, pool_shortcut=True)


def test_filters_of_the_first_block_round_to_the_same_width() -> None:
    found = [layers(stage1_filters=filters)["stage1.block0"] for filters in ("0.75", "1.0", "1.25")]
    assert found[0] == found[1] == MBConv(16, 3, 6, activation="relu", residual=False, bn_eps=1e-3)
    assert found[2] == MBConv(24, 3, 6, activation="relu", residual=False, bn_eps=1e-3)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("kind", [ResidualConv, MBConv])
def test_shortcuts_by_hand(kind: type, pooled: bool) -> None:
    """With the last batch-norm's scale at zero, what is left is the shortcut."""
    layer = kind(4, 3, **({"expansion": 3} if kind is MBConv else {}), pool_shortcut=pooled)
    network = build(NetworkSpec((4, 5, 5), (Node("layer", layer),))).eval()
    last = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
        image = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(0))
        pooled_image = functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
        assert torch.allclose(network(image), pooled_image if pooled else image, atol=1e-6)


def test_a_network_with_every_part_is_the_same_in_onnxruntime() -> None:
    space = mnasnet_space((3, 64, 64), 5, 0.25)
    found = options(stage2_op="conv", stage2_se="0.25", stage2_skip="pool", stage3_skip="pool", stage4_se="0.25")
    network = space.decode(space.choices.architecture(found))
    arrays = used_arrays(network, 0)
    images = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(to_onnx(network, arrays), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: images})
    built = build(network)
    load_arrays(built, arrays)
    with torch.no_grad():
        expected = built.eval()(torch.from_numpy(images)).numpy()
    assert np.abs(scores - expected).max() <= 1e-5 * np.abs(expected).max()
