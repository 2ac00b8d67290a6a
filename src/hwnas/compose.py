"""Names become objects, here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.config import FitConfig, parse_limits
from hwnas.core.architecture import Architecture
from hwnas.core.cost import Budget
from hwnas.core.errors import InputError, UnknownName
from hwnas.core.network import NetworkSpec
from hwnas.core.objective import latency_loss
from hwnas.core.primitives import Shape
from hwnas.core.protocols import PathSpace
from hwnas.spaces.proxyless import PRESETS, proxyless_space
from hwnas.spaces.toy import ToySpace

if TYPE_CHECKING:
    from hwnas.data.images import ImageData
    from hwnas.workflows.job import FitJob

SPACES: dict[str, str] = {
    **{name: text for name, (_, text) in PRESETS.items()},
    "toy": "27 networks whose best one is known, for trying strategies in seconds (with --data toy)",
}
# Images that a fit draws, by effort: (epochs, at least, at most), for the supernet and for each final training.
EFFORTS: dict[str, float] = {"quick": 0.25, "standard": 1.0, "long": 4.0}
SEARCH_IMAGES = (30, 120_000, 1_500_000)
TRAIN_IMAGES = (20, 70_000, 1_500_000)


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
    if name == "toy":
        toy = ToySpace()
        if input_shape != toy.input_shape:
            raise InputError(f"space 'toy' works on its own images only: use --data toy, not {input_shape}")
        return toy
    if name not in SPACES:
        raise UnknownName("space", name, [*SPACES, "auto"])
    return proxyless_space(name, input_shape, classes, width)


def open_data(config: FitConfig) -> ImageData:
    """The images of a config.

    Raises:
        InputError: they cannot be found or used.
    """
    from hwnas.data.sources import load_data

    if config.data == "toy":
        return toy_data()
    return load_data(
        config.data,
        root=Path(config.data_root) if config.data_root else None,
        resolution=config.resolution,
        augmentation=config.augmentation,
        download=config.download,
        skip_bad=config.skip_bad,
    )


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
    pixels = splits[0].images.double() / 255
    names = tuple(f"{distance} apart" for distance in DISTANCES)
    mean, std = (float(pixels.mean()),), (float(pixels.std()),)
    return ImageData("toy", names, (1, HEIGHT, WIDTH), mean, std, *splits, "none", "toy@1")


def resolved(config: FitConfig, data: ImageData) -> FitConfig:
    """The config with every open setting settled: what is written into the run, and what a resumed run must equal."""
    batch = config.batch_size or (64 if len(data.train) < 20_000 else 128)
    batch = min(batch, len(data.train))
    steps = {
        "search_steps": config.search_steps or _steps(SEARCH_IMAGES, config.effort, len(data.train), batch),
        "train_steps": config.train_steps or _steps(TRAIN_IMAGES, config.effort, len(data.train), batch),
    }
    space = open_space(config.space, data.input_shape, len(data.class_names), config.width)
    name = config.space if config.space != "auto" else space.choices.name.split("@")[0].split("-w")[0]
    return config.model_copy(update={**steps, "batch_size": batch, "space": name})


def open_job(config: FitConfig, data: ImageData, command: str) -> FitJob:
    """A job from resolved settings.

    Raises:
        HwnasError: a name is unknown, or the target cannot be used here.
    """
    from hwnas.hardware.store import TargetStore
    from hwnas.hardware.targets import open_target
    from hwnas.strategies.proxyless_g import ProxylessGSettings
    from hwnas.training.device import training_device
    from hwnas.training.recipe import Recipe
    from hwnas.workflows.job import FitJob, FitSettings, Limits

    if config.search_steps is None or config.train_steps is None or config.batch_size is None:
        raise InputError("the settings still have open numbers of steps; resolve them first")
    recipe = Recipe(optimizer=config.optimizer, lr=config.lr, batch_size=config.batch_size)
    search = ProxylessGSettings(
        config.search_steps,
        loss=latency_loss(config.loss, config.loss_weight),
        recipe=Recipe(optimizer=config.optimizer, lr=config.lr, batch_size=config.batch_size, average_share=0.0),
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


def open_network(source: str, input_shape: Shape | None = None, classes: int = 10) -> NetworkSpec:
    """A network from a run directory, a network.json or an architecture.json.

    Args:
        source: a path.
        input_shape: (channels, height, width), for an architecture; None for its space's own.
        classes: for an architecture.

    Raises:
        InputError: there is no such file, or it is none of these; the message names the field.
    """
    from hwnas.runs.files import read_json

    path = Path(source)
    if path.is_dir():
        path = path / "network.json"
    if not path.exists():
        raise InputError(f"there is no network at {source!r}: give a run directory, network.json or architecture.json")
    data: Any = read_json(path)
    if isinstance(data, dict) and "space" in data:
        arch = Architecture.from_json(data)
        return space_of(arch, input_shape, classes).decode(arch)
    return NetworkSpec.from_json(data)


def space_of(arch: Architecture, input_shape: Shape | None, classes: int) -> PathSpace:
    """The space that an architecture names, fitted to images and classes.

    Raises:
        UnknownName: no such space.
    """
    name, _, width = arch.space.split("@")[0].partition("-w")
    if name == "toy":
        return ToySpace()
    if name not in PRESETS:
        raise UnknownName("space", name, SPACES)
    try:
        factor = float(width) if width else 1.0
    except ValueError:
        raise InputError(f"space {arch.space!r}: {width!r} is no width") from None
    return open_space(name, input_shape or PRESETS[name][0].input_shape, classes, factor)


def _steps(images: tuple[int, int, int], effort: str, count: int, batch: int) -> int:
    epochs, least, most = images
    return max(10, round(EFFORTS[effort] * min(max(epochs * count, least), most) / batch))
