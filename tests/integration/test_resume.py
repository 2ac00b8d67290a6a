"""A run that is killed anywhere, however often, ends with the bits of one that was not.

The small form is in test_commands.py: one run that is interrupted twice and killed once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from real_runs import ENVIRONMENT, SETTINGS, FirstRun, assert_equal, assert_equal_files
from watching import STAGES, committed, counts, events, kill, moments, wait_until

from hwnas.compose import open_space
from hwnas.runs.canonical import canonical_sha256
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stored import read_run

KILLS = 20
# Runs that measure are killed where a replay has nothing to do; 20 kills in all.
REPLAYED = {"warm-up": 2, "search": 3, "choosing": 1, "training": 3, "baselines": 3, "export": 2, "report": 1}
MEASURED = {"profiling": 3, "choosing": 1, "measuring": 1}
FULL = ("--baselines", "full", "--search-steps", "60", "--train-steps", "40")
Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Prints what the log of a sweep is to show."""

    def printed(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="", file=sys.stderr, flush=True)

    return printed


def hwnas(cache: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A command in a process of its own; it says nothing, and what it measures stays in a cache of its own."""
    command = [sys.executable, "-m", "hwnas", *arguments, "--quiet"]
    environment = {**ENVIRONMENT, "HWNAS_CACHE": str(cache)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def fit(cache: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    return hwnas(cache, "fit", *SETTINGS, "--out", str(out), *more)


def ended(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=900)
    assert process.returncode in (0, 3), said.decode()


def replay(out: Path, whole: Path, *more: str) -> None:
    """An uninterrupted run on the measurements of another."""
    ended(fit(whole.parent / f"cache-{whole.name}", whole, *more, "--measurements", str(out)))


@pytest.mark.slow
@pytest.mark.parametrize(("drawn", "measures"), [(REPLAYED, False), (MEASURED, True)], ids=["replayed", "measured"])
def test_one_kill_at_any_moment(
    first_run: FirstRun, tmp_path: Path, say: Say, drawn: dict[str, int], measures: bool
) -> None:
    """Moments drawn in every stage, by what the run has done, not by the clock; each is resumed by the same command."""
    assert set(STAGES) == {*REPLAYED, *MEASURED} and sum((*REPLAYED.values(), *MEASURED.values())) == KILLS
    rng = np.random.default_rng(0)
    for number, (stage, event) in enumerate(moments(counts(first_run.path, replayed=not measures), drawn, rng)):
        out, cache = tmp_path / f"killed-{number}", tmp_path / f"cache-{number}"
        more = () if measures else ("--measurements", str(first_run.path))
        process = fit(cache, out, *more)

        def reached(out: Path = out, stage: str = stage, event: int = event) -> bool:
            return counts(out, replayed=not measures)[stage] >= event

        wait_until(reached, process)
        time.sleep(0.02 * rng.random())
        kill(process)
        kept = counts(out, replayed=not measures)
        say(f"killed in {stage} at event {event}: {', '.join(f'{name} {kept[name]}' for name in STAGES if kept[name])}")
        ended(fit(cache, out, *more))
        if measures:
            replay(out, tmp_path / f"whole-{number}")
        assert_equal(out, tmp_path / f"whole-{number}" if measures else first_run.path)


@pytest.mark.slow
def test_one_run_killed_twenty_times(first_run: FirstRun, tmp_path: Path, say: Say) -> None:
    """Spread over the whole of it, and each time after it has kept something that it had not kept before."""
    out, cache = tmp_path / "killed", tmp_path / "cache"
    rng = np.random.default_rng(1)
    total = len(committed(first_run.path))
    goals = 0.9 * total * (np.arange(KILLS) + rng.random(KILLS)) / KILLS  # checkpoints that were removed count on top
    seen: set[str] = set()
    for number, goal in enumerate(goals):
        process, before = fit(cache, out), set(seen)

        def reached(goal: float = goal, before: set[str] = before) -> bool:
            seen.update(committed(out))
            return len(seen) >= goal and seen > before

        wait_until(reached, process)
        time.sleep(0.02 * rng.random())
        kill(process)
        new = events(out)
        stage = next((new[event] for event in sorted(seen - before) if event in new), "a checkpoint since removed")
        say(f"kill {number + 1}: {len(seen)} of about {total} things kept, {len(seen - before)} of them new ({stage})")
    ended(fit(cache, out))
    replay(out, tmp_path / "whole")
    assert_equal(out, tmp_path / "whole")


@pytest.mark.slow
def test_the_full_baselines_are_resumed(first_run: FirstRun, tmp_path: Path, say: Say) -> None:
    """Killed in the uniform supernet, and in the midst of the networks that are trained alone."""
    out, cache = tmp_path / "killed", tmp_path / "cache"
    more = (*FULL, "--measurements", str(first_run.path))
    marks = {"line uniform ": 2, "trials trained-alone ": 3, "checkpoint alone/": 1}
    for mark, times in marks.items():
        process = fit(cache, out, *more)
        wait_until(lambda m=mark, t=times: sum(event.startswith(m) for event in events(out)) >= t, process)
        kill(process)
        say(f"killed with {times} of {mark.strip()}")
    ended(fit(cache, out, *more))
    replay(out, tmp_path / "whole", *FULL)
    assert_equal(out, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["warm-up", "search", "choosing"])
def test_a_search_alone_is_resumed(first_run: FirstRun, tmp_path: Path, stage: str) -> None:
    out, whole = tmp_path / "killed", tmp_path / "whole"

    def search(place: Path) -> subprocess.Popen[bytes]:
        return hwnas(tmp_path / "cache", "search", *SETTINGS, "--out", str(place), "--measurements",
                     str(first_run.path))  # fmt: skip

    ended(search(whole))
    process = search(out)
    wait_until(lambda: counts(out)[stage] >= (counts(whole)[stage] + 1) // 2, process)
    kill(process)
    assert not (out / "architecture.json").exists()
    ended(search(out))
    assert_equal_files(out, whole)
    hashes = set()
    for place in (out, whole):
        with RunDirectory.open(place, read_run(place).config) as run:
            hashes.add(canonical_sha256({}, run))
    assert len(hashes) == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [60, 220])
def test_a_training_alone_is_resumed(tmp_path: Path, step: int) -> None:
    network = tmp_path / "architecture.json"
    space = open_space("proxyless-small", (3, 32, 32), 10)
    network.write_text(json.dumps(space.uniform_architectures()["k3e3, depth 1"].to_json()))
    out, whole = tmp_path / "killed", tmp_path / "whole"

    def train(place: Path) -> subprocess.Popen[bytes]:
        return hwnas(tmp_path / "cache", "train", str(network), "--data", "digits", "--train-steps", "300", "--out",
                     str(place))  # fmt: skip

    ended(train(whole))
    process = train(out)
    wait_until(lambda: f"line train {step}" in events(out), process)
    kill(process)
    ended(train(out))
    assert_equal(out, whole)


@pytest.mark.slow
def test_several_seeds_are_resumed(first_run: FirstRun, tmp_path: Path) -> None:
    """Killed while the second one trains: the first stays as it is."""
    out, more = tmp_path / "killed", ("--seeds", "2", "--measurements", str(first_run.path))
    process = fit(tmp_path / "cache", out, *more)
    wait_until(lambda: counts(out / "seed-1")["training"] >= 3, process)
    kill(process)
    first = (out / "seed-0" / "result.json").stat().st_mtime_ns
    ended(fit(tmp_path / "cache", out, *more))
    assert (out / "result.json").exists() and (out / "seed-0" / "result.json").stat().st_mtime_ns == first
    for seed in ("0", "1"):
        replay(out / f"seed-{seed}", tmp_path / f"whole-{seed}", "--seed", seed)
        assert_equal(out / f"seed-{seed}", tmp_path / f"whole-{seed}")
