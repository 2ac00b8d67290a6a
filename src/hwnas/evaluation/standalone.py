"""Scoring a network that stands on its own: loss and accuracy on a split, in eval mode."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from hwnas.core.trial import Quality
from hwnas.data.images import ImageData, Split
from hwnas.data.stream import evaluation_batches
from hwnas.training.device import TrainingDevice


@dataclass(frozen=True)
class Score:
    """The quality of a network, and which images it got right.

    Args:
        quality: the means.
        correct: one truth value an image, in the order of the split; what paired comparisons are made of.
    """

    quality: Quality
    correct: tuple[bool, ...]


@torch.no_grad()
def score(network: nn.Module, data: ImageData, split: Split, device: TrainingDevice, batch_size: int = 500) -> Score:
    """Scores a network on a whole split.

    Args:
        network: brought to eval mode.
        data: gives the normalisation.
        split: what it is scored on.
        device: where it runs.
        batch_size: images a forward pass.
    """
    device.place(network).eval()
    losses, correct = [], []
    for images, labels in evaluation_batches(data, split, batch_size, device.torch):
        with device.precision():
            scores = network(images).float()
        losses.append(functional.cross_entropy(scores, labels, reduction="none"))
        correct.append(scores.argmax(dim=1) == labels)
    loss, right = torch.cat(losses).mean(), torch.cat(correct).cpu()
    quality = Quality(float(loss), float(right.double().mean()), len(right), "stand-alone")
    return Score(quality, tuple(right.tolist()))
