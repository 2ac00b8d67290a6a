"""From the name of a source to images in three splits. Imports torch only when images are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.core.errors import DataError, UnknownName, quoted
from hwnas.data.catalogue import TORCHVISION, known_sources
from hwnas.data.options import LoadOptions

if TYPE_CHECKING:
    from hwnas.data.images import ImageData

__all__ = ["DEFAULT_ROOT", "check_source", "known_sources", "load_data"]

DEFAULT_ROOT = Path("data")  # torchvision's own habit: a folder beside the work


def load_data(
    source: str,
    *,
    root: Path | None = None,
    resolution: int | None = None,
    search_share: float = 0.15,
    test_share: float = 0.2,
    augmentation: str | None = None,
    download: bool = False,
    skip_bad: bool = False,
    workers: int = 0,
    memory_limit_mb: int = 2048,
) -> ImageData:
    """Images in three disjoint splits, stratified by class, that depend on the data alone and on no seed of a run.

    A test split that the source has is kept; so is a validation split, which becomes the search split. What is missing
    is carved out of the training images.

    Args:
        source: a name out of `known_sources()`, a folder of images (see `folder.load_folder`) or a .npz file (see
            `pack.load_pack`). A name goes first; write ./digits for a folder called digits.
        root: where data sets of torchvision lie; `./data` by default.
        resolution: side of the square images in pixels, 8 to 1024; by default the source decides.
        search_share: share of the training images, after the test split is taken, that architectures are chosen by.
        test_share: share of the images that are tested on, where the source has no test split.
        augmentation: "none", "shift", "shift-flip" or "affine"; by default the source decides, which for folders and
            packs means "shift-flip" for colour and "shift" for grey.
        download: let torchvision fetch what is missing.
        skip_bad: leave unreadable images out and count them in `ImageData.skipped`.
        workers: processes that decode the images of a folder; 0 decodes in this one.
        memory_limit_mb: largest decoded size, in MiB, that is held in memory. A larger folder is decoded as needed;
            any other source is refused.

    Returns:
        The images, with shape, class names, mean, deviation and fingerprint.

    Raises:
        InputError: an argument is out of its range.
        UnknownName: no such source; offers the nearest.
        DataError: images or labels that cannot be used; says which and what to do.
        FileFormatError: a .npz file that is damaged, foreign, or holds Python objects.
    """
    check_source(source)
    options = LoadOptions(resolution, search_share, test_share, augmentation, skip_bad, workers, memory_limit_mb)
    if source in ("mnist5k", "digits"):
        from hwnas.data import embedded

        return embedded.load_mnist5k(options) if source == "mnist5k" else embedded.load_digits(options)
    if source in TORCHVISION:
        from hwnas.data.torchvision_source import load_torchvision

        return load_torchvision(source, root or DEFAULT_ROOT, download, options)
    path = Path(source).expanduser()
    if path.is_dir():
        from hwnas.data.folder import load_folder

        return load_folder(path, options)
    from hwnas.data.pack import load_pack

    return load_pack(path, options)


def check_source(source: str, others: Iterable[str] = ()) -> None:
    """Whether there is such a source; opens nothing.

    Args:
        source: as `load_data` takes it.
        others: names that somebody else knows.

    Raises:
        UnknownName: no such source; offers the nearest.
        DataError: a path that leads nowhere, or to a file that is no pack.
    """
    names = [*known_sources(), *others]
    if source in names:
        return
    try:
        path = Path(source).expanduser()
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, RuntimeError, ValueError) as reason:  # a name too long, an unknown user, a NUL
        said = getattr(reason, "strerror", None) or str(reason)
        raise DataError(f"data {quoted(source)} cannot be used ({said}): expected a folder or an .npz file") from None
    if source and is_folder:
        return
    if source and is_file:
        if path.suffix.lower() != ".npz":
            raise DataError(f"{source} is a file but no .npz pack: expected a folder of images, a .npz file or a name")
        return
    looks_like_path = os.sep in source or "/" in source or source.startswith(("~", ".")) or path.suffix != ""
    if looks_like_path and source:
        raise DataError(f"{source} does not exist: expected a folder of images or a .npz file")
    raise UnknownName("data source", source, names)
