"""`hwnas search-table`: a black-box search where every answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli import options as o

if TYPE_CHECKING:
    from hwnas.workflows.search_table import TableSearch


def search_table(
    table: Annotated[Path, typer.Argument(help="nas-bench-macro_cifar10.json, as its authors published it.")],
    strategy: Annotated[str, o.Opt(help="random, evolution, guided, reinforce, ppo or policy-gradient.")] = "evolution",
    evaluations: Annotated[int, o.Opt(help="Distinct networks that a search may look up; repeats are free.")] = 200,
    limits: o.MacsLimits = None,
    reward: Annotated[
        str,
        o.Opt(
            help="Accuracy and multiply-accumulates as one score: hard-limit, mnasnet-soft, mnasnet-hard, "
            "tunas-absolute or proxyless-r."
        ),
    ] = "hard-limit",
    seed: Annotated[int, o.Opt(help="Of the first search.")] = 0,
    seeds: Annotated[int, o.Opt(help="Searches, with seeds that follow each other.")] = 1,
    as_json: o.AsJson = False,
) -> None:
    """Search a table in which every network is trained already, and see how far the best found is from the best.

    hwnas search-table nas-bench-macro_cifar10.json --strategy evolution --evaluations 200 --seeds 20
    """
    from hwnas import api
    from hwnas.cli.terminal import print_json

    found = api.search_table(
        table, strategy=strategy, evaluations=evaluations, limits=tuple(limits or ()), reward=reward, seed=seed,
        seeds=seeds,
    )  # fmt: skip
    if as_json:
        print_json(found.to_json())
    else:
        _show(found)
    raise typer.Exit(0 if all(one.best() for one in found.searched) else 3)


def _show(found: TableSearch) -> None:
    from statistics import fmean

    from hwnas.cli.terminal import show_table, show_text
    from hwnas.report import wording

    rows = []
    for seed, one in zip(found.seeds, found.searched, strict=True):
        spent = (str(seed), str(len(one.evaluated)), str(one.proposals))
        best = one.best()
        if best is None:
            rows.append((*spent, "none inside the limit", "", ""))
            continue
        macs, regret = wording.short_count(int(best.costs["macs"]), "MACs"), found.optimum.score - best.score
        rows.append((*spent, f"{100 * best.accuracy:.2f} %", macs, f"{100 * regret:.2f}"))
    show_table(("seed", "networks", "proposals", "accuracy of the best", "its cost", "regret, points"), rows)
    best_ones = [best for one in found.searched if (best := one.best())]
    if len(best_ones) > 1:
        show_text(f"\nmean accuracy {100 * fmean(one.accuracy for one in best_ones):.3f} %")
    optimum = found.optimum
    macs = wording.short_count(int(optimum.costs["macs"]), "MACs")
    show_text(f"\nthe best there is: {100 * optimum.accuracy:.2f} %, {macs}, architecture {optimum.architecture.id}")
