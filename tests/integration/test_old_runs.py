"""A run of every released format stays readable: report, export, measuring, describing, and its measurements."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from real_runs import TASK

from hwnas.cli import run as hwnas
from hwnas.core.errors import RunError
from hwnas.hardware.timing import Measurement
from hwnas.runs.directory import RunDirectory
from hwnas.runs.store import RunStore

OLD_RUNS = sorted(path for path in (Path(__file__).parents[1] / "old_runs").iterdir() if path.is_dir())


@pytest.fixture(params=OLD_RUNS, ids=lambda path: path.name)
def old_run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, because opening a store writes beside it."""
    return Path(shutil.copytree(request.param, tmp_path / request.param.name))


def test_an_old_run_is_read_whole_and_its_report_written(old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = RunDirectory.read(old_run)
    assert stored.problems() == [] and stored.damaged_files() == []
    assert stored.result()["network"]["latency"]["median_ms"] > 0 and "sha256" not in stored.result()
    stages = {line["stage"] for line in stored.metrics()}
    assert "search" in stages and any(stage.startswith("train/") for stage in stages)
    assert hwnas(["report", str(old_run)]) == 0
    assert capsys.readouterr() == (f"{old_run / 'report.html'}\n", "")
    page = (old_run / "report.html").read_text()
    assert page.startswith("<!doctype html>") and stored.result()["network"]["architecture_id"] in page


def test_the_network_of_an_old_run_is_described_exported_and_measured(
    old_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = RunDirectory.read(old_run).result()
    assert hwnas(["describe", str(old_run), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (
        described["macs"] == result["network"]["macs"] and described["latency_ms"] > 0 and described["kind"] == "model"
    )
    assert hwnas(["export", str(old_run), "--out", str(tmp_path / "deploy")]) == 0
    assert (tmp_path / "deploy" / "model.onnx").read_bytes() == (old_run / "model.onnx").read_bytes()
    capsys.readouterr()
    assert hwnas(["measure", str(old_run), "--sessions", "2", "--json", "--quiet"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["latency"]["file_sha256"] == result["network"]["latency"]["file_sha256"]


def test_the_measurements_of_an_old_run_are_replayed(old_run: Path, tmp_path: Path) -> None:
    with RunStore(old_run / "store.sqlite", new=False) as store:
        taken = store.measurements()
    out = tmp_path / "again"
    # A budget that nothing can meet ends the fit before anything is trained.
    command = ["fit", *TASK, "--budget", "0.01us", "--out", str(out), "--measurements", str(old_run), "--quiet"]
    assert hwnas(command) == 3
    with RunStore(out / "store.sqlite", new=False) as store:
        assert len(taken) > 5 and store.measurements()[: len(taken)] == taken


def test_a_measurement_of_an_old_run_is_read_and_judged_by_its_samples(old_run: Path) -> None:
    with RunStore(old_run / "store.sqlite", new=False) as store:
        stored = [row.content for row in store.measurements() if row.content.get("format") == "hwnas-measurement@1"]
    found = [Measurement.from_json(content) for content in stored]
    assert len(found) > 3 and [measurement.doubts for measurement in found] == [()] * len(found)
    slow = found[0].to_json() | {"format": "hwnas-measurement@1", "reference_ms": found[0].reference_ms / 2}
    assert [doubt.name for doubt in Measurement.from_json(slow).doubts] == ["other-speed"]


def test_an_old_run_is_not_written_to_unless_this_version_can_go_on_with_it(old_run: Path) -> None:
    stored = RunDirectory.read(old_run)
    before = {path: path.read_bytes() for path in old_run.rglob("*") if path.is_file()}
    with RunDirectory.open(old_run, stored.config) as run:  # it has finished
        assert run.resumed
        if stored.version < 2:
            with pytest.raises(RunError, match="older hwnas and can only be read; use --fresh"):
                run.checkpoints("search")
    assert {path: path.read_bytes() for path in old_run.rglob("*") if path.is_file()} == before
    (old_run / "result.json").unlink()
    if stored.version < 2:
        with pytest.raises(RunError, match="older hwnas and can only be read; use --fresh"):
            RunDirectory.open(old_run, stored.config)
    else:
        RunDirectory.open(old_run, stored.config).close()
