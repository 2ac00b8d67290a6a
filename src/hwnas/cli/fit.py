"""`hwnas fit`: the whole job."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Opt = typer.Option


def fit(
    out: Annotated[Path, Opt("--out", help="Run directory. The same command on the same directory resumes.")],
    budget: Annotated[
        str | None, Opt(help="Latency limit: 1.5ms, 800us, or 40% of the space's largest network, measured.")
    ] = None,
    data: Annotated[
        str | None, Opt(help="A known data set (`hwnas list data`), a folder of images, or an .npz pack. [mnist5k]")
    ] = None,
    target: Annotated[
        str | None, Opt(help="Where the network will run (`hwnas list targets`). [onnxruntime-f32]")
    ] = None,
    config: Annotated[Path | None, Opt(help="Settings from a YAML file; options given here win.")] = None,
    space: Annotated[str | None, Opt(help="Search space (`hwnas list spaces`). [auto: fits the images]")] = None,
    width: Annotated[float | None, Opt(help="Multiplies every width of the space. [1.0]")] = None,
    resolution: Annotated[int | None, Opt(help="Side of the images in pixels. [the data's own]")] = None,
    limit: Annotated[list[str] | None, Opt(help="Further limit: params=1M, macs=30M or memory=512kB. Repeats.")] = None,
    effort: Annotated[str | None, Opt(help="quick, standard or long. [standard]")] = None,
    search_steps: Annotated[int | None, Opt(help="Weight steps of the supernet, instead of --effort's.")] = None,
    train_steps: Annotated[int | None, Opt(help="Steps of each final training, instead of --effort's.")] = None,
    loss: Annotated[
        str | None, Opt(help="How latency is paid for: absolute, additive, log-product. [absolute]")
    ] = None,
    loss_weight: Annotated[
        float | None, Opt(help="Weight of the latency loss. [1.0; additive 0.1; log-product 0.2]")
    ] = None,
    lr: Annotated[float | None, Opt(help="Peak learning rate for batches of 128. [0.1]")] = None,
    batch_size: Annotated[int | None, Opt(help="Images a step. [64 below 20,000 images, else 128]")] = None,
    augmentation: Annotated[str | None, Opt(help="none, shift, shift-flip or affine. [the data's own]")] = None,
    baselines: Annotated[
        str | None, Opt(help="none; standard: best fixed network, random search; full: two costlier ones. [standard]")
    ] = None,
    seed: Annotated[int | None, Opt(help="Everything random is drawn from it. [0]")] = None,
    seeds: Annotated[int, Opt(help="Repeat with that many seeds, each in its own directory below --out.")] = 1,
    train_on: Annotated[str | None, Opt(help="auto, cpu, cuda or mps. [auto]")] = None,
    threads: Annotated[
        int | None, Opt(help="Torch threads. [1: fastest on a machine that does other work too]")
    ] = None,
    data_root: Annotated[Path | None, Opt(help="Where torchvision data sets lie.")] = None,
    download: Annotated[bool | None, Opt("--download", help="Allow downloading a torchvision data set.")] = None,
    skip_bad: Annotated[bool | None, Opt("--skip-bad", help="Leave unreadable images out, counted.")] = None,
    fresh: Annotated[bool, Opt("--fresh", help="Start over in a directory that holds a run.")] = False,
    measurements: Annotated[Path | None, Opt(help="Replay the measurements of this file.")] = None,
    as_json: Annotated[bool, Opt("--json", help="Print result.json on stdout.")] = False,
    quiet: Annotated[bool, Opt("--quiet", help="No progress.")] = False,
) -> None:
    """Images, a target and a budget in; a trained network, measured inside the budget, out.

    hwnas fit --data PATH --target onnxruntime --budget 1.5ms --out runs/mine
    """
    from hwnas.config import read_config

    given: dict[str, Any] = {
        "data": data, "budget": budget, "target": target, "space": space, "width": width, "resolution": resolution,
        "limits": tuple(limit) if limit else None, "effort": effort, "search_steps": search_steps,
        "train_steps": train_steps, "loss": loss, "loss_weight": loss_weight, "lr": lr, "batch_size": batch_size,
        "augmentation": augmentation, "baselines": baselines, "seed": seed, "train_on": train_on, "threads": threads,
        "data_root": str(data_root) if data_root else None, "download": download, "skip_bad": skip_bad,
    }  # fmt: skip
    settings = {**(read_config(config) if config else {}), **{k: v for k, v in given.items() if v is not None}}
    command = shlex.join(["hwnas", *sys.argv[1:]])
    raise typer.Exit(_run(settings, out, seeds, fresh, measurements, command, as_json, quiet))


def _run(
    settings: dict[str, Any], out: Path, seeds: int, fresh: bool, measurements: Path | None, command: str,
    as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    from hwnas import api
    from hwnas.cli.terminal import TerminalProgress, print_json
    from hwnas.config import fit_config

    config = fit_config(settings)
    options = config.model_dump(exclude={"budget"})
    with TerminalProgress(quiet) as progress:
        if seeds > 1:
            results = api.fit_seeds(
                seeds=seeds, budget=config.budget, out=out, fresh=fresh, command=command, progress=progress, **options
            )
        else:
            one = api.fit(
                budget=config.budget, out=out, fresh=fresh, measurements=measurements, command=command,
                progress=progress, **options,
            )  # fmt: skip
            results = [one]
    if as_json:
        print_json(results[0].result if seeds == 1 else [result.result for result in results])
    else:
        _show(results, out)
    return 0 if all(result.inside_budget for result in results) else 3


def _show(results: list[Any], out: Path) -> None:
    from rich.console import Console

    from hwnas.report.terminal import result_table

    console = Console(highlight=False)
    for result in results:
        console.print(result_table(result.result, directory=str(result.run)))
    if len(results) > 1:
        console.print(f"\nAll seeds side by side: {out / 'report.html'}")
