"""Cutting by Slice computes what negative pads do, and everything else stays as it is."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hwnas.core.errors import InputError
from hwnas.formats.onnx_crop import with_slices
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine

IMAGES = np.random.default_rng(0).standard_normal((1, 4, 8, 9), dtype=np.float32)


def padded(pads: list[int], mode: str = "constant", as_node: bool = False, value: float | None = None) -> bytes:
    numbers = numpy_helper.from_array(np.array(pads, np.int64), "pads")
    inputs = ["x", "pads"] if value is None else ["x", "pads", "value"]
    nodes = [helper.make_node("Pad", inputs, ["y"], mode=mode), helper.make_node("Relu", ["y"], ["z"])]
    if as_node:
        nodes.insert(0, helper.make_node("Constant", [], ["pads"], value=numbers))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, of) for name, of in (("x", (1, 4, 8, 9)), ("z", None))
    ]
    stored = [] if as_node else [numbers]
    if value is not None:
        stored.append(numpy_helper.from_array(np.array(value, np.float32), "value"))
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def kinds(file: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(file).graph.node]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=6, max_size=6), st.booleans(), st.sampled_from([None, 0.5]))
def test_it_computes_the_same(numbers: list[int], as_node: bool, value: float | None) -> None:
    file = padded([0, *numbers[:3], 0, *numbers[3:]], as_node=as_node, value=value)
    changed = with_slices(file)
    if numbers[0] + numbers[3] > -4:  # some channel is left
        engine = OnnxRuntimeEngine()
        np.testing.assert_array_equal(engine.predict(changed, IMAGES), engine.predict(file, IMAGES))
    assert (changed == file) == (min(numbers) >= 0)
    assert ("Slice" in kinds(changed)) == (min(numbers) < 0)
    assert ("Pad" in kinds(changed)) == (max(numbers) > 0 or min(numbers) == 0)


def test_other_pads_stay_as_they_are() -> None:
    for file in (padded([0, 0, 1, 1, 0, 0, 1, 1]), padded([0, 0, -1, 0, 0, 0, 0, 0], mode="reflect")):
        assert with_slices(file) == file


def test_what_is_no_onnx_is_refused() -> None:
    with pytest.raises(InputError, match="no ONNX file"):
        with_slices(b"no model")
