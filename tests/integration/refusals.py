"""What a refusal must leave as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Refused = Callable[..., str]


def files_of(path: Path) -> dict[str, bytes | None]:
    """Everything below a path, byte for byte; directories are None."""
    return {str(one.relative_to(path)): one.read_bytes() if one.is_file() else None for one in sorted(path.rglob("*"))}
