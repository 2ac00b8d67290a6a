"""The tree block's structure, operation by operation."""

from __future__ import annotations

from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import Conv, Pad, Pool, Shuffle, Slice
from hwnas.core.pyramid import PyramidTreeBlock


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
