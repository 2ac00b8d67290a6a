"""Every version of the run format has a stored run that later versions are tested to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.runs.stored import RUN_FORMAT, read_run

OLD_RUNS = Path(__file__).resolve().parents[1] / "old_runs"
NEWEST = int(RUN_FORMAT.partition("@")[2])


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_a_run_of_every_version_is_stored(version: int) -> None:
    assert read_run(OLD_RUNS / f"format-{version}").version == version, "see tests/old_runs/README.md"
