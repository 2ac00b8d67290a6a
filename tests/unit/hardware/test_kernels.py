"""From kernels to nodes of the file, and from a profiler's answers to what single runs took, by hand numbers."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from hwnas.hardware.engines.kernels import beginning_of, by_node
from hwnas.hardware.engines.onnxruntime import _kernels
from hwnas.hardware.engines.openvino import _single_runs


def file_of(*nodes: tuple[str, str]) -> bytes:
    """A chain of nodes by name and output."""
    values = ["images", *(output for _, output in nodes)]
    made = [
        helper.make_node("Relu", [before], [output], name=name)
        for before, (name, output) in zip(values, nodes, strict=False)
    ]
    ends = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in (values[0], values[-1]))
    graph = helper.make_graph(made, "network", *([end] for end in ends))
    return bytes(helper.make_model(graph).SerializeToString())


def test_a_kernel_goes_by_the_longest_beginning_that_the_file_knows() -> None:
    model = file_of(("stem.conv", "stem.bn"), ("stem.act", "stem.act"), ("stage1.conv", "stage1.bn"),
                    ("stage10.conv", "stage10.bn"), ("", "a value"), ("last", "scores"))  # fmt: skip
    kernels = {
        "images_abcd_acdb_stem.conv/WithoutBiases": 1.0,  # "images" is no node's
        "stem.act_nchwc": 2.0,
        "stem.conv/WithoutBiases": 3.0,
        "stem.bn_nchwc": 4.0,  # the output of stem.conv
        "stage10.conv_token_12": 5.0,
        "stage1.conv": 6.0,
        "stage11.conv": 7.0,
        "a value/fused": 8.0,
        "scores": 9.0,
        "ReorderOutput_token_3": 10.0,
    }
    assert list(by_node(model, [kernels]).items()) == [
        ("images_abcd_acdb_stem.conv/WithoutBiases", 1.0), ("stem.act", 2.0), ("stem.conv", 7.0),
        ("stage10.conv", 5.0), ("stage1.conv", 6.0), ("stage11.conv", 7.0), ("a value", 8.0), ("last", 9.0),
        ("ReorderOutput_token_3", 10.0),
    ]  # fmt: skip


def test_the_median_over_runs_counts_and_what_did_not_run_took_nothing() -> None:
    model = file_of(("a", "x"), ("b", "y"))
    runs = [{"a": 1.0, "a_2": 1.0, "b": 5.0}, {"a": 1.5, "a_2": 1.5}, {"a": 20.0, "b": -0.001}]
    assert by_node(model, runs) == {"a": 3.0, "b": 0.0}
    assert by_node(model, [{"b": -0.002}]) == {"b": 0.0}  # by rounding


def test_only_whole_words_begin_a_name() -> None:
    assert beginning_of("stage1.block0", {"stage1", "stage1.block"}) == "stage1"
    assert beginning_of("stage10", {"stage1"}) is None
    assert beginning_of("stage1", {"stage1"}) == "stage1"
    assert beginning_of("", {"stage1"}) is None


def test_onnxruntime_events_are_told_apart_by_run() -> None:
    def event(name: str, ts: int, dur: int, cat: str = "Node") -> dict[str, object]:
        return {"name": name, "ts": ts, "dur": dur, "cat": cat}

    events = [
        event("session_initialization", 0, 90, "Session"),
        event("a_kernel_time", 102, 10), event("b_kernel_time", 115, 20), event("model_run", 100, 50, "Session"),
        event("b_kernel_time", 225, 40), event("a_kernel_time", 202, 15), event("a_kernel_time", 270, 5),
        event("a_fence_before", 201, 99), event("model_run", 200, 80, "Session"),
    ]  # fmt: skip
    first, second = _kernels(events)
    assert first == {"a": 0.01, "b": 0.02} and list(first) == ["a", "b"]
    assert second == {"a": 0.02, "b": 0.04} and list(second) == ["a", "b"]


def test_single_runs_come_back_from_openvinos_means() -> None:
    taken = [0.901, 0.302, 0.303, 5.304, 0.301]  # one was interrupted
    means = [{"a": sum(taken[:count]) / count} for count in range(1, 6)]
    assert [run["a"] for run in _single_runs(means)] == pytest.approx(taken)
    floored = [{"a": int(1000 * one["a"]) / 1000} for one in means]  # in whole microseconds
    found = [run["a"] for run in _single_runs(floored)]
    assert found == pytest.approx(taken, abs=0.005) and found != pytest.approx(taken)
