"""What is special about MNN: a converter that takes anything, a runtime that runs anything, and both print."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.core.errors import EvaluationFailed
from hwnas.hardware.engines import open_engine
from hwnas.hardware.engines.mnn import MnnEngine
from hwnas.testing.engines import networks, used_arrays

MNN = pytest.importorskip("MNN")
NETWORK = networks()["mobile"]
IMAGES = np.random.default_rng(3).standard_normal((4, *NETWORK.input_shape), dtype=np.float32)


@pytest.fixture(scope="module")
def file() -> bytes:
    return MnnEngine().write(NETWORK, used_arrays(NETWORK, seed=1))


def changed(file: bytes, place: int, bit: int) -> bytes:
    return file[:place] + bytes([file[place] ^ 1 << bit]) + file[place + 1 :]


def onnx_file(node: onnx.NodeProto, constants: dict[str, np.ndarray], shape: tuple[int, ...], opset: int = 17) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, of) for name, of in (("x", shape), ("y", None))]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], stored)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_any_changed_bit_is_refused(file: bytes) -> None:
    """Without the seal 2 of 150 crashed and 111 gave wrong scores."""
    engine, rng = MnnEngine(), random.Random(0)
    places = [*(rng.randrange(len(file)) for _ in range(60)), *range(70, 110), file.index(b"hwnas sha256 ") + 20]
    for place in places:
        with pytest.raises(EvaluationFailed, match="damaged"):
            engine.predict(changed(file, place, rng.randrange(8)), IMAGES)


def test_any_shorter_or_longer_file_is_refused(file: bytes) -> None:
    engine = MnnEngine()
    for length in (0, 1, 7, 100, 1000, len(file) // 3, len(file) - 1):
        with pytest.raises(EvaluationFailed, match="damaged"):
            engine.load(file[:length], NETWORK.input_shape)
    with pytest.raises(EvaluationFailed, match="damaged"):
        engine.load(file + b"\0", NETWORK.input_shape)


def test_files_of_different_networks_have_different_uuids(file: bytes, tmp_path: Path) -> None:
    other = MnnEngine().write(NETWORK, used_arrays(NETWORK, seed=2))
    found = []
    for index, content in enumerate((file, other)):
        path = tmp_path / f"{index}.mnn"
        path.write_bytes(content)
        found.append(MNN.get_model_uuid(str(path)))
        assert content.count(found[index].encode()) == 1
    assert found[0] != found[1] and len(found[0]) == 36


def test_nothing_is_printed_where_results_are() -> None:
    alone = "import MNN, os, sys; print('a result')"
    program = (
        "from hwnas.hardware.engines import open_engine\n"
        "from hwnas.testing.engines import networks, used_arrays\n"
        "import numpy as np\n"
        "network, engine = networks()['mobile'], open_engine('mnn')\n"
        "model = engine.write(network, used_arrays(network, 1))\n"
        "engine.load(model, network.input_shape)()\n"
        "engine.predict(model, np.zeros((1, *network.input_shape), np.float32))\n"
        "print('a result')\n"
    )
    said = [
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
        for text in (alone, program)
    ]
    assert said[0] != "a result\n", "MNN prints no more: the silence can go"
    assert said[1] == "a result\n"


def test_a_conversion_leaves_nothing_where_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    MnnEngine().write(NETWORK, used_arrays(NETWORK, seed=1))
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_shape_are_refused(file: bytes) -> None:
    """MNN would compute something for the first two."""
    engine = MnnEngine()
    for shape in ((1, 3, 9, 7), (1, 3, 18), (1, 4, 18, 14)):
        with pytest.raises(EvaluationFailed, match=r"reads \[1, 3, 18, 14\], and the images are"):
            engine.predict(file, np.zeros(shape, np.float32))
    with pytest.raises(EvaluationFailed, match="reads"):
        engine.load(file, (3, 14, 18))
    with pytest.raises(EvaluationFailed, match="reads"):
        MnnEngine(batch=2).load(file, NETWORK.input_shape)


def test_threads_and_batches_change_no_scores(file: bytes) -> None:
    expected = MnnEngine().predict(file, IMAGES)
    engine = MnnEngine(threads=2, batch=3)
    assert (engine.fingerprint()["threads"], engine.fingerprint()["batch"]) == ("2", "3")
    found = engine.predict(engine.write(NETWORK, used_arrays(NETWORK, seed=1)), IMAGES)
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.std())


@pytest.mark.parametrize("pads", [(-1, -1, 0, 0), (0, 0, -1, -2), (-1, 2, 3, -2)])
def test_what_negative_pads_cut_is_cut(pads: tuple[int, int, int, int]) -> None:
    """MNN's converter passes them on, and its runtime writes outside its memory."""
    top, left, bottom, right = pads
    numbers = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    file = onnx_file(helper.make_node("Pad", ["x", "pads"], ["y"]), {"pads": numbers}, (1, 8, 10, 8))
    images = np.random.default_rng(0).standard_normal((1, 8, 10, 8), dtype=np.float32)
    found = MnnEngine().predict(MnnEngine().convert(file), images)
    np.testing.assert_array_equal(found, open_engine("onnxruntime").predict(file, images))


def test_what_the_converter_gets_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pads = np.array([0, 0, -1, 2, 0, 0, 3, -2], np.int64)
    file = onnx_file(helper.make_node("Pad", ["x", "pads"], ["y"]), {"pads": pads}, (1, 8, 10, 8))
    monkeypatch.setattr("hwnas.hardware.engines.mnn.with_slices", lambda model: model)
    with pytest.raises(EvaluationFailed, match="standard deviations away|ended with status"):
        MnnEngine().convert(file)


def test_an_operation_that_it_lacks_is_named() -> None:
    file = onnx_file(helper.make_node("Foo", ["x"], ["y"], domain="own"), {}, (1, 3, 8, 8))
    with pytest.raises(
        EvaluationFailed, match="cannot convert this network from ONNX: These Op Not Support: ONNX::Foo"
    ):
        MnnEngine().convert(file)
    with pytest.raises(EvaluationFailed, match="no ONNX file"):
        MnnEngine().convert(b"no model")


def test_a_full_disk_is_said_before_half_a_file_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(EvaluationFailed, match="1,000 are free: free some, or set TMPDIR"):
        MnnEngine().write(NETWORK, used_arrays(NETWORK, seed=1))
