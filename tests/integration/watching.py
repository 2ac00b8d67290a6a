"""What a run has done so far, seen from outside: the moments at which a test ends it, whatever the clock says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE_SECONDS = 300
STAGES = ("profiling", "warm-up", "search", "choosing", "training", "baselines", "export", "measuring", "report")
_PURPOSES = {"latency-model": "profiling", "ends of the space": "profiling", "before training": "choosing",
             "shipped file": "measuring"}  # fmt: skip
_ENDINGS = {"latency model": "profiling", "choose": "choosing", "measure": "measuring", "report": "report"}


def events(out: Path) -> dict[str, str]:
    """Everything that a run has on disk, each with the stage that it belongs to.

    A metrics line says that the run came that far, the others are kept: rows of the store, checkpoints, files.
    """
    lines, warm_up = _lines(out), _warm_up_steps(out)
    trained = [line["stage"].split("/")[1] for line in lines if str(line.get("stage")).startswith("train/")]
    searched = trained[0] if trained else ""

    def loop(name: str, step: int) -> str:
        if name.startswith("search"):
            return "warm-up" if step <= warm_up else "search"
        return "training" if searched in name.split("/") or "/" not in name else "baselines"

    found = {}
    for table, row in _rows(out):
        found[" ".join((table, *row))] = _stage_of(table, row)
    for line in lines:
        if "stage" in line:
            found[f"line {line['stage']} {line['step']}"] = loop(line["stage"], line["step"])
    for folder, _, files in os.walk(out / "checkpoints"):  # which overlooks what is removed meanwhile
        place = Path(folder).relative_to(out / "checkpoints")
        if "manifest.json" in files and place.name.startswith("step-"):
            name = place.parent.as_posix().removeprefix("trained/")
            found[f"checkpoint {place}"] = loop(name, int(place.name.removeprefix("step-")))
    for path in [path for place in (out, *out.glob("baselines/*")) for path in place.glob("*.*")]:
        if path.name in ("weights.safetensors", "model.onnx", "network.json", "architecture.json", "network.py"):
            found[f"file {path.relative_to(out)}"] = "export"
        elif path.name in ("result.json", "report.html"):
            found[f"file {path.name}"] = "report"
    return found


def committed(out: Path) -> set[str]:
    """What a run that is cut off now keeps."""
    return {event for event in events(out) if not event.startswith("line ")}


def counts(out: Path, *, replayed: bool = False) -> Counter[str]:
    """How many events each stage has had so far; measurements that are replayed are there from the start."""
    found = events(out).items()
    return Counter(stage for event, stage in found if not (replayed and event.startswith("measurements ")))


def moments(number: Counter[str], drawn: dict[str, int], rng: np.random.Generator) -> list[tuple[str, int]]:
    """(stage, number of its events), spread over the events of each stage; never the very last of the run."""
    number["report"] -= 1
    return [
        (stage, 1 + int((index + rng.random()) / kills * number[stage]))
        for stage, kills in drawn.items()
        for index in range(kills)
    ]


def wait_until(reached: Callable[[], Any], process: subprocess.Popen[Any]) -> None:
    """Looks as often as it can; fails if the process ends before, or the moment never comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert process.poll() is None, f"it was over before that: {process.communicate()}"
        assert time.monotonic() < deadline, "it did not get that far"
        time.sleep(0.002)


def kill(process: subprocess.Popen[Any]) -> None:
    """By SIGKILL, of a process that has not ended by itself."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, "it was over before it was killed"


def _lines(out: Path) -> list[dict[str, Any]]:
    text = (out / "metrics.jsonl").read_text() if (out / "metrics.jsonl").exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _warm_up_steps(out: Path) -> int:
    """Half of the search's steps."""
    text = (out / "config.yaml").read_text() if (out / "config.yaml").exists() else ""
    steps = [line.split()[1] for line in text.splitlines() if line.startswith("search_steps: ")]
    return int(steps[0]) // 2 if steps else 0


def _rows(out: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Rows of the store by what they are about; none while another process makes the store."""
    keys = {"stages": "name", "measurements": "purpose, file_sha256", "trials": "source, architecture_id"}
    found = []
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(f"file:{out / 'store.sqlite'}?mode=ro", uri=True)) as store:
            for table, columns in keys.items():
                found += [(table, row) for row in store.execute(f"SELECT {columns} FROM {table}")]
    return found


def _stage_of(table: str, row: tuple[str, ...]) -> str:
    name = row[0].removeprefix("session of ")
    if table == "measurements":
        return _PURPOSES[name]
    if table == "trials":
        return "baselines" if name == "trained-alone" else "choosing"
    first, _, rest = name.partition("/")
    return _ENDINGS.get(first, first if first == "search" else "training" if "searched" in rest else "baselines")
