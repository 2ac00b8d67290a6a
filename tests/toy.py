"""The toy problem as ImageData, for tests that search."""

import numpy as np
import torch

from hwnas.data.images import ImageData, MemorySplit
from hwnas.spaces.toy import toy_images


def split(count: int, seed: int) -> MemorySplit:
    images, labels = toy_images(count, np.random.default_rng(seed))
    pixels = torch.from_numpy(images)[:, None].contiguous(memory_format=torch.channels_last)
    return MemorySplit(pixels, torch.from_numpy(labels))


def toy_data(train: int = 4000) -> ImageData:
    parts = [split(count, seed) for seed, count in enumerate((train, 1000, 1000))]
    return ImageData("toy", ("10", "12"), (1, 4, 32), (0.27,), (0.12,), *parts, "none", "toy")
