"""Comparisons of strategies by name, on a problem by name."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from hwnas.compose.controllers import known_controller
from hwnas.core.errors import FileFormatError, InputError, UnknownName
from hwnas.core.objective import Objective, check_has_best, objective
from hwnas.core.protocols import Progress
from hwnas.evaluation.asking import STILL_AT, answers
from hwnas.runs.files import read_limited
from hwnas.strategies.black_box import BlackBoxSettings
from hwnas.workflows.attempts import Attempt
from hwnas.workflows.compare import Asked, Contest
from hwnas.workflows.search_table import LIMIT_BYTES, KnownNetworks, read_macro_table

CHILD = (sys.executable, "-P", "-m", "hwnas.compose.table_child")  # -P: nothing out of the working directory
TABLE, TRAINED = "table:", "trained-alone"  # evaluators


@dataclass(frozen=True)
class TableProblem:
    """A table that is searched, as names and numbers: the same in every process.

    Args:
        path: of the file.
        sha256: of its content.
        limits: by the names of costs.
        reward: how accuracy and cost become one score.
        evaluations: of each search.
    """

    path: str
    sha256: str
    limits: dict[str, int]
    reward: str
    evaluations: int

    def objective(self) -> Objective:
        """What is looked for."""
        return objective(self.reward, self.limits)

    def settings(self) -> BlackBoxSettings:
        """How long each search is."""
        return BlackBoxSettings(self.evaluations)

    def open(self) -> KnownNetworks:
        """Reads the table.

        Raises:
            InputError: no such file.
            FileFormatError: it is not understood, or not the one that it was.
        """
        known = read_macro_table(Path(self.path))
        if _sha256(Path(self.path)) != self.sha256:
            raise FileFormatError(f"{self.path} was changed while it was searched: start over with --fresh")
        return known


def table_problem(evaluator: str, limits: dict[str, int], reward: str, evaluations: int) -> TableProblem:
    """The problem that an evaluator's name stands for.

    Args:
        evaluator: "table:PATH".
        limits: by the names of costs.
        reward: by name.
        evaluations: of each search.

    Raises:
        UnknownName: no such evaluator or reward.
        InputError: no such file, or a reward that lacks a target or gives no single best network.
    """
    if not evaluator.startswith(TABLE) or evaluator == TABLE:
        raise UnknownName("evaluator", evaluator, ["table:PATH", TRAINED])
    check_has_best(reward)
    objective(reward, limits)
    path = Path(evaluator.removeprefix(TABLE))
    return TableProblem(str(path), _sha256(path), limits, reward, evaluations)


def check_strategies(names: Sequence[str], known: Callable[[str], object] = known_controller) -> None:
    """Refuses what cannot be compared.

    Args:
        names: of strategies.
        known: looks one up.

    Raises:
        UnknownName: no such strategy; offers the nearest.
        InputError: none, or one twice.
    """
    for name in names:
        known(name)
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None or not names:
        raise InputError(f"strategy {twice!r} is given twice" if twice else "give at least one strategy to compare")


def strategy_settings(names: Sequence[str]) -> dict[str, Any]:
    """What each strategy is made with, as plain values."""
    found = {name: known_controller(name).settings for name in names}
    return {name: asdict(one) if is_dataclass(one) and not isinstance(one, type) else {} for name, one in found.items()}


def open_contest(problem: TableProblem, strategies: Sequence[str], seeds: Sequence[int], processes: int) -> Contest:
    """A comparison on a table, whose searches have processes of their own.

    Args:
        problem: what is searched.
        strategies: by name.
        seeds: the same for every strategy.
        processes: how many searches at a time.

    Raises:
        BudgetError: no network is inside the limits.
        FileFormatError: the table is not understood.
    """
    known = problem.open()

    def attempts(asked: Sequence[Asked], progress: Progress) -> Generator[Attempt]:
        return _attempts(problem, asked, processes, progress)

    return Contest(
        strategies=tuple(strategies), seeds=tuple(seeds), evaluations=problem.evaluations,
        figure="accuracy" if problem.reward == "hard-limit" else "score", optimum=known.best(problem.objective()),
        attempts=attempts, networks=len(known.accuracies),
        space=known.choices.name, limits=problem.limits, reward=problem.reward, evaluator="table",
    )  # fmt: skip


def _attempts(
    problem: TableProblem, asked: Sequence[Asked], processes: int, progress: Progress
) -> Generator[Attempt]:  # fmt: skip
    """The searches as they end; whoever watches sees the evaluations of all of them together."""
    each, over, under_way = problem.evaluations, 0, dict[int, int]()
    questions = [{"strategy": one.strategy, "seed": one.seed} for one in asked]
    if processes == 1 < len(asked):
        progress.say("one search at a time; --processes 2 does two")
    progress.stage("searches", each * len(asked))
    with closing(answers(CHILD, asdict(problem), questions, processes)) as heard:
        for number, said in heard:
            if STILL_AT in said:
                under_way[number] = said[STILL_AT]
            else:
                over += 1
                under_way.pop(number, None)
                yield Attempt.from_json(said, f"the answer about {asked[number].name}")
            progress.advance(min(each * over + sum(under_way.values()), each * len(asked)), {"searches done": over})


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_limited(path, LIMIT_BYTES)).hexdigest()
