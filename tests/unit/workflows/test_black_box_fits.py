"""Fits whose networks are trained alone: known latencies, and children with known accuracies, or real ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from known_children import knowing

from hwnas.compose.strategies import known_strategy
from hwnas.core.errors import BudgetError, EvaluationFailed
from hwnas.core.objective import judge, objective
from hwnas.core.protocols import Silence
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stop import Stop
from hwnas.strategies.black_box import BlackBoxSettings
from hwnas.workflows.children import TRIALS, searched_in
from hwnas.workflows.fit import fit
from hwnas.workflows.job import ChildrenSettings, FitJob
from hwnas.workflows.search_only import search_only
from known_latencies import KnownScale

THREE_TENTHS = 77  # of the 256 beginnings of an id


def children(strategy: str = "random", reward: str = "hard-limit", **given: Any) -> ChildrenSettings:
    loop = BlackBoxSettings(given.pop("evaluations", 5), given.pop("proposals", 4))
    search = known_strategy(strategy).load()
    rewards = partial(objective, reward), partial(judge, reward)
    return ChildrenSettings(strategy, search, reward, *rewards, loop, child_steps=10, **given)


def in_run(place: Path, job: FitJob, stop: Stop | None = None) -> RunDirectory:
    return RunDirectory.open(place, {"seed": job.settings.seed}, stop=stop)


def trials(run: RunDirectory) -> list[tuple[str, dict[str, Any]]]:
    return [(trial.architecture_id, trial.content) for trial in run.store.trials(TRIALS)]


def test_a_whole_fit(make_job, run_fit, course) -> None:
    watched = course()
    found = run_fit(make_job("0.12ms", search=children("evolution", evaluations=3, command=knowing())), watched)
    result = found.result
    assert found.inside_budget and result["latency_model"] is None
    search = result["search"]
    assert search["strategy"] == "evolution" and search["reward"] == "hard-limit" and search["failed"] == 0
    assert search["evaluations"] == 3 and search["proposals"] >= 3 and search["child_steps"] == 10
    own = [row for row in result["candidates"] if row["source"] == "evolution"]
    assert len(own) == 3 and all(row["predicted_ms"] <= 0.97 * 0.12 for row in own)
    assert [row["number"] for row in own] == [1, 2, 3]
    drawn = {row["number"] for row in result["candidates"] if row["source"] == "random"}
    assert drawn and drawn <= {1, 2, 3}
    best = max(own, key=lambda row: row["accuracy"])
    assert result["network"]["architecture_id"] in {
        row["architecture_id"] for row in own if row["accuracy"] == best["accuracy"]
    }
    assert result["network"]["weights"] == "scratch" and result["network"]["inherited_search_accuracy"] is None
    assert [entry["role"] for entry in result["baselines"]] == ["fixed", "random"]
    front = [next(row for row in own if row["architecture_id"] == one) for one in search["front"]]
    assert [row["accuracy"] for row in front] == sorted({row["accuracy"] for row in front})
    assert {row["latency_ms"] for row in result["blocks"]} == {None}
    assert (found.run / "report.html").read_text().count("evolution") > 1


def test_memory_is_measured_of_every_child_and_kept_in_mind(make_job, run_fit, tmp_path: Path) -> None:
    free = run_fit(make_job("1ms", search=children(evaluations=8, command=knowing())), directory="free").result
    sizes = [entry["size_bytes"] for entry in [free["network"], *free["baselines"]]]
    scale, limits = KnownScale(), {"memory": 3 * max(sizes) - 1000}
    job = make_job("1ms", search=children(evaluations=8, command=knowing()), scale=scale, limits=limits)
    result = run_fit(job, directory="limited").result
    assert result["status"] == "inside-budget" and len(set(scale.weighed)) > 8
    for entry in [result["network"], *result["baselines"]]:
        assert entry["memory_bytes"] == 3 * entry["size_bytes"] <= limits["memory"]
    with in_run(tmp_path / "limited", job) as run:
        costs = [row.costs for row in searched_in(run).evaluated]
    assert all({"latency", "params", "macs", "activations", "memory"} == set(row) for row in costs)


def test_how_many_are_trained_at_a_time_changes_nothing(make_job, tmp_path: Path) -> None:
    kept = []
    for at_once in (1, 2):
        given = {"evaluations": 12, "at_once": at_once, "command": knowing(THREE_TENTHS)}
        job = make_job("0.12ms", search=children("mnasnet", "mnasnet-soft", **given))
        with in_run(tmp_path / str(at_once), job) as run:
            result = search_only(job, run, Silence()).result
            kept.append(({key: result[key] for key in ("architecture_id", "search", "reason")}, sorted(trials(run))))
    assert kept[0] == kept[1]


def test_three_tenths_of_the_children_fail_and_the_best_of_the_rest_is_found(make_job, tmp_path: Path) -> None:
    job = make_job("1ms", search=children(evaluations=20, command=knowing(THREE_TENTHS)))
    with in_run(tmp_path / "run", job) as run:
        result = search_only(job, run, Silence()).result
        known = trials(run)
    failed = {arch: content for arch, content in known if "failed" in content}
    assert {arch for arch, _ in known if int(arch[:2], 16) < THREE_TENTHS} == set(failed) != set()
    assert all("ended with status 1: planted" in content["failed"] for content in failed.values())
    best = max((content["accuracy"], arch) for arch, content in known if arch not in failed)
    assert dict(known)[result["architecture_id"]]["accuracy"] == best[0]
    assert result["search"]["failed"] == len(failed) and result["search"]["evaluations"] == 20


def test_where_most_children_fail_the_search_stops_and_says_why(make_job, tmp_path: Path) -> None:
    job = make_job("1ms", search=children(evaluations=22, proposals=20, at_once=2, command=knowing(256)))
    with (
        in_run(tmp_path / "run", job) as run,
        pytest.raises(EvaluationFailed, match=r"20 of the last 20 networks.*planted.*Mend the cause and repeat"),
    ):
        search_only(job, run, Silence())
    mended = replace(job, settings=replace(job.settings, search=replace(job.children, command=knowing())))
    with in_run(tmp_path / "run", job) as run:
        found = search_only(mended, run, Silence())
        assert len(trials(run)) == 22 and found.inside_budget  # the two that were left have worked
    assert found.result["search"]["failed"] == 20


def test_a_search_that_was_cut_off_trains_no_child_twice(make_job, tmp_path: Path) -> None:
    class Leaves(Silence):
        def advance(self, done: int, facts: Any) -> None:
            if done == 2 and "proposals" in facts:
                stop.ask(KeyboardInterrupt())

    stop, job = Stop(), make_job("0.12ms", search=children(evaluations=6, command=knowing()))
    with in_run(tmp_path / "cut", job, stop) as run, pytest.raises(KeyboardInterrupt):
        search_only(job, run, Leaves())
    with in_run(tmp_path / "cut", job) as run:
        before = trials(run)
        resumed = search_only(job, run, Silence())
        assert trials(run)[: len(before)] == before and 2 <= len(before) < 6
        again = trials(run)
    with in_run(tmp_path / "whole", job) as run:
        whole = search_only(job, run, Silence())
        assert trials(run) == again
    assert whole.result["search"] == resumed.result["search"]


def test_a_budget_that_nothing_meets_trains_nothing(make_job, tmp_path: Path) -> None:
    job = make_job("0.001ms", search=children(command=knowing(256)))
    with in_run(tmp_path / "run", job) as run, pytest.raises(BudgetError, match="its fastest one takes"):
        fit(job, run, Silence())


def test_the_children_of_a_chain_of_choices_need_no_latency_model(make_job, tmp_path: Path) -> None:
    job = make_job("0.12ms", search=children(evaluations=2))
    with in_run(tmp_path / "run", job) as run:
        result = search_only(job, run, Silence()).result
        purposes = {record.purpose for record in run.store.measurements()}
    assert purposes == {"ends of the space", "child", "before training"} | {
        f"session of {name}" for name in ("ends of the space", "child", "before training")
    }
    assert result["measured_ms"] == pytest.approx(result["predicted_ms"])


def test_of_a_front_the_most_accurate_inside_is_delivered(make_job, tmp_path: Path) -> None:
    """By what it added at the time the first network would be."""
    job = make_job("0.12ms", search=children(reward="front", evaluations=12, command=knowing()))
    with in_run(tmp_path / "run", job) as run:
        result = search_only(job, run, Silence()).result
        accuracies = {arch: content["accuracy"] for arch, content in trials(run)}
    assert accuracies[result["architecture_id"]] == max(accuracies.values()) > min(accuracies.values())
