"""A run that is killed anywhere, however often, ends with the bits of one that was not.

The small form is in test_commands.py: one run that is interrupted twice and killed once.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_runs import ENVIRONMENT, SETTINGS

KILLS = 20
FILES = ("model.onnx", "weights.safetensors", "network.json", "architecture.json", "network.py")
BASELINES = ("baselines/fixed/model.onnx", "baselines/random/model.onnx")


def fit(out: Path, cache: Path, *more: str) -> subprocess.Popen[bytes]:
    """A fit in a process of its own; it says nothing, and measures for real in a cache of its own."""
    command = [sys.executable, "-m", "hwnas", "fit", *SETTINGS, "--out", str(out), "--quiet", *more]
    return subprocess.Popen(
        command, env={**ENVIRONMENT, "HWNAS_CACHE": str(cache)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finished(out: Path, cache: Path, *more: str) -> dict[str, Any]:
    process = fit(out, cache, *more)
    _, said = process.communicate(timeout=600)
    assert process.returncode in (0, 3), said.decode()
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def assert_equal_to_an_uninterrupted_run(out: Path, cache: Path, reference: Path) -> None:
    """Replays the measurements of a run in one go, and compares the hash of everything and the files byte by byte."""
    found = finished(out, cache)
    expected = finished(reference, cache, "--measurements", str(out))
    assert found["repeat"]["canonical_sha256"] == expected["repeat"]["canonical_sha256"]
    for name in (*FILES, *BASELINES):
        assert (out / name).exists() == (reference / name).exists(), name
        if (out / name).exists():
            assert (out / name).read_bytes() == (reference / name).read_bytes(), name


def reached(out: Path) -> list[str]:
    """The stages that a run has finished, and the loops that it has begun."""
    with contextlib.closing(sqlite3.connect(f"file:{out / 'store.sqlite'}?mode=ro", uri=True)) as store:
        stages = [name for (name,) in store.execute("SELECT name FROM stages ORDER BY id")]
    return [*stages, *sorted(f"({path.parent.name})" for path in out.glob("checkpoints/**/step-*"))]


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.slow
def test_one_kill_at_any_moment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty moments spread evenly, with chance, over the whole of a run: measuring, search, training, export."""
    finished(tmp_path / "first", tmp_path / "cache-first")
    ends = [(tmp_path / "first" / name).stat().st_mtime for name in ("config.yaml", "report.html")]
    duration_s = ends[1] - ends[0]
    rng = np.random.default_rng(0)
    for number, share in enumerate((np.arange(KILLS) + rng.random(KILLS)) / KILLS):
        out, cache = tmp_path / f"killed-{number}", tmp_path / f"cache-{number}"
        process = fit(out, cache)
        while not (out / "config.yaml").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(share * duration_s)
        kill(process)
        with capsys.disabled():
            print(f"\nkilled at {share:.0%} of {duration_s:.0f} s: {', '.join(reached(out))}", end="", file=sys.stderr)
        assert_equal_to_an_uninterrupted_run(out, cache, tmp_path / f"whole-{number}")


def state_of(out: Path) -> tuple[int, ...]:
    """Sizes of what grows when something is committed: the store, the checkpoints, the figures."""
    paths = [out / "store.sqlite", out / "metrics.jsonl", *sorted(out.glob("checkpoints/**/manifest.json"))]
    return tuple(path.stat().st_mtime_ns for path in paths if path.exists())


@pytest.mark.slow
def test_one_run_killed_twenty_times(tmp_path: Path) -> None:
    """Each time after it committed something, or at the latest after half a minute."""
    out, cache = tmp_path / "killed", tmp_path / "cache"
    rng = np.random.default_rng(1)
    kills = 0
    while kills < KILLS:
        process, before, deadline = fit(out, cache), state_of(out), time.monotonic() + 30
        while process.poll() is None and state_of(out) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.4 * rng.random())
        ended = process.poll() is not None
        kill(process)
        kills += 1
        assert not ended or kills > KILLS // 2, "the run was over before it could be killed often enough"
        if ended:
            break
    assert_equal_to_an_uninterrupted_run(out, cache, tmp_path / "whole")
