"""Latency tables that others have published, made targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.arguments import checked_path
from hwnas.core.errors import InputError, quoted
from hwnas.core.text import check_text

if TYPE_CHECKING:
    from hwnas.workflows.tables import ImportedTable

MOST_FILES, LONGEST_DEVICE = 100, 200


def import_table(
    files: Sequence[str | Path], *, name: str, device: str = "", replace: bool = False
) -> ImportedTable:  # fmt: skip
    """Makes a target of a latency table in the YAML form of ProxylessNAS or Once-for-All. Needs no torch.

    Args:
        files: each for images of another size.
        name: of the target: up to 64 of a-z, 0-9, ".", "_", "-".
        device: what it was measured on, in words; "" for what is known of a published table.
        replace: put it in the place of another table of that name.

    Raises:
        InputError: a name that cannot be or is taken, no such file, or files that do not belong together.
        FileFormatError: a file holds anything that is not understood; names file and row.
    """
    from hwnas.workflows.tables import import_table as import_files

    if isinstance(files, (str, Path)) or not 1 <= len(files) <= MOST_FILES:
        raise InputError(f"a table is a list of 1 to {MOST_FILES} files, not {quoted(files)}")
    check_text("--device", device)
    if len(device) > LONGEST_DEVICE:
        raise InputError(f"--device is a few words, at most {LONGEST_DEVICE} characters, not {len(device):,}")
    return import_files([checked_path("table", file) for file in files], name, device=device, replace=replace)
