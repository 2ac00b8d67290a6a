"""The NASNet cell's structure and windows against the published descriptions, beyond what counts can tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hwnas.core.layers import Pooling
from hwnas.core.nasnet import NasnetCell
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import Activation, BatchNorm, Concat, Conv, Operation, Pad, Pool
from hwnas.nn.build import build


def _cell(
    blocks: tuple[tuple[int, str, int, str], ...], concat: tuple[int, ...], reduction: bool = False, filters: int = 4
) -> dict[str, Operation]:
    """A cell that reads itself twice, by operation name without the node's."""
    layer = NasnetCell(filters, blocks, concat, reduction)
    graph = lower(NetworkSpec((4, 8, 8), (Node("a", layer, ("input", "input")),)))
    return {operation.name.removeprefix("a."): operation for operation in graph.operations}


def test_only_operations_on_the_cells_inputs_are_strided() -> None:
    operations = _cell(
        ((0, "sep3", 1, "max3"), (2, "sep5", 0, "avg3"), (2, "avg3", 3, "identity")), (4,), reduction=True
    )
    strides = {
        name.removesuffix(".depthwise").removesuffix(".pool"): operation.primitive.stride
        for name, operation in operations.items()
        if name.endswith(("depthwise", "pool")) and isinstance(operation.primitive, (Conv, Pool))
    }
    assert strides == {
        "block0.left.sep0": 2,
        "block0.left.sep1": 1,
        "block0.right": 2,
        "block1.left.sep0": 1,
        "block1.left.sep1": 1,
        "block1.right": 2,
        "block2.left": 1,
    }


def test_a_strided_identity_is_relu_convolution_and_batch_norm() -> None:
    operations = _cell(((0, "identity", 1, "max3"), (2, "identity", 2, "identity")), (3,), reduction=True)
    names = [name for name in operations if name.startswith("block0.left")]
    assert names == ["block0.left.relu", "block0.left.conv", "block0.left.bn"]
    assert operations["block0.left.conv"].primitive == Conv(4, 4, (1, 1), stride=2)
    assert operations["block1.add"].inputs == ("a.block0.add", "a.block0.add")
    plain = _cell(((0, "identity", 1, "max3"),), (2,))
    assert plain["block0.add"].inputs == ("a.current.bn", "a.block0.right.pool")


def test_a_pool_or_identity_that_changes_channels_gets_a_convolution() -> None:
    # The first cell reads the stem twice; its previous state keeps the stem's channels, as in the released code.
    operations = _cell(((1, "avg3", 1, "identity"), (1, "sep3", 2, "max3")), (2, 3), filters=6)
    assert not any(name.startswith("previous") for name in operations)
    assert operations["block0.left.conv"].inputs == ("a.block0.left.pool",)
    assert operations["block0.right.relu"].inputs == ("input",)
    assert operations["block1.left.sep0.depthwise"].shape == (4, 8, 8)
    assert operations["block1.left.sep0.pointwise"].shape == (6, 8, 8)
    assert "block1.right.conv" not in operations


def test_separable_convolutions_are_relu_depthwise_pointwise_batch_norm_twice() -> None:
    operations = _cell(((0, "sep5", 1, "identity"),), (2,))
    left = [(name, operation) for name, operation in operations.items() if name.startswith("block0.left")]
    kinds = [type(operation.primitive) for _, operation in left]
    assert kinds == [Activation, Conv, Conv, BatchNorm] * 2
    assert operations["block0.left.sep0.depthwise"].primitive == Conv(4, 4, (5, 5), 1, (2, 2), groups=4)


def test_unused_states_of_another_size_are_reduced_before_they_are_joined() -> None:
    operations = _cell(((0, "sep3", 1, "max3"),), (0, 2), reduction=True)
    assert operations["concat"].inputs == ("a.output0.bn", "a.block0.add")
    assert operations["output0.bn"].shape == (4, 4, 4)
    wide = _cell(((0, "sep3", 0, "max3"),), (1, 2), filters=6)
    assert wide["concat"].inputs == ("a.output1.bn", "a.block0.add")
    assert wide["output1.conv"].primitive == Conv(4, 6, (1, 1))


def test_a_factorized_reduction_takes_even_pixels_and_odd_ones() -> None:
    layer = NasnetCell(6, ((0, "identity", 1, "identity"),), (2,))
    nodes = (Node("half", Pooling("max", 2, 2)), Node("a", layer, ("half", "input")))
    operations = {operation.name: operation for operation in lower(NetworkSpec((4, 8, 8), nodes)).operations}
    # One row and one column fall away above and left, zeros come in below and right: the shifted grid is (1, 3, 5, …).
    assert operations["a.previous.shift"].primitive == Pad(top=-1, bottom=1, left=-1, right=1)
    assert operations["a.previous.shift"].inputs == ("a.previous.relu",)
    for path, source in (("even", "a.previous.relu"), ("odd", "a.previous.shift")):
        assert operations[f"a.previous.{path}.conv"].primitive == Conv(4, 3, (1, 1), stride=2)
        assert operations[f"a.previous.{path}.conv"].inputs == (source,)
    assert operations["a.previous.concat"].primitive == Concat()
    assert operations["a.previous.bn"].primitive == BatchNorm(6, 1e-3)


def _tensorflow_same(image: np.ndarray, kind: str, zeros_count: bool) -> np.ndarray:
    """A 3×3 pool of stride 2 as TensorFlow's "same" padding lays it: by loops, without padding anything."""
    out = [-(-size // 2) for size in image.shape]
    before = [max((steps - 1) * 2 + 3 - size, 0) // 2 for steps, size in zip(out, image.shape, strict=True)]
    result = np.empty(out)
    for row, column in np.ndindex(*out):
        top, left = 2 * row - before[0], 2 * column - before[1]
        window = image[max(top, 0) : top + 3, max(left, 0) : left + 3]
        result[row, column] = window.max() if kind == "max" else window.sum() / (9 if zeros_count else window.size)
    return result


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (8, 7), (7, 8), (2, 2), (1, 1), (2, 1)])
@pytest.mark.parametrize(("kind", "zeros_count"), [("max", False), ("avg", False), ("avg", True)])
def test_strided_pools_lie_where_tensorflow_lays_them(size: tuple[int, int], kind: str, zeros_count: bool) -> None:
    cell = NasnetCell(1, ((1, f"{kind}3", 1, f"{kind}3"),), (2,), reduction=True, count_include_pad=zeros_count)
    network = build(NetworkSpec((1, *size), (Node("a", cell, ("input", "input")),))).eval()
    image = np.random.default_rng(0).standard_normal(size) - 2  # zeros would be the maximum
    with torch.inference_mode():
        found = network(torch.tensor(image, dtype=torch.float32)[None, None])[0, 0].numpy() / 2
    np.testing.assert_allclose(found, _tensorflow_same(image, kind, zeros_count), rtol=1e-5)


def test_only_an_even_map_is_padded_on_one_side() -> None:
    cell: dict[str, Any] = {"blocks": ((0, "sep5", 1, "sep7"),), "concat": (2,), "reduction": True}
    for size, padded in ((8, True), (7, False)):
        node = Node("a", NasnetCell(4, **cell), ("input", "input"))
        operations = {o.name.removeprefix("a."): o for o in lower(NetworkSpec((4, size, size), (node,))).operations}
        assert ("block0.left.sep0.pad" in operations) == padded
        for side, kernel in (("left", 5), ("right", 7)):
            first, second = (operations[f"block0.{side}.sep{repeat}.depthwise"].primitive for repeat in range(2))
            half = kernel // 2
            assert first == Conv(4, 4, (kernel, kernel), 2, (half - padded, half - padded), groups=4)
            assert second == Conv(4, 4, (kernel, kernel), 1, (half, half), groups=4)
        assert operations["block0.add"].shape == (4, 4, 4)
