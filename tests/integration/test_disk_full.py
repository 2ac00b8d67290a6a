"""A disk that gets full while a fit runs, at any of thirty moments: nothing is lost, and the same command goes on.

The small form is in tests/unit/workflows/test_disk_space.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from real_runs import ENVIRONMENT, SETTINGS, FirstRun, assert_equal

from hwnas.runs.checkpoints import CheckpointDirectory
from small_disk import ROOMY_BYTES, SmallDisk, small_disk

REPLAYED, MEASURED = 20, 10  # moments


def fit(out: Path, disk: SmallDisk | None, *more: str) -> subprocess.Popen[str]:
    """A fit in a process of its own; with a disk, everything that it writes is there."""
    places = {name: str(disk.path / name) for name in ("TMPDIR", "HWNAS_CACHE")} if disk else {}
    for place in places.values():
        Path(place).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "hwnas", "fit", *SETTINGS, "--out", str(out), *more]
    return subprocess.Popen(
        command, env={**ENVIRONMENT, **places}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run_until_full(out: Path, disk: SmallDisk, free_bytes: int, *more: str) -> str:
    """What a fit says that finds so much space in the end; its check before the start saw more."""
    process = fit(out, disk, *more)
    assert process.stderr
    for line in process.stderr:
        if "of disk space" in line:
            break
    disk.leave(free_bytes)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2, said
    return said


def test_what_a_fit_says_that_it_will_take_is_within_a_fifth(first_run: FirstRun) -> None:
    """A run as short as this one is at its fullest when it has finished."""
    said = re.search(r"will take about ([\d.]+) MB of disk space", first_run.said)
    taken = sum(path.stat().st_blocks * 512 for path in first_run.path.rglob("*"))
    assert said and float(said[1]) * 1e6 == pytest.approx(taken, rel=0.2)


@pytest.mark.slow
def test_a_disk_full_at_thirty_moments(first_run: FirstRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The space left is spread from nothing to nearly enough; a third of the runs measure, the others replay."""
    sizes = {path: path.stat().st_blocks * 512 for path in first_run.path.rglob("*") if path.is_file()}
    shares = [(share, True) for share in np.linspace(0, 0.95, REPLAYED)]
    shares += [(share, False) for share in np.linspace(0, 0.9, MEASURED)]
    for number, (share, replayed) in enumerate(shares):
        more = ("--measurements", str(first_run.path)) if replayed else ()
        with small_disk(tmp_path / f"disk{number}") as disk:
            out = disk.path / "run"
            # A replay has its store before the space gets short.
            written = sum(size for path, size in sizes.items() if not (replayed and path.name == "store.sqlite"))
            said = run_until_full(out, disk, round(share * written), *more)
            problem = said.strip().splitlines()[-1]
            with capsys.disabled():
                print(f"\n{number}: {share:.0%} left, replayed {replayed}: {problem}", end="", file=sys.stderr)
            assert "error:" in said and " bytes are needed" in said and "Traceback" not in said
            assert not (out / "lock.json").exists()
            kept = {manifest.parent.parent for manifest in out.glob("checkpoints/**/step-*/manifest.json")}
            assert all(status.problem is None for path in kept for status in CheckpointDirectory(path).inspect())
            disk.leave(ROOMY_BYTES)
            again = fit(out, disk, *more)
            _, said = again.communicate(timeout=300)
            assert again.returncode in (0, 3) and "damaged" not in said, said
            whole = first_run.path
            if not replayed:
                whole = tmp_path / f"whole{number}"
                assert fit(whole, None, "--measurements", str(out)).wait(timeout=300) in (0, 3)
            assert_equal(out, whole)
            assert not [path for path in disk.path.rglob("*") if path.name.endswith(".part")]
            assert not list((disk.path / "TMPDIR").glob("hwnas-*"))
