"""`hwnas fit`: the whole job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli import options as o


def fit(
    context: typer.Context,
    out: o.Out,
    budget: o.Budgets = None,
    data: o.Data = None,
    target: o.Targets = None,
    limits: o.Limits = None,
    space: o.Space = None,
    width: o.Width = None,
    strategy: o.Strategy = None,
    reward: o.Reward = None,
    evaluations: o.Evaluations = None,
    child_steps: o.ChildSteps = None,
    proposals: o.Proposals = None,
    at_once: o.AtOnce = None,
    search_steps: o.SearchSteps = None,
    loss: o.Loss = None,
    loss_weight: o.LossWeight = None,
    baselines: o.Baselines = None,
    candidates: o.Candidates = None,
    effort: o.Effort = None,
    compute: o.Compute = None,
    train_steps: o.TrainSteps = None,
    lr: o.Lr = None,
    batch_size: o.BatchSize = None,
    optimizer: o.Optimizer = None,
    seed: o.Seed = None,
    seeds: Annotated[int, o.Opt(help="Repeat with that many seeds, each in its own directory below --out.")] = 1,
    train_on: o.TrainOn = None,
    threads: o.Threads = None,
    resolution: o.Resolution = None,
    augmentation: o.Augmentation = None,
    data_root: o.DataRoot = None,
    download: o.Download = None,
    skip_bad: o.SkipBad = None,
    workers: o.Workers = None,
    sessions: o.Sessions = None,
    held_out: o.HeldOut = None,
    config: o.Config = None,
    fresh: o.Fresh = False,
    measurements: o.Measurements = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Images, a target and a budget in; a trained network, measured inside the budget, out.

    hwnas fit --data PATH --target onnxruntime --budget 1.5ms --out runs/mine

    Several --budget, --target or --seeds make one run each, and a report that sets them side by side:

    hwnas fit --budget 25% --budget 50% --seeds 3 --out runs/study

    Several targets share what no latency enters, and in the end every network is measured on every target:

    hwnas fit --target onnxruntime --target openvino-bf16 --budget 40% --out runs/both
    """
    from hwnas.config import FitConfig
    from hwnas.core.errors import InputError

    settings = o.given(context, FitConfig.model_fields)
    budgets, targets = o.listed(settings.pop("budget", ())), o.listed(settings.pop("target", "onnxruntime-f32"))
    if not budgets:
        raise InputError(o.NO_BUDGET)
    others = {"out": out, "fresh": fresh, "measurements": measurements, "command": o.typed_command(context),
              "stop": context.find_root().obj.stop}  # fmt: skip
    if len(budgets) == len(targets) == seeds == 1:
        code = _one(settings | others | {"budget": budgets[0], "target": targets[0]}, as_json, quiet)
    else:
        code = _several(settings | others | {"budgets": budgets, "targets": targets, "seeds": seeds}, as_json, quiet)
    raise typer.Exit(code)


def _one(arguments: dict[str, Any], as_json: bool, quiet: bool) -> int:
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json, show_result

    with TerminalProgress(quiet) as progress:
        found = api.fit(**arguments, progress=progress)
    if as_json:
        print_json(found.result)
    else:
        show_result(found.result, str(found.run))
    return 0 if found.inside_budget else 3


def _several(arguments: dict[str, Any], as_json: bool, quiet: bool) -> int:
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json, show_table, show_text
    from hwnas.report import matrix, wording
    from hwnas.workflows.several import findings

    with TerminalProgress(quiet) as progress:
        found = api.fit_several(**arguments, progress=progress)
    if as_json:
        print_json(found.result)
        return found.exit_code
    rows = []
    for row in found.result["runs"]:
        accuracy = wording.percent(row["accuracy"]["test"]) if row["error"] is None else wording.MISSING
        inside = {"inside-budget": "yes", "over-budget": "no"}.get(row["status"] or "", "refused")
        figures = (wording.milliseconds(row.get("latency_ms")), wording.limit(row.get("budget_ms")))
        rows.append((row["directory"], accuracy, *figures, inside))
    show_table(("run", "test accuracy", "latency", "budget", "inside"), rows)
    for said in findings(found.result):
        show_text(said)
    for measured in found.result["specialisation"]:
        show_text(f"\nEvery network on every target, seed {measured['seed']}:")
        show_table(matrix.COLUMNS, matrix.plain_rows(measured))
        for said in matrix.sentences(measured):
            show_text(said)
    show_text(f"\nSide by side: {Path(found.run) / 'report.html'}")
    return found.exit_code
