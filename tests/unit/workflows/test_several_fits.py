"""Several fits side by side: figures over seeds, refusals told, finished runs known again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwnas.core.errors import FileFormatError, InputError, RunError
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import write_sealed_json
from hwnas.workflows.reporting import report_runs
from hwnas.workflows.several import (
    OneFit,
    check_free,
    finished,
    is_summary,
    read_summary,
    runs_of,
    seeds_verdict,
    summarise,
)


def result(seed: int, accuracy: float, differences: dict[str, float]) -> dict[str, Any]:
    network = {
        "role": "searched", "label": "Proxyless-G", "architecture_id": "0" * 12, "params": 1000, "macs": 2000,
        "accuracy": {"test": accuracy, "interval": [accuracy - 0.01, accuracy + 0.01], "test_images": 1000},
        "latency": {"median_ms": 0.2 + 0.01 * seed, "interval_ms": [0.19, 0.22]},
    }  # fmt: skip
    return {
        "format": "hwnas-result@2", "status": "inside-budget", "hwnas": "0.1.0", "seed": seed, "network": network,
        "budget": {"text": "40%", "latency_ms": 0.3}, "baselines": [], "data": {"name": "toy"},
        "target": {"name": "onnxruntime-f32"},
        "compute": [{"stage": "search", "cpu_seconds": 2.0, "wall_seconds": 3.0}] * 2,
        "comparison": [{"against": role, "label": f"the {role} one", "difference": difference}
                       for role, difference in differences.items()],
    }  # fmt: skip


def one(seed: int, found: dict[str, Any] | None, budget: str = "40%", error: str | None = None) -> OneFit:
    code = 3 if error else 0
    return OneFit(f"{budget.replace('%', 'pct')}/seed-{seed}", "onnxruntime-f32", budget, seed, found, error, code)


def test_the_seeds_of_a_task_speak_together(tmp_path: Path) -> None:
    differences = ({"fixed": 0.02, "random": 0.01}, {"fixed": 0.03, "random": -0.01}, {"fixed": 0.04})
    fits = [one(seed, result(seed, 0.9 + 0.01 * seed, row)) for seed, row in enumerate(differences)]
    found = summarise(fits, tmp_path / "out", "hwnas fit --seeds 3")
    (task,) = found.result["tasks"]
    assert found.inside_budget and found.exit_code == 0
    assert task["seeds"] == [0, 1, 2] and task["accuracy"]["mean"] == pytest.approx(0.91)
    fixed, random = task["comparison"]
    # 95 % t-interval by hand: 0.03 ± 4.303 · 0.01 / √3
    assert fixed["mean"] == pytest.approx(0.03)
    assert fixed["interval"] == pytest.approx([0.03 - 0.02484, 0.03 + 0.02484], abs=1e-4)
    assert "better than the fixed one by 3.00 points on average" in fixed["verdict"]
    assert ": more than what varies from seed to seed" in fixed["verdict"]
    assert random["differences"] == [0.01, -0.01] and "not more than" in random["verdict"]
    assert found.result["runs"][0]["cpu_seconds"] == 4.0
    assert read_summary(tmp_path / "out") == found.result
    page = (tmp_path / "out" / "report.html").read_text()
    assert "better than the fixed one by 3.00 points on average" in page and "seed 2" in page


def test_a_refused_fit_is_told_and_decides_the_exit_code(tmp_path: Path) -> None:
    fits = [one(0, result(0, 0.9, {})), one(0, None, "1%", "no network is inside 0.001 ms")]
    found = summarise(fits, tmp_path / "out", "hwnas fit")
    assert (found.inside_budget, found.exit_code, found.result["status"]) == (False, 3, "over-budget")
    assert [task["seeds"] for task in found.result["tasks"]] == [[0], []]
    assert found.result["runs"][1]["error"] == "no network is inside 0.001 ms"
    assert "1pct/seed-0 was refused: no network is inside 0.001 ms" in (tmp_path / "out" / "report.html").read_text()
    everyone = summarise([one(0, None, error="too slow")], tmp_path / "none", "hwnas fit")
    assert everyone.exit_code == 3 and "too slow" in (tmp_path / "none" / "report.html").read_text()


def test_one_seed_knows_nothing_of_others() -> None:
    assert "unknown" in seeds_verdict("random search", [0.02])
    assert "as accurate as" in seeds_verdict("random search", [0.0, 0.0])
    assert "worse than random search by 2.00 points" in seeds_verdict("random search", [-0.03, -0.01])


def test_a_finished_run_is_known_by_its_settings(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path, {"seed": 0}) as run:
        assert finished(tmp_path, {"seed": 0}) is None
        run.finish(result(0, 0.9, {}))
    assert finished(tmp_path, {"seed": 0}) == result(0, 0.9, {})
    assert finished(tmp_path, {"seed": 1}) is None
    with pytest.raises(InputError, match="single run"):
        check_free(tmp_path)


def test_a_directory_of_several_stands_for_its_runs(tmp_path: Path) -> None:
    fits = [one(seed, result(seed, 0.9, {"fixed": 0.01})) for seed in range(2)]
    for fit in fits:
        with RunDirectory.open(tmp_path / "out" / fit.directory, {"seed": fit.seed}) as run:
            run.finish(fit.result or {})
    summarise(fits, tmp_path / "out", "hwnas fit")
    assert is_summary(tmp_path / "out") and not is_summary(tmp_path / "out" / fits[0].directory)
    assert [stored.result()["seed"] for stored in runs_of(tmp_path / "out")] == [0, 1]
    before = (tmp_path / "out" / "report.html").read_text()
    (tmp_path / "out" / "report.html").unlink()
    assert report_runs([tmp_path / "out"], None).read_text() == before
    single = tmp_path / "out" / fits[0].directory
    page = report_runs([tmp_path / "out", single], tmp_path / "both.html").read_text()
    assert page.count('<th role="rowheader"') == 3
    with pytest.raises(InputError, match="--out FILE"):
        report_runs([tmp_path / "out", single], None)
    with pytest.raises(InputError, match="no run directory"):
        report_runs([tmp_path / "elsewhere"], None)
    write_sealed_json(tmp_path / "out" / "result.json", {**read_summary(tmp_path / "out"), "specialisation": [5]})
    with pytest.raises(FileFormatError, match="a field is missing or wrong"):
        report_runs([tmp_path / "out"], None)
    (tmp_path / "out" / "result.json").write_text('{"format": "hwnas-summary@9"}')
    with pytest.raises((RunError, FileFormatError), match="newer"):
        report_runs([tmp_path / "out"], None)
