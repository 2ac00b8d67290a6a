"""Ctrl-C and SIGTERM: the run saves, says how to go on and leaves nothing running; twice, it is gone at once."""

from __future__ import annotations

import contextlib
import json
import os
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
from real_runs import ENVIRONMENT, SETTINGS, FirstRun

from hwnas.runs.checkpoints import CHECKPOINT_EVERY, CheckpointDirectory

MOMENTS = 20
ENDS_WITHIN_SECONDS = 15  # 5 by the law; a machine that does much else at the same time needs longer
MARK = "HWNAS_TEST_MARK"
WORKER = "hwnas.hardware.worker"
FILES = ("model.onnx", "weights.safetensors", "network.json", "baselines/fixed/model.onnx")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass(frozen=True)
class Running:
    """A fit in a process of its own, which it and all its children carry a mark of."""

    process: subprocess.Popen[str]
    out: Path
    mark: str

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not reached():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "the run did not get that far"
            time.sleep(0.01)

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
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
        )  # fmt: skip
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


def test_a_search_is_saved_at_the_step_that_it_had_reached(fit: Callable[..., Running], first_run: FirstRun) -> None:
    searching = fit("run", "--measurements", str(first_run.path))
    searching.wait_until(lambda: any(line["step"] >= 60 for line in searching.lines()))
    assert_ended_well(searching, searching.end(signal.SIGINT), signal.SIGINT)
    reported = searching.lines()[-1]
    assert reported["stage"] == "search" and saved_step(searching.out, "search") >= reported["step"]
    assert saved_step(searching.out, "search") % CHECKPOINT_EVERY  # not just the last interval


def test_a_measuring_leaves_no_worker_behind(fit: Callable[..., Running]) -> None:
    measuring = fit("run")

    def workers() -> bool:
        with contextlib.suppress(psutil.Error):
            return any(WORKER in child.cmdline() for child in psutil.Process(measuring.process.pid).children())
        return False

    measuring.wait_until(workers)
    assert_ended_well(measuring, measuring.end(signal.SIGTERM), signal.SIGTERM)


def test_a_second_signal_ends_it_at_once(fit: Callable[..., Running], first_run: FirstRun) -> None:
    searching = fit("run", "--measurements", str(first_run.path))
    searching.wait_until(lambda: any(line["step"] >= 20 for line in searching.lines()))
    code, said, _ = searching.end(signal.SIGINT, signal.SIGTERM)
    assert code == CODES[signal.SIGTERM] and "To go on: hwnas fit" in said and "Traceback" not in said
    assert searching.left_running() == []


@pytest.mark.slow
def test_a_signal_at_twenty_moments(
    fit: Callable[..., Running], first_run: FirstRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spread over whole runs, a third of which measure; each resumed one equals an uninterrupted one."""
    rng, took = np.random.default_rng(0), []
    replay = ("--measurements", str(first_run.path))
    for number, share in enumerate((np.arange(MOMENTS) + rng.random(MOMENTS)) / MOMENTS):
        measures = number % 3 == 2
        more = () if measures else replay
        whole = fit(f"whole-{number}", *more, cache=f"whole-cache-{number}")
        whole.wait_until((whole.out / "config.yaml").exists)
        begun = time.monotonic()
        assert whole.process.communicate(timeout=300)[1] and whole.process.returncode in (0, 3)
        duration_s = time.monotonic() - begun
        ended_by, ended = (signal.SIGINT, signal.SIGTERM)[number % 2], False
        while not ended:  # a machine that is less busy than before may finish the run first
            running = fit(f"{number}-{share:.3f}", *more, cache=f"cache-{number}-{share:.3f}")
            running.wait_until((running.out / "config.yaml").exists)
            time.sleep(share * duration_s)
            answer = running.end(ended_by)
            ended, at = answer[0] not in (0, 3), share
            share *= 0.9
        assert_ended_well(running, answer, ended_by)
        took.append(answer[2])
        loops = sorted(path.name for path in running.out.glob("checkpoints/**/step-*"))
        with capsys.disabled():
            print(f"\n{number}: {ended_by.name} at {at:.0%}, {answer[2]:.2f} s, {loops}", end="", file=sys.stderr)
        again = fit(running.out.name, *more, cache=f"cache-{running.out.name}")
        assert again.process.communicate(timeout=300)[1] and again.process.returncode in (0, 3)
        if measures:
            whole = fit(f"replayed-{number}", "--measurements", str(again.out))
            assert whole.process.communicate(timeout=300)[1] and whole.process.returncode in (0, 3)
        found, expected = (json.loads((path / "result.json").read_text()) for path in (again.out, whole.out))
        assert found["repeat"]["canonical_sha256"] == expected["repeat"]["canonical_sha256"]
        for name in FILES:
            assert (again.out / name).read_bytes() == (whole.out / name).read_bytes(), name
    with capsys.disabled():
        print(f"\nmedian {statistics.median(took):.2f} s, longest {max(took):.2f} s", file=sys.stderr)
