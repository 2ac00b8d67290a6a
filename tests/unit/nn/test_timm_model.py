"""A network as a timm model: the same outputs, features, and timm's own interfaces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.layers import BasicBlock, Classifier, ConvBnAct, LayerSpec, MBConv, SepConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.networks.catalogue import published
from hwnas.networks.foreign import read_foreign
from hwnas.nn.build import arrays_of, build, load_arrays
from hwnas.nn.timm_model import to_timm
from hwnas.spaces.proxyless import PRESETS
from hwnas.testing.engines import used_arrays


def chain(*layers: LayerSpec, size: int = 64) -> NetworkSpec:
    """Stem, one stage a layer, and what else is given at the end: (name, layer) or a layer."""
    nodes = [Node("stem", layers[0])]
    nodes += [Node(f"stage{index}.block0", layer) for index, layer in enumerate(layers[1:-1], start=1)]
    return NetworkSpec((3, size, size), (*nodes, Node("classifier", layers[-1])))


def mobilenet_v3() -> NetworkSpec:
    """Like MobileNetV3: squeeze-excite, two activations, an expansion that is not whole, a hidden layer."""
    squeezed = {"activation": "hard_swish", "se_gate": "hard_sigmoid"}
    return chain(
        ConvBnAct(16, 3, 2, activation="hard_swish", bn_eps=1e-3),
        MBConv(16, 3, 1, 2, se_channels=8, activation="relu", se_gate="hard_sigmoid"),
        MBConv(24, 3, 4.5, 2, activation="relu"),
        MBConv(24, 3, 88 / 24, 1, activation="relu", residual=False),
        MBConv(40, 5, 4, 2, se_channels=24, **squeezed),  # type: ignore[arg-type]
        MBConv(40, 5, 1, 1, se_channels=16, se_activation="hard_swish", expand_always=True, **squeezed),  # type: ignore[arg-type]
        ConvBnAct(96, 1, activation="hard_swish"),
        Classifier(10, hidden_channels=128),
    )


def every_block() -> NetworkSpec:
    """Blocks of timm in one network, each with a batch-norm of its own kind; the head activates otherwise."""
    network = chain(
        ConvBnAct(16, 5, 2, activation="", bn_eps=1e-4),
        SepConv(24, 5, 2, "swish", 1e-3),
        SepConv(24, 3, 1, "relu", 1e-2),
        ConvBnAct(24, 3, groups=24, activation="relu6"),
        ConvBnAct(48, 3, 2, groups=8, activation=""),
        MBConv(48, 7, 1, activation="swish", se_channels=5, se_activation="swish"),
        Classifier(7),
    )
    head = Node("head", ConvBnAct(64, 1, activation="hard_swish", bn_eps=1e-3))
    return replace(network, nodes=(*network.nodes[:-1], head, network.nodes[-1]))


def proxyless() -> NetworkSpec:
    space = replace(PRESETS["proxyless-imagenet"][0], input_shape=(3, 96, 96))
    return space.decode(space.uniform_architectures()["k5e3, depth 2"])


def proxyless_small() -> NetworkSpec:
    """What `fit` finds on small images."""
    space = PRESETS["proxyless-small"][0]
    return space.decode(space.uniform_architectures()["k3e6, depth 3"])


NETWORKS = {
    "proxyless-small": proxyless_small,
    "mobilenet-v2": lambda: published("mobilenet-v2").network((3, 96, 96)),
    "proxyless": proxyless,
    "mobilenet-v3": mobilenet_v3,
    "every block": every_block,
}


def check_same(network: NetworkSpec) -> nn.Module:
    arrays = used_arrays(network, 1)
    ours, theirs = build(network).eval(), to_timm(network, arrays).eval()
    load_arrays(ours, arrays)
    images = torch.randn(2, *network.input_shape)
    with torch.no_grad():
        expected = ours(images)
        assert (theirs(images) - expected).abs().max() / expected.std() < 1e-5
    assert count(network).params == sum(value.numel() for value in theirs.parameters())
    return theirs


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_the_same(name: str) -> None:
    theirs = check_same(NETWORKS[name]())
    assert type(theirs).__name__ == ("MobileNetV3" if name == "mobilenet-v3" else "EfficientNet")


def test_a_once_for_all_file(shared_data: Path) -> None:
    path = shared_data / "ofa" / "specialized" / "note10_lat-11ms_top1-73.6_finetune-25.json"
    theirs = check_same(read_foreign(json.loads(path.read_text()), (3, 96, 96)).network)
    assert type(theirs).__name__ == "MobileNetV3"


@pytest.mark.parametrize("name", NETWORKS)
def test_features(name: str) -> None:
    """timm's feature extractor gives the maps that its whole model passes through."""
    network = NETWORKS[name]()
    arrays = used_arrays(network, 1)
    whole, features = to_timm(network, arrays).eval(), to_timm(network, arrays, features_only=True).eval()
    images = torch.randn(2, *network.input_shape)
    with torch.no_grad():
        maps = features(images)
        expected = whole.forward_intermediates(images, intermediates_only=True)
    side = network.input_shape[1]
    channels, reductions = features.feature_info.channels(), features.feature_info.reduction()
    assert reductions == {"mobilenet-v3": [2, 4, 8, 16], "every block": [2, 4, 8], "proxyless-small": [2, 4, 8]}.get(
        name, [2, 4, 8, 16, 32]
    )
    assert [tuple(one.shape) for one in maps] == [
        (2, width, side // reduction, side // reduction) for width, reduction in zip(channels, reductions, strict=True)
    ]
    assert len(expected) == len(maps)
    assert all((a - b).abs().max() / b.std() < 1e-5 for a, b in zip(maps, expected, strict=True))


def test_the_interfaces_of_timm_work() -> None:
    network = NETWORKS["mobilenet-v2"]()
    model = to_timm(network).eval()
    images = torch.randn(1, *network.input_shape)
    assert model.get_classifier().out_features == 1000
    assert model.forward_features(images).shape == (1, 1280, 3, 3)
    model.reset_classifier(5)
    assert model(images).shape == (1, 5)
    assert model.forward_head(model.forward_features(images), pre_logits=True).shape == (1, 1280)


def test_the_twin_in_timm_has_the_same_parameters_and_names() -> None:
    import timm

    ours, twin = to_timm(NETWORKS["mobilenet-v2"]()), timm.create_model("mobilenetv2_100")
    shapes = {name: tuple(value.shape) for name, value in twin.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in ours.state_dict().items()} == shapes
    assert sum(value.numel() for value in ours.parameters()) == 3_504_872
    ours.load_state_dict(twin.state_dict())
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(ours.eval()(images), twin.eval()(images))


def test_random_state_is_left_alone_and_weights_are_the_same_every_time() -> None:
    network = mobilenet_v3()
    torch.manual_seed(4)
    before = torch.get_rng_state()
    first = to_timm(network)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(5)
    second = to_timm(network)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with torch.device("meta"):
        assert next(to_timm(network).parameters()).is_meta


STEM, LAST = ConvBnAct(16, 3, 2, activation="relu"), Classifier(10)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            chain(STEM, BasicBlock(16), LAST),
            "node 'stage1.block0' is a BasicBlock; timm's EfficientNet and MobileNetV3 have no such block",
        ),
        (chain(STEM, MBConv(16, 4, 3, 2), LAST), "node 'stage1.block0': timm's blocks have odd kernels"),
        (chain(STEM, MBConv(16, 3, 3, 3), LAST), "node 'stage1.block0': timm's blocks have odd kernels"),
        (chain(STEM, MBConv(16, 3, 1.25), LAST), "node 'stage1.block0': timm rounds the middle width 20 to 24"),
        (chain(ConvBnAct(16, 3, 1), MBConv(16, 3, 3), LAST), "node 'stem': a timm model begins with"),
        (chain(ConvBnAct(15, 3, 2, groups=3), MBConv(16, 3, 8), LAST), "node 'stem': a timm model begins with"),
        (chain(MBConv(16, 3, 8), MBConv(16, 3, 3), LAST), "node 'stem' must be the stem of a timm model"),
        (chain(STEM, LAST), "node 'classifier' follows no block"),
        (chain(STEM, MBConv(16, 3, 3), MBConv(8, 3, 3)), "node 'classifier' must be what ends a timm model"),
        (NetworkSpec((3, 8, 8), (Node("stem", STEM),)), "node 'stem' must be what ends a timm model"),
        (
            chain(STEM, *[MBConv(16, 3, 3, 2)] * 5, Classifier(10, hidden_channels=64)),
            "node 'stage5.block0' shrinks the map 64-fold",
        ),
        (
            chain(ConvBnAct(16, 5, 2), MBConv(16, 3, 3), Classifier(10, hidden_channels=64)),
            "begins with an ungrouped convolution of stride 2 and kernel 3, not stride 2, kernel 5",
        ),
    ],
)
def test_what_timm_cannot_express_is_named(network: NetworkSpec, said: str) -> None:
    with pytest.raises(InputError) as error:
        to_timm(network)
    assert said in str(error.value)


def test_no_chain_no_timm_model() -> None:
    network = chain(STEM, MBConv(16, 3, 3), MBConv(16, 3, 3), LAST)
    nodes = list(network.nodes)
    nodes[2] = Node("stage2.block0", MBConv(16, 3, 3), ("stem",))
    with pytest.raises(InputError, match=r"node 'stage2\.block0' reads other nodes than the one before it"):
        to_timm(replace(network, nodes=tuple(nodes)))


def test_deeper_strides_than_timm_is_used_to() -> None:
    """EfficientNet is told not to dilate, so that a map may shrink beyond 32-fold."""
    network = chain(STEM, *[MBConv(16, 3, 3, 2)] * 5, LAST)
    check_same(network)
    assert to_timm(network, features_only=True).feature_info.reduction() == [2, 4, 8, 16, 32, 64]


def test_arrays_of_another_network_are_refused() -> None:
    arrays = arrays_of(build(NETWORKS["every block"]()))
    with pytest.raises(InputError, match="do not belong to this network"):
        to_timm(mobilenet_v3(), arrays)
