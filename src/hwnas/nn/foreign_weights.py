"""Checkpoints of other people: read as plain tensors, and their names turned into ours."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwnas.core.errors import FileFormatError, InputError, quoted
from hwnas.core.graphs import array_shapes, check_array_shapes
from hwnas.core.network import NetworkSpec, lower

LIMIT_BYTES = 2**31  # of a checkpoint, and of all its tensors once read
_COUNT = ".num_batches_tracked"
_PREFIX = "module."  # nn.DataParallel's


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a .pth file: a state_dict, or an object with one under "state_dict" (the rest is not read).

    Nothing in the file is run: torch reads it with `weights_only`, and there is no other way.

    Args:
        path: the file, at most LIMIT_BYTES.

    Returns:
        Arrays by their names in the file: float32 for every kind of floating-point number, int64 for whole ones.

    Raises:
        InputError: no such file, or it cannot be read.
        FileFormatError: not a plain file, too large, no checkpoint of plain tensors, or a tensor is not finite.
    """
    try:
        facts = path.stat()
        if not S_ISREG(facts.st_mode) or facts.st_size > LIMIT_BYTES:
            raise FileFormatError(f"{path} must be a plain file of at most {LIMIT_BYTES:,} bytes to be read as weights")
        _check_unpacked(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except PermissionError as reason:
        raise InputError(f"cannot read {path}: {reason.strerror}") from reason
    except FileFormatError:
        raise
    except Exception as reason:  # torch and pickle raise whatever the damage leads to
        said = quoted(" ".join(str(reason).split()))
        raise FileFormatError(
            f"{path} cannot be read as a checkpoint of plain tensors ({type(reason).__name__}: {said}); save the "
            "state_dict alone: torch.save(model.state_dict(), path)"
        ) from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state:
        raise FileFormatError(f"{path} holds no state_dict but {quoted(type(state).__name__)}")
    total, arrays = 0, {}
    for name, value in state.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise FileFormatError(f"{path}: entry {quoted(name)} is no plain tensor but {type(value).__name__}")
        total += 4 * prod(value.shape)  # a small file can claim large tensors
        if total > LIMIT_BYTES:
            raise FileFormatError(f"{path}: the tensors up to {quoted(name)} take more than {LIMIT_BYTES:,} bytes")
        arrays[name] = _array(value)
        if not np.isfinite(arrays[name]).all():
            raise FileFormatError(f"{path}: tensor {quoted(name)} holds NaN or infinity; restore the file from a copy")
    return arrays


def renamed(
    arrays: Mapping[str, np.ndarray], network: NetworkSpec, names: Mapping[str, tuple[str, ...]]
) -> dict[str, np.ndarray]:
    """The arrays of a network out of a foreign checkpoint: nothing missing, nothing left over.

    Batch-norms' counts of batches are dropped: nothing reads them. A prefix "module." that every name has is cut off.
    A 1×1 convolution on a pooled map and a linear layer are the same array in two shapes.

    Args:
        arrays: as `read_checkpoint` returns them.
        network: what they belong to.
        names: for every array of ours the names that it may have there.

    Raises:
        InputError: arrays are missing, left over or of another shape; names them.
    """
    if arrays and all(name.startswith(_PREFIX) for name in arrays):
        arrays = {name.removeprefix(_PREFIX): array for name, array in arrays.items()}
    left = {name: array for name, array in arrays.items() if not _is_count(name, arrays)}
    expected = array_shapes(lower(network))
    found = {}
    for ours, shape in expected.items():
        theirs = next((name for name in names.get(ours, ()) if name in left), None)
        if theirs is not None:
            array = left.pop(theirs)
            found[ours] = array.reshape(shape) if _stripped(array.shape) == _stripped(shape) else array
    known = {ours: (names[ours][0] if names.get(ours) else ours) for ours in expected}
    # Said in their names: these are what the user can look for in the file.
    shapes = {known[ours]: tuple(array.shape) for ours, array in found.items()}
    check_array_shapes({known[ours]: shape for ours, shape in expected.items()}, shapes | _shapes(left))
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in found.items()}


def _check_unpacked(path: Path) -> None:
    """A checkpoint is a zip archive, and torch unpacks it before anything else can be asked."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LIMIT_BYTES:
            raise FileFormatError(f"{path} unpacks to more than {LIMIT_BYTES:,} bytes, too many to be read as weights")


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for name, array in arrays.items()}


def _is_plain(value: Any) -> bool:
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta or value.is_quantized:
        return False
    return (value.is_floating_point() and value.itemsize >= 2) or value.dtype is torch.int64


def _array(value: Tensor) -> np.ndarray:
    dtype = torch.float32 if value.is_floating_point() else torch.int64
    return np.array(value.detach().to(dtype).numpy())


def _is_count(name: str, arrays: Mapping[str, np.ndarray]) -> bool:
    return name.endswith(_COUNT) and f"{name.removesuffix(_COUNT)}.running_mean" in arrays


def _stripped(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones at its end."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape
