"""Comparisons whose searches measure and train: known latencies, children that know their accuracy, real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from known_children import knowing

import hwnas
from hwnas.compose import fits
from hwnas.compose.searches import plan_searches, start_over
from hwnas.compose.strategies import STRATEGIES
from hwnas.config import FitConfig
from hwnas.core.errors import BudgetError, InputError, RunError, UnknownName
from hwnas.core.protocols import Silence
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.hardware.model_files import untrained
from hwnas.hardware.store import TargetStore
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import read_sealed_json
from hwnas.runs.stop import Stop
from hwnas.spaces.toy import ToySpace
from hwnas.workflows.children import TRIALS, searched_in
from hwnas.workflows.job import FitJob
from known_latencies import FakeTimer, known_ms

TASK: dict[str, Any] = {
    "data": "toy", "budget": "85%", "evaluations": 3, "proposals": 3, "child_steps": 10, "batch_size": 32, "seeds": 1,
}  # fmt: skip


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTimer:
    """Takes the place of every measurement; children know their accuracy."""
    known = FakeTimer()

    def open_job(*given: Any) -> FitJob:
        job = fits.open_job(*given)
        children = replace(job.children, command=knowing())
        settings = replace(job.settings, search=children)
        return replace(job, timer=known, store=TargetStore(tmp_path / "targets"), settings=settings)

    monkeypatch.setattr("hwnas.compose.searches.open_job", open_job)
    return known


def kept(out: Path) -> str:
    """What comparison.json holds besides what it has cost and how it was called."""
    data = read_sealed_json(out / "comparison.json")
    return json.dumps({name: value for name, value in data.items() if name not in ("command", "compute")})


def trials(place: Path) -> list[str]:
    """The networks whose quality a search has kept."""
    with RunDirectory.open(place, RunDirectory.read(place).config) as run:
        return [trial.architecture_id for trial in run.store.trials(TRIALS)]


class EndsAt(Silence):
    """Asks for an end when the search of this number has evaluated a network, once."""

    def __init__(self, number: int, stop: Stop) -> None:
        self._number = number
        self._stop = stop
        self.searches: list[str] = []

    def say(self, text: str) -> None:
        self.searches += [text] if text.startswith("[") else []

    def advance(self, done: int, facts: Any) -> None:
        if len(self.searches) == self._number and "proposals" in facts:
            self._stop.ask(KeyboardInterrupt())


def test_all_are_judged_inside_the_same_limits_at_the_same_cost(timer: FakeTimer, tmp_path: Path) -> None:
    found = hwnas.compare(strategies=list(STRATEGIES), out=tmp_path / "run", **TASK)
    data = found.result
    assert data["evaluator"] == "trained-alone" and data["figure"] == "accuracy" and data["optimum"] is None
    rewards = "hard-limit (random), hard-limit (evolution), hard-limit (guided), mnasnet-soft (mnasnet)"
    assert data["reward"] == rewards
    assert {row["strategy"]: row["evaluations"] for row in data["searches"]} == dict.fromkeys(STRATEGIES, 3)
    # The budget is measured once, for all: five sessions of the two ends, and no search has any of its own.
    assert [set(names) for names in timer.sessions if "largest" in names] == [{"fastest", "largest"}] * 5
    largest_ms = max(
        known_ms(untrained(ToySpace().decode(arch), OnnxRuntimeEngine())) for arch in ToySpace().choices.enumerate()
    )
    assert data["limits"] == {"latency": pytest.approx(0.97 * 0.85 * largest_ms, rel=1e-3)}
    over = 0
    for attempt in found.attempts:
        place = tmp_path / "run" / attempt.strategy / "seed-0"
        config = RunDirectory.read(place).config
        assert config["strategy"] == attempt.strategy and config["child_steps"] == 10
        with RunDirectory.open(place, config) as run:
            rows = searched_in(run).evaluated
            cost = sum(stage.spent.cpu_seconds for stage in run.store.stages())
        course, best = [], 0.0
        for number, row in enumerate(rows, start=1):
            if row.costs["latency"] <= data["limits"]["latency"] and row.accuracy > best:
                best = row.accuracy
                course.append((number, best))
        assert [(step.evaluations, step.accuracy) for step in attempt.course] == course
        assert attempt.spent.cpu_seconds == cost > 0 and attempt.deciding is None
        assert (place / "architecture.json").exists() == bool(course)
        over += sum(row.costs["latency"] > data["limits"]["latency"] for row in rows)
    assert over > 0  # what the soft reward lets mnasnet evaluate
    assert set(data["compute"]["random"]) == {"cpu_seconds", "wall_seconds"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "measures anew" in page and "10 steps of 32 images" in page and "controller’s time" not in page


def test_a_comparison_that_was_cut_off_becomes_the_uninterrupted_one(timer: FakeTimer, tmp_path: Path) -> None:
    task = {**TASK, "strategies": ["random", "mnasnet"]}
    hwnas.compare(out=tmp_path / "whole", **task)
    out, stop = tmp_path / "cut", Stop()
    with pytest.raises(KeyboardInterrupt):
        hwnas.compare(out=out, progress=EndsAt(2, stop), stop=stop, **task)
    assert not (out / "comparison.json").exists() and not list(out.rglob("lock.json"))
    first, begun = trials(out / "random" / "seed-0"), trials(out / "mnasnet" / "seed-0")
    assert len(first) == 3 and 1 <= len(begun) < 3
    sessions = len(timer.sessions)
    watched = EndsAt(0, Stop())
    hwnas.compare(out=out, progress=watched, **task)
    assert watched.searches == [f"[1/1] {out / 'mnasnet' / 'seed-0'}"]  # the one that has ended is not opened again
    assert trials(out / "mnasnet" / "seed-0")[: len(begun)] == begun and trials(out / "random" / "seed-0") == first
    assert not any("largest" in names for names in timer.sessions[sessions:])
    assert kept(out) == kept(tmp_path / "whole")
    for change, words in (
        ({"evaluations": 4}, "search.evaluations: 3 -> 4"), ({"child_steps": 11}, "search.child_steps: 10 -> 11"),
        ({"seeds": 2}, "seeds: 1 -> 2"), ({"reward": "hard-limit"}, "strategies.mnasnet.reward"),
        ({"strategies": ["random"]}, "strategies.mnasnet"), ({"budget": "0.1ms"}, "search.budget"),
    ):  # fmt: skip
        with pytest.raises(RunError, match=f"other settings.*{words}.*--fresh"):
            hwnas.compare(out=out, **{**task, **change})


def test_starting_over_takes_nothing_over(tmp_path: Path) -> None:
    """Also where it is cut off before the comparison itself is begun anew, and where a search was half emptied."""
    config = FitConfig(data="toy", budget="60%")
    plans = plan_searches(config, hwnas.compose.toy_data(), ["random", "mnasnet"], range(2))
    out = tmp_path / "run"
    for asked, own in plans.items():
        if asked.name != "mnasnet/seed-1":
            with RunDirectory.open(out / asked.name, {**own.model_dump(mode="json"), "evaluations": 9}) as run:
                run.store.add_trial(TRIALS, "abc", {"accuracy": 1.0})
    (out / "random" / "seed-1" / "config.yaml").unlink()
    (out / "random" / "seed-0" / "mine.txt").write_text("mine")
    start_over(plans, out, None, Silence())
    for asked, own in plans.items():
        if asked.name == "mnasnet/seed-1":
            assert not (out / asked.name).exists()
        else:
            assert trials(out / asked.name) == []
            assert RunDirectory.read(out / asked.name).config["evaluations"] == own.evaluations
    assert (out / "random" / "seed-0" / "mine.txt").read_text() == "mine"


def test_fresh_empties_the_searches_of_a_comparison(timer: FakeTimer, tmp_path: Path) -> None:
    task = {**TASK, "strategies": ["random"], "evaluations": 1, "out": tmp_path / "run"}
    hwnas.compare(**task, fresh=True)  # where nothing is there is nothing to start over
    before = trials(tmp_path / "run" / "random" / "seed-0")
    found = hwnas.compare(**{**task, "evaluations": 2}, fresh=True)
    assert found.result["evaluations"] == 2 and found.attempts[0].evaluations == 2
    assert len(trials(tmp_path / "run" / "random" / "seed-0")) == 2 and len(before) == 1


def test_a_search_that_finds_nothing_inside_is_told_and_counts_as_nothing(timer: FakeTimer, tmp_path: Path) -> None:
    """Little more than the fastest network is inside: a soft reward is content with one that is nearly so."""
    fastest = {"budget": "0.0415ms", "evaluations": 2, "strategies": ["mnasnet"]}
    progress = EndsAt(0, Stop())
    said: list[str] = []
    progress.say = said.append  # type: ignore[method-assign]
    found = hwnas.compare(**{**TASK, **fastest}, out=tmp_path / "run", progress=progress)
    assert found.attempts[0].course == () and found.attempts[0].evaluations == 2
    assert any(text.startswith("mnasnet/seed-0: the search found no network inside") for text in said)
    assert found.result["strategies"][0]["final"]["found_nothing"] == 1


def test_a_budget_that_nothing_meets_searches_nothing(timer: FakeTimer, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="its fastest one takes"):
        hwnas.compare(**{**TASK, "budget": "0.001ms"}, out=tmp_path / "run")
    assert not (tmp_path / "run" / "random").exists()


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ({"processes": 2}, InputError, "--at-once 2 trains so many networks of one search"),
        ({"strategies": ["random", "proxyless-g"]}, InputError, "trains a supernet"),
        ({"strategies": ["random", "reinforce"]}, UnknownName, "unknown strategy 'reinforce'"),
        ({"strategies": ["random", "random"]}, InputError, "given twice"),
        ({"strategies": []}, InputError, "at least one strategy"),
        ({"strategy": "random"}, InputError, "give --strategies"),
        ({"compute": "1h"}, InputError, "give --evaluations and --child-steps"),
        ({"reward": "mnasnet"}, UnknownName, "mnasnet-soft"),
        ({"evaluatons": 3}, UnknownName, "evaluations"),
        ({"seeds": 0}, InputError, "--seeds"),
        ({"budget": "fast"}, InputError, "budget"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    wrong: dict[str, Any], kind: type[Exception], words: str, timer: FakeTimer, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        hwnas.compare(**{**TASK, **wrong}, out=tmp_path / "new")
    assert not (tmp_path / "new").exists() and timer.sessions == []


def test_what_a_table_has_not_is_refused(tmp_path: Path) -> None:
    on_table: Callable[..., Any] = hwnas.compare
    with pytest.raises(InputError, match="budget, child_steps: a table trains and times nothing"):
        on_table("table:none.json", budget="60%", child_steps=3, out=tmp_path / "new")
