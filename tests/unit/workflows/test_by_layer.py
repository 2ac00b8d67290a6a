"""Where the time goes: kernels to layers, shares by hand, and what cannot be told is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from hwnas.core.layers import Classifier, ConvBnAct, MBConv, Zero
from hwnas.core.nasnet import NasnetCell
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.protocols import Silence
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import ModelFile, untrained
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, open_target
from hwnas.workflows import by_layer as module
from hwnas.workflows.by_layer import ByLayer, by_layer, owning_layers
from known_latencies import FakeTimer

SHAPE = (3, 16, 16)
NETWORK = NetworkSpec(SHAPE, (
    Node("stem", ConvBnAct(8, 3)), Node("stage1.block0", MBConv(8, 3, 3)), Node("stage1.block1", Zero()),
    Node("stage1.block10", MBConv(8, 3, 3)), Node("classifier", Classifier(10)),
))  # fmt: skip
KERNELS = {
    "images_abcd_acdb_stem.conv": 0.5, "stem.conv": 1.5, "stage1.block0.expand.conv": 2.0, "Reorder_7": 1.0,
    "stage1.block10.expand.conv": 3.0, "classifier.linear": 2.0,
}  # fmt: skip


class KnownProfiler:
    """The same kernels in every process, those of "stem" longer from one to the next."""

    def __init__(self, kernels: Mapping[str, float]) -> None:
        self.kernels, self.sessions = kernels, 0

    def profile_session(self, target: Target, file: ModelFile, runs: int) -> Mapping[str, float]:
        self.sessions += 1
        longer = 0.1 * (self.sessions - 3)
        return {name: ms + longer * (name == "stem.conv") for name, ms in self.kernels.items()}


def found(
    tmp_path: Path, network: NetworkSpec | None, kernels: Mapping[str, float] = KERNELS, timer: FakeTimer | None = None
) -> ByLayer:
    target = open_target("onnxruntime", SHAPE)
    file = untrained(network or NETWORK, open_engine(target.name))
    return by_layer(
        file, network, 8.0, target, TargetStore(tmp_path), seed=0, timer=timer or FakeTimer(),
        profiler=KnownProfiler(kernels), progress=Silence(),
    )  # fmt: skip


def test_a_kernel_counts_with_its_layer_or_with_the_one_before_it() -> None:
    names = [node.name for node in NETWORK.nodes]
    assert owning_layers(KERNELS, names) == {
        "images_abcd_acdb_stem.conv": "stem", "stem.conv": "stem", "stage1.block0.expand.conv": "stage1.block0",
        "Reorder_7": "stage1.block0", "stage1.block10.expand.conv": "stage1.block10", "classifier.linear": "classifier",
    }  # fmt: skip
    assert owning_layers(["Conv_1", "Conv_2"], names) is None
    assert owning_layers(["x", "b.conv", "y", "a.conv"], ["a", "b"]) == {
        "x": "b",
        "b.conv": "b",
        "y": "b",
        "a.conv": "a",
    }


def test_shares_by_hand(tmp_path: Path) -> None:
    timer = FakeTimer()
    shares = found(tmp_path, NETWORK, timer=timer)
    rows = {row.name: row for row in shares.rows}
    assert [row.profiled_ms for row in shares.rows] == [2.0, 3.0, 0.0, 3.0, 2.0]
    assert [row.profiled_share for row in shares.rows] == [0.2, 0.3, 0.0, 0.3, 0.2]
    assert (shares.profiled_ms, shares.median_ms, shares.runs) == (10.0, 8.0, 50)
    assert shares.spread == pytest.approx(0.2 - 1.9 / 9.9)  # the middle one of five deviations
    assert rows["stem"].profiled_sessions_ms == pytest.approx((1.8, 1.9, 2.0, 2.1, 2.2))
    assert rows["stage1.block1"].alone_ms == 0.0 and rows["stage1.block0"].alone_ms == rows["stage1.block10"].alone_ms
    assert shares.alone_ms == pytest.approx(sum(row.alone_ms or 0.0 for row in shares.rows))
    for name in ("macs_share", "alone_share", "profiled_share"):
        assert sum(getattr(row, name) for row in shares.rows) == pytest.approx(1.0)
    assert rows["stem"].macs == 3 * 8 * 9 * 16 * 16 and rows["stem"].output_shape == (8, 16, 16)
    assert "MBConv 3x3" in rows["stage1.block0"].text
    assert any("15.0 % of the profiled time is the engine's own" in note for note in shares.notes)
    assert any("0 % has no kernel" in note for note in shares.notes)
    assert max(map(len, timer.sessions)) == 3  # the stem, the block, which stands there twice, and the classifier
    again = FakeTimer()
    assert found(tmp_path, NETWORK, timer=again).rows == shares.rows and again.sessions == []


def test_a_layer_that_reads_two_shapes_is_not_timed_alone(tmp_path: Path) -> None:
    cell = NasnetCell(6, ((0, "sep3", 1, "identity"),), (2,))
    down = NasnetCell(6, ((0, "sep3", 1, "avg3"),), (2,), reduction=True)
    nodes = (Node("stem", ConvBnAct(8, 3)), Node("down", down, ("stem", "stem")), Node("cell", cell, ("down", "stem")),
             Node("classifier", Classifier(3)))  # fmt: skip
    timer = FakeTimer()
    shares = found(tmp_path, NetworkSpec(SHAPE, nodes), {"stem.conv": 1.0, "cell.x": 1.0}, timer)
    assert shares.alone_ms is None and {row.alone_share for row in shares.rows} == {None} and timer.sessions == []
    assert any("'cell' reads values of different shapes" in note for note in shares.notes)


def test_a_file_of_others_has_nodes_and_nothing_alone(tmp_path: Path) -> None:
    timer = FakeTimer()
    shares = found(tmp_path, None, timer=timer)
    assert [row.name for row in shares.rows] == list(KERNELS) and timer.sessions == []
    assert shares.alone_ms is None and shares.rows[1].profiled_share == 0.15 and shares.rows[0].macs is None
    assert shares.to_json()["rows"][0]["name"] == "images_abcd_acdb_stem.conv"


def test_names_that_say_nothing_and_engines_without_a_profiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = found(tmp_path, NETWORK, {"Conv_1": 1.0})
    assert shares.profiled_ms is None and shares.alone_ms and any("names are none" in note for note in shares.notes)
    monkeypatch.setattr(module, "open_engine", lambda name: object())
    shares = found(tmp_path, NETWORK)
    assert shares.profiled_ms is None and any("onnxruntime-f32 has no profiler" in note for note in shares.notes)
    shares = found(tmp_path, None)
    assert shares.rows == () and len(shares.notes) == 3
