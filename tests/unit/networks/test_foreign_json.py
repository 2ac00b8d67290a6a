"""Network JSON of ProxylessNAS, Once-for-All and MCUNet: published figures, layers, names, and refusals by field."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from foreign_files import block, convolution, mobilenet_v3_file, proxyless_file

from hwnas.core.counting import count, macs
from hwnas.core.errors import FileFormatError, InputError, UnknownName
from hwnas.core.layers import Classifier, MBConv
from hwnas.core.network import NetworkSpec, lower
from hwnas.networks.foreign import is_foreign, read_foreign

# Name, width, side of the images in pixels, parameters, million MACs without and with squeeze-excite, and kernel and
# expansion of every block by stage; the fixed first block is left out. Computed from the files of han-cai/files.
OFA = """
1080ti_gpu64-15ms_top1-73.8_finetune-25|144|6042264|225.761|34,34 ; 36,36,34 ; 33,53 ; 33,54,33,36 ; 36,76,74,36 ; 53
1080ti_gpu64-27ms_top1-76.4_finetune-25|188|6493328|396.708|33,33 ; 36,56,34,34 ; 56,33,54 ; 56,34,54 ; 36,56,73,36 ; 76
LG-G8_lat-16ms_top1-74.7_finetune-25|176|5809576|149.526 / 151.109|33,33 ; 74,53,33 ; 56,54,53 ; 34,74,53 ; 56,76,36,34
LG-G8_lat-8ms_top1-71.1_finetune-25|144|4112176|72.813 / 73.471|33,33 ; 54,53 ; 53,33,33 ; 36,74 ; 36,74
cpu_lat-11ms_top1-72.0_finetune-25|144|4394600|160.315|54,53 ; 33,73 ; 54,34,73 ; 54,74 ; 36,34 ; 54
cpu_lat-17ms_top1-75.7_finetune-25|208|4933568|364.488|33,34 ; 53,34 ; 36,73,33 ; 53,54,36 ; 36,54,33 ; 34
flops-482M_top1-79.6_finetune-75|224|9066368|479.531 / 482.413|53,33,33 ; 54,34,54,33 ; 54,56,33,33 ; 56,76,36,54 ; 76,36,36,33
note10_lat-11ms_top1-73.6_finetune-25|176|4278224|108.911 / 109.607|33,33 ; 54,34 ; 54,34 ; 34,33,33 ; 34,54,54
note10_lat-22ms_top1-76.6_finetune-25|224|5863056|235.394 / 237.063|33,33 ; 53,34,34 ; 74,54,54 ; 54,36,34 ; 36,36,36,33
note10_lat-41ms_top1-79.3_finetune-75|220|9030192|454.360 / 457.253|33,34 ; 74,34,36 ; 76,36,33,34 ; 36,56,36,34 ; 36,36,36,33
note10_lat-64ms_top1-80.2_finetune-75|260|9109040|740.233 / 743.131|33,36,33 ; 54,36,33,53 ; 56,56,34,74 ; 56,36,36,34 ; 36,36,56,33
note8_lat-22ms_top1-70.4_finetune-25|140|4304592|66.368 / 67.197|33,33 ; 53,53 ; 74,33 ; 53,34 ; 36,76
note8_lat-49ms_top1-74.9_finetune-25|176|6024176|161.943 / 163.703|53,34 ; 54,34,74 ; 74,73,34 ; 34,36,34 ; 36,56,36,54
pixel1_lat-132ms_top1-79.8_finetune-75|228|9225040|589.809 / 592.737|53,36 ; 54,56,36,53 ; 76,56,36,54 ; 56,56,56,54 ; 36,36,56,33
pixel1_lat-20ms_top1-71.4_finetune-25|152|4304592|75.836 / 76.664|33,33 ; 53,53 ; 74,33 ; 53,34 ; 36,76
pixel1_lat-40ms_top1-74.9_finetune-25|172|6024176|160.505 / 162.265|53,34 ; 54,34,74 ; 74,73,34 ; 34,36,34 ; 36,56,36,54
pixel1_lat-79ms_top1-78.7_finetune-75|224|8168608|353.067 / 355.470|33,33 ; 53,34 ; 74,54,33 ; 56,34,34,33 ; 36,36,36,33
pixel2_lat-35ms_top1-73.4_finetune-25|160|5060264|111.974 / 113.042|33,33 ; 33,34,36 ; 74,74 ; 54,33,33,73 ; 74,76,73,53
pixel2_lat-62ms_top1-75.8_finetune-25|208|5809576|206.362 / 207.945|33,33 ; 74,53,33 ; 56,54,53 ; 34,74,53 ; 56,76,36,34
s7edge_lat-41ms_top1-73.1_finetune-25|160|4663872|95.047 / 95.935|33,33 ; 53,34 ; 74,54 ; 34,34,33 ; 36,54,33,33
s7edge_lat-88ms_top1-76.3_finetune-25|192|6426992|217.328 / 219.277|53,34 ; 56,36,34 ; 74,56,53 ; 56,56,34,54 ; 36,76,36,34
tx2_gpu16-47ms_top1-72.9_finetune-25|144|4933568|179.273|33,34 ; 53,34 ; 36,73,33 ; 53,54,36 ; 36,54,33 ; 34
tx2_gpu16-96ms_top1-75.8_finetune-25|172|6163200|348.919|33,34,36 ; 73,54 ; 34,54,54,53 ; 54,73,73,36 ; 36,36,56,34 ; 53
v100_gpu64-5ms_top1-71.6_finetune-25|128|5186720|141.198|33,33 ; 53,36 ; 34,54,36 ; 34,36,74 ; 36,54,54 ; 34
v100_gpu64-9ms_top1-75.3_finetune-25|188|5186720|312.808|33,33 ; 53,36 ; 34,54,36 ; 34,36,74 ; 36,54,54 ; 34
"""  # noqa: E501
ROWS = [line.split("|") for line in OFA.strip().splitlines()]
Published = Callable[[str], NetworkSpec]


def content(path: Path) -> Any:
    return json.loads(path.read_text())


def without_squeeze_excite(network: NetworkSpec) -> int:
    graph = lower(network)
    shapes = graph.shapes()
    return sum(macs(operation, shapes) for operation in graph.operations if ".se." not in operation.name)


def operations(network: NetworkSpec) -> str:
    """Kernel and expansion of every block, by the stage in its name."""
    stages: dict[str, list[str]] = {}
    for node in network.nodes:
        if node.name.startswith("stage"):
            assert isinstance(node.layer, MBConv)
            said = f"{node.layer.kernel}{node.layer.expansion:g}"
            stages.setdefault(node.name.split(".")[0], []).append(said)
    return " ; ".join(",".join(blocks) for blocks in stages.values())


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_once_for_all_files_have_their_published_figures(shared_data: Path, row: list[str]) -> None:
    name, side, params, million_macs, blocks = row
    data = content(shared_data / "ofa" / "specialized" / f"{name}.json")
    network = read_foreign(data, (3, int(side), int(side))).network
    figures = million_macs.split(" / ")
    counts = count(network)
    assert counts.params == int(params)
    assert f"{without_squeeze_excite(network) / 1e6:.3f}" == figures[0]
    assert f"{counts.macs / 1e6:.3f}" == figures[-1]
    assert operations(network) == blocks
    assert read_foreign(data).network.input_shape == (3, 224, 224)


def test_every_once_for_all_file_is_in_the_table(shared_data: Path) -> None:
    assert {path.stem for path in (shared_data / "ofa" / "specialized").glob("*.json")} == {row[0] for row in ROWS}
    assert len(ROWS) == 25


@pytest.mark.parametrize(
    ("name", "params", "count_of_macs"),
    [
        ("mobile", 4_080_512, 320_427_584),
        ("cpu", 4_361_648, 439_243_864),
        ("gpu", 7_119_848, 465_260_160),
        ("mobile-14", 6_857_568, 580_883_408),
    ],
)
def test_proxyless_files_are_the_published_networks(
    shared_data: Path, published: Published, name: str, params: int, count_of_macs: int
) -> None:
    path = shared_data / "proxylessnas" / f"proxyless_{name.replace('-', '_')}.config"
    network = read_foreign(content(path)).network
    counts = count(network)
    assert (counts.params, counts.macs) == (params, count_of_macs)
    # Written down by hand with torch's batch-norm; the file says 0.001.
    written = [node.layer for node in published(name).nodes]
    expected = [layer if isinstance(layer, Classifier) else replace(layer, bn_eps=0.001) for layer in written]
    assert [node.layer for node in network.nodes] == expected


def test_the_mcunet_file_says_its_resolution(shared_data: Path) -> None:
    found = read_foreign(content(shared_data / "mcunet" / "proxyless-w0.3-r176_imagenet.json"))
    assert found.network.input_shape == (3, 176, 176)
    assert count(found.network).params == 754_280
    assert found.format == "ProxylessNASNets JSON" and found.notes == ()


def test_removed_layers_leave_no_node_and_keep_their_number() -> None:
    network = read_foreign(proxyless_file()).network
    names = [node.name for node in network.nodes]
    assert names == [
        "stem", "first", "stage1.block0", "stage1.block1", "stage2.block0", "stage2.block2", "stage3.block0", "head",
        "classifier",
    ]  # fmt: skip
    layers = {node.name: node.layer for node in network.nodes}
    assert layers["first"] == MBConv(8, 3, 1, residual=False, bn_eps=0.001)
    assert layers["stage1.block0"] == MBConv(16, 5, 3, 2, bn_eps=0.001)
    assert network.input_shape == (3, 48, 48)


def test_mobilenet_v3_layers() -> None:
    found = read_foreign(mobilenet_v3_file())
    layers = {node.name: node.layer for node in found.network.nodes}
    assert layers["first"] == MBConv(16, 3, 1, activation="relu")
    assert layers["stage1.block0"] == MBConv(24, 5, 2.5, 2, activation="relu")
    squeezed = {"activation": "hard_swish", "se_gate": "hard_sigmoid"}
    assert layers["stage1.block1"] == MBConv(24, 3, 4, se_channels=24, **squeezed)
    assert layers["stage2.block0"] == MBConv(32, 7, 6, 2, se_channels=40, **squeezed)  # 144 // 4 = 36, up to 40
    assert layers["classifier"] == Classifier(10, hidden_channels=128, hidden_bias=False)
    assert [note for note in found.notes if "dropout" in note] == list(found.notes) and len(found.notes) == 1


def test_newer_releases_call_the_same_things_otherwise() -> None:
    old, new = proxyless_file(), proxyless_file()
    for row in new["blocks"]:
        row["name"] = "ResidualBlock"
        row["conv"] = row.pop("mobile_inverted_conv")
        if row["conv"]["name"] != "ZeroLayer":
            row["conv"] |= {"name": "MBConvLayer", "groups": None}
    new["first_conv"]["use_se"] = False
    assert read_foreign(new) == read_foreign(old)


def test_images_and_classes_that_are_asked_for_win() -> None:
    network = read_foreign(mobilenet_v3_file(), (3, 80, 64), 7).network
    assert network.input_shape == (3, 80, 64)
    assert network.nodes[-1].layer == Classifier(7, hidden_channels=128, hidden_bias=False)
    with pytest.raises(InputError, match=r"'first_conv\.in_channels' must be 1, the width of what arrives"):
        read_foreign(mobilenet_v3_file(), (1, 80, 64))


def test_weight_names_cover_every_array_in_both_spellings() -> None:
    names = read_foreign(mobilenet_v3_file()).weight_names
    assert names["stem.conv.weight"] == ("first_conv.conv.weight",)
    assert names["stage1.block1.se.reduce.bias"] == (
        "blocks.2.mobile_inverted_conv.depth_conv.se.fc.reduce.bias",
        "blocks.2.conv.depth_conv.se.fc.reduce.bias",
    )
    assert names["head.bn.running_var"] == ("final_expand_layer.bn.running_var",)
    assert names["classifier.hidden.weight"] == ("feature_mix_layer.conv.weight",)
    assert names["classifier.linear.bias"] == ("classifier.linear.bias",)
    removed = read_foreign(proxyless_file()).weight_names  # its fifth block is removed, the numbers go on
    assert (
        removed["stage2.block2.expand.conv.weight"][0]
        == "blocks.5.mobile_inverted_conv.inverted_bottleneck.conv.weight"
    )


def changed(path: str, value: Any, data: dict[str, Any] | None = None) -> dict[str, Any]:
    data = data or proxyless_file()
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    holder: Any = data
    for part in way:
        holder = holder[part]
    holder[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("blocks/3/mobile_inverted_conv/kernel_size", "7", "blocks[3].mobile_inverted_conv.kernel_size"),
        ("blocks/3/mobile_inverted_conv/kernel_size", 4, "blocks[3].mobile_inverted_conv.kernel_size"),
        ("blocks/3/mobile_inverted_conv/kernel_size", [3, 5], "blocks[3].mobile_inverted_conv.kernel_size"),
        ("blocks/3/mobile_inverted_conv/in_channels", 24, "blocks[3].mobile_inverted_conv.in_channels"),
        ("blocks/3/mobile_inverted_conv/mid_channels", 0, "blocks[3].mobile_inverted_conv.mid_channels"),
        ("blocks/0/mobile_inverted_conv/mid_channels", 16, "blocks[0].mobile_inverted_conv.mid_channels"),
        ("blocks/3/mobile_inverted_conv/groups", 4, "blocks[3].mobile_inverted_conv.groups"),
        ("blocks/3/mobile_inverted_conv/act_func", "tanh", "blocks[3].mobile_inverted_conv.act_func"),
        ("blocks/3/mobile_inverted_conv/name", "LinearLayer", "blocks[3].mobile_inverted_conv.name"),
        ("blocks/3/shortcut", proxyless_file()["blocks"][2]["shortcut"], "blocks[3].shortcut"),
        ("blocks/2/shortcut/name", "ConvLayer", "blocks[2].shortcut.name"),
        ("blocks/2/shortcut/in_channels", [15], "blocks[2].shortcut.in_channels"),
        ("blocks/2/shortcut/dropout_rate", 0.2, "blocks[2].shortcut.dropout_rate"),
        ("blocks/4/mobile_inverted_conv/stride", 2, "blocks[4].mobile_inverted_conv.stride"),
        ("first_conv/has_shuffle", 1, "first_conv.has_shuffle"),
        ("first_conv/dilation", 2, "first_conv.dilation"),
        ("first_conv/use_bn", False, "first_conv.use_bn"),
        ("first_conv/bias", True, "first_conv.bias"),
        ("first_conv/groups", 2, "first_conv.groups"),
        ("first_conv/ops_order", "bn_act_weight", "first_conv.ops_order"),
        ("feature_mix_layer/dropout_rate", 0.1, "feature_mix_layer.dropout_rate"),
        ("classifier/bias", False, "classifier.bias"),
        ("classifier/in_features", 65, "classifier.in_features"),
        ("classifier/out_features", True, "classifier.out_features"),
        ("bn/ws_eps", 1e-5, "bn.ws_eps"),
        ("bn/eps", 0, "bn.eps"),
        ("blocks", [], "blocks"),
        ("blocks/1", 7, "blocks[1]"),
        ("resolution", 0, "resolution"),
        ("auxiliary_head", {}, "auxiliary_head"),
    ],
)
def test_what_cannot_be_read_is_named(path: str, value: Any, field: str) -> None:
    with pytest.raises(FileFormatError) as error:
        read_foreign(changed(path, value))
    assert f"field '{field}'" in str(error.value) or str(error.value).startswith(f"{field} must be")


def test_a_pooled_convolution_with_batch_norm_is_refused() -> None:
    with pytest.raises(FileFormatError, match=r"field 'feature_mix_layer\.use_bn' must be False, not True"):
        read_foreign(changed("feature_mix_layer/use_bn", True, mobilenet_v3_file()))


def test_kinds_are_told_by_name() -> None:
    with pytest.raises(UnknownName, match="'ProxylessNASNet': did you mean 'ProxylessNASNets'"):
        read_foreign(changed("name", "ProxylessNASNet"))
    with pytest.raises(FileFormatError, match="the field 'name' is missing or no text"):
        read_foreign({"blocks": []})


def test_networks_of_mcunet_may_lack_the_last_convolution() -> None:
    data = changed("classifier/in_features", 32, changed("feature_mix_layer", None))
    assert [node.name for node in read_foreign(data).network.nodes][-2:] == ["stage3.block0", "classifier"]


def test_which_files_are_foreign() -> None:
    assert is_foreign(proxyless_file()) and is_foreign({"blocks": 3}) and is_foreign([["ir_r1"]])
    assert is_foreign({"arch_def": None})
    ours = read_foreign(proxyless_file()).network.to_json()
    assert not is_foreign(ours) and not is_foreign({"space": "toy@1", "choices": []}) and not is_foreign("blocks")


def test_images_that_are_too_small_are_refused() -> None:
    data = proxyless_file()
    data["first_conv"] = convolution(3, 8, 3, 2)
    data["blocks"][0] = block(8, 8, 3, 1, 1)
    with pytest.raises(InputError, match="images are"):
        read_foreign(data, (3, 0, 32))
    with pytest.raises(InputError, match="more than 67,108,864 values"):
        read_foreign(data, (3, 60_000, 60_000))
