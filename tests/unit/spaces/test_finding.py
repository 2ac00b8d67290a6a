"""Networks found in spaces: published ones by their encodings, each of a space in it, refusals that say why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwnas.compose import SPACES, open_space
from hwnas.core.architecture import Architecture
from hwnas.core.errors import InputError
from hwnas.core.layers import BasicBlock, Classifier, ConvBnAct, MBConv, SepConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.protocols import SearchSpace
from hwnas.networks.catalogue import published as by_name
from hwnas.spaces.finding import Found, find
from hwnas.spaces.macro import MacroSpace
from hwnas.spaces.ofa import ofa_space
from hwnas.spaces.outline import outlined
from hwnas.spaces.toy import ToySpace
from hwnas.spaces.tunas import tunas_indices

Published = Callable[[str], NetworkSpec]
FINDABLE = [name for name in SPACES if name not in ("toy", "mnasnet-small")]
MNASNET_B1 = (  # repeats, kernel, stride, expansion, channels (github.com/tensorflow/tpu, models/official/mnasnet)
    (1, 3, 1, 1, 16), (3, 3, 2, 3, 24), (3, 5, 2, 3, 40), (3, 5, 2, 6, 80), (2, 3, 1, 6, 96), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
MOBILENET_V2_INDICES = [0, 3, 3, 6, 6, 3, 3, 3, 6, 3, 3, 3, 3, 3, 3, 3, 6, 3, 3, 3, 6, 3]
MNASNET_B1_INDICES = [0, 0, 0, 0, 6, 1, 1, 1, 6, 4, 4, 4, 6, 3, 3, 6, 6, 4, 4, 4, 4, 3]
PROXYLESS_MOBILE_INDICES = [0, 1, 0, 6, 6, 2, 0, 1, 1, 5, 1, 1, 1, 4, 1, 1, 1, 5, 5, 2, 2, 5]


def mnasnet_b1() -> NetworkSpec:
    nodes = [Node("stem", ConvBnAct(32, 3, 2, activation="relu", bn_eps=1e-3))]
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(MNASNET_B1):
        for block in range(repeats):
            layer = MBConv(channels, kernel, expansion, 1 if block else stride, activation="relu", bn_eps=1e-3)
            nodes.append(Node(f"b{stage}.{block}", layer))
    head = Node("last", ConvBnAct(1280, 1, activation="relu", bn_eps=1e-3))
    return NetworkSpec((3, 224, 224), (*nodes, head, Node("scores", Classifier(1000))))


def own(name: str) -> SearchSpace:
    return SPACES[name].own


def searched(network: NetworkSpec) -> list[tuple[int, float, int, int]]:
    """Kernel, expansion, stride and width of every block."""
    blocks = [at.layer for at in outlined(network).body]
    return [(b.kernel, b.expansion, b.stride, b.out_channels) for b in blocks if isinstance(b, MBConv)]


def changed(network: NetworkSpec, name: str, **fields: Any) -> NetworkSpec:
    nodes = [Node(n.name, replace(n.layer, **fields)) if n.name == name else n for n in network.nodes]
    return replace(network, nodes=tuple(nodes))


def test_proxyless_mobile_is_in_tunas_proxyless(published: Published) -> None:
    network = published("mobile")
    found = find(own("tunas-proxyless"), network)
    assert tunas_indices(found.architecture) == PROXYLESS_MOBILE_INDICES
    assert searched(own("tunas-proxyless").decode(found.architecture)) == searched(network)
    assert found.differences == (
        "activation: relu6, in the space relu (stem, first, stage1.block0 and 19 more)",
        "batch-norm epsilon: 1e-05, in the space 0.001 (stem, first, stage1.block0 and 19 more)",
        "classes: 1000, in the space 1001 (classifier)",
    )
    assert find(own("tunas-proxyless-enlarged"), network).architecture["stage1.filters"] == 32


@pytest.mark.parametrize(
    ("network", "indices", "filters"),
    [
        (by_name("mobilenet-v2").network(), MOBILENET_V2_INDICES, (32, 16, 24, 32, 64, 96, 160, 320, 1280)),
        (mnasnet_b1(), MNASNET_B1_INDICES, (32, 16, 24, 40, 80, 96, 192, 320, 1280)),
    ],
)
def test_published_networks_in_the_enlarged_space(
    network: NetworkSpec, indices: list[int], filters: tuple[int, ...]
) -> None:
    space = own("tunas-proxyless-enlarged")
    arch = find(space, network).architecture
    assert tunas_indices(arch) == indices
    places = ("stem", "first", *(f"stage{stage}" for stage in range(1, 7)), "head")
    assert tuple(arch[f"{place}.filters"] for place in places) == filters
    assert searched(space.decode(arch)) == searched(network)


def test_mnasnet_b1_is_that_network_in_the_enlarged_space() -> None:
    assert find(own("tunas-proxyless-enlarged"), mnasnet_b1()).differences == (
        "classes: 1000, in the space 1001 (classifier)",
    )


def test_mobilenet_v2_is_in_mnasnets_space() -> None:
    arch = find(own("mnasnet"), by_name("mobilenet-v2").network()).architecture
    assert [arch[f"stage{stage}.layers"] for stage in range(1, 8)] == [1, 2, 3, 4, 3, 3, 1]
    assert [arch[f"stage{stage}.op"] for stage in range(1, 8)] == ["sepconv", *["mbconv6"] * 6]
    assert {arch[f"stage{stage}.filters"] for stage in range(1, 8)} == {"1.0"}


def test_differences_are_said_in_words(published: Published) -> None:
    network = changed(published("mobile"), "classifier", classes=10)
    network = changed(network, "stem", out_channels=40)
    network = changed(network, "head", out_channels=640)
    network = changed(network, "stage1.block1", residual=False, se_channels=12)
    network = changed(network, "first", activation="hard_swish")
    network = replace(network, input_shape=(3, 192, 192))
    space = own("proxyless-imagenet")
    with pytest.raises(InputError, match="'stage0.block0' has width 32, where 24 is offered"):
        find(space, network)
    for block in ("stage0.block0", "stage0.block1"):
        network = changed(network, block, out_channels=24)
    assert find(space, network).differences == (
        "width: 40, in the space 32 (stem)",
        "activation: hard_swish, in the space relu6 (first)",
        "squeeze-excite channels: 12, in the space 0 (stage2.block1)",
        "residual: no, in the space yes (stage2.block1)",
        "width: 640, in the space 1280 (head)",
        "classes: 10, in the space 1000 (classifier)",
        "input size: 3x192x192, in the space 3x224x224",
    )


def test_a_separable_convolution_may_stand_for_the_first_block(published: Published) -> None:
    network = published("mobile")
    nodes = tuple(Node("first", SepConv(16, 5, bn_eps=1e-3)) if n.name == "first" else n for n in network.nodes)
    found = find(own("tunas-proxyless"), replace(network, nodes=nodes))
    assert found.architecture["first.kernel"] == 5
    assert "kind of layer: SepConv, in the space MBConv (first)" in found.differences


@pytest.mark.parametrize(
    ("space", "network", "message"),
    [
        ("proxyless-imagenet", "mobile", "'stage0.block0' has width 32, where 24 is offered"),
        ("tunas-proxyless", "mobilenet-v2", "'width24.block0' has width 24, where 32 is offered"),
        ("tunas-proxyless", "gpu", "'first' has width 24, where 16 is offered"),
        ("tunas-proxyless-enlarged", "gpu", "'stem' has width 40, where 8, 16, 24, 32 are offered"),
        ("tunas-mobilenet-v3", "mobilenet-v2", "'width16.block0' has stride 1, where 2 is offered"),
        ("ofa-proxyless", "gpu", "'stage0.block0' has unit depth 1, where 2, 3, 4 are offered"),
        ("ofa-proxyless", "mobile", "'stage1.block0' has width 40, where 56 is offered"),
        ("ofa-mobilenet-v3", "mobilenet-v2", "'width32.block0' has width 32, where 40 is offered"),
        ("mnasnet", "gpu", "'stage1.block0' has width 56, where 24, 32, 40 are offered"),
        ("macro", "mobile", "'first' has stride 1, where 2 is offered"),
    ],
)
def test_networks_that_do_not_lie_in_a_space(published: Published, space: str, network: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        find(own(space), published(network))
    assert str(refused.value).startswith(f"the network does not lie in space '{space}@1': ")


def test_networks_of_another_form(published: Published) -> None:
    space = own("tunas-proxyless")
    mobile = published("mobile")
    for nodes, message in (
        (mobile.nodes[1:], "no chain of layers from a convolution to a classifier"),
        ((*mobile.nodes[:3], Node("x", mobile.nodes[3].layer, ("first",)), mobile.nodes[-1]), "no chain"),
        ((), "no chain"),
        (tuple(n for n in mobile.nodes if not n.name.startswith("stage5")), "no stage follows 'stage4.block3'"),
        ((*mobile.nodes[:2], Node("x", BasicBlock(32, 2)), mobile.nodes[-1]), "'x' is a BasicBlock, where inverted"),
        ((*mobile.nodes[:1], *mobile.nodes[-2:]), "no stage follows 'the stem'"),
    ):
        with pytest.raises(InputError, match=message):
            find(space, NetworkSpec(mobile.input_shape, nodes))
    more = (Node(f"more{i}", MBConv(32, 3, 3)) for i in range(3))
    with pytest.raises(InputError, match="'more2' is number 5 of its stage, where 4 are offered"):
        find(space, NetworkSpec(mobile.input_shape, (*mobile.nodes[:4], *more, *mobile.nodes[4:])))


def test_mnasnets_published_networks_are_not_in_its_space_as_written() -> None:
    with pytest.raises(InputError, match="'b5.0' has width 192, where 120, 160, 200 are offered"):
        find(own("mnasnet"), mnasnet_b1())
    wider = mnasnet_b1()
    for block in ("b4.0", "b4.1"):
        wider = changed(wider, block, out_channels=112)  # as in MnasNet-A1
    with pytest.raises(InputError, match="'b4.0' has width 112, where 72, 96, 120 are offered"):
        find(own("mnasnet"), wider)


def test_layers_of_a_block_that_are_not_alike_are_not_mnasnets() -> None:
    network = changed(by_name("mobilenet-v2").network(), "stage4.block2", kernel=5)
    with pytest.raises(InputError, match="'stage4.block2' has kernel 5 after a layer with 3"):
        find(own("mnasnet"), network)


def test_expansions_are_no_fractions() -> None:
    network = changed(by_name("mobilenet-v2").network(), "stage3.block1", expansion=2.5)
    with pytest.raises(InputError, match="'stage3.block1' has expansion 2.5, where 3, 6 are offered"):
        find(own("tunas-proxyless-enlarged"), network)
    with pytest.raises(InputError, match="'stage3.block1' has operation mbconv2.5, where conv, sepconv, mbconv3"):
        find(own("mnasnet"), network)


def test_a_space_without_outline_says_so() -> None:
    toy = ToySpace()
    with pytest.raises(InputError, match="'toy@1'"):
        find(toy, toy.decode(toy.optimum))


@pytest.mark.parametrize("name", FINDABLE)
def test_every_network_of_a_space_is_found_in_it(name: str) -> None:
    """The same layers in the same order; where several architectures have them, one of those."""
    space, rng = own(name), np.random.default_rng(0)
    exact = name == "macro" or name.startswith("ofa")
    for sample in (space.choices.sample, space.choices.sample_spread) * 10:
        arch = sample(rng)
        network = space.decode(arch)
        found = find(space, network)
        assert found.differences == ()
        assert [n.layer for n in space.decode(found.architecture).nodes] == [n.layer for n in network.nodes]
        assert found == Found(arch, ()) or not exact


def test_resolutions_are_found() -> None:
    space = ofa_space("ofa-mobilenet-v3", True)
    arch = space.choices.sample(np.random.default_rng(0))
    assert find(space, space.decode(arch)).architecture == arch
    odd = replace(space.decode(arch), input_shape=(3, 130, 130))
    with pytest.raises(InputError, match="images with side 130, where 128, 132"):
        find(space, odd)
    one = find(ofa_space("ofa-mobilenet-v3", False), odd)
    assert one.differences == ("input size: 3x130x130, in the space 3x224x224",)


def test_a_fitted_space_finds_its_networks() -> None:
    space = open_space("ofa-mobilenet-v3", (1, 96, 96), 7, 1.2)
    arch: Architecture = space.choices.sample(np.random.default_rng(1))
    assert find(space, space.decode(arch)) == Found(arch, ())


def test_macro_finds_removed_layers() -> None:
    space = MacroSpace()
    arch = space.of_digits("00120210")
    assert space.encoding(find(space, space.decode(arch)).architecture) == "00120210"
