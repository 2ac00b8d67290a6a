"""One run, one process, by the real command line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from real_runs import ENVIRONMENT

from hwnas.runs.lock import RunLock


def test_a_second_process_is_refused_before_it_loads_torch(tmp_path: Path) -> None:
    held, seeds = str(tmp_path / "held"), str(tmp_path / "seeds")
    commands = [
        ["fit", "--budget", "50%", "--out", held],
        ["search", "--budget", "50%", "--out", held],
        ["train", "network.json", "--out", held],
        ["fit", "--budget", "50%", "--seeds", "2", "--out", seeds],
    ]
    places = [tmp_path / "held", tmp_path / "seeds" / "seed-1"]
    for place in places:
        place.mkdir(parents=True)
    locks = [RunLock.take(place / "lock.json") for place in places]
    code = (
        "import sys; from hwnas.cli import run\n"
        f"for command in {commands!r}: print('>', run(command), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    for lock in locks:
        lock.release()
    assert done.stdout.split("\n")[:-1] == ["> 2 False"] * len(commands)
    refusals = " ".join(done.stderr.split())
    assert refusals.count(f"is in use by process {os.getpid()} on host {socket.gethostname()}") == len(commands)
