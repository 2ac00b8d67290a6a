"""ProxylessNAS's files of CIFAR-10 networks (`PyramidTreeNet`) as NetworkSpecs.

The format can describe far more than was ever published. A file is read for what differs between such networks, then
compared, field by field, with the file that the network so found would have: nothing in it is passed over.

Source: `config` and `build_from_config` of mit-han-lab/proxylessnas (proxyless_nas/cifar_modules.py, layers.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.core.errors import FileFormatError, quoted
from hwnas.core.graphs import check_sizes
from hwnas.core.network import NetworkSpec, lower
from hwnas.core.primitives import MOST_OPERATIONS
from hwnas.core.pyramid import PyramidTreeBlock
from hwnas.networks.pyramid_tree import pyramid_tree

_KIND = "PyramidTreeNet"
_MOST = 2**16  # channels or classes
# What the project's own `config` writes besides, with the values that change nothing.
_WITHOUT_EFFECT = {"tree_node_config": {}, "cell_drop_rate": 0, "cell_drop_scheme": "linear"}
_ACTIVE: dict[str, Any] = {"use_bn": True, "act_func": "relu"}
# The fields that tell edges apart, and their values.
_TELLING = {"IdentityLayer": (), "PoolingLayer": ("pool_type",), "DepthConvLayer": ("dilation", "kernel_size")}
_OPERATIONS = {
    "identity": ("IdentityLayer",),
    "avg3": ("PoolingLayer", "avg"),
    "max3": ("PoolingLayer", "max"),
    "sep3": ("DepthConvLayer", 1, 3),
    "dil3": ("DepthConvLayer", 2, 3),
    "sep5": ("DepthConvLayer", 1, 5),
    "sep7": ("DepthConvLayer", 1, 7),
}


def read_pyramid_tree(data: Mapping[str, Any]) -> NetworkSpec:
    """The network of a `PyramidTreeNet` file.

    Args:
        data: the file's JSON.

    Returns:
        The network for square images of the size that its strides and its last pool are made for.

    Raises:
        FileFormatError: a field is missing, unknown, or of a value that these networks do not have; names it.
        InputError: the network is too large to be held, or its layers do not fit together.
    """
    kind, rows = _at(data, "name"), _at(data, "blocks")
    if kind != _KIND:
        raise _wrong(("name",), repr(_KIND), kind)
    if not isinstance(rows, list) or not 2 < len(rows) < MOST_OPERATIONS:
        raise _wrong(("blocks",), "a list of a stem, tree blocks and a pool", rows)
    last = len(rows) - 1
    channels = _number(data, "blocks", 0, "layers", 0, "in_channels")
    stem = _number(data, "blocks", 0, "layers", 0, "out_channels")
    window = _number(data, "blocks", last, "layers", 0, "kernel_size")
    classes = _number(data, "classifier", "out_features")
    blocks = [_block(data, index) for index in range(1, last)]
    beside = {key: value for key, value in _WITHOUT_EFFECT.items() if key in data}
    _compare((), data, {**_network_file(channels, stem, blocks, window, classes), **beside})
    side = window
    stages: list[list[PyramidTreeBlock]] = [[]]
    for block in blocks:
        side *= block.stride
        if block.stride > 1 and stages[-1]:
            stages.append([])
        stages[-1].append(block)
    network = pyramid_tree((channels, side, side), tuple(map(tuple, stages)), classes, stem)
    check_sizes(lower(network))
    return network


def _block(data: Any, index: int) -> PyramidTreeBlock:
    """What differs between tree blocks: width, stride, and the twelve operations."""
    cell = ("blocks", index, "cell")
    stride = _number(data, *cell, "edges", 0, "stride")
    if stride > 2:
        raise _wrong((*cell, "edges", 0, "stride"), "1 or 2", stride)
    edges = []
    for half in range(2):
        node = (*cell, "child_nodes", 0, "child_nodes", half)
        for branch in range(2):
            edges.append(_operation(data, *node, "edges", branch))
            edges += [_operation(data, *node, "child_nodes", branch, "edges", leaf) for leaf in range(2)]
    return PyramidTreeBlock(_number(data, "blocks", index, "in_bottle", "out_channels"), stride, tuple(edges))


def _operation(data: Any, *path: str | int) -> str:
    """The operation of an edge."""
    kind = _at(data, *path, "name")
    if not isinstance(kind, str) or kind not in _TELLING:
        raise _wrong((*path, "name"), f"one of {', '.join(_TELLING)}", kind)
    fields = _TELLING[kind]
    key = (kind, *(_at(data, *path, field) for field in fields))
    for operation, telling in _OPERATIONS.items():
        if telling == key:
            return operation
    known = ", ".join(str(telling[1:]) for telling in _OPERATIONS.values() if telling[0] == kind)
    raise _wrong((*path, fields[-1]), f"({', '.join(fields)}) one of {known}", key[1:])


def _network_file(
    channels: int, stem: int, blocks: list[PyramidTreeBlock], window: int, classes: int
) -> dict[str, Any]:
    start = [_layer("ConvLayer", channels, stem, **_conv(3), use_bn=False), _layer("IdentityLayer", stem, use_bn=True)]
    rows: list[Any] = [{"name": "TransitionBlock", "layers": start}]
    before = stem
    for block in blocks:
        rows.append(_block_file(before, block))
        before = 4 * block.width
    pool = _layer("PoolingLayer", before, **_pool("avg", window, window), **_ACTIVE)
    rows.append({"name": "TransitionBlock", "layers": [pool]})
    classifier = _layer("LinearLayer", bias=True, in_features=before, out_features=classes)
    return {"name": _KIND, "blocks": rows, "classifier": classifier}


def _block_file(before: int, block: PyramidTreeBlock) -> dict[str, Any]:
    width = block.width
    shortcut = (
        _layer("PoolingLayer", before, **_pool("avg", 2, 2)) if block.stride == 2 else _layer("IdentityLayer", before)
    )
    root = _layer("ConvLayer", width, 2 * width, **_conv(3, block.stride, groups=2, has_shuffle=True), **_ACTIVE)
    halves = []
    for edges in (block.edges[:6], block.edges[6:]):
        leaves = [_node(width, [_edge(width, e) for e in pair], [None, None]) for pair in (edges[1:3], edges[4:6])]
        halves.append(_node(width, [_edge(width, edges[0]), _edge(width, edges[3])], leaves))
    split = _node(width, [_layer("IdentityLayer", width)] * 2, halves)
    split |= {"in_channels": 2 * width, "split_type": "split", "has_branch_bn": True}
    return {
        "name": "ResidualTreeBlock",
        "cell_drop_rate": 0,
        "final_bn": True,
        "shortcut": shortcut,
        "in_bottle": _layer("ConvLayer", before, width, **_conv(1), use_bn=True),
        "out_bottle": _layer("ConvLayer", width, 4 * width, **_conv(1), **_ACTIVE),
        "cell": _node(width, [root], [split]) | {"split_type": None, "merge_type": None},
    }


def _node(width: int, edges: list[Any], child_nodes: list[Any]) -> dict[str, Any]:
    node = {"name": "TreeNode", "in_channels": width, "out_channels": width, "split_type": "copy", "merge_type": "add"}
    return {**node, "has_branch_bn": False, "path_drop_rate": 0, "edges": edges, "child_nodes": child_nodes}


def _edge(width: int, operation: str) -> dict[str, Any]:
    match _OPERATIONS[operation]:
        case ("PoolingLayer" as kind, str(pool)):
            return _layer(kind, width, **_pool(pool, 3, 1))
        case ("DepthConvLayer" as kind, int(dilation), int(kernel)):
            return _layer(kind, width, **_conv(kernel, dilation=dilation), **_ACTIVE)
        case _:
            return _layer("IdentityLayer", width)


def _conv(
    kernel: int, stride: int = 1, *, dilation: int = 1, groups: int = 1, has_shuffle: bool = False
) -> dict[str, Any]:
    sizes = {"kernel_size": kernel, "stride": stride, "dilation": dilation, "groups": groups}
    return {**sizes, "bias": False, "has_shuffle": has_shuffle}


def _pool(kind: str, kernel: int, stride: int) -> dict[str, Any]:
    return {"pool_type": kind, "kernel_size": kernel, "stride": stride}


def _layer(kind: str, before: int = 0, after: int = 0, **fields: Any) -> dict[str, Any]:
    """A layer with the fields that all have; channels where there are some."""
    channels = {"in_channels": before, "out_channels": after or before} if before else {}
    every = {"use_bn": False, "act_func": None, "dropout_rate": 0, "ops_order": "bn_act_weight"}
    return {"name": kind, **channels, **every, **fields}


def _at(data: Any, *path: str | int) -> Any:
    """What lies at a path in the file."""
    found = data
    for depth, key in enumerate(path):
        try:
            if isinstance(key, str) != isinstance(found, Mapping) or isinstance(found, str):
                raise TypeError
            found = found[key]
        except (KeyError, IndexError, TypeError):
            raise FileFormatError(f"the field {_shown(path[: depth + 1])} is missing") from None
    return found


def _number(data: Any, *path: str | int) -> int:
    found = _at(data, *path)
    if type(found) is not int or not 0 < found < _MOST:
        raise _wrong(path, f"a whole number from 1 to {_MOST - 1:,}", found)
    return found


def _compare(path: tuple[str | int, ...], found: Any, expected: Any) -> None:
    """Raises FileFormatError at the first field in which a file differs from the one that is expected."""
    match expected:
        case dict():
            if not isinstance(found, Mapping):
                raise _wrong(path, "an object", found)
            for key in [*expected, *found]:
                if key not in expected:
                    raise FileFormatError(f"the field {_shown((*path, key))} is unknown")
                if key not in found:
                    raise FileFormatError(f"the field {_shown((*path, key))} is missing")
                _compare((*path, key), found[key], expected[key])
        case list():
            if not isinstance(found, list) or len(found) != len(expected):
                raise _wrong(path, f"a list of {len(expected)}", found)
            for index, item in enumerate(expected):
                _compare((*path, index), found[index], item)
        case _:
            if found != expected or isinstance(found, bool) != isinstance(expected, bool):
                raise _wrong(path, quoted(expected), found)


def _wrong(path: tuple[str | int, ...], expected: str, found: Any) -> FileFormatError:
    return FileFormatError(
        f"the field {_shown(path)} must be {expected}, not {quoted(found)}: only networks of ProxylessNAS's CIFAR-10"
        " space are read"
    )


def _shown(path: tuple[str | int, ...]) -> str:
    """blocks[3].cell.edges[0].stride."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{quoted(key)[1:-1]}" for key in path)
    return repr(text.removeprefix("."))
