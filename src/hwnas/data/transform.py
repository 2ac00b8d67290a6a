"""From bytes to what a network reads: augmentation on uint8 batches, then normalisation. Neither sees the labels.

Source of the form: a per-sample shift and flip by one advanced-index gather on uint8 costs about 2 ms for a batch of
128 at 16x16, so no worker process is needed for it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from hwnas.core.errors import UnknownName
from hwnas.data.images import ImageData
from hwnas.data.options import AUGMENTATIONS

SHIFT_SHARE = 8  # a shift is at most 1/8 of the side, as 4 of 32 pixels in the usual CIFAR-10 crop
MAX_ROTATION_DEGREES = 10.0
SCALE_RANGE = (0.9, 1.1)


def normalise(images_BCHW: torch.Tensor, data: ImageData, device: torch.device | str) -> torch.Tensor:
    """Images as float32 in channels_last with mean 0 and deviation 1 per channel over the training split.

    Args:
        images_BCHW: uint8, 0 to 255.
        data: where mean and deviation come from.
        device: where the result lives.

    Returns:
        float32 tensor of shape (B, C, H, W) on `device`.
    """
    images = images_BCHW.to(device, non_blocking=True).to(torch.float32, memory_format=torch.channels_last)
    mean = torch.tensor(data.mean, device=images.device).view(1, -1, 1, 1)
    std = torch.tensor(data.std, device=images.device).view(1, -1, 1, 1)
    return (images * (1 / (255 * std))).sub_(mean / std)


def augment(images_BCHW: torch.Tensor, kind: str, seed: int) -> torch.Tensor:
    """A random variant of every image, drawn for each on its own.

    "shift" moves by up to 1/8 of the side and repeats the edge; "shift-flip" also mirrors half of them left to right;
    "affine" rotates by up to 10 degrees, scales by 0.9 to 1.1 and shifts by up to 1/8 of the side; "none" changes
    nothing.

    Args:
        images_BCHW: uint8 batch; it is not changed.
        kind: one of AUGMENTATIONS.
        seed: decides every draw, on any device, whatever other random numbers are in use.

    Returns:
        uint8 tensor of the same shape in channels_last.

    Raises:
        UnknownName: no such kind.
    """
    if kind not in AUGMENTATIONS:
        raise UnknownName("augmentation", kind, AUGMENTATIONS)
    if kind == "none":
        return images_BCHW.contiguous(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)
    if kind == "affine":
        return _affine(images_BCHW, generator)
    return _shift(images_BCHW, generator, flip=kind == "shift-flip")


def _shift(images_BCHW: torch.Tensor, generator: torch.Generator, flip: bool) -> torch.Tensor:
    count, _, height, width = images_BCHW.shape
    down = _whole_shift(count, height, generator)
    right = _whole_shift(count, width, generator)
    mirrored = torch.rand((count, 1), generator=generator) < (0.5 if flip else 0.0)
    # Reading past the edge reads the edge again: no padded copy is needed.
    rows = (torch.arange(height) + down).clamp_(0, height - 1)
    columns = (torch.arange(width) + right).clamp_(0, width - 1)
    columns = torch.where(mirrored, columns.flip(1), columns)
    device = images_BCHW.device
    samples = torch.arange(count, device=device)
    images_BHWC = images_BCHW.permute(0, 2, 3, 1)
    shifted = images_BHWC[samples[:, None, None], rows.to(device)[:, :, None], columns.to(device)[:, None, :]]
    return shifted.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _whole_shift(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    most = side // SHIFT_SHARE
    return torch.randint(-most, most + 1, (count, 1), generator=generator)


def _affine(images_BCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    count, _, height, width = images_BCHW.shape
    angle, scale, down, right = torch.rand((4, count), generator=generator).unbind(0)
    radians = (2 * angle - 1) * math.radians(MAX_ROTATION_DEGREES)
    zoom = SCALE_RANGE[0] + (SCALE_RANGE[1] - SCALE_RANGE[0]) * scale
    cosine, sine = torch.cos(radians) / zoom, torch.sin(radians) / zoom
    # grid_sample counts each side from -1 to 1: an eighth of it is a quarter there, and sines need the aspect ratio.
    linear = torch.stack([cosine, -sine * height / width, sine * width / height, cosine], dim=1).view(count, 2, 2)
    shift = (torch.stack([right, down], dim=1)[:, :, None] * 2 - 1) * (2 / SHIFT_SHARE)
    # It asks where each pixel comes from, so the shift has to be undone before the rotation.
    theta = torch.cat([linear, linear @ -shift], dim=2).to(images_BCHW.device)
    grid = F.affine_grid(theta, list(images_BCHW.shape), align_corners=False)
    pixels = images_BCHW.to(torch.float32, memory_format=torch.channels_last)
    moved = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.round_().clamp_(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)
