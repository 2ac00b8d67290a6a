"""What a run that came from elsewhere may hold that acts on its own: links, and a store that SQLite would obey."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from hwnas.core.errors import InputError
from hwnas.runs.seal import SEAL_ENDING

LARGEST_CELL_BYTES = 2**26  # of a store; expressions in its tables could make larger ones out of nothing
_BESIDE = ("", "-journal", "-wal", "-shm", SEAL_ENDING)  # a store, SQLite's own files, and the seal
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")  # ends a journal that names a super-journal


def refuse_links(path: Path, files: Iterable[str], directories: Iterable[str]) -> None:
    """Refuses a run in which a file or directory of ours lies elsewhere: we would write or remove there.

    Args:
        path: the run; itself it may be a link.
        files: those that we write, by name.
        directories: those in which everything is ours.

    Raises:
        InputError: names the link.
    """
    own = [path / name for name in (*files, *directories)]
    for name in directories:
        for folder, folders, inner in os.walk(path / name):
            own += [Path(folder, one) for one in (*folders, *inner)]
    for entry in own:
        if entry.is_symlink():
            raise InputError(f"{entry} is a link, and a run is written to: put what it leads to in its place")


def strange_files(store: Path) -> str:
    """Why SQLite must not open a store: it would follow a link, wait for a pipe, or remove a file that a journal names.

    That file, the super-journal of a transaction over several stores, goes when the journal has been played back;
    our transactions are over one store.
    """
    for file in (store.with_name(store.name + ending) for ending in _BESIDE):
        if file.is_symlink() or (file.exists() and not file.is_file()):
            return f"{file.name} is not a plain file"
    journal = store.with_name(store.name + "-journal")
    if journal.exists():
        with journal.open("rb") as opened:
            opened.seek(max(0, journal.stat().st_size - len(_NAMES_ANOTHER)))
            if opened.read() == _NAMES_ANOTHER:
                return f"{journal.name} names another file"
    return ""


def strange_schema(connection: sqlite3.Connection) -> str:
    """Why nothing in an opened store must be read: it has views, triggers or tables that compute."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_CELL_BYTES)
    connection.execute("PRAGMA trusted_schema=OFF")
    for kind, text in connection.execute("SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if kind != "table" or not str(text).startswith("CREATE TABLE "):
            return f"it holds a {kind} that hwnas did not make"
    return ""
