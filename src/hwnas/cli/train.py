"""`hwnas train`: one given network, from scratch."""

from __future__ import annotations

import typer

from hwnas.cli import options as o


def train(
    context: typer.Context,
    network: o.Network,
    out: o.Out,
    data: o.Data = None,
    width: o.NetworkWidth = 1.0,
    effort: o.Effort = None,
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
    config: o.Config = None,
    fresh: o.Fresh = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a given network from scratch and export it.

    hwnas train runs/mine/architecture.json --data PATH --out runs/again

    hwnas train mobilenet-v2 --width 0.5 --data PATH --out runs/v2

    Writes weights.safetensors, model.onnx, network.py and network.json. A published network and an architecture.json
    are fitted to the images; a network.json must fit them as it is.
    """
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json, show_text
    from hwnas.config import TrainConfig
    from hwnas.report import wording

    settings = o.given(context, TrainConfig.model_fields)
    with TerminalProgress(quiet) as progress:
        found = api.train(
            network, **settings, out=out, width=width, fresh=fresh, command=o.typed_command(context), progress=progress,
            stop=context.find_root().obj.stop,
        )  # fmt: skip
    if as_json:
        print_json(found.result)
        return
    images = found.result["network"]["accuracy"]["test_images"]
    show_text(
        f"{wording.percent(found.test_accuracy)} test accuracy (95 % {wording.percent_interval(found.test_interval)}, "
        f"{wording.count(images)} images), {wording.percent(found.search_accuracy)} on the search split\n\n"
        f"Next: hwnas measure {found.run}   (the trained file, {found.run / 'model.onnx'})"
    )
