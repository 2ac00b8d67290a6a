"""A folder of images, one folder a class, with or without train and test folders above them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.core.errors import DataError, quoted
from hwnas.data.assemble import finish
from hwnas.data.decode import PixelFormat, read_header, readable_suffixes, survey
from hwnas.data.images import FolderSplit, ImageData, MemorySplit, Split
from hwnas.data.options import LoadOptions
from hwnas.data.sampling import chunks
from hwnas.data.splits import PART_OF_NAME, TRAIN, Labelled, Rows, SplitRows, require_usable, split_rows

_DECODE_BATCH = 64
_MOST_DEEP = 32  # folders in folders; people have three or four


@dataclass(frozen=True, slots=True)
class ScannedFolder:
    """What a folder holds, before any image is opened.

    Args:
        root: the folder, resolved.
        files: image files as paths below it, in a fixed order.
        sizes: bytes of each file.
        labelled: their labels and the splits that exist.
    """

    root: Path
    files: tuple[str, ...]
    sizes: NDArray[np.int64]
    labelled: Labelled


def load_folder(path: Path, options: LoadOptions) -> ImageData:
    """A folder with one folder of images a class, or with `train/` and perhaps `test/` and `val/` above such folders.

    Missing splits are carved out of train. Files are images if their name ends as one of an image (.jpg, .png,
    …); folders inside a class belong to it; whatever begins with a dot is ignored, and so is anything beside `train/`
    that is none of the split folders. Size and channels are chosen as `decode.survey` says. Images that fit the memory
    limit are decoded at once; otherwise they are decoded as they are needed, after their headers, or with `skip_bad`
    all of their pixels, were checked.

    Raises:
        DataError: no images, one class, a class too small to be split, an image that cannot be read, or a link that
            leaves the folder.
    """
    try:
        scan = scan_folder(path)
    except OSError as error:
        raise DataError(f"{path} cannot be listed ({error}): check that you may read it") from None
    labelled = scan.labelled
    rows = split_rows(labelled, options.search_share, options.test_share)
    pixels = survey(
        len(scan.files), lambda row: read_header(scan.root / scan.files[row], repr(scan.files[row])),
        options.resolution, options.skip_bad,
    )  # fmt: skip
    in_memory = options.fits_memory(len(scan.files) * pixels.channels * pixels.side**2)
    read = _decoded_now if in_memory else _decoded_later
    splits: list[Split] = []
    kept: list[Rows] = []
    for wanted in (rows.train, rows.search, rows.test):
        files = tuple(scan.files[row] for row in wanted)
        labels = torch.from_numpy(labelled.labels[wanted])
        pinned = not in_memory and torch.cuda.is_available()
        split, good = read(FolderSplit(scan.root, files, labels, pixels, options.workers, pinned), options.skip_bad)
        splits.append(split)
        kept.append(wanted[good])
    found = SplitRows(*kept)
    require_usable(labelled, found)
    skipped = len(scan.files) - sum(len(part) for part in kept)
    name = scan.root.name or "images"
    return finish(name, labelled.class_names, splits, options, None, _fingerprint(scan, found, pixels), skipped)


def scan_folder(path: Path) -> ScannedFolder:
    """Lists the images of a folder with their classes and splits; opens none.

    Raises:
        DataError: no class folders, no images, a class folder without images, a class that only test has, or a link
            that leaves the folder.
    """
    root = path.resolve()
    parts = _split_folders(root)
    classes = _folders(root / "train" if parts else root, root)
    if not classes:
        raise DataError(f"{path} has no images in class folders: expected one folder of images for each class")
    files: list[str] = []
    labels: list[int] = []
    part_of_file: list[int] = []
    for folder, part in (parts or {"": TRAIN}).items():
        before = len(files)
        for name in _folders(root / folder, root):
            if name not in classes:
                raise DataError(f"{folder}/{name} is a class that train/ does not have: add it there or remove it")
            found = sorted(_images(root / folder / name, root))
            if not found and part == TRAIN:
                endings = "file names that end in .jpg, .png or the like"
                raise DataError(
                    f"class folder {folder + '/' if folder else ''}{name} has no images: expected {endings}"
                )
            files += found
            labels += [classes.index(name)] * len(found)
            part_of_file += [part] * len(found)
        if len(files) == before:
            raise DataError(
                f"{folder}/ has no images in class folders: add some, or remove it to have them taken off train"
            )
    sizes = np.asarray([(root / file).stat().st_size for file in files], dtype=np.int64)
    labelled = Labelled(np.asarray(labels, np.int64), np.asarray(part_of_file, np.int8), tuple(classes))
    return ScannedFolder(root, tuple(files), sizes, labelled)


def _split_folders(root: Path) -> dict[str, int]:
    """The split folders by name, or none if the folder holds classes; a class may be called "train", too."""
    if "train" not in _folders(root, root) or not _folders(root / "train", root):
        return {}
    return {name: PART_OF_NAME[name] for name in _folders(root, root) if name in PART_OF_NAME}


def _folders(folder: Path, root: Path) -> list[str]:
    return sorted(entry.name for entry in _visible(folder, root) if entry.is_dir(follow_symlinks=False))


def _images(folder: Path, root: Path, deep: int = 1) -> Iterator[str]:
    if deep > _MOST_DEEP:
        raise DataError(
            f"{quoted(folder.relative_to(root).as_posix())} is more than {_MOST_DEEP} folders deep: move it up"
        )
    suffixes = readable_suffixes()
    for entry in _visible(folder, root):
        if entry.is_dir(follow_symlinks=False):
            yield from _images(Path(entry.path), root, deep + 1)
        elif entry.is_file() and os.path.splitext(entry.name)[1].lower() in suffixes:
            yield Path(entry.path).relative_to(root).as_posix()


def _visible(folder: Path, root: Path) -> Iterator[os.DirEntry[str]]:
    """Entries that are not hidden; a link must stay below the root and lead to a file."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_symlink():
                shown = Path(entry.path).relative_to(root).as_posix()
                target = os.path.realpath(entry.path)
                if not Path(target).is_relative_to(root):
                    raise DataError(f"{shown} is a link that leaves the folder {root.name!r}: copy what it leads to")
                if not os.path.isfile(target):
                    raise DataError(f"{shown} is a link that leads to no file: put the images there or remove it")
            yield entry


def _decoded_now(split: FolderSplit, skip_bad: bool) -> tuple[Split, Rows]:
    shape = (len(split), split.pixels.side, split.pixels.side, split.pixels.channels)
    images = torch.empty(shape, dtype=torch.uint8).permute(0, 3, 1, 2)

    def keep(rows: torch.Tensor, decoded: torch.Tensor) -> None:
        images[rows] = decoded

    good = _readable(split, skip_bad, keep)
    labels = split.labels
    if len(good) == len(split):
        return MemorySplit(images, labels), good
    left = torch.from_numpy(good)
    return MemorySplit(images[left].contiguous(memory_format=torch.channels_last), labels[left]), good


def _decoded_later(split: FolderSplit, skip_bad: bool) -> tuple[Split, Rows]:
    if not skip_bad:
        # Better to stop here than an hour into the search: what is no image at all shows in its first bytes.
        for file in split.files:
            read_header(split.root / file, repr(file))
        return split, np.arange(len(split))
    good = _readable(split, skip_bad, lambda rows, decoded: None)
    files = tuple(split.files[row] for row in good)
    return replace(split, files=files, labels=split.labels[torch.from_numpy(good)]), good


def _readable(split: FolderSplit, skip_bad: bool, use: Callable[[torch.Tensor, torch.Tensor], None]) -> Rows:
    """Decodes everything once, hands it to `use` and returns the rows that can be read."""
    good = np.ones(len(split), dtype=bool)
    for batch in split.decode(chunks(len(split), _DECODE_BATCH)):
        for place, sentence in batch.faults.items():
            if not skip_bad:
                raise DataError(sentence)
            good[int(batch.rows[place])] = False
        use(batch.rows, batch.images)
    return np.flatnonzero(good)


def _fingerprint(scan: ScannedFolder, rows: SplitRows, pixels: PixelFormat) -> str:
    digest = hashlib.sha256(f"{pixels.channels} {pixels.side}\n".encode())
    for part in (rows.train, rows.search, rows.test):
        digest.update(b"split\n")
        for row in part:
            line = f"{scan.files[row]}\0{scan.sizes[row]}\0{scan.labelled.labels[row]}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
