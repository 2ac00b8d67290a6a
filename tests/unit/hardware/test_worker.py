"""The measuring process: its rounds, its failures, and real networks on ONNX Runtime."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time

import psutil
import pytest

from hwnas.core.errors import EvaluationFailed, OutOfMemory, TargetUnavailable, UnknownName
from hwnas.hardware import worker
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.hardware.model_files import ModelFile, untrained
from hwnas.hardware.sessions import Plan, WorkerTimer
from hwnas.hardware.store import Reference
from hwnas.hardware.targets import cpu_model, open_target
from hwnas.hardware.timing import measure
from hwnas.hardware.worker_process import WorkerProcess


def rounds_with(monkeypatch, disturbed, threads=1):
    """Runs eight rounds of one model, of which those with these numbers are disturbed."""
    walls = iter(3.0 if number in disturbed else 1.0 for number in range(100))
    monkeypatch.setattr(worker, "_time", lambda runner, calls: (1e6, 1e6 * next(walls)))
    request = {"rounds": 8, "seed": 0, "threads": threads, "unstable_above": 1.1}
    return worker._rounds(request, [lambda: None], [1])


def test_disturbed_rounds_are_repeated_and_counted(monkeypatch):
    kept, unstable, repeated = rounds_with(monkeypatch, disturbed={1, 4})
    assert (len(kept), unstable, repeated) == (8, 0, 2)
    assert all(wall == cpu for ((cpu, wall),) in kept)


def test_repeating_has_a_bound(monkeypatch):
    kept, unstable, repeated = rounds_with(monkeypatch, disturbed=set(range(100)))
    assert (len(kept), unstable, repeated) == (8, 8, 2)


def test_wall_above_cpu_is_no_disturbance_with_more_threads(monkeypatch):
    assert rounds_with(monkeypatch, disturbed=set(range(100)), threads=2)[1:] == (0, 0)


def test_orders_are_shuffled_by_the_seed(monkeypatch):
    def order(seed):
        seen = []
        runners = [lambda name=name: seen.append(name) for name in range(10)]
        monkeypatch.setattr(worker, "_time", lambda runner, calls: (1, 1))
        worker._rounds({"rounds": 3, "seed": seed, "threads": 1, "unstable_above": 1.1}, runners, [1] * 10)
        return seen

    assert order(1) == order(1) != order(2)
    assert order(1)[:10] != order(1)[10:20]
    assert sorted(order(1)[:10]) == list(range(10))


def test_a_sample_lasts_long_enough():
    calls = []
    per_sample = worker._calls_per_sample(lambda: calls.append(sum(range(20_000))), warm_up_calls=3, sample_ms=5.0)
    assert len(calls) == 6  # three to warm up, three to see how long one takes
    assert per_sample > 1
    assert worker._calls_per_sample(lambda: sum(range(20_000)), warm_up_calls=3, sample_ms=1e-6) == 1


def failing(code):
    return WorkerTimer(WorkerProcess(timeout_s=30.0, command=(sys.executable, "-c", code)))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; print('noise', file=sys.stderr); sys.exit('out of memory')", "status 1: out of memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV .it said nothing"),
        ("print('no json')", "no JSON"),
        ("print('{}')", "incomplete"),
        ('print(\'{"samples": {}, "unstable": 0, "repeated": 0}\')', "incomplete"),
    ],
)
def test_a_crash_is_a_typed_error_with_the_reason(target, space, code, message):
    with pytest.raises(EvaluationFailed, match=message):
        failing(code).time_session(target, {"net": ModelFile(b"", (1, 8, 8))}, Plan(1, 0))


def test_a_worker_that_is_killed_is_said_to_have_run_out_of_memory(target):
    models = {name: ModelFile(bytes(size), (1, 8, 8)) for name, size in zip("abcde", (1, 5, 3, 1200, 2), strict=True)}
    with pytest.raises(OutOfMemory, match="measuring d .1,200 bytes., b .5 bytes., c .3 bytes., 2 more files on .*was "
                                          "killed, probably .* memory"):  # fmt: skip
        failing("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").time_session(target, models, Plan(1, 0))


def test_an_engine_that_finds_no_memory_names_the_file(target, monkeypatch):
    class Engine:
        def load(self, content, shape):
            raise MemoryError

    monkeypatch.setattr(worker, "open_engine", lambda name: Engine())
    with pytest.raises(OutOfMemory, match="large: memory ran out") as found:
        worker._load({"target": "any", "models": [{"name": "large", "path": __file__, "input_shape": [1, 8, 8]}]})
    answer = {"error": str(found.value), "kind": type(found.value).__name__}
    with pytest.raises(OutOfMemory, match="large: memory ran out"):
        failing(f"print({json.dumps(json.dumps(answer))})").time_session(target, {}, Plan(1, 0))


def test_a_session_that_hangs_is_stopped(target):
    hanging = WorkerTimer(WorkerProcess(0.5, (sys.executable, "-c", "import time; time.sleep(60)")))
    with pytest.raises(EvaluationFailed, match="did not end within 0.5 s"):
        hanging.time_session(target, {}, Plan(1, 0))


def test_a_worker_ends_when_the_process_that_asked_is_killed(space, tmp_path):
    """In a session that would last for hours."""
    network = space.decode(next(iter(space.uniform_architectures().values())))
    (tmp_path / "net.onnx").write_bytes(untrained(network, OnnxRuntimeEngine()).content)
    code = (
        "import sys; from pathlib import Path\n"
        "from hwnas.hardware.model_files import ModelFile; from hwnas.hardware.sessions import Plan, WorkerTimer\n"
        "from hwnas.hardware.targets import open_target\n"
        "file = ModelFile(Path(sys.argv[1]).read_bytes(), shape := tuple(map(int, sys.argv[2:])))\n"
        "WorkerTimer().time_session(open_target('onnxruntime', shape), {'net': file}, Plan(10**9, 0))"
    )
    shape = [str(side) for side in space.input_shape]
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "net.onnx"), *shape])
    try:
        workers, spent = [], 0.0
        while spent < 1:  # seconds of CPU: it measures
            assert parent.poll() is None
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(parent.pid).children()
                workers = [child for child in children if "hwnas.hardware.worker" in child.cmdline()]
                spent = sum(sum(worker.cpu_times()[:2]) for worker in workers)
            time.sleep(0.01)
    finally:
        parent.kill()
        parent.wait()
    assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_an_engine_that_is_missing_in_the_worker_keeps_its_name(target):
    code = 'print(\'{"error": "pip install it", "kind": "TargetUnavailable"}\')'
    with pytest.raises(TargetUnavailable, match="pip install it"):
        failing(code).time_session(target, {}, Plan(1, 0))


def test_a_missing_engine_names_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TargetUnavailable, match="pip install onnxruntime"):
        open_target("onnxruntime", (3, 32, 32))


def test_an_unknown_target_offers_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'onnxruntime"):
        open_target("onnxruntim", (3, 32, 32))


def test_the_alias_is_the_same_target_and_shape_and_version_make_the_key():
    small, alias = open_target("onnxruntime-f32", (3, 32, 32)), open_target("onnxruntime", (3, 32, 32))
    assert small == alias
    assert (small.key.threads, small.key.batch, small.key.cpu) == (1, 1, cpu_model())
    assert len(small.key.id) == 16
    assert open_target("onnxruntime", (3, 48, 48)).key.id != small.key.id


def test_a_file_that_is_no_model_is_named():
    engine = open_target("onnxruntime", (1, 8, 8))
    with pytest.raises(EvaluationFailed, match="my net: onnxruntime cannot run this file"):
        WorkerTimer().time_session(engine, {"my net": ModelFile(b"no model", (1, 8, 8))}, Plan(1, 0))


def test_the_engine_runs_what_we_write(space):
    network = space.decode(next(iter(space.uniform_architectures().values())))
    file = untrained(network, OnnxRuntimeEngine())
    OnnxRuntimeEngine().load(file.content, file.input_shape)()
    with pytest.raises(EvaluationFailed):
        OnnxRuntimeEngine().load(file.content, (1, 9, 9))


def test_real_networks_are_ranked_by_their_work(space, store):
    target = open_target("onnxruntime", space.input_shape)
    store.keep_reference(target, Reference(1.0, 5, 50))
    fixed = space.uniform_architectures()
    files = {
        name: untrained(space.decode(fixed[name]), OnnxRuntimeEngine()).content
        for name in ("k7e6, depth 3", "k3e3, depth 3")
    }
    measured = measure(target, files, store, sessions=2, rounds=15)
    large, small = measured["k7e6, depth 3"], measured["k3e3, depth 3"]
    assert large.median_ms > 1.5 * small.median_ms
    assert all(len(session.cpu_ms) == 15 for session in large.raw)
    assert min(large.raw[0].cpu_ms) > 0


def test_a_clock_too_coarse_to_time_by_is_said_and_not_waited_for(monkeypatch):
    """With a limit on CPU time Linux counts it in ticks, so that a short call seems to take none at all."""
    ticks = iter([0, 4_000_000, 8_000_000])
    monkeypatch.setattr(time, "process_time_ns", lambda: next(ticks))
    with pytest.raises(TargetUnavailable, match="steps of 4 ms here.*ulimit -t"):
        worker._check_clock()
    monkeypatch.undo()
    worker._check_clock()
