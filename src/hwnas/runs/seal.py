"""The seal of a closed store: the sha256 of the whole file, in a file beside it that `sha256sum -c` reads.

Every row proves itself, but a page of SQLite also has bytes that hold nothing. The seal is broken before the first row
is added and set anew when the run is closed, so it is never older than the store. A process that is killed leaves none:
then the rows alone prove themselves, until the run is opened and closed again.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from hwnas.core.errors import HwnasError
from hwnas.runs.files import sync_directory, write_atomically, write_error

SEAL_ENDING = ".sha256"  # after the store's own name
_LONGEST_BYTES = 1000  # of a seal; more is none
_LARGEST_BYTES = 2**31  # of a store; one that says it is larger may be endless


def set_seal(store: Path) -> None:
    """Seals a store that nobody has open; leaves a seal that is there, and a store that is still open, as they are.

    Where the disk is full the store stays without a seal, as after a kill.
    """
    seal = _seal_of(store)
    if not seal.exists() and not store.with_name(f"{store.name}-wal").exists():
        with contextlib.suppress(HwnasError, OSError):
            write_atomically(seal, _text(store))


def break_seal(store: Path) -> None:
    """Removes the seal of a store that is about to change; durable when this returns.

    Raises:
        InputError: the place cannot be written.
        RunError: the device failed.
    """
    seal = _seal_of(store)
    try:
        if seal.exists():
            seal.unlink()
            sync_directory(seal.parent)
    except OSError as reason:
        raise write_error(seal, reason) from reason


def broken(store: Path) -> str:
    """Why a store is not as it was when its run was closed; empty if it is, or if it was not closed."""
    seal = _seal_of(store)
    if not seal.exists():
        return ""
    if store.stat().st_size > _LARGEST_BYTES:
        return f"it is larger than {_LARGEST_BYTES:,} bytes"
    with seal.open("rb") as opened:
        kept = opened.read(_LONGEST_BYTES)
    return "" if kept == _text(store) else f"it does not match {seal}"


def _seal_of(store: Path) -> Path:
    return store.with_name(store.name + SEAL_ENDING)


def _text(store: Path) -> bytes:
    with store.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return f"{digest}  {store.name}\n".encode()
