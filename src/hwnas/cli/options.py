"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.core.errors import InputError, UnknownName, quoted

Opt = typer.Option
_IMAGES, _SEARCH, _TRAINING, _RUN = "Images", "Search", "Training", "Run"

# What is made, and where.
Out = Annotated[Path, Opt("--out", help="Run directory. The same command on the same directory resumes.")]
Fresh = Annotated[bool, Opt("--fresh", help="Start over in a directory that holds a run.", rich_help_panel=_RUN)]
Measurements = Annotated[
    Path | None,
    Opt(help="Replay the measurements of this run directory or exported file.", rich_help_panel=_RUN),
]
Config = Annotated[
    Path | None, Opt(help="Settings from a YAML file, such as a run's config.yaml; options win.", rich_help_panel=_RUN)
]
AsJson = Annotated[bool, Opt("--json", help="Print one JSON object on stdout.", rich_help_panel=_RUN)]
Quiet = Annotated[bool, Opt("--quiet", help="No progress.", rich_help_panel=_RUN)]

# The task.
Budgets = Annotated[
    list[str] | None,
    Opt("--budget", help="Latency limit: 1.5ms, 800us, or 40% of the space's largest network, measured. Repeats."),
]
Budget = Annotated[str | None, Opt(help="Latency limit: 1.5ms, 800us, or 40% of the largest network, measured.")]
Targets = Annotated[
    list[str] | None,
    Opt("--target", help="Where the network will run (`hwnas list targets`). Repeats.", show_default="onnxruntime-f32"),
]
OneTarget = Annotated[
    str | None,
    Opt("--target", help="Where the network will run (`hwnas list targets`).", show_default="onnxruntime-f32"),
]
Target = Annotated[str, Opt(help="Where the network runs (`hwnas list targets`).")]
Data = Annotated[
    str | None,
    Opt(help="A known data set (`hwnas list data`), a folder of images, or an .npz pack.", show_default="mnist5k"),
]
Limits = Annotated[
    list[str] | None,
    Opt(
        "--limit",
        help="Further limit: params=1M, macs=30M, activations=512kB, as counted; size=4MB, of the file; memory=16MB, "
        "measured at its peak. Repeats.",
    ),
]
MacsLimits = Annotated[list[str] | None, Opt("--limit", help="Limit or target: macs=40.5M.", show_default="none")]

# Images.
Resolution = Annotated[
    int | None, Opt(help="Side of the images in pixels.", show_default="the data's own", rich_help_panel=_IMAGES)
]
Augmentation = Annotated[
    str | None, Opt(help="none, shift, shift-flip or affine.", show_default="the data's own", rich_help_panel=_IMAGES)
]
DataRoot = Annotated[
    Path | None, Opt(help="Where torchvision data sets lie.", show_default="./data", rich_help_panel=_IMAGES)
]
Download = Annotated[
    bool | None, Opt("--download", help="Allow downloading a torchvision data set.", rich_help_panel=_IMAGES)
]
SkipBad = Annotated[
    bool | None, Opt("--skip-bad", help="Leave unreadable images out, counted.", rich_help_panel=_IMAGES)
]
Workers = Annotated[
    int | None, Opt(help="Processes that decode images too many to be held in memory. [0]", rich_help_panel=_IMAGES)
]

# The search.
Space = Annotated[
    str | None,
    Opt(help="Search space (`hwnas list spaces`).", show_default="auto: fits the images", rich_help_panel=_SEARCH),
]
Width = Annotated[
    float | None, Opt(help="Multiplies every width of the space.", show_default="1.0", rich_help_panel=_SEARCH)
]
Strategy = Annotated[
    str | None,
    Opt(
        help="Who searches (`hwnas list strategies`): proxyless-g trains a supernet, the others train networks alone.",
        show_default="proxyless-g",
        rich_help_panel=_SEARCH,
    ),
]
Reward = Annotated[
    str | None,
    Opt(
        help="What a black-box strategy makes as large as it can (`hwnas list rewards`).",
        show_default="the strategy's own",
        rich_help_panel=_SEARCH,
    ),
]
Evaluations = Annotated[
    int | None, Opt(help="Networks that a black-box strategy trains.", show_default="100", rich_help_panel=_SEARCH)
]
ChildSteps = Annotated[
    int | None,
    Opt(help="Training steps of each of them.", show_default="a quarter of --train-steps", rich_help_panel=_SEARCH),
]
Proposals = Annotated[
    int | None, Opt(help="Of them, proposed and measured together.", show_default="10", rich_help_panel=_SEARCH)
]
AtOnce = Annotated[
    int | None,
    Opt(help="Of them, trained at a time; the result is the same.", show_default="1", rich_help_panel=_SEARCH),
]
SearchSteps = Annotated[
    int | None, Opt(help="Weight steps of the supernet, instead of --effort's.", rich_help_panel=_SEARCH)
]
Loss = Annotated[
    str | None,
    Opt(help="How latency is paid for (`hwnas list losses`).", show_default="absolute", rich_help_panel=_SEARCH),
]
LossWeight = Annotated[
    float | None,
    Opt(help="Weight of the latency loss.", show_default="1.0; additive 0.1; log-product 0.2", rich_help_panel=_SEARCH),
]
Baselines = Annotated[
    str | None,
    Opt(
        help="none; standard: best fixed network, random search; full: two costlier ones.",
        show_default="standard",
        rich_help_panel=_SEARCH,
    ),
]
Candidates = Annotated[
    int | None,
    Opt(
        help="Architectures scored on shared weights, for each contender.", show_default="100", rich_help_panel=_SEARCH
    ),
]

# Training.
Effort = Annotated[str | None, Opt(help="quick, standard or long.", show_default="standard", rich_help_panel=_TRAINING)]
Compute = Annotated[
    str | None,
    Opt(
        help="CPU time of the whole fit instead of an effort: 90s, 30min, 2h. It becomes numbers of steps, once.",
        rich_help_panel=_TRAINING,
    ),
]
TrainSteps = Annotated[
    int | None, Opt(help="Steps of each final training, instead of --effort's.", rich_help_panel=_TRAINING)
]
Lr = Annotated[
    float | None, Opt(help="Peak learning rate for batches of 128.", show_default="0.1", rich_help_panel=_TRAINING)
]
BatchSize = Annotated[
    int | None, Opt(help="Images a step.", show_default="64 below 20,000 images, else 128", rich_help_panel=_TRAINING)
]
Optimizer = Annotated[
    str | None, Opt(help="An optimiser that timm knows.", show_default="sgd", rich_help_panel=_TRAINING)
]
Seed = Annotated[
    int | None, Opt(help="Everything random is drawn from it.", show_default="0", rich_help_panel=_TRAINING)
]
TrainOn = Annotated[str | None, Opt(help="auto, cpu, cuda or mps.", show_default="auto", rich_help_panel=_TRAINING)]
Threads = Annotated[
    int | None,
    Opt(
        help="Torch threads.",
        show_default="1: fastest on a machine that does other work too",
        rich_help_panel=_TRAINING,
    ),
]

# Measuring.
Sessions = Annotated[
    int | None, Opt(help="Measuring processes of every final file.", show_default="5", rich_help_panel="Measuring")
]
HeldOut = Annotated[
    int | None, Opt(help="Networks that judge the latency model.", show_default="12", rich_help_panel="Measuring")
]

# One network.
Network = Annotated[
    str,
    typer.Argument(
        help="A published network's name (`hwnas list networks`), a run directory, network.json, architecture.json, or "
        "a network file of ProxylessNAS, Once-for-All, MCUNet or timm (arch_def)."
    ),
]
_FITS = "where the network leaves that open"
InputShape = Annotated[str | None, Opt(help=f"Images, {_FITS}, for example 3x64x64.", show_default="the network's own")]
Side = Annotated[
    int | None, Opt("--resolution", help=f"Side of square images in pixels, {_FITS}.", show_default="its own")
]
Classes = Annotated[int | None, Opt(help=f"Classes, {_FITS}.", show_default="the network's own")]
NetworkWidth = Annotated[float, Opt("--width", help="Multiplies the widths of a published network.")]


NO_BUDGET = "a budget is missing: give for example --budget 1.5ms, or --budget 40% of the space's largest network"


def listed(value: Any) -> list[str]:
    """One text or several as a list; what a file has instead is left to be refused."""
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def given(context: typer.Context, known: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among a command's options: those that were given and whose names are fields of a config.

    Args:
        context: of the command; its --config comes first, what was typed wins.
        known: the fields.

    Raises:
        UnknownName: the file has a setting that is none; offers the nearest.
        FileFormatError: it is no file of settings.
    """
    from hwnas.runs.settings import read_settings

    typed = {
        name: str(value) if isinstance(value, Path) else tuple(value) if isinstance(value, list) else value
        for name, value in context.params.items()
        if name in known and value not in (None, (), [])
    }
    file = context.params.get("config")
    stored = read_settings(Path(file)) if file else {}
    for name in stored:
        if name not in known:
            raise UnknownName(f"setting in {file},", name, known)
    return {**stored, **typed}


def typed_command(context: typer.Context) -> str:
    """The command as it was typed, for reports and for resuming."""
    return shlex.join(["hwnas", *context.find_root().obj.arguments])


def image_shape(text: str | None) -> tuple[int, int, int] | None:
    """Reads "3x64x64" as (channels, height, width).

    Raises:
        InputError: not three whole numbers above zero.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(re.fullmatch("[1-9][0-9]{0,4}", part) and int(part) < 2**16 for part in parts):
        raise InputError(f"input shape {quoted(text)}: write channels x height x width, for example 3x64x64")
    channels, height, width = map(int, parts)
    return channels, height, width
