"""The command line in a process of its own, and the settings of a fit that takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.runs.stored import NETWORK_FILES, read_run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# Long enough to be cut off in the search, after a checkpoint, and in a training. Later options win, but for --budget.
TASK = (
    "--data", "toy", "--search-steps", "240", "--train-steps", "60", "--candidates", "6", "--sessions", "3",
    "--held-out", "2",
)  # fmt: skip
SETTINGS = (*TASK, "--budget", "90%")
SHORT = ("--search-steps", "20", "--train-steps", "12")


def start(*arguments: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hwnas", *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@dataclass(frozen=True)
class FirstRun:
    """What the command left: its directory, exit code, what it printed as JSON, and what it said on stderr."""

    path: Path
    code: int
    result: dict[str, Any]
    said: str


def assert_equal(out: Path, whole: Path) -> None:
    """Two finished runs: the hash of all that they have found out, and every file that is delivered, byte by byte."""
    hashes = {read_run(path).result()["repeat"]["canonical_sha256"] for path in (out, whole)}
    assert len(hashes) == 1
    assert_equal_files(out, whole)


def assert_equal_files(out: Path, whole: Path) -> None:
    """The delivered files of two directories."""
    files = {path: {found.relative_to(path) for name in NETWORK_FILES for found in path.rglob(name)}
             for path in (out, whole)}  # fmt: skip
    assert files[out] == files[whole]
    for name in files[out]:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
