"""Batches ready for a network: drawn, augmented, normalised, each a pure function of (seed, purpose, step)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hwnas.core.seeds import seed_for
from hwnas.data.images import ImageData, Split
from hwnas.data.sampling import chunks, training_indices
from hwnas.data.transform import augment, normalise


def training_batches(
    data: ImageData, split: Split, batch_size: int, *, seed: int, purpose: str, start: int, stop: int,
    device: torch.device, augmented: bool = True,
) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """The batches of steps `start` to `stop`.

    Args:
        data: gives the augmentation and the normalisation.
        split: what is drawn from.
        batch_size: images a batch.
        seed: of the run.
        purpose: names the stream; another purpose draws other batches.
        start: first step.
        stop: one past the last step.
        device: where the batches go.
        augmented: whether images are augmented.

    Yields:
        (images_BCHW float32 channels-last, labels int64).
    """
    indices = training_indices(len(split), batch_size, seed, purpose, start_step=start, steps=stop - start)
    for step, (images, labels) in enumerate(split.batches(indices), start=start):
        if augmented:
            images = augment(images, data.augmentation, seed_for(seed, purpose, "augment", step))
        yield normalise(images, data, device), labels.to(device, non_blocking=True)


def evaluation_batches(
    data: ImageData, split: Split, batch_size: int, device: torch.device, limit: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The whole split once, in order and unaugmented; `limit` stops after that many images.

    Yields:
        (images_BCHW float32 channels-last, labels int64).
    """
    count = len(split) if limit is None else min(limit, len(split))
    for images, labels in split.batches(chunks(count, batch_size)):
        yield normalise(images, data, device), labels.to(device, non_blocking=True)
