"""Disk space: what a job will take, said before it starts; and a disk that is full while it runs."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.errors import RunError
from hwnas.core.seeds import rng_for
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.sessions import Plan, WorkerTimer
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, TargetKey
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.disk import DiskNeed, check_disk, fit_need, search_need, train_need
from hwnas.workflows.fit import fit
from hwnas.workflows.search_only import search_only
from hwnas.workflows.single import TrainJob, train_single
from small_disk import small_disk

LONG = 210  # steps: a checkpoint before the last
TARGET = Target("onnxruntime-f32", TargetKey("onnxruntime", "1.0", "f32", 1, 1, (1, 4, 32), "a processor"))
FILES = ("model.onnx", "weights.safetensors", "network.json", "baselines/fixed/model.onnx")


def size_on_disk(path: Path) -> int:
    """Bytes of everything below a directory, in whole blocks."""
    return sum(entry.stat().st_blocks * 512 for entry in path.rglob("*") if entry.is_file())


@pytest.fixture
def fullest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How large the run became: looked at whenever something new stands beside what it replaces."""
    sizes: list[int] = []

    def looking(move: Callable[..., None], source: Any, place: Any) -> None:
        sizes.append(size_on_disk(tmp_path / "run"))
        move(source, place)

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, partial(looking, getattr(os, name)))
    yield sizes


@pytest.mark.parametrize("baselines", ["none", pytest.param("full", marks=pytest.mark.slow)])
def test_the_estimate_of_a_fit_is_within_a_fifth(
    make_job: Any, run_fit: Any, tmp_path: Path, fullest: list[int], baselines: str
) -> None:
    job = make_job("80%", baselines=baselines, train_steps=60)
    job = replace(job, settings=replace(job.settings, search=replace(job.settings.search, steps=LONG)))
    estimate = fit_need(job).peak_bytes
    run_fit(job)
    # Of five contenders, three choose the same small network and share its training, which nobody knows before.
    assert max(fullest) == pytest.approx(estimate, rel=0.2 if baselines == "none" else 0.3)
    kept = {manifest.relative_to(tmp_path / "run" / "checkpoints").parts[0]
            for manifest in tmp_path.glob("run/checkpoints/**/manifest.json")}  # fmt: skip
    assert kept - {"uniform"} == {"search", "trained"}  # of what has ended, what is needed to go on


def test_the_estimate_of_a_search_and_of_a_training_is_within_a_fifth(
    make_job: Any, tmp_path: Path, fullest: list[int], course: Any
) -> None:
    job = make_job("80%")
    job = replace(job, settings=replace(job.settings, search=replace(job.settings.search, steps=LONG)))
    estimate = search_need(job).peak_bytes
    with RunDirectory.open(tmp_path / "run", {}) as run:
        search_only(job, run, course())
    assert estimate == pytest.approx(max(fullest), rel=0.2)
    fullest.clear()
    shutil.rmtree(tmp_path / "run")
    network = job.space.decode(job.space.choices.sample(rng_for(0, "any")))
    training = TrainJob(job.data, network, None, job.settings.recipe, LONG, 0, job.device, "hwnas train")
    with RunDirectory.open(tmp_path / "run", {}) as run:
        train_single(training, run, course())
    assert train_need(network, training.recipe, LONG).peak_bytes == pytest.approx(max(fullest), rel=0.2)


def test_a_job_that_does_not_fit_is_refused_before_it_starts(tmp_path: Path, course: Any) -> None:
    free = shutil.disk_usage(tmp_path).free
    with RunDirectory.open(tmp_path / "run", {}) as run:
        said = course()
        check_disk(DiskNeed({"checkpoints": 2_000_000, "files": 500_000}), run, said)
        assert said.said == [f"{run.path} will take about 2.5 MB of disk space"]
        with pytest.raises(RunError, match=r"about [\d,]+ MB are needed in .*run, [\d,]+ MB are free: free some"):
            check_disk(DiskNeed({"checkpoints": 2 * free + 10**9}), run, said)
        (run.path / "checkpoints").mkdir()
        (run.path / "checkpoints" / "before").write_bytes(bytes(10**6))
        check_disk(DiskNeed({"checkpoints": shutil.disk_usage(tmp_path).free + 900_000}), run, said)


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in ("created", "compute", "command")}


def assert_full_disk_is_survived(
    fill: Callable[[RunDirectory], None], free: Callable[[], None], whole: Path, out: Path, job: Any, course: Any
) -> None:
    """A fit on a disk that gets full ends in a sentence with the bytes; with space again, it ends as the whole one."""
    expected = RunDirectory.read(whole).result()
    job = replace(job, store=TargetStore(out.with_name(f"{out.name} latencies")))
    with pytest.raises(RunError, match=r"no space left for .* bytes are needed, [\d,]+ are free; free some"):
        with RunDirectory.open(out, {}) as run:
            fill(run)
            fit(job, run, course())
    free()
    for manifest in out.glob("checkpoints/**/manifest.json"):
        checkpoints = CheckpointDirectory(manifest.parent.parent)
        assert all(status.problem is None for status in checkpoints.inspect())
    with RunDirectory.open(out, {}) as run:
        found = fit(job, run, course()).result
    assert comparable(found) == comparable(expected)
    for name in FILES:
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert not list(out.rglob("*.part"))


@pytest.fixture
def whole(make_job: Any, tmp_path: Path, course: Any) -> tuple[Path, Any]:
    """An uninterrupted run and its job."""
    job = make_job("80%")
    with RunDirectory.open(tmp_path / "whole", {}) as run:
        fit(job, run, course())
    return tmp_path / "whole", job


def test_a_disk_that_fills_up_while_a_fit_runs_loses_nothing(
    whole: tuple[Path, Any], tmp_path: Path, course: Any
) -> None:
    """A real file system, full in the latency model, in a training, and near the end."""
    with small_disk(tmp_path / "small") as disk:
        last = size_on_disk(whole[0])
        for number, share in enumerate((0.0, 0.5, 0.9)):

            def fill(run: RunDirectory, share: float = share) -> None:
                disk.leave(round(share * last))

            out = disk.path / f"run{number}"
            # The check before the start would refuse; it has seen more space, as if another program took it meanwhile.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("hwnas.workflows.fit.check_disk", lambda need, run, progress, fill=fill: fill(run))
                assert_full_disk_is_survived(
                    lambda run: None, lambda: (patch.undo(), disk.leave(10 * last)), whole[0], out, whole[1], course
                )
            shutil.rmtree(out)


@pytest.mark.parametrize("at", [3, 30])
def test_a_write_that_finds_no_space_loses_nothing(
    whole: tuple[Path, Any], tmp_path: Path, course: Any, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The same without a file system of its own: one write stops halfway."""
    write, writes = os.write, 0

    def full(descriptor: int, content: Any) -> int:
        nonlocal writes
        writes += 1
        if writes != at:
            return write(descriptor, content)
        write(descriptor, bytes(content)[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(run: RunDirectory) -> None:
        monkeypatch.setattr(os, "write", full)

    assert_full_disk_is_survived(
        fill, lambda: monkeypatch.setattr(os, "write", write), whole[0], tmp_path / "run", whole[1], course
    )


def test_a_store_that_finds_no_space_loses_nothing(whole: tuple[Path, Any], tmp_path: Path, course: Any) -> None:
    def fill(run: RunDirectory) -> None:
        pages = run.store._connection.execute("PRAGMA page_count").fetchone()[0]
        run.store._connection.execute(f"PRAGMA max_page_count={pages + 20}")

    assert_full_disk_is_survived(fill, lambda: None, whole[0], tmp_path / "run", whole[1], course)


def test_files_to_be_measured_that_find_no_place_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    models = {"a": ModelFile(bytes(1234), (1, 4, 32))}
    with pytest.raises(RunError, match="1,234 bytes are needed.*TMPDIR"):
        WorkerTimer().time_session(TARGET, models, Plan(1, 0))
