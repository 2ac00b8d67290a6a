"""`hwnas compare`: strategies on one problem, at equal cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options as o

if TYPE_CHECKING:
    from hwnas.workflows.compare import CompareResult


def compare(
    context: typer.Context,
    out: o.Out,
    evaluator: Annotated[
        str,
        o.Opt(
            help="Who says how good a network is. table:PATH looks it up: nas-bench-macro_cifar10.json, as its authors "
            "published it.",
            show_default=False,
        ),
    ],
    strategies: Annotated[
        str, o.Opt(help="Names, parted by commas. The others are held against random.")
    ] = "random,evolution,reinforce",
    seeds: Annotated[int, o.Opt(help="Searches of each strategy; nothing can be said with fewer than 6.")] = 20,
    evaluations: Annotated[int, o.Opt(help="Distinct networks that each search may evaluate; repeats are free.")] = 200,
    limits: o.MacsLimits = None,
    reward: Annotated[
        str,
        o.Opt(
            help="Accuracy and multiply-accumulates as one score: hard-limit, mnasnet-soft, mnasnet-hard, "
            "tunas-absolute or proxyless-r."
        ),
    ] = "hard-limit",
    seed: Annotated[int, o.Opt(help="The first seed; the others follow it.")] = 0,
    processes: Annotated[int, o.Opt(help="Searches at a time; what they find does not depend on it.")] = 1,
    fresh: o.Fresh = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Compare strategies: the same problem, evaluations and seeds for all, and how sure it is which one is better.

    hwnas compare --evaluator table:nas-bench-macro_cifar10.json --limit macs=40.5M --out runs/comparison

    Writes report.html (curves with intervals, a table, tests) and comparison.json. A search that has ended is kept at
    once and never done again.
    """
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json

    with TerminalProgress(quiet) as progress:
        found = api.compare(
            evaluator, [name.strip() for name in strategies.split(",")], out=out, seeds=seeds, evaluations=evaluations,
            limits=tuple(limits or ()), reward=reward, seed=seed, processes=processes, fresh=fresh,
            command=o.typed_command(context), progress=progress, stop=context.find_root().obj.stop,
        )  # fmt: skip
    if as_json:
        print_json(found.result)
    else:
        _show(found)


def _show(found: CompareResult) -> None:
    from hwnas.cli.terminal import show_table, show_text
    from hwnas.report import wording

    known = found.result["optimum"] is not None
    figure = "accuracy, %" if found.result["figure"] == "accuracy" else "score × 100"
    columns = ["strategy", figure, "95 % interval", *(["regret", "found the best"] if known else []), "evaluations",
               "proposals", "CPU time"]  # fmt: skip
    rows = []
    for one in found.result["strategies"]:
        final, cost = one["final"], found.result["compute"][one["name"]]
        regret = [_points(final["regret"]["mean"]), wording.percent(final["found_the_best"], 0)] if known else []
        deviation = "" if final["deviation"] is None else f" ± {_points(final['deviation'])}"
        interval = "" if final["interval"] is None else " to ".join(_points(end) for end in final["interval"])
        rows.append([
            one["name"], _points(final["mean"]) + deviation, interval, *regret, f"{final['evaluations']:,.0f}",
            f"{final['proposals']:,.0f}", f"{wording.significant(cost['cpu_seconds'])} s",
        ])  # fmt: skip
    show_table(columns, rows)
    show_text("\n" + "\n".join(found.verdicts) + f"\n\n{found.run / 'report.html'}")


def _points(value: Any) -> str:
    from hwnas.report import wording

    return wording.decimals(100 * value, 3)
