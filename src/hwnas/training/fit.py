"""Training one network alone, one update of weights, and batch-norm recalibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from hwnas.core.protocols import Checkpoints, Progress
from hwnas.data.images import ImageData
from hwnas.data.stream import training_batches
from hwnas.training.device import TrainingDevice
from hwnas.training.loop import Loop, Setback
from hwnas.training.memory import memory_for
from hwnas.training.recipe import Recipe, Schedule
from hwnas.training.state import LoopState


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Args:
        network: the average of its weights over the last steps, in eval mode.
        setbacks: returns to an earlier step because the loss was not finite.
    """

    network: nn.Module
    setbacks: tuple[Setback, ...]


def train(
    network: nn.Module, data: ImageData, recipe: Recipe, *, steps: int, seed: int, purpose: str,
    device: TrainingDevice, checkpoints: Checkpoints, progress: Progress,
) -> Trained:  # fmt: skip
    """Trains a network.

    Args:
        network: trained in place.
        data: its train split is used.
        recipe: how.
        steps: number of weight updates.
        seed: of the run.
        purpose: names this training; seeds, checkpoints and progress go by it.
        device: where it runs.
        checkpoints: where the loop keeps its state; a training that was cut off goes on from there.
        progress: told how far it is.

    Raises:
        EvaluationFailed: the loss is not finite, and lower learning rates have not helped; or memory ran out.
    """
    device.place(network)
    schedule = Schedule(network, recipe, steps)
    average = _WeightAverage(network, recipe.average_decay(steps))
    state = LoopState({"network": network, "average": average.network}, {"optimizer": schedule.optimizer})
    loop = Loop(purpose, steps, state, checkpoints, progress)

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        return training_batches(data, data.train, recipe.batch_size, seed=seed, purpose=purpose, start=start,
                                stop=steps, device=device.torch)  # fmt: skip

    network.train()
    with memory_for(purpose, recipe.batch_size):
        for step, (images, labels) in loop.steps(batches):
            loss = weight_step(network, images, labels, schedule.at(step, loop.lr_scale), recipe, device)
            average.update(network, step)
            loop.finish(step, [loss])
    return Trained(average.network.eval(), loop.setbacks)


def weight_step(
    forward: Callable[[Tensor], Tensor], images_BCHW: Tensor, labels: Tensor, optimizer: Optimizer, recipe: Recipe,
    device: TrainingDevice,
) -> Tensor:  # fmt: skip
    """One update of every weight that `forward` used; the others keep no gradient, so nothing moves them.

    Returns:
        The loss before the update, a scalar that still lives on the device.
    """
    with device.precision():
        loss = functional.cross_entropy(forward(images_BCHW), labels, label_smoothing=recipe.label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    used = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    torch.nn.utils.clip_grad_norm_(used, recipe.clip_norm)
    optimizer.step()
    # None, not zero: with zeros momentum and weight decay would go on moving paths that were not sampled.
    for parameter in used:
        parameter.grad = None
    return loss.detach()


@torch.no_grad()
def recalibrate(network: nn.Module, data: ImageData, *, images: int, device: TrainingDevice) -> None:
    """Replaces every batch-norm's running statistics by their average over training images.

    Weights cut out of a supernet need this before they are used in eval mode: the shared running statistics belong
    to no path.

    Args:
        network: changed in place; left in eval mode.
        data: its train split is used, unaugmented.
        images: how many.
        device: where it runs.
    """
    batch_size = min(250, len(data.train))
    batches = max(1, images // batch_size)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    device.place(network).train()
    stream = training_batches(
        data, data.train, batch_size, seed=0, purpose="recalibrate", start=0, stop=batches, device=device.torch,
        augmented=False,
    )  # fmt: skip
    for index, (batch, _) in enumerate(stream):
        for norm in norms:
            norm.momentum = 1.0 / (index + 1)  # the plain mean over the batches so far
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


class _WeightAverage:
    """An exponential moving average of a network's weights and statistics (timm's ModelEmaV3, warmed up)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        from timm.utils import ModelEmaV3

        self._average = ModelEmaV3(network, decay=decay, use_warmup=True, warmup_power=0.9) if decay else None
        self.network: nn.Module = self._average.module if self._average else network

    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the weights after a step."""
        if self._average:
            self._average.update(network, step=step)
