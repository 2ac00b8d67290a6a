"""Strategies compared on one problem, at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.arguments import call_in_words, check_count, checked_path, macs_limits
from hwnas.core.errors import InputError, quoted
from hwnas.core.protocols import Progress, Silence
from hwnas.core.seeds import LARGEST_SEED
from hwnas.runs.stop import Stop

if TYPE_CHECKING:
    from hwnas.workflows.compare import CompareResult

MOST_EVALUATIONS, MOST_SEEDS, MOST_PROCESSES = 10**6, 500, 256


def compare(
    evaluator: str, strategies: Sequence[str], *, out: str | Path, seeds: int = 20, evaluations: int = 200,
    limits: Sequence[str] = (), reward: str = "hard-limit", seed: int = 0, processes: int = 1, fresh: bool = False,
    command: str | None = None, progress: Progress | None = None, stop: Stop | None = None,
) -> CompareResult:  # fmt: skip
    """Searches one problem with several strategies and seeds at equal cost, and says which is better and how surely.

    The same call on the same directory resumes: a search that has ended is never done again. Needs no torch.

    Args:
        evaluator: "table:PATH", PATH being nas-bench-macro_cifar10.json as its authors published it.
        strategies: by name, such as ("random", "evolution"); "random" is what the others are held against.
        out: gets comparison.json and report.html, and keeps every search.
        seeds: how many searches of each strategy, with seeds that follow each other; the same for all.
        evaluations: distinct networks that each search may look up; repeats are free, and there are at most 20 times
            as many proposals.
        limits: ("macs=40.5M",) or nothing.
        reward: how accuracy and multiply-accumulates become one score, the limit being the target: "hard-limit",
            "mnasnet-soft", "mnasnet-hard", "tunas-absolute" or "proxyless-r".
        seed: the first one.
        processes: how many searches at a time; what is found does not depend on it.
        fresh: start over in a directory that holds a comparison.
        command: what to write into the report under "how to repeat it".
        progress: told how far it is.
        stop: asks it to end after the next search.

    Raises:
        InputError: an argument that cannot be, an unknown name, or no such file.
        FileFormatError: the file holds anything that is not understood; names the row.
        BudgetError: no network is inside the limit.
        RunError: the directory holds a run with other settings, or is in use.
        EvaluationFailed: a process ended before its search; the same call goes on.
    """
    from hwnas.api.beginning import reserved
    from hwnas.compose.comparisons import check_strategies, open_contest, strategy_settings, table_problem
    from hwnas.runs.directory import RunDirectory
    from hwnas.workflows.compare import compare as run_comparison

    _check(evaluator, strategies, evaluations, seed, seeds, processes)
    check_strategies(strategies)
    problem = table_problem(evaluator, macs_limits(limits), reward, evaluations)
    settings = {
        "job": "compare", "evaluator": "table", "table_sha256": problem.sha256, "evaluations": evaluations,
        "limits": problem.limits, "reward": reward, "seed": seed, "seeds": seeds,
        "strategies": strategy_settings(strategies),
    }  # fmt: skip
    shown = progress or Silence()
    command = command or call_in_words("compare", {
        "evaluator": evaluator, "strategies": list(strategies), "out": str(out), "seeds": seeds,
        "evaluations": evaluations, "limits": list(limits), "reward": reward, "seed": seed,
    })  # fmt: skip
    with reserved(out) as lock:
        contest = open_contest(problem, strategies, range(seed, seed + seeds), processes)
        with RunDirectory.open(Path(out), settings, fresh=fresh, stop=stop, say=shown.say, lock=lock) as run:
            return run_comparison(contest, run, command, shown)


def _check(
    evaluator: object, strategies: Sequence[object], evaluations: int, seed: int, seeds: int, processes: int
) -> None:  # fmt: skip
    """Refuses what is not of the kind that it should be, or out of range."""
    for what, number, least, most in (
        ("--evaluations", evaluations, 1, MOST_EVALUATIONS),
        ("--seed", seed, 0, LARGEST_SEED),
        ("--seeds", seeds, 1, MOST_SEEDS),
        ("--processes", processes, 1, MOST_PROCESSES),
    ):
        check_count(what, number, least, most)
    if isinstance(strategies, str) or not all(isinstance(name, str) for name in strategies):
        raise InputError(f"strategies are a list of names, not {quoted(strategies)}")
    if not isinstance(evaluator, str):
        raise InputError(f"an evaluator is a name such as table:PATH, not {quoted(evaluator)}")
    checked_path("--evaluator", evaluator)
