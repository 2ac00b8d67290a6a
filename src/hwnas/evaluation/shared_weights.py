"""Scoring architectures by the shared weights of a supernet, without training them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.core.architecture import Architecture
from hwnas.core.errors import Diverged
from hwnas.core.trial import Quality
from hwnas.data.images import ImageData
from hwnas.data.stream import training_batches
from hwnas.nn.supernet import PathSupernet
from hwnas.training.device import TrainingDevice

BATCH = 250  # batch statistics of fewer images are too noisy to rank by


class SharedWeights:
    """An Evaluator: the loss of a path on images of the search split, with batch statistics.

    Batch statistics, since the shared running statistics are a mixture over paths and rank worse than counting layers.
    Rank by loss: on under-trained weights it orders networks better than accuracy at every number of images.

    Args:
        supernet: the shared weights; trained, they do not change any more.
        data: its search split is scored.
        device: where it runs.
        images: at most this many images an architecture, in whole batches of BATCH.
    """

    def __init__(self, supernet: PathSupernet, data: ImageData, device: TrainingDevice, images: int = 1000) -> None:
        self._supernet = supernet
        self._data = data
        self._device = device
        available = min(images, len(data.search))
        self.images = available - available % min(BATCH, available)

    @torch.no_grad()
    def evaluate(self, arch: Architecture) -> Quality:
        """Loss and accuracy of one architecture.

        Raises:
            Diverged: the loss is infinite or not a number.
        """
        self._supernet.train()  # batch statistics; the running ones, which nothing reads, move along
        total, right = torch.zeros(()), 0
        for images, labels in self._batches():
            with self._device.precision():
                scores = self._supernet(images, arch).float()
            total += functional.cross_entropy(scores, labels, reduction="sum").cpu()
            right += int((scores.argmax(dim=1) == labels).sum())
        loss = float(total) / self.images
        if not math.isfinite(loss):
            raise Diverged(f"architecture {arch.id}: the loss on shared weights is {loss}")
        return Quality(loss, right / self.images, self.images, "shared-weights")

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same images for every architecture, drawn at random.

        Splits may be sorted by class, and batch statistics of a single class are not those that the weights were
        trained with: the loss would be worse than guessing.
        """
        size = min(BATCH, self.images)
        return training_batches(
            self._data, self._data.search, size, seed=0, purpose="score", start=0, stop=self.images // size,
            device=self._device.torch, augmented=False,
        )  # fmt: skip
