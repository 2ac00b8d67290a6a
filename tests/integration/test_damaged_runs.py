"""A damaged file of a finished run is named by every command that would use it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hwnas.cli import run as hwnas

STORED = Path(__file__).parents[1] / "old_runs" / "format-2"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A copy of a stored run."""
    return Path(shutil.copytree(STORED, tmp_path / "run"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("weights.safetensors", ["export", "RUN", "--out", "OUT"]),
        ("network.json", ["export", "RUN", "--out", "OUT"]),
        ("architecture.json", ["export", "RUN", "--out", "OUT"]),
        ("model.onnx", ["measure", "RUN", "--sessions", "2"]),
        ("model.onnx", ["measure", "RUN/model.onnx", "--sessions", "2"]),
        ("baselines/fixed/model.onnx", ["measure", "RUN/baselines/fixed", "--sessions", "2"]),
        ("network.json", ["train", "RUN", "--data", "toy", "--out", "OUT"]),
        ("network.json", ["describe", "RUN"]),
        ("latency/onnxruntime-f32.json", ["describe", "RUN"]),
        ("result.json", ["report", "RUN"]),
        ("result.json", ["measure", "RUN", "--budget", "40%"]),
        ("config.yaml", ["report", "RUN"]),
        ("env.json", ["report", "RUN"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_command_that_needs_a_damaged_file_refuses_and_names_it(
    finished: Path, capsys: pytest.CaptureFixture[str], file: str, command: list[str]
) -> None:
    damage(finished / file)
    out = finished.parent / "out"
    arguments = [word.replace("RUN", str(finished)).replace("OUT", str(out)) for word in command]
    assert hwnas(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and f"{finished / file} is " in shown.err
    assert "damaged" in shown.err or "not valid JSON" in shown.err
    assert not (out / "model.onnx").exists()


def test_a_file_that_is_missing_is_not_replaced_by_random_weights(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "model.onnx").unlink()
    assert hwnas(["measure", str(finished), "--sessions", "2"]) == 2
    assert f"{finished / 'model.onnx'} is damaged or missing" in capsys.readouterr().err


def test_a_report_says_what_it_leaves_out(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(finished / "metrics.jsonl")
    damage(finished / "model.onnx")
    assert hwnas(["report", str(finished)]) == 0
    shown = capsys.readouterr()
    said = shown.err.replace("\n", "")
    assert f"{finished}/metrics.jsonl, line" in said and "damaged and left out" in said
    assert f"{finished}/model.onnx is damaged or missing" in said
    assert shown.out == f"{finished / 'report.html'}\n" and (finished / "report.html").exists()
