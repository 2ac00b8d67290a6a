"""ExecuTorch's engine besides the laws of every engine: threads, silence, and files that are not as they should be."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hwnas.cli import run as command
from hwnas.core.errors import EvaluationFailed, TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.hardware.engines import open_engine
from hwnas.hardware.engines.executorch import ExecuTorchEngine
from hwnas.testing.engines import networks, used_arrays
from offline import offline

pytest.importorskip("executorch")


@pytest.fixture(scope="module")
def network() -> NetworkSpec:
    return networks()["tree"]


@pytest.fixture(scope="module")
def model(network: NetworkSpec) -> bytes:
    return ExecuTorchEngine().write(network, used_arrays(network, 1))


def test_batches_give_what_single_images_give(network: NetworkSpec, model: bytes) -> None:
    images = np.random.default_rng(0).standard_normal((5, *network.input_shape), dtype=np.float32)
    alone = ExecuTorchEngine().predict(model, images)
    engine = ExecuTorchEngine(batch=3)
    assert engine.fingerprint()["batch"] == "3" and open_engine("executorch").fingerprint()["batch"] == "1"
    file = engine.write(network, used_arrays(network, 1))
    np.testing.assert_allclose(engine.predict(file, images), alone, rtol=1e-5, atol=1e-5)
    with pytest.raises(EvaluationFailed, match=r"expected \(3, 3, 18, 14\)"):
        engine.load(model, network.input_shape)


def test_another_images_shape_is_refused(network: NetworkSpec, model: bytes) -> None:
    for shape in ((3, 14, 18), (4, 18, 14)):
        with pytest.raises(EvaluationFailed, match=r"\(batch, channels, height, width\)"):
            ExecuTorchEngine().predict(model, np.zeros((1, *shape), np.float32))


def test_onnx_is_refused_with_what_to_give_instead() -> None:
    with pytest.raises(EvaluationFailed, match="network.json"):
        ExecuTorchEngine().convert(b"")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(TargetUnavailable, match=r"pip install 'hwnas\[executorch\]'"):
        ExecuTorchEngine()


def test_one_thread_is_one_thread(network: NetworkSpec, model: bytes) -> None:
    """All that the process spends is spent by the thread that calls, whatever the pool was before."""
    two = ExecuTorchEngine(threads=2).load(model, network.input_shape)
    one = ExecuTorchEngine(threads=1).load(model, network.input_shape)
    two()
    one()
    process, thread = time.process_time_ns(), time.thread_time_ns()
    for _ in range(2000):
        one()
    assert time.thread_time_ns() - thread > 0.9 * (time.process_time_ns() - process)


def test_targets_with_other_threads_in_one_process_run_in_turn(network: NetworkSpec, model: bytes) -> None:
    """The pool of threads is one of the process: whoever finds another one makes it anew and loads anew."""
    images = np.random.default_rng(0).standard_normal((1, *network.input_shape), dtype=np.float32)
    engines = [ExecuTorchEngine(threads=threads) for threads in (1, 2)]
    runners = [engine.load(model, network.input_shape) for engine in engines]
    expected = engines[0].predict(model, images)
    for turn in range(40):
        runners[turn % 2]()
        np.testing.assert_array_equal(engines[turn // 2 % 2].predict(model, images), expected)
    del runners
    gc.collect()
    engines[0].load(model, network.input_shape)()


@pytest.mark.parametrize("content", [b"", b"ET12", b"\x3c\0\0\0ET12eh00", b"\xff" * 4 + b"ET12" + bytes(99)])
def test_what_is_no_model_is_refused(network: NetworkSpec, content: bytes) -> None:
    with pytest.raises(EvaluationFailed):
        ExecuTorchEngine().load(content, network.input_shape)


@pytest.mark.parametrize("name", networks())
def test_a_damaged_file_is_refused(name: str) -> None:
    """Wherever it is cut, and whichever bits are turned over, in the weights too."""
    network, rng = networks()[name], np.random.default_rng(0)
    engine = ExecuTorchEngine()
    model = engine.write(network, used_arrays(network, 1))
    for trial in range(300):
        damaged = bytearray(model)
        if trial % 3 == 0:
            del damaged[int(rng.integers(len(model))) :]
        else:
            places = rng.choice(len(model), size=trial % 3, replace=False)
            damaged[places[0]] ^= 1 << int(rng.integers(8))
            damaged[places[-1]] ^= 1 << int(rng.integers(8)) if len(places) > 1 else 0
        with pytest.raises(EvaluationFailed, match="damaged"):
            engine.load(bytes(damaged), network.input_shape)
    engine.load(model, network.input_shape)


def test_nothing_is_written_and_nobody_is_asked(network: NetworkSpec, model: bytes, tmp_path: Path) -> None:
    """In a process of its own, where the library is imported and its pool of threads is made."""
    (tmp_path / "model.pte").write_bytes(model)
    code = (
        "import sys; from hwnas.hardware.engines.executorch import ExecuTorchEngine\n"
        f"ExecuTorchEngine().load(open(sys.argv[1], 'rb').read(), {network.input_shape})()\n"
        "assert 'executorch.exir' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.pte")], capture_output=True, text=True,
        env={**os.environ, **offline(tmp_path / "asked")},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "asked").exists()


@pytest.mark.slow  # 24 s; the contract has it loaded and run in any case
def test_a_published_network_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    done = command(
        ["measure", "mobilenet-v2", "--target", "executorch", "--resolution", "96", "--sessions", "2", "--quiet"]
    )
    said = capfd.readouterr()
    assert done == 0, said
    assert "ms" in said.out and "executorch-f32" in said.out + said.err
    assert "cpp:" not in said.out + said.err
