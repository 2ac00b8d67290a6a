"""Files of a network: written whole, read back, refused with a reason; and its layers in words and numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.core.counting import count
from hwnas.core.errors import FileFormatError, InputError
from hwnas.core.layers import Classifier, ConvBnAct
from hwnas.core.network import NetworkSpec, Node
from hwnas.formats.arrays import random_arrays
from hwnas.formats.onnx_file import to_onnx
from hwnas.workflows.blocks import blocks
from hwnas.workflows.exporting import export_network
from hwnas.workflows.files import read_model, read_weights

NETWORK = NetworkSpec((3, 10, 8), (Node("stem", ConvBnAct(4, 3)), Node("classifier", Classifier(2))))


def onnx_file(path: Path, *inputs: tuple[str, list[int | str], int]) -> Path:
    values = [helper.make_tensor_value_info(name, kind, shape) for name, shape, kind in inputs]
    nodes = [helper.make_node("Identity", [values[0].name], ["out"])]
    graph = helper.make_graph(nodes, "g", values, [helper.make_empty_tensor_value_info("out")])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_what_is_exported_is_read_back(tmp_path: Path) -> None:
    arrays = random_arrays(NETWORK, seed=3)
    first = export_network(NETWORK, None, None, tmp_path / "a").directory
    assert sorted(path.name for path in first.iterdir()) == [
        "model.onnx", "network.json", "network.py", "weights.safetensors",
    ]  # fmt: skip
    found = read_model(first / "model.onnx")
    assert found.input_shape == (3, 10, 8)
    assert found.content == to_onnx(NETWORK, random_arrays(NETWORK, seed=0))
    from safetensors.numpy import save_file

    save_file(arrays, tmp_path / "w.safetensors")
    second = export_network(NETWORK, None, tmp_path / "w.safetensors", tmp_path / "b").directory
    again = read_weights(second / "weights.safetensors", NETWORK, {})
    assert again.keys() == arrays.keys()
    assert all(np.array_equal(again[name], arrays[name]) for name in arrays)


def test_an_export_spares_runs_and_refuses_foreign_weights(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("budget: 40%")
    with pytest.raises(InputError, match="is a run"):
        export_network(NETWORK, None, None, tmp_path / "run")
    from safetensors.numpy import save_file

    save_file({"other": np.zeros(3, np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="other"):
        export_network(NETWORK, None, tmp_path / "w.safetensors", tmp_path / "out")
    (tmp_path / "w.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(FileFormatError, match="no whole safetensors file"):
        export_network(NETWORK, None, tmp_path / "w.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_foreign_onnx_files_with_one_image_are_read(tmp_path: Path) -> None:
    for batch in (1, "batch"):
        path = onnx_file(tmp_path / "m.onnx", ("images", [batch, 3, 6, 5], TensorProto.FLOAT))
        assert read_model(path).input_shape == (3, 6, 5)


@pytest.mark.parametrize(
    "inputs",
    [
        [("images", [8, 3, 6, 5], TensorProto.FLOAT)],
        [("images", [1, 3, "height", "width"], TensorProto.FLOAT)],
        [("tokens", [1, 12], TensorProto.INT64)],
        [("images", [1, 3, 6, 5], TensorProto.UINT8)],
        [("images", [1, 3, 6, 5], TensorProto.FLOAT), ("scale", [1], TensorProto.FLOAT)],
    ],
    ids=["batch of 8", "open sides", "tokens", "bytes", "two inputs"],
)
def test_other_onnx_files_are_refused_with_what_they_read(
    tmp_path: Path, inputs: list[tuple[str, list[int | str], int]]
) -> None:
    with pytest.raises(InputError, match="expected one float32 input|2 inputs"):
        read_model(onnx_file(tmp_path / "m.onnx", *inputs))


def test_a_damaged_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\xff\xff\xff not a model")
    with pytest.raises(FileFormatError, match="no ONNX file"):
        read_model(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="no file"):
        read_model(tmp_path / "none.onnx")
    assert onnx.__version__


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_blocks_add_up_to_the_network(cell_network: Callable[[str], NetworkSpec], name: str) -> None:
    """Cells with several inputs and nested names count to their own node."""
    network = cell_network(name)
    rows, counts = blocks(network, None), count(network)
    assert [row["name"] for row in rows] == [node.name for node in network.nodes]
    assert sum(row["params"] for row in rows) == counts.params
    assert sum(row["macs"] for row in rows) == counts.macs
    assert all(row["latency_ms"] is None and row["share"] is None for row in rows)
