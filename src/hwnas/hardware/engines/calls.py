"""What engines share: how they tell of themselves, images in calls of a fixed number, and images for timing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwnas.core.primitives import Shape


def facts(engine: str, version: str, precision: str, threads: int, batch: int) -> dict[str, str]:
    """A fingerprint."""
    return {
        "engine": engine, "version": version, "precision": precision, "threads": str(threads), "batch": str(batch)
    }  # fmt: skip


def in_calls(call: Callable[[np.ndarray], np.ndarray], images_BCHW: np.ndarray, batch: int) -> np.ndarray:
    """Class scores of images, in calls of `batch` of them; the last call is filled up with zeros.

    Args:
        call: scores (batch, classes) of exactly `batch` images.
        images_BCHW: float32.
        batch: images a call.

    Returns:
        Scores, float32, shape (images, classes).
    """
    rows = []
    for start in range(0, len(images_BCHW), batch):
        part = images_BCHW[start : start + batch]
        short = batch - len(part)
        if short:
            part = np.concatenate([part, np.zeros((short, *part.shape[1:]), np.float32)])
        rows.append(np.array(call(np.ascontiguousarray(part)))[: batch - short])  # a copy: engines reuse their memory
    return np.concatenate(rows).astype(np.float32, copy=False)


def some_images(count: int, input_shape: Shape) -> np.ndarray:
    """Random float32 images, the same at every call: what a network is timed on."""
    return np.random.default_rng(0).standard_normal((count, *input_shape), dtype=np.float32)
