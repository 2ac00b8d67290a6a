"""Strategies compared on one problem, at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.api.arguments import call_in_words, check_count, checked_path, macs_limits
from hwnas.core.errors import InputError, quoted
from hwnas.core.protocols import Progress, Silence
from hwnas.core.seeds import LARGEST_SEED
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stop import Stop

if TYPE_CHECKING:
    from hwnas.workflows.compare import CompareResult

MOST_EVALUATIONS, MOST_SEEDS, MOST_PROCESSES = 10**6, 500, 256


def compare(
    evaluator: str = "trained-alone", strategies: Sequence[str] | None = None, *, out: str | Path,
    seeds: int | None = None, processes: int = 1, fresh: bool = False, command: str | None = None,
    progress: Progress | None = None, stop: Stop | None = None, **settings: Any,
) -> CompareResult:  # fmt: skip
    """Searches one problem with several strategies and seeds at equal cost, and says which is better and how surely.

    The same call on the same directory resumes: a search that has ended is never done again.

    Args:
        evaluator: "trained-alone": every network that is proposed is trained for a while on `data`, and timed on
            `target`. "table:PATH", PATH being nas-bench-macro_cifar10.json as its authors published it, looks networks
            up, and needs no torch.
        strategies: by name; "random" is what the others are held against. None for random, evolution and mnasnet,
            or on a table reinforce in its place.
        out: gets comparison.json and report.html, and keeps every search; those that train have run directories of
            their own there, such as evolution/seed-3.
        seeds: how many searches of each strategy, with seeds that follow each other; the same for all. None for 6, on
            a table 20.
        processes: how many searches of a table at a time; what is found does not depend on it.
        fresh: start over in a directory that holds a comparison.
        command: what to write into the report under "how to repeat it".
        progress: told how far it is.
        stop: asks it to end as soon as everything is saved.
        settings: fields of `hwnas.config.FitConfig`: `budget`, which must be given, `data`, `target`, `evaluations`,
            `child_steps`, …; `seed` is the first one. On a table `evaluations` (200), `limits` such as ("macs=40.5M",),
            `reward` ("hard-limit") and `seed` (0).

    Raises:
        InputError: an argument that cannot be, an unknown name, or no such file.
        FileFormatError: the table holds anything that is not understood; names the row.
        BudgetError: no network is inside the limits.
        RunError: the directory holds a run with other settings, or is in use.
        EvaluationFailed: a search could not be done; the same call goes on.
    """
    from hwnas.compose.comparisons import TRAINED

    _check(evaluator, strategies, seeds, processes)
    shown = progress or Silence()
    asked = {"evaluator": evaluator, "strategies": strategies and list(strategies), "seeds": seeds, "out": str(out)}
    typed = {**{name: value for name, value in asked.items() if value is not None}, **settings}
    command = command or call_in_words("compare", typed)
    if evaluator != TRAINED:
        names = tuple(strategies if strategies is not None else ("random", "evolution", "reinforce"))
        return _on_table(evaluator, names, out, seeds or 20, processes, fresh, command, shown, stop, settings)
    if processes != 1:
        raise InputError(
            f"--processes {processes}: networks are measured on this machine, which other searches would disturb, so "
            f"that searches that train are done one at a time; --at-once {processes} trains so many networks of one "
            "search at a time"
        )
    names = tuple(strategies if strategies is not None else ("random", "evolution", "mnasnet"))
    return _on_images(names, out, seeds or 6, fresh, command, shown, stop, settings)


def _on_table(
    evaluator: str, strategies: tuple[str, ...], out: str | Path, seeds: int, processes: int, fresh: bool,
    command: str, shown: Progress, stop: Stop | None, settings: dict[str, Any],
) -> CompareResult:  # fmt: skip
    from hwnas.api.beginning import reserved
    from hwnas.compose.comparisons import check_strategies, open_contest, strategy_settings, table_problem
    from hwnas.workflows.compare import compare as run_comparison

    given = {"evaluations": 200, "limits": (), "reward": "hard-limit", "seed": 0, **settings}
    evaluations, limits, reward, seed = (given.pop(name) for name in ("evaluations", "limits", "reward", "seed"))
    if given:
        raise InputError(f"{', '.join(given)}: a table trains and times nothing, so leave that out, or --evaluator")
    check_count("--evaluations", evaluations, 1, MOST_EVALUATIONS)
    check_count("--seed", seed, 0, LARGEST_SEED)
    check_strategies(strategies)
    problem = table_problem(evaluator, macs_limits(limits), reward, evaluations)
    kept = {
        "job": "compare", "evaluator": "table", "table_sha256": problem.sha256, "evaluations": evaluations,
        "limits": problem.limits, "reward": reward, "seed": seed, "seeds": seeds,
        "strategies": strategy_settings(strategies),
    }  # fmt: skip
    with reserved(out) as lock:
        contest = open_contest(problem, strategies, range(seed, seed + seeds), processes)
        with RunDirectory.open(Path(out), kept, fresh=fresh, stop=stop, say=shown.say, lock=lock) as run:
            return run_comparison(contest, run, command, shown)


def _on_images(
    strategies: tuple[str, ...], out: str | Path, seeds: int, fresh: bool, command: str, shown: Progress,
    stop: Stop | None, settings: dict[str, Any],
) -> CompareResult:  # fmt: skip
    from hwnas.api.beginning import check_names, open_images, reserved
    from hwnas.compose.searches import check_searches, common_settings, open_searches, plan_searches, start_over
    from hwnas.config import FitConfig, checked_settings
    from hwnas.hardware.engines import open_engine
    from hwnas.workflows.compare import compare as run_comparison

    if "strategy" in settings:
        raise InputError("strategies are compared: leave 'strategy' out, and give --strategies")
    check_searches(strategies)
    config = checked_settings(FitConfig, {**settings, "strategy": strategies[0]})
    with reserved(out) as lock:
        check_names(config)
        open_engine(config.target)
        images = open_images(config, shown)
        plans = plan_searches(config, images, strategies, range(config.seed, config.seed + seeds))
        if fresh:
            start_over(plans, Path(out), stop, shown)
        kept = common_settings(plans)
        with RunDirectory.open(Path(out), kept, fresh=fresh, stop=stop, say=shown.say, lock=lock) as run:
            return run_comparison(open_searches(plans, images, run, command, shown), run, command, shown)


def _check(evaluator: object, strategies: Sequence[object] | None, seeds: int | None, processes: int) -> None:
    """Refuses what is not of the kind that it should be, or out of range."""
    check_count("--seeds", 1 if seeds is None else seeds, 1, MOST_SEEDS)
    check_count("--processes", processes, 1, MOST_PROCESSES)
    if isinstance(strategies, str) or not all(isinstance(name, str) for name in strategies or ()):
        raise InputError(f"strategies are a list of names, not {quoted(strategies)}")
    if not isinstance(evaluator, str):
        raise InputError(f"an evaluator is a name such as table:PATH, not {quoted(evaluator)}")
    checked_path("--evaluator", evaluator)
