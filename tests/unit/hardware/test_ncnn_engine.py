"""ncnn's engine: whose memory it reads, what it refuses, and batches."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from hwnas.core.errors import EvaluationFailed, TargetUnavailable
from hwnas.core.layers import BnAct, Classifier, ConvBnAct
from hwnas.core.network import NetworkSpec, Node
from hwnas.formats.ncnn_file import to_ncnn
from hwnas.hardware.engines import canonical_name, open_engine
from hwnas.hardware.engines.ncnn import NcnnEngine
from hwnas.testing.engines import EngineContract, networks, used_arrays

ncnn = pytest.importorskip("ncnn")
NETWORK = NetworkSpec((3, 9, 9), (Node("first", BnAct()), Node("stem", ConvBnAct(8, 3)), Node("end", Classifier(5))))
MODEL = to_ncnn(NETWORK, used_arrays(NETWORK, 1))


def images(count: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((count, *NETWORK.input_shape), dtype=np.float32)


class TestThreeImagesACall(EngineContract):
    """Four images: one call is whole, one is filled up."""

    @pytest.fixture
    def engine(self) -> NcnnEngine:
        if not hasattr(ncnn.Mat, "batch"):
            pytest.skip("this ncnn takes one image a call")
        return NcnnEngine(threads=1, batch=3)


def test_images_are_copied_whole_and_in_order() -> None:
    """Every other pixel of a larger array, the channels last, doubles, read-only: all are the same images."""
    engine, given = NcnnEngine(), images(2)
    expected = engine.predict(MODEL, given)
    spread = np.zeros((2, 3, 18, 18), np.float32)
    spread[:, :, ::2, ::2] = given
    still = given.copy()
    still.flags.writeable = False
    last = np.ascontiguousarray(given.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for same in (spread[:, :, ::2, ::2], last, given.astype(np.float64), still):
        np.testing.assert_array_equal(engine.predict(MODEL, same), expected)


def test_images_outlive_the_array_that_they_came_from() -> None:
    """Doubles are copied on the way, and nobody else holds that copy: borrowed, it gets the allocator's marks."""
    engine = NcnnEngine()
    for _ in range(20):
        kept = engine._images(np.full((1, 3, 64, 64), 7, np.float64))
        others = [np.full((1, 3, 64, 64), -1, np.float32) for _ in range(3)]
        assert (np.array(kept) == 7).all()
        del others


def test_a_first_layer_that_works_in_place_does_not_change_the_images() -> None:
    engine = NcnnEngine()
    network, kept = engine._network(MODEL, NETWORK.input_shape), engine._images(images(1))
    first = np.array(engine._scores(network, kept))
    np.testing.assert_array_equal(np.array(kept), images(1)[0])
    np.testing.assert_array_equal(np.array(engine._scores(network, kept)), first)


def test_nothing_below_f32_is_switched_on() -> None:
    options = NcnnEngine(threads=2)._options()
    low = [name for name in dir(options) if any(less in name for less in ("fp16", "bf16", "int8"))]
    assert len(low) >= 8 and not any(getattr(options, name) for name in low)
    assert options.num_threads == 2 and not options.use_vulkan_compute


def test_two_threads_agree_with_one() -> None:
    network = networks()["mobile"]
    model, given = to_ncnn(network, used_arrays(network, 1)), np.ones((1, *network.input_shape), np.float32)
    one, two = (NcnnEngine(threads).predict(model, given) for threads in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5 * one.std())


def test_images_of_another_shape_are_refused() -> None:
    engine = NcnnEngine()
    with pytest.raises(EvaluationFailed, match=r"images of \(1, 9, 9\): it is for images of \(3, 9, 9\)"):
        engine.load(MODEL, (1, 9, 9))
    with pytest.raises(EvaluationFailed, match="it is for images of"):
        engine.predict(MODEL, np.zeros((1, 3, 9, 8), np.float32))


def test_onnx_is_refused_with_what_to_do() -> None:
    with pytest.raises(EvaluationFailed, match=r"give a network\.json"):
        NcnnEngine().convert(b"")


def test_what_ncnn_itself_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = NcnnEngine()

    class Refusing:
        opt = None

        def load_param(self, path: str) -> int:
            return -1

    monkeypatch.setattr(engine, "_vendor", SimpleNamespace(Net=Refusing, Option=ncnn.Option, __version__="9"))
    with pytest.raises(EvaluationFailed, match=r"ncnn 9 refuses this file \(code -1\)"):
        engine.load(MODEL, NETWORK.input_shape)


def test_a_disk_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    with pytest.raises(EvaluationFailed, match="ncnn loads from files"):
        NcnnEngine().load(MODEL, NETWORK.input_shape)


def test_a_missing_or_old_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert canonical_name("ncnn") == "ncnn-f32" and isinstance(open_engine("ncnn"), NcnnEngine)
    monkeypatch.setitem(sys.modules, "ncnn", SimpleNamespace(__version__="1.0.20250503", Mat=object))
    with pytest.raises(TargetUnavailable, match=r"ncnn 1\.0\.20250503 takes one image a call"):
        NcnnEngine(batch=2)
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(TargetUnavailable, match=r"pip install 'hwnas\[ncnn\]'"):
        NcnnEngine()
