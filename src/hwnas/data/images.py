"""A set of images in three splits, as bytes: in memory, or in files that are decoded as they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hwnas.core.errors import DataError
from hwnas.core.primitives import Shape
from hwnas.data.decode import PixelFormat, read_pixels


class Split(Protocol):
    """Images with labels, read by number."""

    @property
    def labels(self) -> torch.Tensor:
        """Class index of every image, int64, shape (N,)."""
        ...

    def __len__(self) -> int:
        """The number of images."""
        ...

    def batches(self, indices: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One (images, labels) for every index batch, in order.

        Args:
            indices: int64 tensors of shape (B,); may be endless.

        Returns:
            uint8 images of shape (B, C, H, W) in channels_last and int64 labels of shape (B,).
        """
        ...


@final
@dataclass(frozen=True, eq=False)
class MemorySplit:
    """Images held as one tensor: no worker, no decoding, an index is all a batch costs.

    Args:
        images: uint8, shape (N, C, H, W), channels_last.
        labels: int64, shape (N,).
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, indices: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One (images, labels) for every index batch, in order."""
        for rows in indices:
            # Indexing, and not index_select, which would give NCHW.
            yield self.images[rows].contiguous(memory_format=torch.channels_last), self.labels[rows]


@dataclass(frozen=True, slots=True)
class Decoded:
    """One batch out of files.

    Args:
        rows: the numbers asked for, shape (B,).
        images: uint8, shape (B, C, H, W), channels_last; black where an image cannot be read.
        faults: for every place in the batch that cannot be read, the sentence that says why.
    """

    rows: torch.Tensor
    images: torch.Tensor
    faults: Mapping[int, str]


@final
@dataclass(frozen=True, eq=False)
class FolderSplit:
    """Images in files, decoded and resized when a batch asks for them.

    Args:
        root: the folder.
        files: paths below it, with "/" between the parts.
        labels: int64, shape (N,).
        pixels: what every image is brought to.
        num_workers: processes that decode; 0 decodes in this one.
        pin_memory: put batches into page-locked memory, for a faster way to a GPU.
    """

    root: Path
    files: tuple[str, ...]
    labels: torch.Tensor
    pixels: PixelFormat
    num_workers: int = 0
    pin_memory: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, indices: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One (images, labels) for every index batch, in order.

        Raises:
            DataError: a file cannot be read; names it.
        """
        for batch in self.decode(indices):
            for sentence in batch.faults.values():
                raise DataError(sentence)
            yield batch.images, self.labels[batch.rows]

    def decode(self, indices: Iterable[torch.Tensor]) -> Iterator[Decoded]:
        """Like `batches`, but says which files cannot be read instead of stopping at the first."""
        loader: DataLoader[Any] = DataLoader(
            _Files(self.root, self.files, self.pixels),
            batch_sampler=(rows.tolist() for rows in indices),
            num_workers=self.num_workers,
            collate_fn=_whole_batch,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),  # its own: opening a loader must not draw from anybody else's numbers
        )
        for rows, images, faults in loader:
            yield Decoded(rows, images, faults)


@final
class _Files(Dataset[Any]):
    """Decodes whole batches, in this process or in a worker."""

    def __init__(self, root: Path, files: tuple[str, ...], pixels: PixelFormat) -> None:
        self._root, self._files, self._pixels = root, files, pixels

    def __getitems__(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor, dict[int, str]]:
        side, channels = self._pixels.side, self._pixels.channels
        images_BHWC = np.zeros((len(rows), side, side, channels), np.uint8)
        faults: dict[int, str] = {}
        for place, row in enumerate(rows):
            try:
                pixels = read_pixels(self._root / self._files[row], repr(self._files[row]), self._pixels)
            except DataError as error:
                # As a value: an exception from a worker would come back with its traceback for a message.
                faults[place] = str(error)
            else:
                images_BHWC[place] = pixels
        return torch.tensor(rows, dtype=torch.int64), torch.from_numpy(images_BHWC).permute(0, 3, 1, 2), faults


def _whole_batch(batch: Any) -> Any:
    return batch


@dataclass(frozen=True)
class ImageData:
    """A classification task: images in three disjoint splits.

    Args:
        name: what reports call it.
        class_names: one name a class, by label.
        input_shape: (channels, height, width) of every image.
        mean: mean of each channel over the training split, on a scale of 0 to 1.
        std: standard deviation of each channel over the training split, on the same scale.
        train: what weights learn from.
        search: what architectures are chosen by.
        test: what the final figures come from; nothing is chosen by it.
        augmentation: "none", "shift", "shift-flip" or "affine".
        fingerprint: sha256 in hexadecimal that changes when images, labels or splits change.
        skipped: unreadable images that were left out.
    """

    name: str
    class_names: tuple[str, ...]
    input_shape: Shape
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split
    search: Split
    test: Split
    augmentation: str
    fingerprint: str
    skipped: int = 0


def pinned(data: ImageData) -> ImageData:
    """The same images, with batches out of files in page-locked memory: for CUDA, and useless without it."""

    def lock(split: Split) -> Split:
        return replace(split, pin_memory=True) if isinstance(split, FolderSplit) else split

    return replace(data, train=lock(data.train), search=lock(data.search), test=lock(data.test))
