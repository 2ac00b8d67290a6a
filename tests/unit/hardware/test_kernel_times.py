"""Profiling in processes: what comes back, what is refused, and a real network on ONNX Runtime."""

from __future__ import annotations

import json
import sys

import pytest

from hwnas.core.errors import EvaluationFailed, TargetUnavailable
from hwnas.core.layers import Classifier, ConvBnAct
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.protocols import Silence
from hwnas.hardware import worker
from hwnas.hardware.engines import open_engine
from hwnas.hardware.kernel_times import WorkerProfiler, profile_kernels
from hwnas.hardware.model_files import ModelFile, untrained
from hwnas.hardware.targets import open_target
from hwnas.hardware.trying import try_engine
from hwnas.hardware.worker_process import WorkerProcess

TINY = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(8, 3)), Node("classifier", Classifier(2))))
FILE = ModelFile(b"", (1, 24, 24))


def answering(answer):
    return WorkerProcess(30.0, (sys.executable, "-c", f"print({json.dumps(json.dumps(answer))})"))


class KnownProfiler:
    """Sessions with known times."""

    def __init__(self, *sessions):
        self._left = list(sessions)
        self.runs = []

    def profile_session(self, target, file, runs):
        self.runs.append(runs)
        return self._left.pop(0)


def test_the_median_over_processes_counts(target):
    ends = {"a": 0.1, "b": 0.1}, {"a": 9.0, "b": 9.9}
    profiler = KnownProfiler({"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 9.0, "c": 0.3}, {"b": 4.0, "a": 1.1}, *ends)
    found = profile_kernels(target, FILE, profiler, Silence())
    assert list(found.ms.items()) == [("a", 1.1), ("b", 4.0), ("c", 0.0)]
    assert [session["c"] for session in found.sessions] == [0.0, 0.3, 0.0, 0.0, 0.0]
    assert profiler.runs == [50] * 5 and found.runs == 50


@pytest.mark.parametrize("kernels", [None, [], [["a", 0.0]], [["a", "b"]], [["a"]], [[3, 1.0]], [["a", 1e300]]])
def test_an_answer_that_is_not_whole_is_refused(target, kernels):
    answer = {} if kernels is None else {"kernels": kernels}
    with pytest.raises(EvaluationFailed, match="profiling on 'onnxruntime-f32' gave an incomplete answer"):
        WorkerProfiler(answering(answer)).profile_session(target, FILE, 1)


def test_an_engine_without_a_profiler_says_so(monkeypatch):
    monkeypatch.setattr(worker, "open_engine", lambda name: object())
    with pytest.raises(TargetUnavailable, match="'any' has no profiler"):
        worker._profiled({"target": "any", "models": []})


def test_a_real_network_is_profiled_in_a_process_of_its_own():
    target = open_target("onnxruntime", TINY.input_shape)
    file = untrained(TINY, open_engine(target.name))
    kernels = WorkerProfiler().profile_session(target, file, 5)
    assert {"stem", "classifier"} == {name.split(".")[0] for name in kernels if "." in name}


def test_an_engine_is_tried_without_being_imported_here():
    tried = try_engine("onnxruntime-f32", TINY)
    assert tried.engine.startswith("onnxruntime ") and tried.ms > 0
    with pytest.raises(EvaluationFailed, match="trying 'openvino-f32' gave an incomplete answer"):
        try_engine("openvino-f32", TINY, answering({"fingerprint": {"engine": "x"}, "ms": 1.0}))
    missing = answering({"error": "pip install it", "kind": "TargetUnavailable"})
    with pytest.raises(TargetUnavailable, match="pip install it"):
        try_engine("openvino-f32", TINY, missing)
