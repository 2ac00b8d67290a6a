"""Data sets that torchvision reads from a local folder, with the splits their authors gave them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import DataError
from hwnas.data.assemble import checked_images, data_from_arrays, require_memory
from hwnas.data.catalogue import TORCHVISION, TorchvisionSet
from hwnas.data.decode import Header, PixelFormat, Pixels, fit, is_grey, survey
from hwnas.data.images import ImageData
from hwnas.data.options import LoadOptions
from hwnas.data.splits import Labelled, Rows, checked_labels

Opened = Mapping[int, Any]


def load_torchvision(name: str, root: Path, download: bool, options: LoadOptions) -> ImageData:
    """A data set by its name in `catalogue.TORCHVISION`.

    Its test split is kept, and its validation split, where it has one, is the search split. Images that are stored as
    one array keep their size unless a resolution is chosen; images in files are sized as `decode.survey` says.
    torchvision checks the md5 of CIFAR's files before it opens them.

    Args:
        name: a name in the catalogue.
        root: the folder that torchvision reads from and downloads to.
        download: fetch what is missing.
        options: resolution, shares, augmentation.

    Raises:
        DataError: the files are missing or damaged; the message says how to get them.
    """
    entry = TORCHVISION[name]
    # Downloads report on stdout, which belongs to results.
    with contextlib.redirect_stdout(sys.stderr):
        opened = {part: _opened(name, entry, arguments, root, download) for part, arguments in entry.parts.items()}
    try:
        stored = all(_array_of(dataset) is not None for dataset in opened.values())
        images, labels = _from_arrays(name, opened) if stored else _from_files(name, opened, options)
    except DataError:
        raise
    except Exception as error:  # files of many kinds, read by other people's code
        raise DataError(f"{name} in {root} cannot be read ({error}): delete it there and pass --download") from None
    classes = _class_names(next(iter(opened.values())), max(int(found.max()) for found in labels.values()) + 1)
    part = np.concatenate([np.full(len(found), number, np.int8) for number, found in labels.items()])
    joined = checked_labels(np.concatenate(list(labels.values())), len(images), len(classes), name)
    return data_from_arrays(name, images, Labelled(joined, part, classes), options, entry.augmentation)


def _opened(name: str, entry: TorchvisionSet, arguments: Mapping[str, Any], root: Path, download: bool) -> Any:
    from torchvision import datasets

    try:
        return getattr(datasets, entry.loader)(str(root), download=download, **arguments)
    except Exception as error:  # RuntimeError for absent files, and whatever damaged ones and networks lead to
        if download:
            raise DataError(f"{name} could not be downloaded to {root} ({error})") from None
        raise DataError(
            f"{name} is not in {root}, or not whole ({error}): pass --download to fetch it, or name the folder it is in"
        ) from None


def _from_arrays(name: str, opened: Opened) -> tuple[Pixels, dict[int, Rows]]:
    images: list[Pixels] = []
    labels: dict[int, Rows] = {}
    for part, dataset in opened.items():
        found = checked_images(np.asarray(_array_of(dataset)), name)
        targets = getattr(dataset, "targets", None)
        given = np.asarray(dataset.labels if targets is None else targets)
        images.append(found)
        labels[part] = checked_labels(given, len(found), None, name)
    return np.concatenate(images), labels


def _from_files(name: str, opened: Opened, options: LoadOptions) -> tuple[Pixels, dict[int, Rows]]:
    rows = [(dataset, place) for dataset in opened.values() for place in range(len(dataset))]

    def header(row: int) -> Header:
        dataset, place = rows[row]
        image, _ = dataset[place]
        return Header(image.width, image.height, is_grey(image))

    pixels: PixelFormat = survey(len(rows), header, options.resolution, skip_bad=False)
    require_memory(name, len(rows), pixels.channels * pixels.side**2, options)
    images = np.empty((len(rows), pixels.side, pixels.side, pixels.channels), np.uint8)
    labels: dict[int, Rows] = {}
    first = 0
    for part, dataset in opened.items():
        found = np.empty(len(dataset), np.int64)
        for place in range(len(dataset)):
            image, found[place] = dataset[place]
            images[first + place] = fit(image, pixels)
        labels[part] = found
        first += len(dataset)
    return images, labels


def _array_of(dataset: Any) -> NDArray[Any] | None:
    """The images as NHWC or NHW where torchvision holds them as one array."""
    data = getattr(dataset, "data", None)
    if data is None or not hasattr(data, "shape"):
        return None
    images = np.asarray(data)
    return images.transpose(0, 2, 3, 1) if images.ndim == 4 and images.shape[1] == 3 else images


def _class_names(dataset: Any, count: int) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None) or ()
    return tuple(str(name) for name in names) if len(names) >= count else tuple(str(label) for label in range(count))
