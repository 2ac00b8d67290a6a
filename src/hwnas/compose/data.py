"""Images by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.config import TrainConfig

if TYPE_CHECKING:
    from hwnas.data.images import ImageData


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
