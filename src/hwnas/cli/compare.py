"""`hwnas compare`: strategies on one problem, at equal cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import options as o

if TYPE_CHECKING:
    from hwnas.workflows.compare import CompareResult


Evaluator = Annotated[
    str,
    o.Opt(
        help="Who says how good a network is. trained-alone trains it for a while and times it; table:PATH looks it "
        "up: nas-bench-macro_cifar10.json, as its authors published it."
    ),
]
Strategies = Annotated[
    str | None,
    o.Opt(
        help="Names, parted by commas. The others are held against random.",
        show_default="random,evolution,mnasnet; of a table random,evolution,reinforce",
    ),
]
Seeds = Annotated[
    int | None,
    o.Opt(help="Searches of each strategy; nothing can be said with fewer than 6.", show_default="6; of a table 20"),
]
Evaluations = Annotated[
    int | None,
    o.Opt(
        help="Distinct networks that each search may evaluate; repeats are free.", show_default="100; of a table 200"
    ),
]
Reward = Annotated[
    str | None,
    o.Opt(
        help="What strategies learn from (`hwnas list rewards`); of a table also what is compared.",
        show_default="each strategy's own; of a table hard-limit",
    ),
]
FirstSeed = Annotated[int | None, o.Opt(help="The first seed; the others follow it.", show_default="0")]
Processes = Annotated[int, o.Opt(help="Searches of a table at a time; what they find does not depend on it.")]
Limits = Annotated[
    list[str] | None,
    o.Opt(
        "--limit",
        help="Further limit: params=1M, macs=30M, activations=512kB, size=4MB or memory=16MB. Of a table macs alone. "
        "Repeats.",
    ),
]


def compare(
    context: typer.Context,
    out: o.Out,
    evaluator: Evaluator = "trained-alone",
    strategies: Strategies = None,
    seeds: Seeds = None,
    evaluations: Evaluations = None,
    reward: Reward = None,
    seed: FirstSeed = None,
    processes: Processes = 1,
    budget: o.Budget = None,
    data: o.Data = None,
    target: o.OneTarget = None,
    limits: Limits = None,
    space: o.Space = None,
    width: o.Width = None,
    child_steps: o.ChildSteps = None,
    proposals: o.Proposals = None,
    at_once: o.AtOnce = None,
    effort: o.Effort = None,
    train_steps: o.TrainSteps = None,
    lr: o.Lr = None,
    batch_size: o.BatchSize = None,
    optimizer: o.Optimizer = None,
    train_on: o.TrainOn = None,
    threads: o.Threads = None,
    resolution: o.Resolution = None,
    augmentation: o.Augmentation = None,
    data_root: o.DataRoot = None,
    download: o.Download = None,
    skip_bad: o.SkipBad = None,
    workers: o.Workers = None,
    sessions: o.Sessions = None,
    config: o.Config = None,
    fresh: o.Fresh = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Compare strategies: the same problem, evaluations and seeds for all, and how sure it is which one is better.

    hwnas compare --data PATH --budget 1.5ms --out runs/comparison

    trains and times every network that is proposed. On a table of accuracies it takes seconds:

    hwnas compare --evaluator table:nas-bench-macro_cifar10.json --limit macs=40.5M --out runs/comparison

    Writes report.html (curves with intervals, a table, tests) and comparison.json. The same command resumes.
    """
    from hwnas.cli.terminal import print_json

    given = {"out": out, "seeds": seeds, "processes": processes, "fresh": fresh}
    found = _compared(context, evaluator, strategies, given, quiet)
    if as_json:
        print_json(found.result)
    else:
        _show(found)


def _compared(
    context: typer.Context, evaluator: str, strategies: str | None, given: Mapping[str, Any], quiet: bool
) -> CompareResult:  # fmt: skip
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.config import FitConfig

    names = None if strategies is None else [name.strip() for name in strategies.split(",")]
    with TerminalProgress(quiet) as progress:
        return api.compare(
            evaluator, names, **o.given(context, FitConfig.model_fields), **given, command=o.typed_command(context),
            progress=progress, stop=context.find_root().obj.stop,
        )  # fmt: skip


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
