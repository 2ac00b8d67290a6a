"""Several targets in one command: shared work, the matrix, a target that is not there, and the command again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import run
from hwnas.runs.stored import read_run
from known_latencies import FakeTimer

GONE = "onnxruntime?threads=1024"  # nobody has so many cores
# A file for two images has the known latency of one for one image, so that both searches find the same network.
COMMAND = [
    "fit", "--data", "toy", "--search-steps", "20", "--train-steps", "12", "--candidates", "4", "--sessions", "2",
    "--held-out", "2", "--baselines", "none", "--budget", "80%", "--target", "onnxruntime", "--target",
    "onnxruntime?batch=2", "--target", GONE,
]  # fmt: skip


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTimer:
    """Known latencies in the place of measuring processes."""
    found = FakeTimer()
    monkeypatch.setattr("hwnas.workflows.measuring.WorkerTimer", lambda: found)
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return found


def test_a_network_per_target_and_the_matrix(
    tmp_path: Path, timer: FakeTimer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwnas import compose

    opened: list[Any] = []
    open_data = compose.open_data
    monkeypatch.setattr(compose, "open_data", lambda config: opened.append(config) or open_data(config))
    out = tmp_path / "out"
    assert run([*COMMAND, "--out", str(out), "--json", "--quiet"]) == 4
    summary = json.loads(capsys.readouterr().out)
    assert len(opened) == 1  # the images are decoded once
    assert [row["exit_code"] for row in summary["runs"]] == [0, 0, 4]
    names = [row["directory"] for row in summary["runs"]]
    first, second = (read_run(out / name).result() for name in names[:2])
    trained = f"train/{first['network']['architecture_id']}/scratch"
    assert first["shared"] == [] and second["shared"] == [{"what": trained, "steps": 12, "from": f"../{names[0]}"}]
    (matrix,) = summary["specialisation"]
    assert [home["target"] for home in matrix["homes"]] == [row["target"] for row in summary["runs"]]
    assert [[cell["error"] is None for cell in row] for row in matrix["cells"]] == 2 * [[True, True, False]]
    assert "1024 cores" in matrix["cells"][0][2]["error"]
    for index, row in enumerate(summary["runs"][:2]):
        assert matrix["cells"][index][index]["accuracy"] == row["accuracy"]["test"]
        assert matrix["cells"][index][index]["latency_ms"] == pytest.approx(row["latency_ms"])
    page = (out / "report.html").read_text()
    assert "matrix1-title" in page and "Every network on every target" in page
    sessions = len(timer.sessions)
    assert run([*COMMAND, "--out", str(out), "--quiet"]) == 4
    said = capsys.readouterr().out
    assert "(its own)" in said and "not measured: " in said and "On onnxruntime-f32" in said
    assert len(timer.sessions) == sessions
    assert run(["report", str(out)]) == 0 and (out / "report.html").read_text() == page
