"""What fewer bits cost in accuracy: the file that ships beside the same weights in f32, on the same images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hwnas.data.stream import evaluation_batches
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.hardware.targets import open_target
from hwnas.report.terminal import result_lines
from hwnas.workflows.statistics import rounding_verdict


def test_a_fit_for_int8_says_what_int8_costs(make_job, run_fit) -> None:
    plain = make_job("1ms", baselines="none")
    target = open_target("onnxruntime-int8", plain.data.input_shape)
    found = run_fit(make_job("1ms", target=target, baselines="none"))
    rounding = found.result["network"]["rounding"]
    model, right, seen = (found.run / "model.onnx").read_bytes(), 0, 0
    for images, labels in evaluation_batches(plain.data, plain.data.test, 100, torch.device("cpu")):
        scores = OnnxRuntimeEngine().predict(model, images.contiguous().numpy())
        right, seen = right + int((np.argmax(scores, 1) == labels.numpy()).sum()), seen + len(labels)
    assert rounding["precision"] == "int8" and rounding["test_in_f32"] == pytest.approx(right / seen)
    assert rounding["difference"] == pytest.approx(found.accuracy - rounding["test_in_f32"])
    assert rounding["says"] in result_lines(json.loads((found.run / "result.json").read_text()))
    assert f"{100 * rounding['test_in_f32']:.1f}" in (found.run / "report.html").read_text()


def test_f32_has_nothing_to_say(make_job, run_fit) -> None:
    assert run_fit(make_job("1ms", baselines="none")).result["network"]["rounding"] is None


@pytest.mark.parametrize(
    ("difference", "interval", "words"),
    [
        (-0.012, (-0.02, -0.004), "1.2 points less accurate than in f32 (95 % interval −2.0 to −0.4, 9 test images): "),
        (0.001, (-0.004, 0.006), "0.1 points more accurate than in f32 (95 % interval −0.4 to +0.6, 9 test images): n"),
        (0.0, (-0.002, 0.002), "In int8 the searched network is as accurate as in f32 (95 % −0.2 to +0.2 points)."),
    ],
)  # fmt: skip
def test_the_sentence(difference: float, interval: tuple[float, float], words: str) -> None:
    assert words in rounding_verdict("int8", difference, interval, 9).replace("\u00a0", " ")
