"""Fits for several targets share what no latency enters, and each ends as if it had done everything alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from known_children import knowing

from hwnas.compose.strategies import known_strategy
from hwnas.core.cost import CostTerms
from hwnas.core.objective import judge, objective
from hwnas.core.protocols import Checkpoint
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, TargetKey
from hwnas.runs.directory import RunDirectory
from hwnas.runs.provenance import environment
from hwnas.spaces.toy import ToySpace
from hwnas.strategies.black_box import BlackBoxSettings
from hwnas.strategies.proxyless_g import ProxylessGSettings
from hwnas.training.recipe import Recipe
from hwnas.workflows.fit import fit
from hwnas.workflows.footprint import ExpectedFootprints
from hwnas.workflows.full_baselines import uniform_supernet
from hwnas.workflows.job import ChildrenSettings, FitJob
from hwnas.workflows.limits import Limits
from hwnas.workflows.sharing import known_trials, may_share, take_checkpoint, taken_over

OTHER = Target("onnxruntime-f32?batch=2", TargetKey("onnxruntime", "1.0", "f32", 1, 2, (1, 4, 32), "a processor"))
GRADIENT = ProxylessGSettings(
    240, warmup_share=0.9, architecture_every=2, recipe=Recipe(batch_size=32, average_share=0.0)
)


class Cut(BaseException):
    """As if the process were gone."""


def cut_in_search(stage: str) -> None:
    if stage == "search":
        raise Cut


def ended(job: FitJob, place: Path, course: Any) -> dict[str, Any]:
    with RunDirectory.open(place, {}) as run:
        return fit(job, run, course).result


def test_a_search_begins_where_its_gates_do(make_job, fake_timer, tmp_path: Path, course) -> None:
    def second(name: str) -> FitJob:
        """For another budget on a target where everything takes three times as long, never measured before."""
        job = make_job("60%", fake_timer(change=lambda _, ms: 3 * ms), target=OTHER, **given)
        return replace(job, store=TargetStore(tmp_path / f"latencies-{name}"))

    given = {"search": GRADIENT, "baselines": "none"}
    ended(replace(make_job("80%", **given), siblings=()), tmp_path / "first", course())
    alone = ended(second("alone"), tmp_path / "alone", course())
    with pytest.raises(Cut):
        ended(replace(second("shared"), siblings=(tmp_path / "first",)), tmp_path / "shared", course(cut_in_search))
    shared = ended(second("shared"), tmp_path / "shared", course())  # what it has taken over is its own by now
    assert shared["repeat"] == alone["repeat"]
    search, *trainings = shared["shared"]
    assert search == {"what": "search", "steps": 200, "from": "../first"} and alone["shared"] == []
    assert trainings == []
    assert [row["stage"] for row in shared["compute"]] == [row["stage"] for row in alone["compute"]]
    lines, whole = (
        {line["step"]: line for line in RunDirectory.read(tmp_path / name).metrics() if line["stage"] == "search"}
        for name in ("shared", "alone")
    )
    assert set(lines) == set(whole) and "expected_ms" not in lines[100] and "expected_ms" in lines[220]
    assert all(line.items() <= whole[step].items() for step, line in lines.items())


def test_a_supernet_on_uniform_paths_is_trained_once(make_job, tmp_path: Path, course) -> None:
    terms = CostTerms(1.0, {choice.name: dict.fromkeys(choice.options, 1.0) for choice in ToySpace().choices.choices})
    limits = Limits(1.0, 1.0, 0.5, 2.0, ToySpace().uniform_architectures()["k3"], ExpectedFootprints(ToySpace(), {}))
    job, events, weights = make_job("80%"), [], []
    for name, siblings in (("first", ()), ("second", (tmp_path / "first",))):
        watched = course()
        with RunDirectory.open(tmp_path / name, {}) as run:
            supernet = uniform_supernet(replace(job, siblings=siblings), run, terms, limits, watched)
            events.append(run.checkpoints("uniform").latest().step)
            taken = taken_over(run)
        weights.append(supernet.state_dict())
    assert taken == [{"what": "uniform", "steps": 55, "from": "../first"}] and events == [55, 55]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_children_are_trained_once(make_job, tmp_path: Path, course) -> None:
    """The other search asks for some that are known, and keeps no others; failed ones are tried again."""

    def children(failing: int) -> ChildrenSettings:
        rewards = partial(objective, "hard-limit"), partial(judge, "hard-limit")
        loop = BlackBoxSettings(12, 4)
        return ChildrenSettings(
            "random", known_strategy("random").load(), "hard-limit", *rewards, loop, child_steps=10,
            command=knowing(failing),
        )  # fmt: skip

    ended(make_job("0.12ms", search=children(77), baselines="none"), tmp_path / "first", course())
    store = (tmp_path / "first" / "store.sqlite").read_bytes()
    job = make_job("0.11ms", search=children(0), baselines="none")
    alone = ended(job, tmp_path / "alone", course())
    shared = ended(replace(job, siblings=(tmp_path / "first",)), tmp_path / "shared", course())
    assert shared["repeat"] == alone["repeat"] and shared["failed_candidates"] == []
    assert (tmp_path / "first" / "store.sqlite").read_bytes() == store
    rows = {row["what"].split("/")[0]: row for row in shared["shared"]}
    assert rows["trained-alone"]["from"] == "../first" and 1 <= rows["trained-alone"]["networks"] < 12
    page = (tmp_path / "shared" / "report.html").read_text()
    assert "Taken over from ../first" in page and "trained alone. The times are without it." in page
    assert "train" not in rows or rows["train"]["steps"] == 20  # where both deliver the same network


def test_only_what_differs_in_the_task_alone_is_shared() -> None:
    result = {"data": {"fingerprint": "images"}, "environment": environment()}
    config = {"target": "a", "budget": "40%", "seed": 0}
    assert may_share(config, {"target": "b", "budget": "1ms", "seed": 0}, result, "images")
    assert not may_share(config, {**config, "seed": 1}, result, "images")
    assert not may_share(config, config, result, "other images")
    assert not may_share(config, config, result | {"environment": {**environment(), "hwnas": "0"}}, "images")


def test_a_damaged_sibling_gives_nothing(make_job, tmp_path: Path, course) -> None:
    watched, job = course(), replace(make_job("80%"), siblings=(tmp_path / "first",))
    with RunDirectory.open(tmp_path / "first", {}) as run:
        run.store.add_trial("trained-alone", "a", {"loss": 1.0, "accuracy": 0.5, "images": 1, "evaluator": "x"})
        run.store.add_trial("trained-alone", "b", {"failed": "memory ran out"})
        run.checkpoints("uniform").save(Checkpoint(5, {"a": np.zeros(3)}, {}))
        whole = run.path / "checkpoints" / "uniform" / "step-00000005" / "arrays.safetensors"
    with RunDirectory.open(tmp_path / "second", {}) as run:
        assert set(known_trials(job, run, watched)) == {"a"}
        whole.write_bytes(b"")
        (tmp_path / "first" / "store.sqlite").write_bytes(b"nothing")
        take_checkpoint(job, run, "uniform", "uniform")
        assert known_trials(job, run, watched) == {} and "nothing is taken over from" in watched.said[0]
        assert run.checkpoints("uniform").latest() is None and taken_over(run) == []
    assert whole.exists()
