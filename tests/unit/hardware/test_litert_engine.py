"""LiteRT's engine besides the laws of every engine: batches, silence, and files that are not what they should be."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwnas.core.errors import EvaluationFailed, TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.formats.litert_model import DIGEST
from hwnas.hardware.engines import open_engine
from hwnas.hardware.engines.litert import LiteRtEngine
from hwnas.hardware.engines.notices import without_notices
from hwnas.testing.engines import networks, used_arrays

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def network() -> NetworkSpec:
    return networks()["tree"]


@pytest.fixture(scope="module")
def model(network: NetworkSpec) -> bytes:
    return LiteRtEngine().write(network, used_arrays(network, 1))


def test_batches_give_what_single_images_give(network: NetworkSpec, model: bytes) -> None:
    images = np.random.default_rng(0).standard_normal((5, *network.input_shape), dtype=np.float32)
    alone = LiteRtEngine().predict(model, images)
    engine = LiteRtEngine(batch=3)
    assert engine.fingerprint()["batch"] == "3" and open_engine("litert").fingerprint()["batch"] == "1"
    file = engine.write(network, used_arrays(network, 1))
    np.testing.assert_allclose(engine.predict(file, images), alone, rtol=1e-5, atol=1e-5)
    with pytest.raises(EvaluationFailed, match=r"expected one float32 input \(3, 18, 14, 3\)"):
        engine.load(model, network.input_shape)


def test_another_images_shape_is_refused(network: NetworkSpec, model: bytes) -> None:
    for shape in ((3, 14, 18), (4, 18, 14)):
        with pytest.raises(EvaluationFailed, match=r"\(batch, height, width, channels\)"):
            LiteRtEngine().predict(model, np.zeros((1, *shape), np.float32))


def test_onnx_is_refused_with_what_to_give_instead() -> None:
    with pytest.raises(EvaluationFailed, match="network.json"):
        LiteRtEngine().convert(b"")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(TargetUnavailable, match=r"pip install 'hwnas\[litert\]'"):
        LiteRtEngine()


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"\x1c\0\0\0TFL3", b"\x18\0\0\0TFL3", b"\xff" * 4 + b"TFL3" + bytes(99)]
)
def test_what_is_no_model_is_refused(network: NetworkSpec, content: bytes) -> None:
    with pytest.raises(EvaluationFailed):
        LiteRtEngine().load(content, network.input_shape)


@pytest.mark.parametrize("name", networks())
def test_a_damaged_file_is_refused(name: str) -> None:
    """Wherever it is cut, and whichever bits are turned over, in the weights too."""
    network, rng = networks()[name], np.random.default_rng(0)
    engine = LiteRtEngine()
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


def test_a_whole_file_with_faults_inside_is_refused_by_the_runtime(network: NetworkSpec) -> None:
    """Whoever computes the checksum anew after damage gets as far as LiteRT's own checks."""
    model = LiteRtEngine().write(network, used_arrays(network, 1))
    place = model.index(DIGEST.encode()) + len(DIGEST)
    blank = model[:place] + b"0" * 64 + model[place + 64 :]
    faulty = blank[:4] + b"XXXX" + blank[8:], b"\xff\xff" + blank[2:]
    for content in faulty:
        digest = hashlib.sha256(content).hexdigest().encode()
        with pytest.raises(EvaluationFailed, match="litert cannot run this file"):
            LiteRtEngine().load(content[:place] + digest + content[place + 64 :], network.input_shape)


def test_nothing_is_written_to_standard_error(network: NetworkSpec, model: bytes, tmp_path: Path) -> None:
    """In a process of its own: LiteRT writes its notice once in each."""
    (tmp_path / "model.tflite").write_bytes(model)
    code = (
        "import sys; from hwnas.hardware.engines.litert import LiteRtEngine\n"
        f"LiteRtEngine().load(open(sys.argv[1], 'rb').read(), {network.input_shape})()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model.tflite")], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_notices_are_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), without_notices(b"INFO: "):
        os.write(2, b"INFO: all is well\nERROR: nothing is\n")
        print("INFO: nor here\nERROR: but here", file=sys.stderr)
        raise KeyError
    os.write(2, b"INFO: later\n")
    assert capfd.readouterr().err == "ERROR: nothing is\nERROR: but here\nINFO: later\n"
