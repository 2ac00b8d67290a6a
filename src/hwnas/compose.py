"""Names become objects, here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.config import FitConfig, Settings, TrainConfig, parse_limits
from hwnas.core.architecture import Architecture
from hwnas.core.cost import Budget
from hwnas.core.errors import InputError, UnknownName, quoted, said_of
from hwnas.core.network import NetworkSpec
from hwnas.core.objective import latency_loss
from hwnas.core.primitives import Shape
from hwnas.core.protocols import PathSpace
from hwnas.spaces.proxyless import PRESETS, proxyless_space
from hwnas.spaces.toy import ToySpace

if TYPE_CHECKING:
    from hwnas.data.images import ImageData
    from hwnas.hardware.model_files import ModelFile
    from hwnas.training.recipe import Recipe
    from hwnas.workflows.job import FitJob
    from hwnas.workflows.single import TrainJob

SPACES: dict[str, str] = {
    **{name: text for name, (_, text) in PRESETS.items()},
    "toy": "27 networks whose best one is known, for trying strategies in seconds (with --data toy)",
}
TARGETS: dict[str, str] = {
    "onnxruntime-f32": "ONNX Runtime on this machine's CPU: f32, one image, one thread (short: onnxruntime)",
}
LOSSES: dict[str, str] = {
    "absolute": "ce + λ·|E/T − 1|, λ = 1: pulls the latency E onto the target T from both sides",
    "additive": "ce + λ·(E − T)/T, λ = 0.1: ProxylessNAS, equation 7",
    "log-product": "α·ce·(ln E / ln T)^0.3, α = 0.2, in microseconds: the released ProxylessNAS code",
}
MOST_SEEDS = 1000
NETWORK_FILES = "give a run directory, network.json or architecture.json"
# Images that a fit draws, by effort: (epochs, at least, at most), for the supernet and for each final training.
EFFORTS: dict[str, float] = {"quick": 0.25, "standard": 1.0, "long": 4.0}
SEARCH_IMAGES = (25, 90_000, 1_500_000)
TRAIN_IMAGES = (12, 42_000, 1_500_000)


def open_space(name: str, input_shape: Shape, classes: int, width: float = 1.0) -> PathSpace:
    """A search space fitted to images and classes.

    Args:
        name: one of SPACES, or "auto" for one that fits the resolution.
        input_shape: (channels, height, width).
        classes: at least 2.
        width: multiplies every width.

    Raises:
        UnknownName: no such space.
        InputError: the images or the width do not fit it.
    """
    if name == "auto":
        side = min(input_shape[1:])
        name = "proxyless-small" if side <= 40 else "proxyless-medium" if side <= 128 else "proxyless-imagenet"
        name = "toy" if input_shape == ToySpace().input_shape else name  # images that no other space takes
    if name == "toy":
        toy = ToySpace()
        if input_shape != toy.input_shape:
            raise InputError(f"space 'toy' works on its own images only: use --data toy, not {input_shape}")
        return toy
    if name not in SPACES:
        raise UnknownName("space", name, [*SPACES, "auto"])
    return proxyless_space(name, input_shape, classes, width)


def own_space(name: str, resolution: int | None, channels: int | None, classes: int | None, width: float) -> PathSpace:
    """A search space without images: what is left open is as the space's authors have it, or 32 pixels for "auto".

    Args:
        name: one of SPACES, or "auto" for one that fits the resolution.
        resolution: side of the images in pixels.
        channels: of the images.
        classes: at least 2.
        width: multiplies every width.

    Raises:
        UnknownName: no such space.
        InputError: a value that does not fit it.
    """
    own = PRESETS.get(name, PRESETS["proxyless-small"])[0]
    shape = ToySpace().input_shape if name == "toy" else own.input_shape
    shape = (channels or shape[0], resolution or shape[1], resolution or shape[2])
    return open_space(name, shape, classes or own.classes, width)


def open_data(config: TrainConfig) -> ImageData:
    """The images of a config.

    Raises:
        InputError: they cannot be found or used.
    """
    from hwnas.data.images import pinned
    from hwnas.data.sources import load_data
    from hwnas.training.device import training_device

    if config.data == "toy":
        return toy_data()
    data = load_data(
        config.data,
        root=Path(config.data_root) if config.data_root else None,
        resolution=config.resolution,
        augmentation=config.augmentation,
        download=config.download,
        skip_bad=config.skip_bad,
        workers=config.workers,
    )
    return pinned(data) if training_device(config.train_on).name == "cuda" else data


def toy_data() -> ImageData:
    """The images of the toy space: 4,000 to train, 1,000 to search and 1,000 to test on."""
    import torch

    from hwnas.core.seeds import rng_for
    from hwnas.data.images import ImageData, MemorySplit
    from hwnas.spaces.toy import DISTANCES, HEIGHT, WIDTH, toy_images

    splits = []
    for name, count in (("train", 4000), ("search", 1000), ("test", 1000)):
        images, labels = toy_images(count, rng_for(0, "toy", name))
        pixels = torch.from_numpy(images)[:, None].contiguous(memory_format=torch.channels_last)
        splits.append(MemorySplit(pixels, torch.from_numpy(labels)))
    train, search, test = splits
    pixels = train.images.double() / 255
    names = tuple(f"{distance} apart" for distance in DISTANCES)
    mean, std = (float(pixels.mean()),), (float(pixels.std()),)
    return ImageData("toy", names, (1, HEIGHT, WIDTH), mean, std, train, search, test, "none", "toy@1")


def resolved(config: FitConfig, data: ImageData) -> FitConfig:
    """The config with every open setting settled: what is written into the run, and what a resumed run must equal."""
    from hwnas.hardware.engines import canonical_name

    config = resolved_training(config, data)
    batch = config.batch_size or 1
    steps = config.search_steps or _steps(SEARCH_IMAGES, config.effort, len(data.train), batch)
    space = open_space(config.space, data.input_shape, len(data.class_names), config.width)
    name = config.space if config.space != "auto" else space.choices.name.split("@")[0].split("-w")[0]
    # One spelling, so that "1500us" or an alias resumes what "1.5ms" or a full name began.
    spelling = {"target": canonical_name(config.target), "budget": str(Budget.parse(config.budget))}
    return config.model_copy(update={"search_steps": steps, "space": name, **spelling})


def resolved_training(config: Settings, data: ImageData) -> Settings:
    """The settings of a training with batch size and steps settled."""
    batch = config.batch_size or (64 if len(data.train) < 20_000 else 128)
    batch = min(batch, len(data.train))
    steps = config.train_steps or _steps(TRAIN_IMAGES, config.effort, len(data.train), batch)
    return config.model_copy(update={"batch_size": batch, "train_steps": steps})


def plan_fits(config: FitConfig, targets: Sequence[str], budgets: Sequence[str], seeds: int) -> dict[str, FitConfig]:
    """Several fits by the directory of each: "onnxruntime-f32-40pct/seed-0", or less where only one thing varies.

    Args:
        config: what they have in common; its target and budget are replaced, its seed is the first one.
        targets: k-th with the k-th budget; one serves all budgets.
        budgets: one serves all targets.
        seeds: how often each is done, with seeds that follow each other.

    Raises:
        InputError: the numbers do not match, or two fits would be the same.
    """
    from hwnas.hardware.engines import canonical_name

    for what, names in (("target", targets), ("budget", budgets)):
        if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
            raise InputError(f"{what}s must be a list of at least one text, not {quoted(names)}")
    if len(targets) != len(budgets) and 1 not in (len(targets), len(budgets)):
        raise InputError(
            f"{len(targets)} targets and {len(budgets)} budgets do not pair: give as many of each, or one of either"
        )
    if not isinstance(seeds, int) or not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds must be 1 to {MOST_SEEDS:,}, not {quoted(seeds)}")
    count = max(len(targets), len(budgets))
    pairs = zip(list(targets) * (count // len(targets)), list(budgets) * (count // len(budgets)), strict=True)
    plans: dict[str, FitConfig] = {}
    for asked_target, asked_budget in pairs:
        target, budget = canonical_name(asked_target), str(Budget.parse(asked_budget))
        task = f"{target}-{budget.replace('%', 'pct')}"  # a % in a path would be an escape in a browser
        for seed in range(config.seed, config.seed + seeds):
            parts = [task] * (count > 1) + [f"seed-{seed}"] * (seeds > 1)
            if "/".join(parts) in plans:
                raise InputError(f"target {target} with budget {budget} is asked for twice")
            plans["/".join(parts)] = config.model_copy(update={"target": target, "budget": budget, "seed": seed})
    return plans


def open_job(config: FitConfig, data: ImageData, command: str) -> FitJob:
    """A job from resolved settings.

    Raises:
        HwnasError: a name is unknown, or the target cannot be used here.
    """
    from hwnas.hardware.store import TargetStore
    from hwnas.hardware.targets import open_target
    from hwnas.strategies.proxyless_g import ProxylessGSettings
    from hwnas.training.device import training_device
    from hwnas.workflows.job import FitJob, FitSettings, Limits

    if config.search_steps is None or config.train_steps is None:
        raise InputError("the settings still have open numbers of steps; resolve them first")
    recipe = open_recipe(config)
    search = ProxylessGSettings(
        config.search_steps,
        loss=latency_loss(config.loss, config.loss_weight),
        recipe=replace(recipe, average_share=0.0),
    )
    counted = parse_limits(config.limits)
    settings = FitSettings(
        budget=Budget.parse(config.budget),
        search=search,
        train_steps=config.train_steps,
        recipe=recipe,
        seed=config.seed,
        candidates=config.candidates,
        margin=config.margin,
        rounds=config.rounds,
        sessions=config.sessions,
        held_out=config.held_out,
        baselines=config.baselines,
        limits=Limits(counted.get("params"), counted.get("macs"), counted.get("memory")),
    )
    return FitJob(
        data=data,
        space=open_space(config.space, data.input_shape, len(data.class_names), config.width),
        target=open_target(config.target, data.input_shape),
        store=TargetStore(),
        device=training_device(config.train_on),
        settings=settings,
        command=command,
    )


def open_recipe(config: TrainConfig) -> Recipe:
    """The recipe of a training from resolved settings.

    Raises:
        UnknownName: timm knows no such optimiser.
    """
    from timm.optim import list_optimizers

    from hwnas.training.recipe import Recipe

    if config.batch_size is None:
        raise InputError("the settings still have no batch size; resolve them first")
    if config.optimizer not in list_optimizers():
        raise UnknownName("optimizer", config.optimizer, list_optimizers())
    return Recipe(optimizer=config.optimizer, lr=config.lr, batch_size=config.batch_size)


def open_training(config: TrainConfig, found: FoundNetwork, data: ImageData, command: str) -> TrainJob:
    """The training of one network from resolved settings.

    Raises:
        HwnasError: a name is unknown, or the network does not fit the images.
    """
    from hwnas.training.device import training_device
    from hwnas.workflows.single import TrainJob

    if config.train_steps is None:
        raise InputError("the settings still have an open number of steps; resolve them first")
    return TrainJob(
        data=data,
        network=found.network,
        architecture=found.architecture,
        recipe=open_recipe(config),
        steps=config.train_steps,
        seed=config.seed,
        device=training_device(config.train_on),
        command=command,
    )


@dataclass(frozen=True)
class FoundNetwork:
    """A network from a file.

    Args:
        network: as data.
        architecture: its choices, where they are known.
        directory: where its file lies.
    """

    network: NetworkSpec
    architecture: Architecture | None
    directory: Path


def open_network(source: str, input_shape: Shape | None = None, classes: int | None = None) -> FoundNetwork:
    """A network from a run directory, a network.json or an architecture.json.

    Args:
        source: a path.
        input_shape: (channels, height, width), for an architecture.json; None for its space's own.
        classes: for an architecture.json; None for its space's own.

    Raises:
        InputError: there is no such file, or it is none of these; the message names the field.
    """
    from hwnas.runs.files import read_json
    from hwnas.runs.stored import check_delivered

    path = Path(source)
    if path.is_dir():
        path = path / "network.json"
    if not path.exists():
        inner = [*glob("*/network.json", root_dir=source), *glob("*/*/network.json", root_dir=source)] if source else []
        hint = f" ({source} holds several runs, for example {Path(source, min(inner)).parent})" if inner else ""
        raise InputError(f"there is no network at {source!r}: {NETWORK_FILES}{hint}")
    if path.suffix != ".json":
        raise InputError(f"{source!r} is no network: {NETWORK_FILES}")
    check_delivered(path)
    data: Any = read_json(path)
    with said_of(path):
        if isinstance(data, dict) and "space" in data:
            arch = Architecture.from_json(data)
            return FoundNetwork(space_of(arch, input_shape, classes).decode(arch), arch, path.parent)
        network = NetworkSpec.from_json(data)
    if input_shape not in (None, network.input_shape):
        own = "x".join(map(str, network.input_shape))
        raise InputError(
            f"{path} is made for images of {own}: use --resolution {network.input_shape[1]}, or give its "
            "architecture.json, which is fitted to other images"
        )
    beside = path.with_name("architecture.json")
    if path.name != "network.json" or not beside.exists():
        return FoundNetwork(network, None, path.parent)
    check_delivered(beside)
    data = read_json(beside)
    with said_of(beside):
        return FoundNetwork(network, Architecture.from_json(data), path.parent)


def open_model(source: str, input_shape: Shape | None = None, classes: int | None = None) -> ModelFile:
    """A file that can be measured: an .onnx file, the one in a run directory, or a network with random weights.

    Args:
        source: a path.
        input_shape: (channels, height, width), for an architecture.json; None for its space's own.
        classes: for an architecture.json; None for its space's own.

    Raises:
        InputError: there is no such file, or it is none of these.
    """
    from hwnas.hardware.model_files import untrained
    from hwnas.runs.stored import check_delivered
    from hwnas.workflows.files import MODEL, read_model

    path = Path(source) / MODEL if Path(source).is_dir() else Path(source)
    check_delivered(path)
    if path.suffix == ".onnx" and path.exists():
        return read_model(path)
    return untrained(open_network(source, input_shape, classes).network)


def space_of(arch: Architecture, input_shape: Shape | None, classes: int | None) -> PathSpace:
    """The space that an architecture names, fitted to images and classes.

    Raises:
        UnknownName: no such space.
    """
    name, _, width = arch.space.split("@")[0].partition("-w")
    if name == "toy":
        return open_space(name, input_shape or ToySpace().input_shape, classes or 2)
    if name not in PRESETS:
        raise UnknownName("space", name, SPACES)
    try:
        factor = float(width) if width else 1.0
    except ValueError:
        raise InputError(f"space {quoted(arch.space)}: {quoted(width)} is no width") from None
    own = PRESETS[name][0]
    return open_space(name, input_shape or own.input_shape, classes or own.classes, factor)


def known_names() -> dict[str, dict[str, str]]:
    """What can be asked for by name: spaces, data, targets and losses, each with one sentence."""
    from hwnas.data.catalogue import known_sources

    data = {**known_sources(), "toy": "generated images for the space 'toy': two bars, the label says how far apart"}
    return {"spaces": SPACES, "data": data, "targets": TARGETS, "losses": LOSSES}


def _steps(images: tuple[int, int, int], effort: str, count: int, batch: int) -> int:
    epochs, least, most = images
    return max(10, round(EFFORTS[effort] * min(max(epochs * count, least), most) / batch))
