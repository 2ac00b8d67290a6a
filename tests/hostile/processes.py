"""Commands in a process of their own, which can take neither all memory nor all time."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offline import offline

# Imports all that any command imports, loads real images, and is refused then: what a command costs that does nothing.
IDLE = ("fit", "--data", "digits", "--space", "toy", "--budget", "1ms", "--out", "new")
MOST_BYTES = 3 * 2**30  # of memory: where an attack gets through, it takes no other process with it
Answer = dict[str, Any]
Asked = Callable[..., Answer]


def environment(network_log: Path) -> dict[str, str]:
    """Of every command: one thread, and no network; who tries it is written down."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **offline(network_log)}


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


def alone(arguments: tuple[str, ...], at: Path, cache: Path) -> tuple[int, str, str, float, float]:
    """One command in a process of its own: code, stdout, stderr, CPU seconds and peak memory in MiB, children's too."""
    log = at.parent / "network"

    def guarded() -> None:
        limited()
        signal.alarm(600)  # a guard for what would never end; a limit on CPU time makes its clock coarse

    with (at.parent / "out").open("w+b") as out, (at.parent / "err").open("w+b") as err:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hwnas", *arguments], cwd=at, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env=environment(log) | {"HWNAS_CACHE": str(cache)}, preexec_fn=guarded,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        texts = out.read().decode(), err.read().decode()
    assert not log.exists(), log.read_text()
    return process.returncode, *texts, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
