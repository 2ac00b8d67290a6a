"""A disk that gets full while a fit runs, at any of thirty moments: nothing is lost, and the same command goes on.

The small form is in tests/unit/workflows/test_disk_space.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from real_runs import ENVIRONMENT, SETTINGS, FirstRun

from hwnas.runs.checkpoints import CheckpointDirectory
from small_disk import ROOMY_BYTES, SmallDisk, small_disk

REPLAYED, MEASURED = 20, 10  # moments
FILES = ("model.onnx", "weights.safetensors", "network.json", "network.py", "baselines/fixed/model.onnx")


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


def assert_equal(out: Path, whole: Path) -> None:
    found, expected = (json.loads((path / "result.json").read_text()) for path in (out, whole))
    assert found["repeat"]["canonical_sha256"] == expected["repeat"]["canonical_sha256"]
    for name in FILES:
        assert (out / name).exists() == (whole / name).exists(), name
        if (out / name).exists():
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
def test_a_disk_full_at_thirty_moments(first_run: FirstRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The space left is spread from nothing to nearly enough; a third of the runs measure, the others replay."""
    size = sum(path.stat().st_blocks * 512 for path in first_run.path.rglob("*") if path.is_file())
    shares = [(share, True) for share in np.linspace(0, 0.95, REPLAYED)]
    shares += [(share, False) for share in np.linspace(0, 0.9, MEASURED)]
    for number, (share, replayed) in enumerate(shares):
        more = ("--measurements", str(first_run.path)) if replayed else ()
        with small_disk(tmp_path / f"disk{number}") as disk:
            out = disk.path / "run"
            said = run_until_full(out, disk, round(share * size), *more)
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
