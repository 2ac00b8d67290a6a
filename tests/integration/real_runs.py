"""The command line in a process of its own, and the settings of a fit that takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
