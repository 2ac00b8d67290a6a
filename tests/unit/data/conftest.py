"""Small image folders and packs, and the embedded sets loaded once."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.data.images import ImageData, MemorySplit
from hwnas.data.sources import load_data


@pytest.fixture(scope="session")
def mnist5k() -> ImageData:
    return load_data("mnist5k")


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load_data("digits")


@pytest.fixture
def photo() -> Callable[..., np.ndarray]:
    """Draws a coloured image whose pixels depend on the seed."""

    def draw(seed: int, height: int = 20, width: int = 20) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height)))

    return draw


@pytest.fixture
def image_folder(tmp_path: Path, photo: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Writes `counts` images a class below tmp_path/name."""

    def make(counts: dict[str, int], name: str = "pictures", ending: str = ".png", **size: int) -> Path:
        for label, (folder, count) in enumerate(counts.items()):
            (tmp_path / name / folder).mkdir(parents=True, exist_ok=True)
            for row in range(count):
                pixels = photo(1000 * label + row, **size)
                Image.fromarray(pixels).save(tmp_path / name / folder / f"{row:03d}{ending}")
        return tmp_path / name

    return make


@pytest.fixture
def jpeg_arrays(photo: Callable[..., np.ndarray]) -> Callable[..., dict[str, np.ndarray]]:
    """The arrays of one split of an encoded pack."""

    def make(split: str, count: int, classes: int = 3, side: int = 20) -> dict[str, np.ndarray]:
        files = []
        for row in range(count):
            stream = io.BytesIO()
            Image.fromarray(photo(row, side, side)).save(stream, "JPEG")
            files.append(stream.getvalue())
        offsets = np.cumsum([0, *map(len, files)]).astype(np.int64)
        joined = np.frombuffer(b"".join(files), np.uint8)
        labels = (np.arange(count) % classes).astype(np.uint8)
        return {f"{split}_jpeg": joined, f"{split}_offset": offsets, f"{split}_label": labels}

    return make


@pytest.fixture
def counts_of() -> Callable[[ImageData], list[list[int]]]:
    """Images of each class in train, search and test."""

    def count(data: ImageData) -> list[list[int]]:
        classes = len(data.class_names)
        return [torch.bincount(s.labels, minlength=classes).tolist() for s in (data.train, data.search, data.test)]

    return count


@pytest.fixture
def disjoint() -> Callable[[ImageData], bool]:
    """Whether no image of one in-memory split is in another; for sets without equal images."""

    def check(data: ImageData) -> bool:
        seen: list[set[bytes]] = []
        for split in (data.train, data.search, data.test):
            assert isinstance(split, MemorySplit)
            seen.append({image.contiguous().numpy().tobytes() for image in split.images})
        total = sum(len(part) for part in seen)
        return len(set.union(*seen)) == total == len(data.train) + len(data.search) + len(data.test)

    return check
