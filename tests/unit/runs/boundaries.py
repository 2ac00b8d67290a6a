"""Counts what a piece of code asks of the file system, and lets the n-th request fail: by an error or by SIGKILL.

Run as a script, `boundaries.py SCENARIO TEMPLATE WORK`: for n = 1, 2, … it copies TEMPLATE to WORK/n and has a forked
process die at the n-th request of the scenario, until one comes through; prints how many copies there are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import hwnas
from hwnas.core.protocols import Checkpoint
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.directory import RunDirectory

REQUESTS = ("open", "write", "fsync", "close", "mkdir", "rename", "replace", "unlink", "rmdir")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(hwnas.__file__).parents[1])}
CONFIG = {"seed": 0, "search": {"steps": 100}}


@contextlib.contextmanager
def failing(at: int, fail: Callable[[], Any]) -> Iterator[list[str]]:
    """Calls `fail` instead of the `at`-th request, a write after half its bytes; yields the requests made so far."""
    originals = {name: getattr(os, name) for name in REQUESTS}
    made: list[str] = []

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            made.append(name)
            if len(made) == at:
                if name == "write":
                    originals["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
                fail()
            return originals[name](*args, **keywords)

        return call

    for name in REQUESTS:
        setattr(os, name, wrapped(name))
    try:
        yield made
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def checkpoint(step: int, variant: int = 0) -> Checkpoint:
    rng = np.random.default_rng([step, variant])
    arrays = {
        "net/weight": rng.normal(size=(16, 8)).astype(np.float32),
        "net/steps": np.array(step, dtype=np.int64),
        "rng": rng.integers(0, 256, size=64).astype(np.uint8),
        "mask": rng.random(5) < 0.5,
        "empty": np.zeros((0, 3), dtype=np.float32),
    }
    return Checkpoint(step, arrays, {"lr": 0.1 / (step + 1), "variant": variant, "names": ["a", "é", None, True]})


def same(a: Checkpoint | None, b: Checkpoint) -> bool:
    return (
        a is not None
        and a.step == b.step
        and a.state == b.state
        and list(a.arrays) == list(b.arrays)
        and all(
            a.arrays[name].dtype == b.arrays[name].dtype
            and a.arrays[name].shape == b.arrays[name].shape
            and a.arrays[name].tobytes() == b.arrays[name].tobytes()
            for name in b.arrays
        )
    )


def flipped(content: bytes, position: int, bit: int) -> bytes:
    """The content with one bit changed."""
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


SCENARIOS: dict[str, Callable[[Path], Any]] = {
    "next": lambda path: CheckpointDirectory(path).save(checkpoint(30)),
    "replace": lambda path: CheckpointDirectory(path).save(checkpoint(20, variant=1)),
    "back": lambda path: CheckpointDirectory(path).save(checkpoint(15)),
    "only-one": lambda path: CheckpointDirectory(path, keep=1).save(checkpoint(20, variant=1)),
    "create": lambda path: RunDirectory.open(path, CONFIG).close(),
    "fresh": lambda path: RunDirectory.open(path, CONFIG, fresh=True).close(),
    "finish": lambda path: RunDirectory.open(path, CONFIG).finish({"format": "hwnas-result@2", "seed": 1}),
}


def kill_everywhere(scenario: str, template: Path, work: Path) -> list[Path]:
    """What is left of each copy of `template` when killed at request 1, 2, …; the last one came through.

    A process of its own does the forking, so that none of a test runner's threads or files are copied along.
    """
    command = [sys.executable, __file__, scenario, str(template), str(work)]
    answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    if answer.returncode != 0:
        raise RuntimeError(answer.stderr)
    return [work / str(n) for n in range(1, int(answer.stdout) + 1)]


def _copies_until_one_comes_through(scenario: str, template: Path, work: Path) -> int:
    n = 0
    while True:
        n += 1
        copy = work / str(n)
        shutil.copytree(template, copy)
        child = os.fork()
        if child == 0:
            with failing(n, _die):
                SCENARIOS[scenario](copy)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return n


if __name__ == "__main__":
    print(_copies_until_one_comes_through(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
