"""How fast a second process is refused, and a dead one's run taken over, through the real command line. Prints JSON.

Pass marks: refused within 2 s of its start, everything included; the lock of a process that was killed is taken within
2 s more than a lock that nobody held.

    python benchmarks/one_process.py --repeats 5
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from hwnas.runs.directory import LOCK
from hwnas.runs.lock import RunLock
from hwnas.runs.provenance import environment

TASK = ("--data", "toy", "--search-steps", "4000", "--train-steps", "60", "--budget", "90%", "--quiet")


def hwnas(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "hwnas", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def refused(command: str, out: Path) -> float:
    start = time.monotonic()
    process = hwnas(command, *(("any.json",) if command == "train" else TASK), "--out", str(out))
    said = process.communicate()[1]
    if process.returncode != 2 or "is in use by process" not in said:
        raise SystemExit(f"not refused: {said}")
    return time.monotonic() - start


def until_locked(out: Path) -> tuple[float, subprocess.Popen]:
    """Seconds from a start until the lock is the new process's for good, which is after torch and the images."""
    start, process = time.monotonic(), hwnas("fit", *TASK, "--out", str(out))
    since = None
    while since is None or time.monotonic() - since < 0.1:  # at first it looks only, and gives the lock back
        if process.poll() is not None:
            raise SystemExit(f"ended: {process.communicate()[1]}")
        since = (since or time.monotonic()) if holder(out) == process.pid else None
        time.sleep(0.002)
    return since - start, process


def holder(out: Path) -> int | None:
    try:
        return json.loads((out / LOCK).read_text())["pid"]
    except (OSError, ValueError):
        return None


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "held"
        held.mkdir()
        lock = RunLock.take(held / LOCK)
        for command in ("fit", "search", "train"):
            seconds[f"{command} is refused"] = [refused(command, held) for _ in range(options.repeats)]
        lock.release()
        for number in range(options.repeats):
            out = Path(folder) / f"run-{number}"
            for what in ("start in a new directory", "start after kill -9 of the holder"):
                taken, process = until_locked(out)
                seconds.setdefault(what, []).append(taken)
                end(process)
            start = time.monotonic()
            RunLock.take(out / LOCK).release()
            seconds.setdefault("taking a dead holder's lock", []).append(time.monotonic() - start)
    rows = {what: {"median": round(median(found), 4), "min": round(min(found), 4), "max": round(max(found), 4)}
            for what, found in seconds.items()}  # fmt: skip
    later = rows["start after kill -9 of the holder"]["median"] - rows["start in a new directory"]["median"]
    print(json.dumps({
        "benchmark": "one_process", "settings": vars(options), "machine": environment(), "seconds": rows,
        "passes": {
            "refused <= 2 s": all(rows[what]["max"] <= 2 for what in rows if "refused" in what),
            "taken over <= 2 s": later <= 2 and rows["taking a dead holder's lock"]["max"] <= 2,
        },
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
