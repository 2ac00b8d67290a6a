"""Trainings from settings: what is left open is settled, names become objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.compose.networks import FoundNetwork
from hwnas.config import Settings, TrainConfig
from hwnas.core.errors import InputError, UnknownName

if TYPE_CHECKING:
    from hwnas.data.images import ImageData
    from hwnas.training.recipe import Recipe
    from hwnas.workflows.single import TrainJob

EFFORTS: dict[str, float] = {"quick": 0.25, "standard": 1.0, "long": 4.0}
TRAIN_IMAGES = (12, 42_000, 1_500_000)  # that a final training draws: (epochs, at least, at most)


def resolved_training(config: Settings, data: ImageData) -> Settings:
    """The settings of a training with batch size and steps settled."""
    batch = config.batch_size or (64 if len(data.train) < 20_000 else 128)
    batch = min(batch, len(data.train))
    steps = config.train_steps or images_to_steps(TRAIN_IMAGES, config.effort, len(data.train), batch)
    return config.model_copy(update={"batch_size": batch, "train_steps": steps})


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


def images_to_steps(images: tuple[int, int, int], effort: str, count: int, batch: int) -> int:
    """How many steps draw that many images.

    Args:
        images: (epochs, at least, at most).
        effort: one of EFFORTS.
        count: images there are.
        batch: images a step.
    """
    epochs, least, most = images
    return max(10, round(EFFORTS[effort] * min(max(epochs * count, least), most) / batch))
