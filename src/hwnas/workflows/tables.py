"""A published latency table from its own files into the user's cache, where it is a target; no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.hardware.tables.foreign import ForeignFile, open_foreign
from hwnas.hardware.tables.layer_table import LayerTable
from hwnas.hardware.tables.store import TableStore, check_name
from hwnas.runs.files import read_limited
from hwnas.runs.plain_yaml import plain_yaml

FORMAT = "hwnas-imported-table@1"
_LIMIT_BYTES = 2**17  # of one file; the published ones have 15 kB


@dataclass(frozen=True)
class ImportedTable:
    """A table that is a target now.

    Args:
        table: the table.
        path: where it is kept.
        new: whether it was written; False where the very same table was there.
    """

    table: LayerTable
    path: Path
    new: bool

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; the rows are in the file."""
        table = self.table
        return {
            "format": FORMAT,
            "name": table.name,
            "id": table.id,
            "device": table.device,
            "source": table.source,
            "keys": table.form.value,
            "rows": {size: len(rows) for size, rows in table.rows.items()},
            "path": str(self.path),
            "new": self.new,
        }


def import_table(
    paths: Sequence[Path], name: str, *, device: str = "", replace: bool = False, store: TableStore | None = None
) -> ImportedTable:
    """Reads a table of ProxylessNAS's or Once-for-All's form and keeps it under a name.

    Args:
        paths: YAML files, each for images of another size.
        name: by which it will be a target.
        device: what it was measured on, in words; "" for what is known of a published table.
        replace: whether another table of that name may be there.
        store: None for the user's own.

    Raises:
        InputError: a name that cannot be or is taken, no such file, or files that do not belong together.
        FileFormatError: a file holds anything that is not understood; names file and row.
    """
    check_name(name)
    store = store or TableStore()
    table = open_foreign(name, [_foreign(path) for path in paths], device)
    return ImportedTable(table, store.path(name), store.keep(table, replace=replace))


def _foreign(path: Path) -> ForeignFile:
    content = read_limited(path, _LIMIT_BYTES)
    digest = hashlib.sha256(content).hexdigest()[:12]
    return ForeignFile(str(path), f"{path.name} (sha256 {digest}…)", plain_yaml(content, str(path), "row"))
