"""A black-box search where every answer is known: on a table of trained networks, in seconds, against the true best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.counted import MacsModel
from hwnas.core.errors import BudgetError, FileFormatError, said_of
from hwnas.core.objective import Costs, Objective
from hwnas.core.protocols import Controller, NoCheckpoints, Progress
from hwnas.evaluation.in_order import in_order
from hwnas.evaluation.nas_bench_macro import TEST_IMAGES, benchmark_rows
from hwnas.evaluation.truth_table import TruthTable
from hwnas.runs.clock import Stopwatch
from hwnas.runs.files import read_json
from hwnas.spaces.macro import MacroSpace
from hwnas.strategies.black_box import BlackBoxSettings, Problem, search
from hwnas.strategies.evaluated import BlackBoxSearched, Evaluated
from hwnas.workflows.attempts import Attempt, TimedController, attempt_of

FORMAT = "hwnas-table-search@1"
LIMIT_BYTES = 2**23  # of a table; the published one has 1.2 MB
MakeController = Callable[[ChoiceSpace, int], Controller]


@dataclass(frozen=True)
class KnownNetworks:
    """A space of which every network was trained.

    Args:
        choices: the space.
        accuracies: test accuracy, 0 to 1, of every architecture.
        macs: multiply-accumulates of every architecture, counted.
        images: how many the networks were tested on.
    """

    choices: ChoiceSpace
    accuracies: dict[Architecture, float]
    macs: dict[Architecture, int]
    images: int

    def best(self, objective: Objective) -> Evaluated:
        """The network of the highest score.

        Raises:
            BudgetError: the objective admits none; says what the smallest one needs.
        """
        admitted = [arch for arch in self.macs if objective.admits(self.costs(arch))]
        if not admitted:
            raise BudgetError(
                f"no network of space {self.choices.name} is inside the limit: the smallest one has "
                f"{min(self.macs.values()):,} MACs"
            )
        scored = ((arch, objective.score(self.accuracies[arch], self.costs(arch))) for arch in admitted)
        arch, score = max(scored, key=lambda one: one[1])
        return Evaluated(arch, self.accuracies[arch], self.costs(arch), score)

    def costs(self, arch: Architecture) -> Costs:
        """What an architecture costs, by name."""
        return {"macs": self.macs[arch]}

    def problem(self) -> Problem:
        """What a search is given: every answer is looked up."""
        evaluate = partial(in_order, TruthTable(self.accuracies, self.images))
        return Problem(self.choices, lambda asked: [self.costs(arch) for arch in asked], evaluate)


@dataclass(frozen=True)
class TableSearch:
    """Searches of one table with seeds that follow each other.

    Args:
        searched: one for each seed.
        seeds: theirs.
        optimum: the network that they were looking for.
    """

    searched: tuple[BlackBoxSearched, ...]
    seeds: tuple[int, ...]
    optimum: Evaluated

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; regret is the optimum's score less that of the best found."""
        return {
            "format": FORMAT,
            "optimum": _evaluated(self.optimum),
            "searches": [
                {
                    "seed": seed,
                    "evaluations": len(one.evaluated),
                    "proposals": one.proposals,
                    "best": _evaluated(best) if (best := one.best()) else None,
                    "regret": self.optimum.score - best.score if best else None,
                }
                for seed, one in zip(self.seeds, self.searched, strict=True)
            ],
        }


def read_macro_table(path: Path) -> KnownNetworks:
    """NAS-Bench-Macro from its published JSON file.

    Raises:
        InputError: no such file.
        FileFormatError: a row that is not understood, rows of one network that differ, one whose multiply-accumulates
            are not those of its layers, or a network without a row; names the row.
    """
    space = MacroSpace()
    terms = MacsModel().terms(space)
    accuracies: dict[Architecture, float] = {}
    macs: dict[Architecture, int] = {}
    first: dict[Architecture, str] = {}  # row of each network
    data = read_json(path, LIMIT_BYTES)
    with said_of(path):
        for digits, row in benchmark_rows(data).items():
            arch = space.of_digits(digits)
            counted = macs.setdefault(arch, round(terms.total(arch)))
            if row.macs != counted:
                raise FileFormatError(f"row {digits}: flops is {row.macs:,}, and its layers have {counted:,} MACs")
            if accuracies.setdefault(arch, row.accuracy) != row.accuracy:
                same = first[arch]
                raise FileFormatError(f"rows {same} and {digits} are one network, and their mean_acc differs")
            first.setdefault(arch, digits)
        missing = next((arch for arch in space.choices.enumerate() if arch not in accuracies), None)
        if missing is not None:
            raise FileFormatError(
                f"{space.choices.size() - len(accuracies):,} of {space.choices.size():,} networks have no row, such as "
                f"{space.encoding(missing)}"
            )
    return KnownNetworks(space.choices, accuracies, macs, TEST_IMAGES)


def search_table(
    known: KnownNetworks, controller: MakeController, objective: Objective, settings: BlackBoxSettings,
    seeds: Sequence[int], progress: Progress,
) -> TableSearch:  # fmt: skip
    """One search for each seed.

    Args:
        known: what is searched.
        controller: makes one of the space and a seed.
        objective: what is looked for; its costs are multiply-accumulates.
        settings: how long each search is.
        seeds: of the searches.
        progress: told how far each is.

    Raises:
        BudgetError: the objective admits no network.
    """
    optimum = known.best(objective)
    searched = [_search(known, controller(known.choices, seed), objective, settings, seed, progress) for seed in seeds]
    return TableSearch(tuple(searched), tuple(seeds), optimum)


def attempt(
    known: KnownNetworks, strategy: str, controller: MakeController, objective: Objective, settings: BlackBoxSettings,
    seed: int, progress: Progress,
) -> Attempt:  # fmt: skip
    """One search as a row of a comparison, with what it and its controller have cost.

    Args:
        known: what is searched.
        strategy: the controller's name.
        controller: makes one of the space and a seed.
        objective: what is looked for; its costs are multiply-accumulates.
        settings: how long the search is.
        seed: of the search.
        progress: told how far it is.
    """
    timed = TimedController(controller(known.choices, seed))  # the first of its kind may have to load a library
    watch = Stopwatch()
    searched = _search(known, timed, objective, settings, seed, progress)
    return attempt_of(strategy, seed, searched, objective, watch.spent(), timed.spent)


def _search(
    known: KnownNetworks, controller: Controller, objective: Objective, settings: BlackBoxSettings, seed: int,
    progress: Progress,
) -> BlackBoxSearched:  # fmt: skip
    return search(
        controller, known.problem(), objective, settings, checkpoints=NoCheckpoints(), progress=progress,
        purpose=f"search/seed-{seed}",
    )  # fmt: skip


def _evaluated(one: Evaluated) -> dict[str, Any]:
    return {
        "architecture": one.architecture.to_json(),
        "accuracy": one.accuracy,
        "macs": one.costs["macs"],
        "score": one.score,
    }
