"""Images on their way to another process: plain JSON values and arrays, of every split but test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas.core.errors import DataError
from hwnas.data.decode import PixelFormat
from hwnas.data.images import FolderSplit, ImageData, MemorySplit, Split

_FIELDS = ("name", "class_names", "input_shape", "mean", "std", "augmentation", "fingerprint", "skipped")
_SEEN = ("train", "search")


def handed_over(data: ImageData) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and arrays of which `taken_over` makes the same images again; those in memory are not copied.

    Raises:
        DataError: a split of a kind that cannot leave its process.
    """
    facts: dict[str, Any] = {name: getattr(data, name) for name in _FIELDS}
    arrays: dict[str, np.ndarray] = {}
    for name in _SEEN:
        split: Split = getattr(data, name)
        arrays[f"{name}/labels"] = split.labels.numpy()
        match split:
            case MemorySplit():
                arrays[f"{name}/images"] = split.images.permute(0, 2, 3, 1).contiguous().numpy()
            case FolderSplit():
                facts[name] = {
                    "root": str(split.root), "files": split.files, "pixels": asdict(split.pixels),
                    "num_workers": split.num_workers, "pin_memory": split.pin_memory,
                }  # fmt: skip
            case _:
                raise DataError(f"{data.name}: images in a {type(split).__name__} cannot go to another process")
    return facts, arrays


def taken_over(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ImageData:
    """The images that another process handed over; their test split is empty."""
    train, search = (_split(name, facts, arrays) for name in _SEEN)
    channels, height, width = facts["input_shape"]
    nothing = MemorySplit(torch.empty((0, channels, height, width), dtype=torch.uint8), torch.empty(0).long())
    return ImageData(
        facts["name"], tuple(facts["class_names"]), (channels, height, width), tuple(facts["mean"]),
        tuple(facts["std"]), train, search, nothing, facts["augmentation"], facts["fingerprint"], facts["skipped"],
    )  # fmt: skip


def _split(name: str, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Split:
    labels = torch.from_numpy(arrays[f"{name}/labels"])
    if name not in facts:
        return MemorySplit(torch.from_numpy(arrays[f"{name}/images"]).permute(0, 3, 1, 2), labels)
    kept = facts[name]
    return FolderSplit(
        Path(kept["root"]), tuple(kept["files"]), labels, PixelFormat(**kept["pixels"]), kept["num_workers"],
        kept["pin_memory"],
    )  # fmt: skip
