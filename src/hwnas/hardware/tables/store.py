"""Tables by name: those that come with the package, and those that a user has imported, a file each in the cache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import final

from hwnas.core.errors import FileFormatError, InputError, TargetUnavailable, UnknownName, quoted, said_of
from hwnas.hardware.engines import ALIASES, ENGINES
from hwnas.hardware.sealed import cache_directory, keeping, sealed_text, verified_content, write_whole
from hwnas.hardware.tables.foreign import PUBLICATIONS
from hwnas.hardware.tables.layer_table import LayerTable
from hwnas.hardware.tables.position_table import SHIPPED, PositionTable, shipped_table

FORMAT = "hwnas-table@1"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@final
class TableStore:
    """A directory with one file per imported table, each written whole and with a checksum.

    Args:
        directory: holds a directory "tables"; None for $HWNAS_CACHE, or ~/.cache/hwnas without it.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = (directory or cache_directory()) / "tables"

    def names(self) -> tuple[str, ...]:
        """Every table that is stored, damaged or not."""
        found = (path.stem for path in self.directory.glob("*.json"))
        return tuple(sorted(name for name in found if _NAME.fullmatch(name) and name not in _taken()))

    def path(self, name: str) -> Path:
        """Where a table of that name is kept."""
        return self.directory / f"{name}.json"

    def read(self, name: str) -> LayerTable:
        """A stored table.

        Raises:
            FileFormatError: it is damaged, or was written by another hwnas.
            InputError: it cannot be read.
        """
        path = self.path(name)
        try:
            content = verified_content(path, FORMAT)
            with said_of(path):
                table = LayerTable.from_json(content)
            if table.name != name:
                raise ValueError(f"it is table {quoted(table.name)}")
        except OSError as reason:
            raise InputError(f"cannot read {path}: {reason.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
            raise FileFormatError(
                f"{path} is damaged ({quoted(str(reason))}): import it again with hwnas import-table FILE "
                f"--name {name} --replace"
            ) from None
        return table

    def keep(self, table: LayerTable, *, replace: bool = False) -> bool:
        """Stores a table; False if the very same one is there already.

        Args:
            table: its name is checked.
            replace: whether another table of that name may be there.

        Raises:
            InputError: the name is taken or cannot be one, another table has it, or the directory cannot be written.
        """
        check_name(table.name)
        with keeping("tables", self.directory):
            if table.name in self.names() and not replace:
                stored = self.read(table.name)
                if (stored.id, stored.device) == (table.id, table.device):
                    return False
                raise InputError(
                    f"there is another table {table.name!r} ({stored.text}; from {stored.source}): give --replace to "
                    "put this one in its place, or another --name"
                )
            write_whole(self.path(table.name), sealed_text(FORMAT, table.to_json()))
        return True


def check_name(name: str) -> None:
    """Refuses what an imported table cannot be called.

    Raises:
        InputError: other characters, or the name of an engine or of a table that comes with the package.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {quoted(name)} is no name of a table: up to 64 of a-z, 0-9, '.', '_', '-', first a letter or digit"
        )
    if name in _taken():
        raise InputError(f"--name {name} is taken by a target of hwnas itself: choose another")


def open_table(name: str, store: TableStore | None = None) -> LayerTable | PositionTable:
    """A latency table by name.

    Args:
        name: one that comes with the package, or was imported.
        store: of imported tables; None for the user's own.

    Raises:
        TargetUnavailable: a published table that has to be imported first; says how.
        UnknownName: no such table.
        FileFormatError: the imported table is damaged.
    """
    if name in SHIPPED:
        return shipped_table(name)
    store = store or TableStore()
    imported = store.names()
    if name in imported:
        return store.read(name)
    if name in PUBLICATIONS:
        known = PUBLICATIONS[name]
        paths = " ".join(path.rpartition("/")[2] for path in known.files)
        raise TargetUnavailable(
            f"table {name!r} ({known.device}) is not here: {known.repository} states no licence, so it does not ship. "
            f"Get {', '.join(known.files)} from there, then: hwnas import-table {paths} --name {name}"
        )
    raise UnknownName("latency table", name, (*SHIPPED, *imported, *PUBLICATIONS))


def known_tables(store: TableStore | None = None) -> dict[str, str]:
    """Every table by name, with one sentence; of one that is damaged, or has to be imported first, it says so."""
    store = store or TableStore()
    return {
        **{name: shipped_table(name).text for name in SHIPPED},
        **{name: f"{known.device}: not here, hwnas import-table reads it" for name, known in PUBLICATIONS.items()},
        **{name: _said(store, name) for name in store.names()},
    }


def _said(store: TableStore, name: str) -> str:
    try:
        return store.read(name).text
    except InputError as reason:
        return str(reason)


def _taken() -> set[str]:
    return {*ENGINES, *ALIASES, *SHIPPED}
