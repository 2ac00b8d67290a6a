"""Published networks through the command line: described without torch, measured, exported, trained, refused."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusals import Refused

from hwnas.networks.catalogue import NETWORKS

Said = Callable[..., str]


def test_a_description_has_what_is_published(said: Said) -> None:
    found = json.loads(said("describe", "mobilenet-v2", "--json"))
    assert (found["params"], found["macs"], found["layers"]) == (3_504_872, 300_774_272, 20)
    assert found["reported_top1"] == 72.0 and "Sandler" in found["paper"] and found["torchvision"] == "mobilenet_v2"
    assert found["input_shape"] == [3, 224, 224] and found["peak_activation_bytes"] > 0
    assert found["latency_ms"] is found["kind"] is found["target"] is None
    assert sum(row["macs"] for row in found["blocks"]) == found["macs"]


def test_a_description_is_fitted(said: Said) -> None:
    found = json.loads(
        said("describe", "mobilenet-v2", "--resolution", "96", "--width", "0.35", "--classes", "7", "--json")
    )
    assert found["input_shape"] == [3, 96, 96]
    assert found["params"] == 405_095  # torchvision's mobilenet_v2(width_mult=0.35, num_classes=7)
    grey = json.loads(said("describe", "mobilenet-v2", "--input-shape", "1x96x64", "--json"))
    assert grey["input_shape"] == [1, 96, 64]


def test_a_description_needs_no_torch() -> None:
    program = (
        "import sys; from hwnas.cli import run; code = run(['describe', 'mobilenet-v2', '--json']); "
        "sys.exit(code or int(any(name in sys.modules for name in ('torch', 'timm', 'onnx', 'onnxruntime'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["params"] == 3_504_872


def test_every_network_is_listed_and_described(said: Said) -> None:
    assert json.loads(said("list", "networks", "--json")).keys() == {"networks"}
    listed = said("list", "networks")
    for name, facts in NETWORKS.items():
        assert name in listed and facts.title in listed
        assert said("describe", name).splitlines()[-1].startswith("layers: ")


def test_drawings_are_whole_files(said: Said, tmp_path: Path) -> None:
    for name in NETWORKS:
        file = tmp_path / f"{name}.svg"
        found = json.loads(said("describe", name, "--drawing", str(file), "--json"))
        root = ET.fromstring(file.read_text(encoding="utf-8"))
        bars = [part for part in root.iter("{http://www.w3.org/2000/svg}rect") if "bar" in (part.get("class") or "")]
        assert len(bars) == found["layers"]
        right = max(float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in bars)
        assert right <= float(root.attrib["width"])


def test_a_network_is_measured_exported_and_trained_by_name(said: Said, tmp_path: Path) -> None:
    size = ("--resolution", "32", "--width", "0.25")
    measured = json.loads(said("measure", "mobilenet-v2", *size, "--sessions", "2", "--json", "--quiet"))
    assert measured["latency"]["median_ms"] > 0
    said("export", "mobilenet-v2", *size, "--classes", "3", "--random-weights", "--out", str(tmp_path / "files"))
    import onnxruntime

    session = onnxruntime.InferenceSession((tmp_path / "files" / "model.onnx").read_bytes())
    (scores,) = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, 32, 32), np.float32)})
    assert scores.shape == (1, 3)
    trained = json.loads(
        said(
            "train", "mobilenet-v2", "--width", "0.25", "--resolution", "32", "--train-steps", "10",
            "--batch-size", "8",
            "--out", str(tmp_path / "run"), "--json", "--quiet",
        )
    )  # fmt: skip
    assert trained["network"]["params"] > 100_000
    again = json.loads(said("describe", str(tmp_path / "run"), "--json"))
    assert again["params"] == trained["network"]["params"] and again["paper"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("describe", "mobilenet-v22"), ("did you mean 'mobilenet-v2'?", "hwnas list networks")),
        (("describe", "mobilenet-v2", "--width", "9"), ("--width", "0.1 to 4")),
        (("describe", "mobilenet-v2", "--drawing", "/tmp"), ("--drawing /tmp is a directory",)),
        (("describe", "mobilenet-v2", "--resolution", "2"), ("--resolution", "8 to 4,096")),
        (("describe", "mobilenet-v2", "--resolution", "64", "--input-shape", "3x64x64"), ("not both",)),
        (("describe", "mobilenet-v2", "--target", "pixel1-tunas", "--latency-model", "x"), ("either --target",)),
        (("export", "mobilenet-v2", "--out", "files"), ("no weights with a published network", "--random-weights")),
    ],
)
def test_what_does_not_fit_is_refused(refused: Refused, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(*arguments, words=words)
