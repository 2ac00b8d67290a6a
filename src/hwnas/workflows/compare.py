"""Strategies side by side: one problem, the same evaluations and seeds for all, one report."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas.core.errors import RunError
from hwnas.core.protocols import PlannedPart, Progress, Work
from hwnas.report.html import render_comparison
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import write_atomically, write_sealed_json
from hwnas.runs.stored import COMPARISON, COMPARISON_FORMAT, read_stored
from hwnas.strategies.evaluated import Evaluated
from hwnas.workflows.attempts import Attempt
from hwnas.workflows.comparison import compared, mean_cost

REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class Asked:
    """A search that is wanted."""

    strategy: str
    seed: int

    @property
    def name(self) -> str:
        """Of its row, and of its directory where it has one."""
        return f"{self.strategy}/seed-{self.seed}"


@dataclass(frozen=True)
class Contest:
    """What strategies are compared on, and who does the searches.

    Args:
        strategies: by name, in the order of the report.
        seeds: the same for every strategy.
        evaluations: that every search may spend.
        figure: what is compared: "accuracy", or the "score" of an objective that is more than that.
        attempts: does searches, and gives each when it has ended, in any order; it may be left before its end.
        optimum: the best there is, where that is known.
        networks: how many there are to choose from; None where nobody has counted.
        space: its name and version.
        limits: by the names of costs.
        reward: how accuracy and cost become one score.
        evaluator: by name: who says how good a network is.
        task: what else the searches had in common, by what readers call it.
    """

    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: int
    figure: str
    attempts: Callable[[Sequence[Asked], Progress], Generator[Attempt]]
    optimum: Evaluated | None
    networks: int | None
    space: str
    limits: Mapping[str, float]
    reward: str
    evaluator: str
    task: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> list[Asked]:
        """Every search, all strategies of a seed before the next seed: what is cut off has come as far with each."""
        return [Asked(strategy, seed) for seed in self.seeds for strategy in self.strategies]

    def facts(self) -> dict[str, Any]:
        """What all searches have in common, as plain values."""
        names = ("evaluator", "space", "networks", "evaluations", "figure", "reward")
        plain = {name: getattr(self, name) for name in names}
        best = self.optimum
        known = best and {
            "architecture": best.architecture.to_json(), "architecture_id": best.architecture.id,
            "accuracy": best.accuracy, "costs": dict(best.costs), "score": best.score,
        }  # fmt: skip
        given = {"limits": dict(self.limits), "task": dict(self.task), "seeds": list(self.seeds)}
        return {**plain, **given, "optimum": known}


@dataclass(frozen=True)
class CompareResult:
    """What a comparison delivers.

    Args:
        run: its directory.
        attempts: every search, in the order in which they were asked for.
        result: the whole of comparison.json.
    """

    run: Path
    attempts: tuple[Attempt, ...]
    result: dict[str, Any]

    @property
    def verdicts(self) -> list[str]:
        """What can be said, in sentences."""
        return list(self.result["verdicts"])


def compare(contest: Contest, run: RunDirectory, command: str, progress: Progress) -> CompareResult:
    """Does the searches that are not done yet, and writes comparison.json and report.html.

    Args:
        contest: what is compared.
        run: keeps each search as soon as it has ended; none is done twice.
        command: what the user typed.
        progress: told how far it is.

    Raises:
        EvaluationFailed: a search could not be done; those that have ended are kept.
    """
    done = _stored(run)
    missing = [asked for asked in contest.asked if asked.name not in done]
    of = f"{len(contest.strategies)} strategies, {len(contest.seeds)} seeds, {contest.evaluations:,} evaluations each"
    work = Work("searches", ((contest.evaluations * len(missing), 1.0),))
    progress.plan(f"comparing in {run.path}: {of}", (PlannedPart("search", "searching", (work,)),))
    if missing:
        progress.enter("search")
        if done:
            progress.say(f"{len(done)} of {len(contest.asked)} searches were done before")
        with closing(contest.attempts(missing, progress)) as ended:
            for attempt in ended:
                name = Asked(attempt.strategy, attempt.seed).name
                spent = attempt.spent
                run.store.finish_stage(name, attempt.to_json(), spent.cpu_seconds, spent.wall_seconds)
                done[name] = attempt
                run.stop.check()
    attempts = tuple(done[asked.name] for asked in contest.asked)
    result = {
        "format": COMPARISON_FORMAT,
        "command": command,
        **contest.facts(),
        **compared(contest.strategies, attempts, contest.evaluations, contest.figure, contest.optimum),
        # Last, because they alone differ where all else is the same.
        "compute": {name: mean_cost([one for one in attempts if one.strategy == name]) for name in contest.strategies},
        "environment": {name: run.environment.get(name) for name in ("hwnas", "python", "cpu")},
    }
    write_sealed_json(run.path / COMPARISON, result)
    write_atomically(run.path / REPORT, render_comparison(result, title=run.path.resolve().name).encode())
    return CompareResult(run.path, attempts, result)


def is_comparison(path: Path) -> bool:
    """Whether a directory holds a comparison that has ended."""
    return (path / COMPARISON).is_file()


def read_comparison(path: Path) -> dict[str, Any]:
    """The comparison in a directory.

    Raises:
        InputError: no such file.
        FileFormatError: it is damaged, or something else.
        RunError: from a newer hwnas.
    """
    return read_stored(path / COMPARISON, COMPARISON_FORMAT)[0]


def _stored(run: RunDirectory) -> dict[str, Attempt]:
    """The searches that have ended, by name."""
    found = {}
    for stage in run.store.stages():
        attempt = Attempt.from_json(stage.result, f"{run.path}, search {stage.name}")
        if Asked(attempt.strategy, attempt.seed).name != stage.name:
            raise RunError(f"{run.path} is damaged: its search {stage.name} is called {attempt.strategy}")
        found[stage.name] = attempt
    return found
