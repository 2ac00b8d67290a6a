"""The cells' structure against the published descriptions, beyond what counts can tell."""

from __future__ import annotations

from hwnas.core.cells import NasnetCell, PyramidTreeBlock
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import Activation, BatchNorm, Concat, Conv, Operation, Pad, Pool, Shuffle, Slice


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


def test_a_factorized_reduction_takes_even_pixels_and_those_between() -> None:
    layer = NasnetCell(6, ((0, "identity", 1, "identity"),), (2,))
    nodes = (
        Node("half", PyramidTreeBlock(2, 2, ("identity",) * 12)),
        Node("a", layer, ("half", "input")),
    )
    operations = {operation.name: operation for operation in lower(NetworkSpec((4, 8, 8), nodes)).operations}
    # One row and one column fall away above and left, zeros come in below and right: the shifted grid is (1, 3, 5, …).
    assert operations["a.previous.shift"].primitive == Pad(top=-1, bottom=1, left=-1, right=1)
    assert operations["a.previous.shift"].inputs == ("a.previous.relu",)
    for path, source in (("even", "a.previous.relu"), ("odd", "a.previous.shift")):
        assert operations[f"a.previous.{path}.pool"].primitive == Pool("avg", 1, 2)
        assert operations[f"a.previous.{path}.pool"].inputs == (source,)
        assert operations[f"a.previous.{path}.conv"].primitive == Conv(4, 3, (1, 1))
    assert operations["a.previous.concat"].primitive == Concat()
    assert operations["a.previous.bn"].primitive == BatchNorm(6, 1e-3)


def test_a_tree_block_step_by_step() -> None:
    edges = ("identity", "identity", "max3", "dil3", "identity", "identity", *("identity",) * 6)
    graph = lower(NetworkSpec((8, 8, 8), (Node("a", PyramidTreeBlock(6, 2, edges)),)))
    operations = {operation.name.removeprefix("a."): operation for operation in graph.operations}
    assert [name for name in operations if name.startswith("in.")] == ["in.bn", "in.conv"]  # no activation here
    assert [name for name in operations if name.startswith("out.")] == ["out.bn", "out.relu", "out.conv"]
    assert operations["root.conv"].primitive == Conv(6, 12, (3, 3), 2, (1, 1), groups=2)
    assert operations["root.shuffle"].primitive == Shuffle(2)
    assert [operations[f"half{half}.split"].primitive for half in (0, 1)] == [Slice(0, 6), Slice(6, 12)]
    # Half 0, branch 0: identity, then identity + max pool. Branch 1: dilated, then the same value twice.
    assert operations["half0.branch0.add"].inputs == ("a.half0.split", "a.half0.branch0.leaf1.pool")
    assert [name for name in operations if name.startswith("half0.branch1.edge")] == [
        f"half0.branch1.edge.{part}" for part in ("bn", "relu", "depthwise", "pointwise")
    ]
    assert operations["half0.branch1.edge.depthwise"].primitive == Conv(6, 6, (3, 3), 1, (2, 2), 2, 6)
    assert operations["half0.branch1.add"].inputs == ("a.half0.branch1.edge.pointwise",) * 2
    # Each half: input + batch-norm of its tree.
    assert operations["half0.bn"].inputs == ("a.half0.tree",)
    assert operations["half0.add"].inputs == ("a.half0.split", "a.half0.bn")
    assert operations["merge"].inputs == ("a.half0.add", "a.half1.add")
    # The shortcut is pooled where the root is strided, and padded with channels of zeros.
    assert operations["shortcut.pool"].primitive == Pool("avg", 2, 2)
    assert operations["shortcut.pad"].primitive == Pad(channels=16)
    assert operations["add"].inputs == ("a.bn", "a.shortcut.pad")
