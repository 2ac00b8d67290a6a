"""What is wrong with a run's search is said, kept in its result, and does not hang on lost lines of metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwnas.core.collapse import Shares
from hwnas.core.counted import MacsModel
from hwnas.core.errors import FileFormatError
from hwnas.runs.directory import RunDirectory
from hwnas.strategies.proxyless_g import Searched, search
from hwnas.workflows.job import FitJob
from hwnas.workflows.search_only import search_only
from hwnas.workflows.watching import search_findings


@pytest.fixture
def idle_job(make_job) -> FitJob:
    """A job whose gates hardly move."""
    search = replace(make_job("80%").settings.search, alpha_lr=1e-4)
    return make_job("80%", baselines="none", search=search)


def test_a_search_that_has_learned_nothing_says_so(idle_job, run_fit, course) -> None:
    watched = course()
    found = run_fit(idle_job, watched)
    warnings = {row["name"]: row for row in found.result["warnings"]}
    assert warnings["nothing-learned"]["step"] == 40 and warnings["nothing-learned"]["figures"]["entropy"] > 0.99
    assert sum(warnings["nothing-learned"]["says"] in said for said in watched.said) == 1
    assert warnings["nothing-learned"]["says"] in (found.run / "report.html").read_text()


def test_a_search_that_has_learned_something_says_nothing_of_it(make_job, run_fit) -> None:
    search = replace(make_job("80%").settings.search, alpha_lr=0.05)
    found = run_fit(make_job("80%", baselines="none", search=search))
    assert "nothing-learned" not in {row["name"] for row in found.result["warnings"]}


def test_a_search_alone_says_the_same(idle_job, run_fit, course, tmp_path) -> None:
    with RunDirectory.open(tmp_path / "alone", {"seed": 0}) as run:
        found = search_only(idle_job, run, course())
    assert found.result["warnings"] == run_fit(idle_job).result["warnings"] != []


def test_lost_lines_change_nothing_at_the_end(idle_job, tmp_path, course) -> None:
    job = idle_job
    with RunDirectory.open(tmp_path / "run", {"seed": 0}) as run:
        terms = MacsModel().terms(job.space)
        searched = search(
            job.space, job.data, terms, 0.5 * terms.greatest(), job.settings.search, seed=0, device=job.device,
            checkpoints=run.checkpoints("search"), progress=course(),
        )  # fmt: skip
        assert not (run.path / "metrics.jsonl").exists()
        names = [one.name for one in search_findings(run, searched, job.settings.search)]
        assert "nothing-learned" in names
        assert search_findings(run, replace(searched, ended=None), job.settings.search) == []
        run.metrics({"stage": "search", "step": 20, "shares": {"entropy": "x"}})
        with pytest.raises(FileFormatError, match="field 'shares' of a row of metrics"):
            search_findings(run, searched, job.settings.search)


def test_rows_of_other_stages_and_of_older_versions_tell_nothing(make_job, tmp_path) -> None:
    job = make_job("80%")
    decided = {"entropy": 0.0, "latency": 1.0, "removed": None}
    searched = Searched(None, None, 0, (), Shares(40, 0.05, 1.0))  # type: ignore[arg-type]
    with RunDirectory.open(tmp_path / "run", {"seed": 0}) as run:
        run.metrics({"stage": "uniform", "step": 25, "shares": decided})
        run.metrics({"stage": "search", "step": 26, "entropy": 0.0})
        assert search_findings(run, searched, job.settings.search) == []
        run.metrics({"stage": "search", "step": 27, "shares": decided})
        (found,) = search_findings(run, searched, job.settings.search)
    assert (found.name, found.step) == ("settled-early", 27)
