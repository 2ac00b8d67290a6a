"""Several fits side by side: seeds of one task, or tasks with other targets and budgets; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hwnas.core.errors import FileFormatError, InputError, RunError, fields_of
from hwnas.report import wording
from hwnas.report.html import render_summary
from hwnas.runs.files import make_directory, plain_json, write_atomically, write_sealed_json
from hwnas.runs.provenance import environment
from hwnas.runs.stored import CONFIG, RESULT, StoredRun, read_run, read_stored
from hwnas.workflows.statistics import mean_interval
from hwnas.workflows.verdicts import AT_HOME, UNCOMPARED

FORMAT = "hwnas-summary@2"
REPORT = "report.html"
SPECIALISATION = "specialisation"  # the run in which networks are measured on the targets of others


@dataclass(frozen=True)
class OneFit:
    """How one of several fits ended.

    Args:
        directory: its run directory, relative to where the summary lies.
        target: of this fit.
        budget: of this fit, as it was asked for.
        seed: of this fit.
        result: its result.json; None where it was refused.
        error: why it was refused.
        exit_code: 0 inside the budget, 3 not, 4 where the target is not available.
    """

    directory: str
    target: str
    budget: str
    seed: int
    result: Mapping[str, Any] | None
    error: str | None
    exit_code: int


@dataclass(frozen=True)
class SeveralResult:
    """What several fits deliver.

    Args:
        inside_budget: whether every one of them is inside its budget.
        exit_code: the worst of theirs.
        run: the directory that holds theirs.
        fits: how each ended.
        result: the whole of the summary's result.json.
    """

    inside_budget: bool
    exit_code: int
    run: Path
    fits: tuple[OneFit, ...]
    result: dict[str, Any]


def check_free(out: Path) -> None:
    """Refuses a directory that is itself a run: the summary would replace its result.

    Raises:
        InputError: it is one.
    """
    if (out / CONFIG).exists():
        raise InputError(f"{out} holds a single run; choose another --out for several")


def finished(directory: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of a run that has finished with these very settings; None where it must be started or resumed."""
    if not (directory / RESULT).is_file() or not (directory / CONFIG).is_file():
        return None
    stored = read_run(directory)
    if stored.config != plain_json(config, "config"):
        return None
    result = stored.result()
    with fields_of(directory / RESULT):  # whatever a summary reads of it
        _row(one := OneFit("", "", "", 0, result, None, 0))
        _group([one])
    return result


def summarise(
    fits: Sequence[OneFit], out: Path, command: str, matrices: Sequence[Mapping[str, Any]] = ()
) -> SeveralResult:
    """Writes result.json and report.html that set several fits side by side.

    Args:
        fits: in the order of the rows.
        out: where both are written.
        command: what the user typed.
        matrices: of specialisation, one a seed; none where there is one target.

    Raises:
        InputError: the place cannot be written.
    """
    worst = max(fit.exit_code for fit in fits)
    tasks = list(dict.fromkeys((fit.target, fit.budget) for fit in fits))
    groups = [_group([fit for fit in fits if (fit.target, fit.budget) == task]) for task in tasks]
    result = {
        "format": FORMAT,
        "status": "inside-budget" if worst == 0 else "over-budget",
        "command": command,
        "hwnas": environment()["hwnas"],
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "runs": [_row(fit) for fit in fits],
        "tasks": groups,
        "specialisation": list(matrices),
    }
    make_directory(out)
    write_sealed_json(out / RESULT, result)
    done = [fit for fit in fits if fit.result is not None]
    results, names = [fit.result or {} for fit in done], [fit.directory for fit in done]
    page = render_summary(results, title=out.name, findings=findings(result), names=names, matrices=matrices)
    write_atomically(out / REPORT, page.encode())
    return SeveralResult(worst == 0, worst, out, tuple(fits), result)


def findings(summary: Mapping[str, Any]) -> list[str]:
    """The sentences of a summary: what its seeds say together, who is at home, and which fits were refused."""
    said = []
    for task in summary["tasks"]:
        where = f"{task['target']}, budget {task['budget']}: " if len(summary["tasks"]) > 1 else ""
        said += [where + row["verdict"] for row in task["comparison"]]
    said += [_at_home(matrix) for matrix in summary.get("specialisation", ())]
    return said + [f"{row['directory']} was refused: {row['error']}" for row in summary["runs"] if row["error"]]


def _at_home(matrix: Mapping[str, Any]) -> str:
    """How many networks stand first where they were searched for."""
    kinds = [row["verdict"] for row in matrix["networks"] if row["verdict"] not in UNCOMPARED]
    said = f"Every network was measured on every target (seed {matrix['seed']}): "
    if not kinds:
        return said + "on none of their own were there two to compare."
    first = sum(kind in AT_HOME for kind in kinds)
    return (
        f"{said}{first} of {len(kinds)} stand first on their own, as the fastest at their accuracy there or the only "
        "one inside the budget."
    )


def read_summary(path: Path) -> dict[str, Any]:
    """A summary's result.json.

    Raises:
        InputError: no such file.
        FileFormatError: it is no summary, or damaged.
        RunError: from a newer hwnas.
    """
    data = read_stored(path / RESULT, FORMAT)[0]
    with fields_of(path / RESULT):
        findings(data)
        inside = [(path / row["directory"]).resolve().is_relative_to(path.resolve()) for row in data["runs"]]
    if not all(inside):
        raise FileFormatError(f"{path / RESULT}: field 'runs' names directories outside {path}")
    return data


def is_summary(path: Path) -> bool:
    """Whether a directory holds several fits and their summary: a result, but no settings of its own."""
    return (path / RESULT).is_file() and not (path / CONFIG).exists()


def runs_of(path: Path) -> list[StoredRun]:
    """The run in a directory, or every finished fit in a directory of several.

    Raises:
        InputError: neither.
        RunError: none of the fits has finished.
    """
    if not is_summary(path):
        return [read_run(path)]
    found = [path / row["directory"] for row in read_summary(path)["runs"] if row["error"] is None]
    if not found:
        raise RunError(f"none of the fits in {path} has a result")
    return [read_run(directory) for directory in found]


def _row(fit: OneFit) -> dict[str, Any]:
    row: dict[str, Any] = {
        "directory": fit.directory, "target": fit.target, "budget": fit.budget, "seed": fit.seed, "error": fit.error,
        "exit_code": fit.exit_code, "status": None,
    }  # fmt: skip
    if fit.result is None:
        return row
    network, compute = fit.result["network"], fit.result["compute"]
    return {
        **row,
        "status": fit.result["status"],
        "architecture_id": network["architecture_id"],
        "accuracy": network["accuracy"],
        "latency_ms": network["latency"]["median_ms"],
        "latency_interval_ms": network["latency"]["interval_ms"],
        "budget_ms": fit.result["budget"]["latency_ms"],
        "params": network["params"],
        "macs": network["macs"],
        "cpu_seconds": sum(stage["cpu_seconds"] for stage in compute),
    }


def _group(fits: Sequence[OneFit]) -> dict[str, Any]:
    """What the seeds of one task say together."""
    results = [fit.result for fit in fits if fit.result is not None]
    accuracies = [result["network"]["accuracy"]["test"] for result in results]
    latencies = [result["network"]["latency"]["median_ms"] for result in results]
    comparison = []
    labels = {row["against"]: row["label"] for result in results for row in result["comparison"]}
    for against, label in labels.items():
        differences = [row["difference"] for result in results for row in result["comparison"]
                       if row["against"] == against]  # fmt: skip
        figures = _figures(differences)
        verdict = seeds_verdict(label, differences)
        comparison.append(
            {"against": against, "label": label, "differences": differences, **figures, "verdict": verdict}
        )
    return {
        "target": fits[0].target,
        "budget": fits[0].budget,
        "seeds": [fit.seed for fit in fits if fit.result is not None],
        "accuracy": {"values": accuracies, **_figures(accuracies)} if accuracies else None,
        "latency_ms": {"values": latencies, **_figures(latencies)} if latencies else None,
        "comparison": comparison,
    }


def _figures(values: Sequence[float]) -> dict[str, Any]:
    """Mean and interval over seeds; one seed has no interval."""
    mean, interval = mean_interval(values)
    return {"mean": mean, "interval": list(interval) if len(values) > 1 else None}


def seeds_verdict(label: str, differences: Sequence[float]) -> str:
    """One sentence: who won over the seeds, and whether that is more than what varies between them.

    Args:
        label: of the baseline.
        differences: in accuracy, searched minus baseline, one a seed, as fractions.
    """
    mean, (lower, upper) = mean_interval(differences)
    way = "better than" if mean > 0 else "worse than" if mean < 0 else "as accurate as"
    points = f" by {wording.decimals(100 * abs(mean), 2)} points" if mean else ""
    said = f"the searched network is {way} {label}{points}"
    if len(differences) < 2:
        return f"With one seed {said}; how much that varies from seed to seed is unknown."
    noise = "more" if lower > 0 or upper < 0 else "not more"
    interval = f"{wording.points(lower, 2)} to {wording.points(upper, 2)}"
    return (
        f"Over {len(differences)} seeds {said} on average (95 % interval {interval}): {noise} than what varies from "
        "seed to seed."
    )
