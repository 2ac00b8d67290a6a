"""What a job says that it will do, held against what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.protocols import PlannedPart, Silence
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.fit import FitResult
from hwnas.workflows.job import FitJob
from hwnas.workflows.plan import fit_plan, search_plan, title, train_plan
from hwnas.workflows.search_only import search_only


class Notes(Silence):
    """Keeps the plan, the parts and their stages, and what was found."""

    def __init__(self) -> None:
        self.title, self.planned = "", {}
        self.entered: dict[str, list[tuple[str, int]]] = {}
        self.known: dict[str, dict[str, Any]] = {}

    def plan(self, title: str, parts: Sequence[PlannedPart]) -> None:
        self.title, self.planned = title, {part.name: part for part in parts}

    def enter(self, part: str) -> None:
        self.entered[part] = []

    def found(self, who: str, facts: Mapping[str, float | str]) -> None:
        self.known.setdefault(who, {}).update(facts)

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.entered[[*self.entered][-1]].append((name.partition("/")[0], total))


@pytest.mark.parametrize("baselines", ["none", "standard", "full"])
def test_a_fit_enters_the_parts_that_it_planned_and_does_their_work(
    baselines: str, make_job: Callable[..., FitJob], run_fit: Callable[..., FitResult], tmp_path: Path
) -> None:
    notes = Notes()
    job = make_job("80%", baselines=baselines)
    job = replace(job, settings=replace(job.settings, train_steps=100 if baselines == "full" else 20))
    run_fit(job, notes)
    assert notes.title == f"{tmp_path / 'run'}: 80% on onnxruntime-f32"
    assert list(notes.entered) == list(notes.planned)
    for name, part in notes.planned.items():
        done = notes.entered[name]
        for work in part.work:
            steps = sum(count for count, _ in work.runs)
            totals = [total for kind, total in done if kind == work.kind]
            if work.kind == "score":
                assert 1 <= totals[0] <= steps  # not every candidate is inside the budget
            elif totals or not any(role in name for role in ("fixed", "random")):
                assert set(totals) == {steps}, (name, work)
            else:  # a baseline that chose what another one had chosen: nothing is done twice
                assert work.kind in ("measure", "train")
    assert set(notes.known["Proxyless-G"]) == {"loss", "predicted_ms", "measured_ms", "accuracy"}
    assert notes.known["budget"]["limit_ms"] > notes.known["budget"]["fastest_ms"]


def test_a_search_plans_no_trainings(make_job: Callable[..., FitJob], tmp_path: Path) -> None:
    notes, job = Notes(), make_job("80%")
    with RunDirectory.open(tmp_path / "run", {"seed": 0}) as run:
        search_only(job, run, notes)
    assert list(notes.entered) == list(notes.planned) == ["latency model", "search", "choose/searched/0"]
    assert search_plan(job) == fit_plan(job)[:3]


def test_architecture_steps_make_the_search_dearer_after_its_warm_up(make_job: Callable[..., FitJob]) -> None:
    job = make_job("80%")
    assert fit_plan(job)[1].work[0].runs == ((20, 1.0), (20, 1.75))
    settings = replace(job.settings, search=replace(job.settings.search, architecture_every=3))
    assert fit_plan(replace(job, settings=settings))[1].work[0].runs == ((20, 1.0), (20, 1.25))


def test_titles_and_trainings(make_job: Callable[..., FitJob]) -> None:
    assert title(make_job("3ms"), "runs/a") == "runs/a: 3ms on onnxruntime-f32"
    assert [part.name for part in train_plan(7)] == ["train"] and train_plan(7)[0].work[0].runs == ((7, 1.0),)
