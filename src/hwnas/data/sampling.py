"""Which images form each batch: a pure function of (seed, purpose, step), so a resumed run needs no saved position."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as count_from

import torch

from hwnas.core.errors import InputError
from hwnas.core.seeds import seed_for


def training_indices(
    count: int, batch_size: int, seed: int, purpose: str, start_step: int = 0, steps: int | None = None
) -> Iterator[torch.Tensor]:
    """Index batches for training, epoch after epoch, each epoch in an order of its own.

    Started at `start_step` it gives exactly the tail of the sequence started at 0. The last partial batch of an epoch
    is left out; a set smaller than one batch gives all of itself every time.

    Args:
        count: number of images, 1 or more.
        batch_size: images a batch, 1 or more.
        seed: the run's seed.
        purpose: what the batches are for, for example "search/weights"; another purpose gives other orders.
        start_step: the first step, 0 or more.
        steps: how many batches to give; None never ends.

    Returns:
        An iterator over int64 tensors of shape (batch_size,), or (count,) for a set smaller than one batch.

    Raises:
        InputError: a number is below its least value.
    """
    _require_counts(count, batch_size)
    if start_step < 0 or (steps is not None and steps < 0):
        raise InputError(f"start_step {start_step} and steps {steps} must be 0 or more")
    return _index_batches(count, batch_size, seed, purpose, start_step, steps)


def chunks(count: int, batch_size: int) -> Iterator[torch.Tensor]:
    """Index batches for evaluation: every image once, in order, the last batch as small as it comes.

    Args:
        count: number of images, 1 or more.
        batch_size: images a batch, 1 or more.

    Raises:
        InputError: a number is below its least value.
    """
    _require_counts(count, batch_size)
    return (torch.arange(start, min(start + batch_size, count)) for start in range(0, count, batch_size))


def _index_batches(
    count: int, batch_size: int, seed: int, purpose: str, start_step: int, steps: int | None
) -> Iterator[torch.Tensor]:
    per_epoch = max(1, count // batch_size)
    epoch = -1
    order = torch.empty(0, dtype=torch.int64)
    for step in count_from(start_step) if steps is None else range(start_step, start_step + steps):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            generator = torch.Generator().manual_seed(seed_for(seed, purpose, epoch))
            order = torch.randperm(count, generator=generator)
        first = step % per_epoch * batch_size
        yield order[first : first + batch_size]


def _require_counts(count: int, batch_size: int) -> None:
    if count < 1 or batch_size < 1:
        raise InputError(f"{count} images in batches of {batch_size}: both must be 1 or more")
