"""One run, one process, by the real command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from real_runs import ENVIRONMENT

from hwnas.cli import run
from hwnas.runs.lock import RunLock


def test_a_second_process_is_refused_before_it_loads_torch(tmp_path: Path) -> None:
    held, seeds, table = str(tmp_path / "held"), str(tmp_path / "seeds"), tmp_path / "table.json"
    table.write_text("{}")
    commands = [
        ["fit", "--budget", "50%", "--out", held],
        ["search", "--budget", "50%", "--out", held],
        ["train", "network.json", "--out", held],
        ["fit", "--budget", "50%", "--seeds", "2", "--out", seeds],
        ["compare", "--evaluator", f"table:{table}", "--out", held],
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


def test_a_run_is_held_before_anything_is_loaded(tmp_path: Path) -> None:
    """So that the second of two that are started at once is refused at once as well."""
    code = (
        "import sys; from hwnas.api import fits\n"
        "def held(config): sys.exit((fits.Path(sys.argv[1]) / 'lock.json').read_text() + str('torch' in sys.modules))\n"
        "fits.check_names = held; fits.fit('toy', budget='50%', out=sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    first = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    *lock, loaded = first.communicate()[1].split("\n")[:-1]
    assert json.loads("".join(lock))["pid"] == first.pid and loaded == "False"
    assert not (tmp_path / "run").exists()


def test_a_place_that_is_no_run_is_left_as_it_is(tmp_path: Path) -> None:
    """Also a lock.json that is somebody else's."""
    files = {"lock.json": "mine", "notes.txt": "mine"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert run(["fit", "--data", "toy", "--budget", "50%", "--out", str(tmp_path)]) == 2
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files
