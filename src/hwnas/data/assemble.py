"""From rows and pixels to ImageData: what every source shares after it has found its images."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.core.errors import DataError, quoted
from hwnas.data.decode import Pixels, fit_all
from hwnas.data.images import ImageData, MemorySplit, Split
from hwnas.data.options import LARGEST_SIDE, SMALLEST_SIDE, LoadOptions
from hwnas.data.sampling import chunks
from hwnas.data.splits import Labelled, Rows, SplitRows, require_usable, split_rows

# Reads some rows of a source: the images that can be read, shape (M, H, W, C), and their rows.
Reader = Callable[[Rows], tuple[Pixels, Rows]]

STATISTICS_IMAGES = 2000  # looked at for mean and deviation where images stay in files
_STATISTICS_BATCH = 64
_NO_TEXT = re.compile(r"[\ud800-\udfff]")


def checked_images(images: NDArray[Any], where: str) -> Pixels:
    """Images as uint8 of shape (N, H, W, C), after a check.

    Args:
        images: uint8, shape (N, H, W) or (N, H, W, 1 or 3).
        where: what the message calls them.

    Raises:
        DataError: another type or shape, or no images.
    """
    if images.dtype != np.uint8:
        raise DataError(f"{where}: images must be uint8 from 0 to 255, not {images.dtype}")
    shaped = images[..., None] if images.ndim == 3 else images
    if shaped.ndim != 4 or shaped.shape[3] not in (1, 3):
        raise DataError(f"{where}: images must have shape (N, H, W) or (N, H, W, 1 or 3), not {images.shape}")
    if shaped.size == 0:
        raise DataError(f"{where}: there are no images")
    return shaped


def data_from_arrays(
    name: str, images_NHWC: Pixels, labelled: Labelled, options: LoadOptions, augmentation: str | None = None
) -> ImageData:
    """ImageData of images that are in memory already.

    Args:
        name: what reports call it.
        images_NHWC: uint8, shape (N, H, W, 1 or 3).
        labelled: their labels and the splits that exist.
        options: resolution, shares, augmentation.
        augmentation: the source's own, where the caller has not chosen; None goes by the channels.

    Raises:
        DataError: sides out of range, too many for the memory limit, or classes that cannot be split.
    """
    height, width = images_NHWC.shape[1:3]
    if options.resolution is None and not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (height, width)):
        allowed = f"{SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side"
        raise DataError(f"{name}: images of {height} x {width} are outside {allowed}: choose a size with --resolution")

    if options.resolution is not None:
        require_memory(name, len(images_NHWC), images_NHWC.shape[3] * options.resolution**2, options)

    def read(rows: Rows) -> tuple[Pixels, Rows]:
        images = images_NHWC[rows]
        return (images if options.resolution is None else fit_all(images, options.resolution)), rows

    return data_in_memory(name, labelled, read, options, augmentation)


def data_in_memory(
    name: str, labelled: Labelled, read: Reader, options: LoadOptions, augmentation: str | None = None
) -> ImageData:
    """ImageData of a source that is read into memory, split by split.

    Raises:
        DataError: classes that cannot be split, or that lost too many images.
    """
    rows = split_rows(labelled, options.search_share, options.test_share)
    splits: list[MemorySplit] = []
    kept: list[Rows] = []
    for wanted in (rows.train, rows.search, rows.test):
        images_NHWC, found = read(wanted)
        images = torch.from_numpy(np.ascontiguousarray(images_NHWC)).permute(0, 3, 1, 2)
        splits.append(MemorySplit(images, torch.from_numpy(labelled.labels[found])))
        kept.append(found)
    require_usable(labelled, SplitRows(*kept))
    skipped = len(labelled.labels) - sum(len(found) for found in kept)
    fingerprint = _fingerprint_of_arrays(splits)
    return finish(name, labelled.class_names, splits, options, augmentation, fingerprint, skipped)


def finish(
    name: str, class_names: tuple[str, ...], splits: Iterable[Split], options: LoadOptions,
    augmentation: str | None, fingerprint: str, skipped: int,
) -> ImageData:  # fmt: skip
    """ImageData of three finished splits: adds shape, mean and deviation.

    Raises:
        DataError: a name that is no text, such as that of a folder in another encoding than UTF-8, or two classes of
            one name.
    """
    for text in (name, *class_names):
        if not text.isascii() and _NO_TEXT.search(text):
            raise DataError(f"{quoted(text)} is not in UTF-8, so no report can hold this name: rename it")
    if len(set(class_names)) < len(class_names):
        twice = next(one for one in class_names if class_names.count(one) > 1)
        raise DataError(f"{name}: two classes are named {quoted(twice)}: give each class a name of its own")
    train, search, test = splits
    first, _ = next(train.batches([torch.tensor([0])]))
    shape = tuple(first.shape[1:])
    mean, std = _mean_and_std(train)
    # A mirrored photograph is a photograph, a mirrored letter is not a letter: grey images are not mirrored.
    by_channels = "shift-flip" if shape[0] == 3 else "shift"
    chosen = options.augmentation or augmentation or by_channels
    return ImageData(name, class_names, shape, mean, std, train, search, test, chosen, fingerprint, skipped)


def require_memory(name: str, count: int, image_bytes: int, options: LoadOptions) -> None:
    """Stops before images are decoded that the memory limit does not hold.

    Raises:
        DataError: names both sizes.
    """
    if not options.fits_memory(count * image_bytes):
        needed = count * image_bytes // 2**20
        raise DataError(
            f"{name}: {count:,} decoded images take {needed:,} MiB, the limit is {options.memory_limit_mb:,} MiB: "
            "choose a smaller --resolution, or store the images as a folder, which is read as needed"
        )


def _mean_and_std(train: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    count = len(train)
    looked_at = count if isinstance(train, MemorySplit) else min(count, STATISTICS_IMAGES)
    rows = torch.linspace(0, count - 1, looked_at, dtype=torch.float64).long()
    pixels, total, squares = 0, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    # In whole numbers, so that the result does not depend on the order of summation.
    for images, _ in train.batches(rows[places] for places in chunks(looked_at, _STATISTICS_BATCH)):
        pixels += images[:, 0].numel()
        total = total + images.sum(dim=(0, 2, 3), dtype=torch.int64)
        squares = squares + images.to(torch.int32).square().sum(dim=(0, 2, 3), dtype=torch.int64)
    mean = total.double() / pixels
    std = (squares.double() / pixels - mean.square()).clamp(min=0.0).sqrt()
    std[std == 0] = 255.0  # a channel that never changes is left as it is
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _fingerprint_of_arrays(splits: Iterable[MemorySplit]) -> str:
    digest = hashlib.sha256()
    for split in splits:
        images_NHWC = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        digest.update(f"{images_NHWC.shape}".encode())
        digest.update(images_NHWC.data)
        digest.update(split.labels.numpy().astype("<i8").data)
    return digest.hexdigest()
