"""The memory that a file needs: what counts, what a real engine needs, and what goes wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.core.errors import EvaluationFailed, FileFormatError, TargetUnavailable
from hwnas.hardware import resident, worker
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.hardware.memory import Memory, WorkerScale, weigh
from hwnas.hardware.model_files import ModelFile, untrained
from hwnas.hardware.reference import reference_network
from hwnas.hardware.targets import Target, open_target
from hwnas.hardware.worker_process import WorkerProcess

MB = 10**6
linux = pytest.mark.skipif(not resident.counts_peaks(), reason="peak memory is counted on Linux alone")


class Engine:
    """Holds `kept` from loading on, and `briefly` in each call."""

    def __init__(self, kept: int, briefly: int) -> None:
        self.kept, self.briefly = kept, briefly

    def load(self, content: bytes, shape: tuple[int, ...]) -> Callable[[], object]:
        kept = np.ones(self.kept * MB, np.uint8)
        return lambda: (kept, np.ones(self.briefly * MB, np.uint8))[0]


@linux
@pytest.mark.parametrize(("kept", "briefly"), [(40, 0), (0, 40), (30, 20)])
def test_what_is_held_at_the_peak_counts(monkeypatch: pytest.MonkeyPatch, kept: int, briefly: int) -> None:
    engines = iter([Engine(kept, briefly)])
    monkeypatch.setattr(worker, "open_engine", lambda name: next(engines))
    models = [{"name": name, "path": __file__, "input_shape": [1, 8, 8]} for name in ("before", "the file")]
    found = worker._weighed({"target": "any", "models": models})
    assert found["peak_bytes"] == pytest.approx((kept + briefly) * MB, abs=1.5 * MB)


@linux
def test_a_network_needs_its_weights_and_more_of_them_more(target: Target) -> None:
    small = reference_network((1, 8, 8))
    files = [untrained(network, OnnxRuntimeEngine()) for network in (small, wide(small))]
    found = [weigh(open_target("onnxruntime-f32", (1, 8, 8)), file, processes=2) for file in files]
    for file, memory in zip(files, found, strict=True):
        assert memory.file_sha256 == file.sha256 and len(memory.processes_bytes) == 2
        assert len(file.content) < min(memory.processes_bytes) <= memory.peak_bytes < 12 * len(file.content) + 5 * MB
        assert memory.peak_bytes < 1.2 * min(memory.processes_bytes) + MB / 2
        assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory
    assert found[1].peak_bytes - found[0].peak_bytes > len(files[1].content) - len(files[0].content)


def wide(network):
    """The same with a classifier of many scores: eight megabytes more."""
    *others, last = network.nodes
    return replace(network, nodes=(*others, replace(last, layer=replace(last.layer, classes=16_000))))


def test_a_system_that_counts_no_peaks_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resident, "_CLEAR", tmp_path / "nowhere" / "clear_refs")
    assert not resident.counts_peaks()
    with pytest.raises(TargetUnavailable, match="only on Linux"):
        resident.begin_peak()


@pytest.mark.parametrize("answer", ["{}", '{"peak_bytes": -1}', '{"peak_bytes": "many"}', "[]", "7"])
def test_an_incomplete_answer_is_a_typed_error(target: Target, answer: str) -> None:
    scale = WorkerScale(WorkerProcess(timeout_s=30.0, command=(sys.executable, "-c", f"print({answer!r})")))
    with pytest.raises(EvaluationFailed, match="weighing on 'onnxruntime-f32' gave an incomplete answer"):
        scale.peak_bytes(target, ModelFile(b"", (1, 8, 8)))


@pytest.mark.parametrize(
    "wrong",
    [None, [], {}, {"format": "hwnas-memory@9"}]
    + [{"format": "hwnas-memory@1", "target_id": "t", "file_sha256": "f", "processes_bytes": taken}
       for taken in ([], None, [1.5], [-1], "12")],
)  # fmt: skip
def test_what_is_no_memory_measurement_is_refused(wrong: object) -> None:
    with pytest.raises(FileFormatError, match="memory"):
        Memory.from_json(wrong)
