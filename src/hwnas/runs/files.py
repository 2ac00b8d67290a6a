"""Files that are the old one or the new one, never half of each; and JSON that comes back as it went in."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.core.errors import FileFormatError, HwnasError, InputError, RunError

JSON_LIMIT_BYTES = 64 * 2**20
LINES_LIMIT_BYTES = 2**30
_INT_BITS = 4096  # Python writes no number of more than 4,300 digits as text
_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file in one step; returns when the new content is durable.

    Args:
        path: the file; its directory exists.
        content: all of it.

    Raises:
        InputError: the place cannot be written.
        RunError: no space, or the device failed; the old content is still there.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        write_durably(part, content)
        os.replace(part, path)
        sync_directory(path.parent)
    except OSError as reason:
        raise write_error(path, reason, len(content)) from reason
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file that does not exist yet and waits until the device has it; raises OSError as it comes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable; raises OSError as it comes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as reason:
        # Some network file systems know no fsync of a directory; they order renames themselves.
        if reason.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Removes what a killed `write_atomically` left in a directory, if there is one; raises OSError as it comes."""
    for entry in list(directory.iterdir()) if directory.is_dir() else []:
        if _PART.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


def write_error(path: Path, reason: OSError, needed_bytes: int | None = None) -> HwnasError:
    """The typed error for a write that failed, with the bytes it needed where they are known."""
    if reason.errno in _NO_SPACE:
        need = "" if needed_bytes is None else f": {needed_bytes:,} bytes are needed{_free(path)}"
        return RunError(f"no space left for {path}{need}; free some and run the same command again, it resumes")
    if reason.errno in _NOT_ALLOWED:
        return InputError(f"cannot write {path}: {reason.strerror}; choose a place that you may write to")
    return RunError(
        f"writing {path} failed: {reason.strerror or reason}; check the disk, then run the same command again"
    )


def _free(path: Path) -> str:
    try:
        return f", {shutil.disk_usage(path.parent).free:,} are free"
    except OSError:
        return ""


def plain_json(data: Any, where: str) -> Any:
    """A copy made of dict, list, str, int, float, bool and None only, so that JSON gives back an equal value.

    Args:
        data: nested mappings, lists and tuples; tuples become lists.
        where: what the data is, for messages.

    Raises:
        InputError: another type, a key that is not text, NaN, infinity, or a value that contains itself.
    """
    try:
        return _plain(data, where)
    except RecursionError:
        raise InputError(f"{where}: nested too deeply for JSON, or it contains itself") from None


def _plain(data: Any, where: str) -> Any:
    match data:
        case None | bool():
            return data
        case str():
            return str(data)
        case int():
            if data.bit_length() > _INT_BITS:
                raise InputError(
                    f"{where} is a whole number of {data.bit_length():,} bits; at most {_INT_BITS:,} are stored"
                )
            return int(data)
        case float():
            if not math.isfinite(data):
                raise InputError(f"{where} is {float(data)}; only finite numbers are stored")
            return float(data)
        case Mapping():
            for key in data:
                if not isinstance(key, str):
                    raise InputError(f"{where}: key {key!r} is not text and would not come back from JSON as it is")
            return {str(key): _plain(value, f"{where}.{key}") for key, value in data.items()}
        case list() | tuple():
            return [_plain(value, f"{where}[{index}]") for index, value in enumerate(data)]
        case _:
            raise InputError(f"{where} is a {type(data).__name__}; only plain JSON values are stored")


def encode_json(data: Any, where: str, indent: int | None = 2) -> bytes:
    """JSON text in ASCII with a newline at its end; keys keep their order.

    Raises:
        InputError: a value that JSON cannot hold; the message names its place.
    """
    return (json.dumps(plain_json(data, where), allow_nan=False, indent=indent) + "\n").encode("ascii")


def decode_json(content: bytes, where: str) -> Any:
    """Reads JSON text.

    Raises:
        FileFormatError: not JSON, or numbers that are not finite.
    """
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as reason:
        raise FileFormatError(f"{where} is not valid JSON: {reason}; restore it or remove it") from None


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def write_json(path: Path, data: Any) -> None:
    """Replaces a JSON file in one step.

    Raises:
        InputError: a value that JSON cannot hold, or the place cannot be written.
        RunError: no space, or the device failed.
    """
    write_atomically(path, encode_json(data, path.name))


def read_json(path: Path, limit_bytes: int = JSON_LIMIT_BYTES) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: no such file, or it cannot be read.
        FileFormatError: larger than `limit_bytes`, not JSON, or numbers that are not finite.
    """
    return decode_json(read_limited(path, limit_bytes), str(path))


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """The content of a regular file of at most `limit_bytes`.

    Raises:
        InputError: no such file, or it cannot be read.
        FileFormatError: not a regular file, or too large.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for
            raise FileFormatError(f"{path} is not a file")
        if facts.st_size > limit_bytes:
            raise FileFormatError(
                f"{path} has {facts.st_size:,} bytes; at most {limit_bytes:,} are read of such a file"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as reason:
        raise InputError(f"cannot read {path}: {reason.strerror}") from reason


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Appends one JSON object as a line; what a killed writer left of its last line is cut off first.

    Raises:
        InputError: a value that JSON cannot hold, or the place cannot be written.
        RunError: no space, or the device failed.
    """
    content = encode_json(line, path.name, indent=None)
    try:
        with path.open("ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(content)
            file.flush()
    except OSError as reason:
        raise write_error(path, reason, len(content)) from reason


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every whole line that `append_line` wrote; a torn last line is dropped, no file means no lines.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: a line within is damaged; the message gives its number.
    """
    if not path.exists():
        return []
    content = read_limited(path, LINES_LIMIT_BYTES)
    lines = []
    for number, text in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        line = decode_json(text, f"{path}, line {number},")
        if not isinstance(line, dict):
            raise FileFormatError(f"{path}, line {number}: expected an object, not {type(line).__name__}")
        lines.append(line)
    return lines
