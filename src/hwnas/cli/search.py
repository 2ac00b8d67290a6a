"""`hwnas search`: fit without the trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from hwnas.cli import options as o

if TYPE_CHECKING:
    from hwnas.workflows.search_only import SearchResult


def search(
    context: typer.Context,
    out: o.Out,
    budget: o.Budget = None,
    data: o.Data = None,
    target: o.OneTarget = None,
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
    """Find an architecture inside the budget and stop there: nothing is trained out.

    hwnas search --data PATH --budget 1.5ms --out runs/mine

    Writes architecture.json and network.json, for `hwnas train`. `hwnas fit` with the very same options goes on from
    there, which is why search knows the options of the trainings, too.
    """
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json
    from hwnas.config import FitConfig
    from hwnas.core.errors import InputError

    settings = o.given(context, FitConfig.model_fields)
    if settings.get("budget") is None:
        raise InputError(o.NO_BUDGET)
    with TerminalProgress(quiet) as progress:
        found = api.search(
            **settings, out=out, fresh=fresh, measurements=measurements, command=o.typed_command(context),
            progress=progress, stop=context.find_root().obj.stop,
        )  # fmt: skip
    if as_json:
        print_json(found.result)
    else:
        _show(found)
    raise typer.Exit(0 if found.inside_budget else 3)


def _show(found: SearchResult) -> None:
    from hwnas.cli.terminal import show_table, show_text
    from hwnas.report import wording

    blocks = found.result["blocks"]
    predicted = any(row["latency_ms"] is not None for row in blocks)
    columns = ("layer", "what", "predicted") if predicted else ("layer", "what")
    rows = [(row["name"], row["text"], wording.milliseconds(row["latency_ms"])) for row in blocks]
    show_table(columns, [row[: len(columns)] for row in rows])
    before = "predicted" if predicted else "briefly measured"
    budget = wording.limit(found.result["budget"]["latency_ms"])
    verdict = "inside" if found.inside_budget else "over"
    warned = "".join(f"! {one['says']} {one['advice']}\n\n" for one in found.result["warnings"])
    show_text(
        f"\n{found.architecture.id}, {found.result['reason']}\n"
        f"{before} {wording.milliseconds(found.predicted_ms)}, measured {wording.milliseconds(found.measured_ms)} "
        f"with random weights: {verdict} the budget of {budget}\n\n{warned}"
        f"Next: hwnas fit with the same options, or hwnas train {found.run} --out DIR"
    )
