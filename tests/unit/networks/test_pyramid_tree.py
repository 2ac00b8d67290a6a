"""ProxylessNAS's CIFAR-10 network: the published file, read and interpreted, and damaged files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.counting import count
from hwnas.core.errors import FileFormatError, HwnasError
from hwnas.core.network import NetworkSpec
from hwnas.core.pyramid import PyramidTreeBlock
from hwnas.networks.catalogue import published
from hwnas.networks.pyramid_tree import pyramid_tree
from hwnas.networks.pyramid_tree_file import read_pyramid_tree
from hwnas.nn.build import BuiltNetwork, arrays_of

NETWORK = published("proxyless-cifar").network()


@pytest.fixture(scope="module")
def file(shared_data: Path) -> dict[str, Any]:
    path = shared_data / "proxylessnas" / "proxyless_cifar.config"
    if not path.exists():
        pytest.skip(f"no {path}: set HWNAS_DATA to a folder with proxylessnas/proxyless_cifar.config")
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def blocks_of(network: NetworkSpec) -> list[PyramidTreeBlock]:
    return [node.layer for node in network.nodes if isinstance(node.layer, PyramidTreeBlock)]


def test_counts_and_widths() -> None:
    counts = count(NETWORK)
    assert (counts.params, counts.macs) == (5_731_530, 1_213_155_872)
    blocks = blocks_of(NETWORK)
    assert [block.width for block in blocks[:12]] == [18, 18, 20, 22, 24, 24, 26, 28, 30, 32, 32, 34]
    assert (len(blocks), blocks[-1].width) == (54, 100)
    assert [index for index, block in enumerate(blocks, start=1) if block.stride == 2] == [19, 37]


def test_operations_are_as_frequent_as_in_the_published_network() -> None:
    # Per operation on the second and the third level of the trees.
    expected = {
        "identity": (30, 66), "sep3": (20, 63), "dil3": (36, 54), "sep5": (26, 59), "sep7": (45, 71), "avg3": (19, 70),
        "max3": (40, 49),
    }  # fmt: skip
    edges = [block.edges for block in blocks_of(NETWORK)]
    found = {
        name: (
            sum(row[0::3].count(name) for row in edges),
            sum(row[1::3].count(name) + row[2::3].count(name) for row in edges),
        )
        for name in expected
    }
    assert found == expected


def test_the_named_network_is_the_published_file(file: dict[str, Any]) -> None:
    assert read_pyramid_tree(file) == NETWORK


class Interpreter:
    """Executes the file itself, drawing weights in order; what a field means is as in the project that wrote it."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays: Iterator[torch.Tensor] = iter(torch.from_numpy(array) for array in arrays.values())

    def norm(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias, mean, variance = (next(self.arrays) for _ in range(4))
        return F.batch_norm(x, mean, variance, weight, bias)

    def layer(self, data: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
        assert data["ops_order"] == "bn_act_weight"
        x = self.norm(x) if data["use_bn"] else x
        x = x.relu() if data["act_func"] == "relu" else x
        match data["name"]:
            case "ConvLayer":
                x = F.conv2d(
                    x, next(self.arrays), None, data["stride"], data["kernel_size"] // 2, 1, data["groups"]
                )  # fmt: skip
                batch, channels, *size = x.shape
                groups = data["groups"] if data["has_shuffle"] else 1
                return x.reshape(batch, groups, channels // groups, *size).transpose(1, 2).reshape(x.shape)
            case "DepthConvLayer":
                padding = data["kernel_size"] // 2 * data["dilation"]
                x = F.conv2d(x, next(self.arrays), None, data["stride"], padding, data["dilation"], x.shape[1])
                return F.conv2d(x, next(self.arrays))
            case "PoolingLayer":
                padding = data["kernel_size"] // 2 if data["stride"] == 1 else 0
                if data["pool_type"] == "max":
                    return F.max_pool2d(x, data["kernel_size"], data["stride"], padding)
                return F.avg_pool2d(x, data["kernel_size"], data["stride"], padding, count_include_pad=False)
            case "LinearLayer":
                return F.linear(x, next(self.arrays), next(self.arrays))
            case _:
                return x

    def node(self, data: dict[str, Any] | None, x: torch.Tensor) -> torch.Tensor:
        if data is None:
            return x
        count = len(data["edges"])
        inputs = x.chunk(count, dim=1) if data["split_type"] == "split" else [x] * count
        outputs = []
        for edge, child, start in zip(data["edges"], data["child_nodes"], inputs, strict=True):
            value = self.layer(edge, start)
            after = self.node(child, value)
            outputs.append(self.norm(after) + value if data["has_branch_bn"] else after)
        return torch.stack(outputs).sum(dim=0)

    def network(self, data: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
        for block in data["blocks"]:
            for layer in block.get("layers", ()):
                x = self.layer(layer, x)
            if "cell" in block:
                shortcut = self.layer(block["shortcut"], x)
                value = self.node(block["cell"], self.layer(block["in_bottle"], x))
                value = self.norm(self.layer(block["out_bottle"], value))
                missing = value.shape[1] - shortcut.shape[1]
                x = F.pad(shortcut, (0, 0, 0, 0, 0, missing)) + value
        return self.layer(data["classifier"], x.flatten(1))


def test_the_file_executed_gives_our_scores(
    file: dict[str, Any], settled_module: Callable[[NetworkSpec], BuiltNetwork]
) -> None:
    module = settled_module(NETWORK)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        interpreter = Interpreter(arrays_of(module))
        expected = interpreter.network(file, images)
        assert next(interpreter.arrays, None) is None
        assert float((module(images) - expected).abs().max() / expected.abs().max()) < 1e-5


def small_file() -> dict[str, Any]:
    """A file of two blocks, written by hand."""
    plain = {"use_bn": False, "act_func": None, "dropout_rate": 0, "ops_order": "bn_act_weight"}
    active = {"use_bn": True, "act_func": "relu", "dropout_rate": 0, "ops_order": "bn_act_weight"}

    def layer(name: str, before: int, after: int, how: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return {"name": name, **fields, "in_channels": before, "out_channels": after, **how}

    def conv(name: str, before: int, after: int, how: dict[str, Any], kernel: int, **fields: Any) -> dict[str, Any]:
        defaults = {"stride": 1, "dilation": 1, "groups": 1, "bias": False, "has_shuffle": False}
        return layer(name, before, after, how, **{"kernel_size": kernel, **defaults, **fields})

    def node(width: int, edges: list[Any], children: list[Any], **fields: Any) -> dict[str, Any]:
        defaults = {"in_channels": width, "out_channels": width, "split_type": "copy", "merge_type": "add"}
        drops = {"has_branch_bn": False, "path_drop_rate": 0}
        return {"name": "TreeNode", **defaults, **drops, **fields, "edges": edges, "child_nodes": children}

    def block(before: int, width: int, stride: int) -> dict[str, Any]:
        same = layer("IdentityLayer", width, width, plain)
        pool = layer("PoolingLayer", width, width, plain, pool_type="max", kernel_size=3, stride=1)
        sep = conv("DepthConvLayer", width, width, active, 5)
        dilated = conv("DepthConvLayer", width, width, active, 3, dilation=2)
        leaf, other = node(width, [sep, pool], [None, None]), node(width, [same, dilated], [None, None])
        halves = [node(width, [same, dilated], [leaf, other]), node(width, [pool, sep], [other, leaf])]
        split = {"in_channels": 2 * width, "split_type": "split", "has_branch_bn": True}
        root = conv("ConvLayer", width, 2 * width, active, 3, stride=stride, groups=2, has_shuffle=True)
        shortcut = layer("IdentityLayer", before, before, plain)
        if stride == 2:
            shortcut = layer("PoolingLayer", before, before, plain, pool_type="avg", kernel_size=2, stride=2)
        return {
            "name": "ResidualTreeBlock",
            "cell_drop_rate": 0.0,
            "final_bn": True,
            "shortcut": shortcut,
            "in_bottle": conv("ConvLayer", before, width, {**plain, "use_bn": True}, 1),
            "out_bottle": conv("ConvLayer", width, 4 * width, active, 1),
            "cell": node(width, [root], [node(width, [same, same], halves, **split)], split_type=None, merge_type=None),
        }

    stem = [conv("ConvLayer", 3, 8, plain, 3), layer("IdentityLayer", 8, 8, {**plain, "use_bn": True})]
    last = layer("PoolingLayer", 24, 24, active, pool_type="avg", kernel_size=4, stride=4)
    blocks = [
        {"name": "TransitionBlock", "layers": stem},
        block(8, 4, 1),
        block(16, 6, 2),
        {"name": "TransitionBlock", "layers": [last]},
    ]
    classifier = {"name": "LinearLayer", "in_features": 24, "out_features": 5, "bias": True, **plain}
    data: dict[str, Any] = {"name": "PyramidTreeNet", "blocks": blocks, "classifier": classifier}
    return data


def test_a_small_file_is_read(settled_module: Callable[[NetworkSpec], BuiltNetwork]) -> None:
    data = small_file()
    half = ("identity", "sep5", "max3", "dil3", "identity", "dil3")
    other = ("max3", "identity", "dil3", "sep5", "sep5", "max3")
    first, second = (PyramidTreeBlock(width, stride, half + other) for width, stride in ((4, 1), (6, 2)))
    expected = pyramid_tree((3, 8, 8), ((first,), (second,)), 5, 8)
    assert read_pyramid_tree(data) == expected
    assert read_pyramid_tree({**data, "tree_node_config": {}, "cell_drop_rate": 0}) == expected
    module, images = settled_module(expected), torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(Interpreter(arrays_of(module)).network(data, images), module(images))


CELL = ("blocks", 2, "cell")
LEAF = (*CELL, "child_nodes", 0, "child_nodes", 1, "child_nodes", 0, "edges", 1)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("name",), "ProxylessNASNets", "'name' must be 'PyramidTreeNet', not 'ProxylessNASNets'"),
        (("name",), None, "'name' is missing"),
        (("blocks",), [], "'blocks' must be a list"),
        (("blocks",), {"0": 1}, "'blocks' must be a list"),
        (("blocks", 1), 7, r"'blocks\[1\].cell' is missing"),
        (("blocks", 0, "layers", 0, "use_bn"), True, r"'blocks\[0\].layers\[0\].use_bn' must be False, not True"),
        (("blocks", 0, "layers", 0, "out_channels"), 2**31, r"out_channels' must be a whole number from 1 to 65,535"),
        (("blocks", 0, "layers", 0, "out_channels"), True, r"out_channels' must be a whole number"),
        (("blocks", 2, "final_bn"), False, r"'blocks\[2\].final_bn' must be True, not False"),
        (("blocks", 2, "final_bn"), 1, r"'blocks\[2\].final_bn' must be True, not 1"),
        (("blocks", 2, "cell_drop_rate"), 0.1, r"cell_drop_rate' must be 0, not 0.1"),
        (("blocks", 2, "shortcut", "stride"), 1, r"'blocks\[2\].shortcut.stride' must be 2, not 1"),
        (("blocks", 2, "in_bottle", "in_channels"), 17, r"'blocks\[2\].in_bottle.in_channels' must be 16, not 17"),
        (("blocks", 2, "in_bottle", "out_channels"), 7, "must be"),
        (("blocks", 2, "speed"), 3, r"'blocks\[2\].speed' is unknown"),
        ((*CELL, "edges", 0, "stride"), 3, r"'blocks\[2\].cell.edges\[0\].stride' must be 1 or 2, not 3"),
        ((*CELL, "edges", 0, "groups"), 1, r"cell.edges\[0\].groups' must be 2, not 1"),
        ((*CELL, "child_nodes", 0, "merge_type"), "concat", r"\[0\].merge_type' must be 'add', not 'concat'"),
        ((*CELL, "child_nodes", 0, "child_nodes"), [], r"child_nodes\[0\].child_nodes\[0\]' is missing"),
        ((*LEAF, "name"), "ZeroLayer", r"edges\[1\].name' must be one of IdentityLayer, .*'ZeroLayer'"),
        ((*LEAF, "name"), ["ConvLayer"], r"edges\[1\].name' must be one of"),
        ((*LEAF, "kernel_size"), 9, r"kernel_size' must be \(dilation, kernel_size\) one of \(1, 3\), .*\(2, 9\)"),
        ((*LEAF, "act_func"), "relu6", r"edges\[1\].act_func' must be 'relu', not 'relu6'"),
        ((*LEAF, "out_channels"), None, r"edges\[1\].out_channels' is missing"),
        (("blocks", 3, "layers", 0, "stride"), 2, r"'blocks\[3\].layers\[0\].stride' must be 4, not 2"),
        (("classifier", "out_features"), 0, r"'classifier.out_features' must be a whole number"),
        (("classifier", "bias"), False, r"'classifier.bias' must be True, not False"),
        (("tree_node_config",), {"path_drop_rate": 0.1}, r"'tree_node_config.path_drop_rate' is unknown"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_error_that_names_the_field(path: tuple[Any, ...], value: Any, message: str) -> None:
    data = json.loads(json.dumps(small_file()))
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(FileFormatError, match=message):
        read_pyramid_tree(data)


@pytest.mark.parametrize("data", [None, 3, [], "PyramidTreeNet", {}])
def test_what_is_no_such_file(data: Any) -> None:
    with pytest.raises(FileFormatError, match="'name'"):
        read_pyramid_tree(data)


anything = st.one_of(st.none(), st.booleans(), st.integers(-2, 70), st.floats(), st.text(max_size=4), st.just([]))


@settings(max_examples=200)
@given(st.data())
def test_whatever_a_file_says_the_error_is_ours(data: st.DataObject) -> None:
    damaged = json.loads(json.dumps(small_file()))
    place: Any = damaged
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(anything)
            break
        place = place[key]
    try:
        network = read_pyramid_tree(damaged)
    except HwnasError as error:
        assert str(error)
    else:
        assert count(network).layers == len(network.nodes)
