"""How weights are trained: optimiser, schedule, regularisation, averaging. The parts are timm's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from hwnas.core.errors import InputError
from hwnas.training.device import TrainingDevice


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training recipe; the defaults train small networks from scratch in a few thousand steps.

    Args:
        optimizer: a name that timm knows; "sgd" has Nesterov momentum.
        lr: peak learning rate for batches of 128; scaled linearly with the batch size.
        weight_decay: not applied to batch-norm and biases.
        momentum: of the optimiser.
        label_smoothing: 0 to 1 (ProxylessNAS: 0.1).
        warmup_share: share of the steps in which the learning rate rises linearly from zero; then a cosine to zero.
        clip_norm: largest norm of all gradients together.
        batch_size: images a step.
        average_share: the weight average looks back over this share of the steps (0 for none), so that its decay fits
            short and long trainings alike.
    """

    optimizer: str = "sgd"
    lr: float = 0.1
    weight_decay: float = 1e-4
    momentum: float = 0.9
    label_smoothing: float = 0.1
    warmup_share: float = 0.05
    clip_norm: float = 5.0
    batch_size: int = 128
    average_share: float = 0.02

    def average_decay(self, steps: int) -> float:
        """The decay of the exponential moving average of weights for a training of `steps` steps; 0 for none."""
        window = self.average_share * steps
        return 1.0 - 1.0 / window if window > 1.0 else 0.0


class Schedule:
    """An optimiser whose learning rate is a pure function of the step: linear warm-up, then a cosine to zero."""

    def __init__(self, network: nn.Module, recipe: Recipe, steps: int) -> None:
        from timm.optim import create_optimizer_v2
        from timm.scheduler import CosineLRScheduler

        options: dict[str, Any] = {"momentum": recipe.momentum} if recipe.momentum else {}
        lr = recipe.lr * recipe.batch_size / 128
        self.optimizer: Optimizer = create_optimizer_v2(
            network, opt=recipe.optimizer, lr=lr, weight_decay=recipe.weight_decay, **options
        )
        self._schedule = CosineLRScheduler(
            self.optimizer, t_initial=max(steps, 1), warmup_t=round(recipe.warmup_share * steps), warmup_lr_init=0.0,
            t_in_epochs=False, warmup_prefix=False,
        )  # fmt: skip

    def at(self, step: int, scale: float = 1.0) -> Optimizer:
        """The optimiser with the learning rate of this step (0, 1, …), times `scale`."""
        self._schedule.step_update(step)
        for group in self.optimizer.param_groups:
            group["lr"] *= scale
        return self.optimizer


def check_optimizer(recipe: Recipe, device: TrainingDevice) -> None:
    """Takes one step with the recipe's optimiser: some need packages that are not there, or more than a gradient.

    Raises:
        InputError: it cannot be used here; the message says why.
    """
    network = device.place(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))
    try:
        optimizer = Schedule(network, recipe, steps=10).at(5)
        network(torch.ones(2, 1, 4, 4, device=device.torch)).sum().backward()
        optimizer.step()
    except Exception as reason:  # of any kind: the optimisers are many people's
        said = " ".join(str(reason).split()) or type(reason).__name__
        raise InputError(
            f"optimizer {recipe.optimizer!r} cannot be used here ({said}): use another, for example sgd or adamw"
        ) from None
