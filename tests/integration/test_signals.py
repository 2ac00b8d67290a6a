"""Ctrl-C and SIGTERM: the run saves, says how to go on and leaves nothing running; twice, it is gone at once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from real_runs import ENVIRONMENT, SETTINGS, FirstRun, assert_equal
from watching import counts, moments, wait_until

from hwnas.runs.checkpoints import CHECKPOINT_EVERY, CheckpointDirectory

# Twenty moments in all; runs that measure are stopped where a replay has nothing to do.
REPLAYED = {"warm-up": 2, "search": 3, "choosing": 2, "training": 3, "baselines": 3, "export": 1, "report": 1}
MEASURED = {"profiling": 3, "measuring": 2}
ENDS_WITHIN_SECONDS = 15  # 5 by the law; a machine that does much else at the same time needs longer
MARK = "HWNAS_TEST_MARK"
WORKER, CHILD = "hwnas.hardware.worker", "hwnas.evaluation.child"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass(frozen=True)
class Running:
    """A fit in a process of its own, which it and all its children carry a mark of."""

    process: subprocess.Popen[str]
    out: Path
    mark: str

    def wait_until(self, reached: Callable[[], Any]) -> None:
        wait_until(reached, self.process)

    def finish(self) -> None:
        _, said = self.process.communicate(timeout=600)
        assert self.process.returncode in (0, 3), said

    def children(self, module: str) -> list[psutil.Process]:
        """Its living children that run this module."""
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if module in child.cmdline()]
        return []

    def lines(self) -> list[dict[str, Any]]:
        """What metrics.jsonl holds so far."""
        text = (self.out / "metrics.jsonl").read_text() if (self.out / "metrics.jsonl").exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def end(self, *numbers: signal.Signals) -> tuple[int, str, float]:
        """Exit code, what it said, and the seconds that it took."""
        for number in numbers:
            self.process.send_signal(number)
        asked = time.monotonic()
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said, time.monotonic() - asked

    def left_running(self) -> list[int]:
        """Every process that carries the mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found


@pytest.fixture
def fit(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts fits; any that a failed test leaves is ended."""
    started: list[Running] = []

    def start(out: str, *more: str, cache: str = "cache") -> Running:
        mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "hwnas", "fit", *SETTINGS, "--out", str(tmp_path / out), *more]
        environment = {**os.environ, **ENVIRONMENT, "HWNAS_CACHE": str(tmp_path / cache), MARK: mark}
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        started.append(Running(process, tmp_path / out, mark))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.communicate()


def assert_ended_well(running: Running, ended: tuple[int, str, float], number: signal.Signals) -> None:
    code, said, seconds = ended
    assert code == CODES[number], said
    assert "interrupted. To go on: hwnas fit" in said and "Traceback" not in said
    assert seconds < ENDS_WITHIN_SECONDS
    assert running.left_running() == []
    assert not (running.out / "lock.json").exists()


def saved_step(out: Path, loop: str) -> int:
    saved = CheckpointDirectory(out / "checkpoints" / loop).latest()
    assert saved is not None
    return saved.step


@pytest.mark.parametrize(
    ("stage", "step", "number"),
    [("search", 60, signal.SIGINT), ("train/", 20, signal.SIGTERM)],
)
def test_a_loop_is_saved_at_the_step_that_it_had_reached(
    fit: Callable[..., Running], first_run: FirstRun, stage: str, step: int, number: signal.Signals
) -> None:
    working = fit("run", "--train-steps", "600", "--measurements", str(first_run.path))
    working.wait_until(
        lambda: any(line["stage"].startswith(stage) and line["step"] >= step for line in working.lines())
    )
    assert_ended_well(working, working.end(number), number)
    reported = working.lines()[-1]
    saved = saved_step(working.out, reported["stage"])
    assert reported["stage"].startswith(stage) and saved >= reported["step"]
    assert saved % CHECKPOINT_EVERY  # not just the last interval


def test_a_measuring_leaves_no_worker_behind(fit: Callable[..., Running]) -> None:
    measuring = fit("run")
    measuring.wait_until(lambda: measuring.children(WORKER))
    assert_ended_well(measuring, measuring.end(signal.SIGTERM), signal.SIGTERM)


def test_a_second_signal_ends_it_at_once(fit: Callable[..., Running], first_run: FirstRun) -> None:
    searching = fit("run", "--measurements", str(first_run.path))
    searching.wait_until(lambda: any(line["step"] >= 20 for line in searching.lines()))
    code, said, _ = searching.end(signal.SIGINT, signal.SIGTERM)
    assert code == CODES[signal.SIGTERM] and "To go on: hwnas fit" in said and "Traceback" not in said
    assert searching.left_running() == []


def test_a_worker_that_the_system_kills_is_said_to_have_run_out_of_memory(fit: Callable[..., Running]) -> None:
    measuring = fit("run")
    measuring.wait_until(lambda: measuring.children(WORKER))
    measuring.children(WORKER)[0].kill()
    _, said = measuring.process.communicate(timeout=60)
    assert measuring.process.returncode == 2 and "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert re.search(r"^error: measuring .* bytes.* on 'onnxruntime-f32': .* killed, probably .* memory ran out", last)
    assert measuring.left_running() == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_network_that_is_trained_alone_leaves_no_process_behind(
    fit: Callable[..., Running], first_run: FirstRun, number: signal.Signals
) -> None:
    full = ("--baselines", "full", "--search-steps", "60", "--train-steps", "40")
    training = fit("run", *full, "--measurements", str(first_run.path))
    training.wait_until(lambda: training.children(CHILD))
    if number == signal.SIGTERM:
        assert_ended_well(training, training.end(number), number)
    else:
        training.end(number)
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        while training.left_running() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert training.left_running() == []


@pytest.mark.slow
@pytest.mark.parametrize(("drawn", "measures"), [(REPLAYED, False), (MEASURED, True)], ids=["replayed", "measured"])
def test_a_signal_at_any_moment(
    fit: Callable[..., Running], first_run: FirstRun, capsys: pytest.CaptureFixture[str],
    drawn: dict[str, int], measures: bool,
) -> None:  # fmt: skip
    """Twenty moments over all stages; each run is resumed by the same command and equals an uninterrupted one."""
    rng, took = np.random.default_rng(0), []
    more = () if measures else ("--measurements", str(first_run.path))
    for number, (stage, event) in enumerate(moments(counts(first_run.path, replayed=not measures), drawn, rng)):
        ended_by = (signal.SIGINT, signal.SIGTERM)[number % 2]
        running = fit(f"{number}", *more, cache=f"cache-{number}")
        running.wait_until(lambda r=running, s=stage, e=event: counts(r.out, replayed=not measures)[s] >= e)
        time.sleep(0.02 * rng.random())
        answer = running.end(ended_by)
        if answer[0] in (0, 3):  # it was that near its end
            assert stage in ("measuring", "report") and not running.left_running()
        else:
            assert_ended_well(running, answer, ended_by)
        took.append(answer[2])
        with capsys.disabled():
            where = f"{ended_by.name} in {stage} at event {event}"
            print(f"\n{where}: exit {answer[0]}, {answer[2]:.2f} s", end="", file=sys.stderr)
        again = fit(f"{number}", *more, cache=f"cache-{number}")
        again.finish()
        whole = first_run.path
        if measures:
            replayed = fit(f"replayed-{number}", "--measurements", str(again.out))
            replayed.finish()
            whole = replayed.out
        assert_equal(again.out, whole)
    with capsys.disabled():
        print(f"\nmedian {statistics.median(took):.2f} s, longest {max(took):.2f} s", file=sys.stderr)
