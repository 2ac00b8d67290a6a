"""Files of the cache: written whole or not at all, with a checksum that makes every damage known."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnas.core.errors import FileFormatError, InputError, RunError, quoted

_LIMIT_BYTES = 32 * 2**20


def cache_directory() -> Path:
    """$HWNAS_CACHE, or ~/.cache/hwnas without it."""
    cache = os.environ.get("HWNAS_CACHE")
    return Path(cache) if cache else Path.home() / ".cache" / "hwnas"


def checksum(content: Any) -> str:
    """The sha256 of plain values; equal exactly for equal ones, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed_text(form: str, content: Any) -> str:
    """What is written: the format, the checksum and the content."""
    return _written({"format": form, "sha256": checksum(content), "content": content})


def verified_content(path: Path, form: str) -> dict[str, Any]:
    """The content of a file of one format; ValueError, KeyError or TypeError if it is damaged, OSError if it is away.

    Raises:
        FileFormatError: the file is in another format, such as a newer one.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LIMIT_BYTES:  # a pipe would be waited for
        raise ValueError("it is not a file of this cache")
    stored = path.read_text(encoding="utf-8")
    data = json.loads(stored)
    if data["format"] != form:
        raise FileFormatError(
            f"{path} is in format {quoted(data['format'])}, this hwnas reads {form!r}: use the hwnas that wrote it, "
            "or set HWNAS_CACHE to another directory"
        )
    content: dict[str, Any] = data["content"]
    if data["sha256"] != checksum(content) or stored != _written(data):
        raise ValueError("its checksum is wrong")
    return content


@contextmanager
def keeping(what: str, directory: Path) -> Iterator[None]:
    """Keeps other processes from writing; their additions are read before ours are written, so none is lost.

    Args:
        what: is stored, for the message.
        directory: made if it is not there.

    Raises:
        InputError: it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory / "lock"):
            for left in directory.glob("*.part"):  # of a process that was killed
                left.unlink(missing_ok=True)
            yield
    except OSError as reason:
        raise InputError(
            f"{what} cannot be stored in {directory} ({reason.strerror}): "
            "set HWNAS_CACHE to a directory that can be written"
        ) from None


def write_whole(path: Path, text: str) -> None:
    """Writes beside, makes it durable, and renames: a reader sees the old file or the new one.

    Raises:
        RunError: no space.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as reason:
        if reason.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(
            f"no space left for {path}: {len(text):,} bytes are needed; free some and run the same command again, or "
            "set HWNAS_CACHE to a directory on another disk"
        ) from reason
    finally:
        Path(temporary).unlink(missing_ok=True)


def _written(data: Any) -> str:
    return json.dumps(data, indent=1)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock file where the system has such locks; elsewhere the last writer wins."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
