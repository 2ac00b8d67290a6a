"""CPU time becomes steps: divided between search and trainings, once, and too little is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.api import fits
from hwnas.compose import toy_data
from hwnas.config import FitConfig, checked_settings
from hwnas.core.errors import InputError
from hwnas.core.protocols import Silence
from hwnas.workflows import compute
from hwnas.workflows.compute import Steps, affordable_steps
from hwnas.workflows.job import FitJob


def test_compute_is_divided_between_search_and_trainings(
    make_job: Callable[..., FitJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "_search_step_s", lambda job: 0.02)
    monkeypatch.setattr(compute, "_train_step_s", lambda job: 0.01)
    job = make_job("40%", baselines="standard")
    assert affordable_steps(job, 600.0, Silence()) == Steps(search=12_000, train=5_000)
    full = replace(job, settings=replace(job.settings, baselines="full"))
    assert affordable_steps(full, 600.0, Silence()) == Steps(search=4_000, train=3_333)
    with pytest.raises(InputError, match=r"1s is too little for a fit: give at least 2s"):
        affordable_steps(job, 1.0, Silence())
    with pytest.raises(InputError, match=r"too little.*at least 2s"):
        affordable_steps(job, 0.1, Silence())


def test_steps_are_measured_on_a_network_that_the_budget_allows(make_job: Callable[..., FitJob]) -> None:
    """With known latencies, which grow with the MACs, an absolute budget and its share find about the same size."""
    small, large = (compute._expected_architecture(make_job(budget)) for budget in ("30%", "100%"))
    job = make_job("100%")
    macs = {arch: compute.count(job.space.decode(arch)).macs for arch in (small, large)}
    assert macs[large] == max(compute.count(job.space.decode(arch)).macs for arch in compute._spread(job))
    assert macs[small] < 0.5 * macs[large]
    assert compute._expected_architecture(make_job("1s")) == large


def test_real_steps_cost_something(make_job: Callable[..., FitJob]) -> None:
    steps = affordable_steps(make_job("40%"), 3600.0, Silence())
    assert steps.search > 100 and steps.train > 100


def test_on_resume_the_stored_steps_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def counted(*_: object) -> Steps:
        measured.append(1)
        return Steps(search=300, train=200)

    monkeypatch.setattr(compute, "affordable_steps", counted)
    config, data = checked_settings(FitConfig, {"data": "toy", "budget": "40%", "compute": "30min"}), toy_data()
    first = fits.settled(config, data, tmp_path, False, Silence())
    assert (first.search_steps, first.train_steps, first.compute) == (300, 200, "30min")
    (tmp_path / "config.yaml").write_text("compute: 30min\nsearch_steps: 123\ntrain_steps: 45\n")
    again = fits.settled(config, data, tmp_path, False, Silence())
    assert (again.search_steps, again.train_steps) == (123, 45) and len(measured) == 1
    assert fits.settled(config, data, tmp_path, True, Silence()).search_steps == 300  # --fresh measures anew
    given = config.model_copy(update={"search_steps": 77, "train_steps": 66})
    assert fits.settled(given, data, tmp_path, True, Silence()).search_steps == 77 and len(measured) == 2
