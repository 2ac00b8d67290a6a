"""The three splits: train, search and test, as a fixed function of the data alone.

The seed of a run has no part in it, so every run on the same images is judged on the same test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import DataError
from hwnas.core.seeds import seed_for

Rows = NDArray[np.int64]
TRAIN, SEARCH, TEST = 0, 1, 2
# Folder names and array prefixes that mean each split.
PART_OF_NAME = {"train": TRAIN, "search": SEARCH, "val": SEARCH, "valid": SEARCH, "validation": SEARCH, "test": TEST}
_MOST_CLASSES = 2**31
SPLIT_SEED = 0  # a constant on purpose: another value would be another data set


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a source says about its images before any pixel is read.

    Args:
        labels: class index of every image, int64, shape (N,).
        part: TRAIN, SEARCH or TEST of every image, as the source has it; shape (N,).
        class_names: one name a class.
    """

    labels: Rows
    part: NDArray[np.int8]
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Which images form each split: row numbers, rising, disjoint."""

    train: Rows
    search: Rows
    test: Rows


def split_rows(source: Labelled, search_share: float, test_share: float) -> SplitRows:
    """Keeps the splits that a source has and carves the missing ones out of train, class by class.

    Every class gives each carved split its share, at least one image. Which images these are depends on nothing but
    their row numbers.

    Args:
        source: labels and the splits that exist.
        search_share: share of the training images, after the test split is taken, that becomes the search split.
        test_share: share of the training images that becomes the test split.

    Raises:
        DataError: fewer than two classes, a class without training images, or one too small to be split.
    """
    train = np.flatnonzero(source.part == TRAIN)
    search = np.flatnonzero(source.part == SEARCH)
    test = np.flatnonzero(source.part == TEST)
    missing = [name for name, rows in (("search", search), ("test", test)) if len(rows) == 0]
    _require_classes(source, train, missing)
    if len(test) == 0:
        test = _carve(source, train, test_share, "test", keep=1 + ("search" in missing))
        train = np.setdiff1d(train, test)
    if len(search) == 0:
        search = _carve(source, train, search_share, "search", keep=1)
        train = np.setdiff1d(train, search)
    return SplitRows(train, search, test)


def checked_labels(labels: NDArray[Any], images: int, classes: int | None, where: str) -> Rows:
    """Labels as int64 of shape (N,), after a check against the number of images and classes.

    Args:
        labels: as the source has them; shape (N,) or (N, 1).
        images: how many images they belong to.
        classes: number of classes; None if only the labels tell.
        where: what the message calls them, for example "train_label in pack.npz".

    Raises:
        DataError: not whole numbers, another length, negative, or a class that does not exist.
    """
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1 or flat.dtype.kind not in "iu":
        raise DataError(
            f"{where}: labels must be one whole number an image, not {labels.dtype} of shape {labels.shape}"
        )
    if len(flat) != images:
        raise DataError(f"{where}: {len(flat)} labels for {images} images; there must be one label an image")
    limit = _MOST_CLASSES if classes is None else classes
    if len(flat) and (int(flat.min()) < 0 or int(flat.max()) >= limit):
        worst = int(flat.min()) if int(flat.min()) < 0 else int(flat.max())
        raise DataError(f"{where}: label {worst} is out of range; labels must be between 0 and {limit - 1}")
    return flat.astype(np.int64)


def require_usable(source: Labelled, rows: SplitRows) -> None:
    """Checks the splits again after unreadable images were left out.

    Raises:
        DataError: a class has no training image left, or a split is empty.
    """
    counts = np.bincount(source.labels[rows.train], minlength=len(source.class_names))
    for name, count in zip(source.class_names, counts, strict=True):
        if count == 0:
            raise DataError(f"class {name!r} has no readable training image left: add images or remove the class")
    for name, left in (("search", rows.search), ("test", rows.test)):
        if len(left) == 0:
            raise DataError(f"the {name} split has no readable image left: add images")


def _require_classes(source: Labelled, train: Rows, missing: list[str]) -> None:
    names = source.class_names
    if len(names) < 2:
        only = f" ({names[0]!r})" if names else ""
        raise DataError(f"there is one class only{only}: a classifier needs at least two")
    needed = 1 + len(missing)
    for name, count in zip(names, np.bincount(source.labels[train], minlength=len(names)), strict=True):
        if count < needed:
            splits = " and ".join(["train", *missing])
            found = "no image" if count == 0 else "1 image" if count == 1 else f"{count} images"
            raise DataError(f"class {name!r} has {found} for {splits}: it needs at least {needed}, one for each split")


def _carve(source: Labelled, rows: Rows, share: float, purpose: str, keep: int) -> Rows:
    """A stratified share of the rows; each class gives at least 1 and keeps at least `keep`."""
    labels = source.labels[rows]
    counts = np.bincount(labels, minlength=len(source.class_names))
    ideal = counts * share
    take = np.floor(ideal).astype(np.int64)
    # Largest remainders first, so that the shares of all classes add up to the share of the whole.
    short = round(len(rows) * share) - int(take.sum())
    take[np.argsort(take - ideal, kind="stable")[:short]] += 1
    take = np.clip(take, 1, counts - keep)
    picked: list[int] = []
    for label, count in enumerate(take):
        # Ordered by hash: unlike a library's random numbers, this never changes with a version.
        members = sorted(rows[labels == label].tolist(), key=lambda row: seed_for(SPLIT_SEED, "split", purpose, row))
        picked += members[:count]
    return np.asarray(sorted(picked), dtype=np.int64)
