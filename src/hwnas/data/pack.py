"""Images in one .npz file: plain arrays as users have them, or JPEG bytes joined with offsets."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import DataError, FileFormatError
from hwnas.data.assemble import checked_images, data_from_arrays, data_in_memory, require_memory
from hwnas.data.decode import Pixels, fit_all, read_header, read_pixels, survey
from hwnas.data.images import ImageData
from hwnas.data.options import LoadOptions
from hwnas.data.splits import PART_OF_NAME, Labelled, Rows, checked_labels

Arrays = Mapping[str, NDArray[Any]]
_BARE = b"\x93NUMPY"
_MOST_ARRAYS = 64
_MOST_RATIO, _SMALL_BYTES = 200, 2**26  # digits on white paper are packed about tenfold
_LAYOUTS = (
    "expected x_train and y_train (perhaps x_test, y_test, x_val, y_val, names), or train_jpeg, train_offset and "
    "train_label (perhaps the same of test and val, and names)"
)


def load_pack(path: Path, options: LoadOptions) -> ImageData:
    """A .npz file in one of two layouts.

    Plain: `x_train` (uint8, shape (N, H, W) or (N, H, W, 1 or 3)) and `y_train` (whole numbers, shape (N,)).
    Encoded: `train_jpeg` (uint8, all files joined), `train_offset` (N + 1 positions: image i is
    jpeg[offset[i]:offset[i + 1]]) and `train_label`; any format that `decode` reads will do.
    In both the same of `test` and `val` (or `valid`, `search`) may follow, and `names`, one for each class. Missing
    splits are carved out of train.

    Raises:
        FileFormatError: the file is damaged, holds Python objects, or is in another layout.
        DataError: images or labels that cannot be used.
    """
    arrays = _read_arrays(path, options)
    parts = {name: part for name, part in PART_OF_NAME.items() if f"{name}_jpeg" in arrays or f"x_{name}" in arrays}
    if "train" not in parts:
        found = ", ".join(sorted(arrays))[:200] or "nothing"
        raise FileFormatError(f"{path.name} holds {found}: {_LAYOUTS}")
    names = _names(arrays, path)
    if "train_jpeg" in arrays:
        return _load_encoded(path, arrays, parts, names, options)
    return _load_plain(path, arrays, parts, names, options)


def _load_plain(
    path: Path, arrays: Arrays, parts: Mapping[str, int], names: tuple[str, ...] | None, options: LoadOptions
) -> ImageData:
    images: list[Pixels] = []
    labels: dict[str, Rows] = {}
    for name in parts:
        found = checked_images(_array(arrays, f"x_{name}", path), f"x_{name} in {path.name}")
        if options.resolution is not None:
            require_memory(path.name, len(found), found.shape[3] * options.resolution**2, options)
            found = fit_all(found, options.resolution)
        images.append(found)
        labels[name] = _labels(arrays, f"y_{name}", len(found), names, path)
    shapes = {found.shape[1:] for found in images}
    if len(shapes) > 1:
        shown = " and ".join(str(shape) for shape in sorted(shapes))
        raise DataError(f"{path.name}: the splits have images of different shapes, {shown}: choose a --resolution")
    return data_from_arrays(path.stem, np.concatenate(images), _labelled(labels, parts, names, path), options)


def _load_encoded(
    path: Path, arrays: Arrays, parts: Mapping[str, int], names: tuple[str, ...] | None, options: LoadOptions
) -> ImageData:
    labels: dict[str, Rows] = {}
    files: list[_File] = []
    for name in parts:
        joined = _array(arrays, f"{name}_jpeg", path)
        offsets = _checked_offsets(_array(arrays, f"{name}_offset", path), joined, f"{name}_offset in {path.name}")
        labels[name] = _labels(arrays, f"{name}_label", len(offsets) - 1, names, path)
        spans = zip(offsets, offsets[1:], strict=False)
        files += [_File(f"{row} of {name} in {path.name}", joined[a:b]) for row, (a, b) in enumerate(spans)]
    labelled = _labelled(labels, parts, names, path)

    def header(row: int) -> Any:
        return read_header(files[row].content.tobytes(), files[row].name)

    pixels = survey(len(files), header, options.resolution, options.skip_bad)
    require_memory(path.name, len(files), pixels.channels * pixels.side**2, options)

    def read(rows: Rows) -> tuple[Pixels, Rows]:
        images = np.empty((len(rows), pixels.side, pixels.side, pixels.channels), np.uint8)
        good = np.ones(len(rows), dtype=bool)
        for place, row in enumerate(rows):
            try:
                images[place] = read_pixels(files[row].content.tobytes(), files[row].name, pixels)
            except DataError:
                if not options.skip_bad:
                    raise
                good[place] = False
        return (images, rows) if good.all() else (images[good], rows[good])

    return data_in_memory(path.stem, labelled, read, options)


@dataclass(frozen=True, slots=True)
class _File:
    """One encoded image: what messages call it, and its bytes."""

    name: str
    content: NDArray[np.uint8]


def _read_arrays(path: Path, options: LoadOptions) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            if file.read(len(_BARE)) == _BARE:
                raise FileFormatError(f"{path.name} holds one bare array, not a .npz pack: {_LAYOUTS}")
            with zipfile.ZipFile(file) as archive:
                _check_sizes(path, archive.infolist(), options)
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    except (FileFormatError, DataError):
        raise
    except Exception as error:  # a damaged archive raises whatever its damaged part leads to
        kind = "holds Python objects, which are never loaded" if "pickle" in str(error) else "is damaged or no .npz"
        raise FileFormatError(f"{path.name} {kind} ({error}): {_LAYOUTS}") from None


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], options: LoadOptions) -> None:
    """Refuses an archive that is far more than it seems; what it says of its members, reading them holds it to."""
    unpacked, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if not options.fits_memory(unpacked):
        limit = f"{options.memory_limit_mb:,} MiB"
        raise DataError(f"{path.name} unpacks to {unpacked // 2**20:,} MiB, the limit is {limit}")
    if unpacked > max(_MOST_RATIO * packed, _SMALL_BYTES):
        raise FileFormatError(
            f"{path.name} unpacks to {unpacked // 2**20:,} MiB, more than {_MOST_RATIO} times what it takes, as no "
            "images do: store them without compression (numpy.savez) if they are real"
        )
    if len(members) > _MOST_ARRAYS:
        raise FileFormatError(f"{path.name} holds {len(members):,} arrays: {_LAYOUTS}")


def _array(arrays: Arrays, name: str, path: Path) -> NDArray[Any]:
    if name not in arrays:
        raise FileFormatError(f"{path.name} has no array {name!r}: {_LAYOUTS}")
    return arrays[name]


def _names(arrays: Arrays, path: Path) -> tuple[str, ...] | None:
    if "names" not in arrays:
        return None
    names = arrays["names"]
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise FileFormatError(f"names in {path.name} must be text, one a class, not {names.dtype} of {names.shape}")
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names.tolist())


def _labels(arrays: Arrays, name: str, images: int, names: tuple[str, ...] | None, path: Path) -> Rows:
    classes = None if names is None else len(names)
    return checked_labels(_array(arrays, name, path), images, classes, f"{name} in {path.name}")


def _labelled(
    labels: Mapping[str, Rows], parts: Mapping[str, int], names: tuple[str, ...] | None, path: Path
) -> Labelled:
    if names is None:
        # No more classes than training images: a name is made for each, and a stray label must not make billions.
        most = len(labels["train"])
        checked_labels(labels["train"], most, max(2, most), f"the labels of train in {path.name}")
        names = tuple(str(label) for label in range(int(labels["train"].max()) + 1))
        for name, found in labels.items():
            checked_labels(found, len(found), len(names), f"the labels of {name} in {path.name}")
    part = np.concatenate([np.full(len(found), parts[name], np.int8) for name, found in labels.items()])
    return Labelled(np.concatenate(list(labels.values())), part, names)


def _checked_offsets(offsets: NDArray[Any], joined: NDArray[Any], where: str) -> Rows:
    if joined.dtype != np.uint8 or joined.ndim != 1:
        raise FileFormatError(f"{where}: the joined files must be uint8 in one row, not {joined.dtype} {joined.shape}")
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2:
        raise FileFormatError(f"{where}: expected N + 1 whole numbers, not {offsets.dtype} of shape {offsets.shape}")
    positions = offsets.astype(np.int64)
    if positions[0] < 0 or positions[-1] > len(joined) or (np.diff(positions) < 0).any():
        raise FileFormatError(f"{where}: positions must rise from 0 to at most {len(joined)}, the length of the bytes")
    return positions
