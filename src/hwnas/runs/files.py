"""Files that are the old one or the new one, never half of each; JSON that comes back as it went in, or is refused.

A sealed file ends in the sha256 of the text before it. It is compared as text, so that a change which would mean the
same in JSON is found as well.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.errors import FileFormatError, HwnasError, InputError, RunError

JSON_LIMIT_BYTES = 32 * 2**20
LINES_LIMIT_BYTES = 2**28
MOST_VALUES = 2**21  # in a JSON file, or in all lines of one: in memory each takes far more than in the file
SEAL, LINE_SEAL = "sha256", "sum"
_LINE_SEAL_DIGITS = 16
_INT_BITS = 4096  # Python writes no number of more than 4,300 digits as text
_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NOT_ALLOWED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
    errno.ELOOP,
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


def make_directory(path: Path) -> None:
    """Makes a directory and those above it, if they are not there.

    Raises:
        InputError: the place cannot be written.
        RunError: no space, or the device failed.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise write_error(path, reason) from reason


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
    try:
        sync_file(path)
    except OSError as reason:
        # Some network file systems know no fsync of a directory; they order renames themselves.
        if reason.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def sync_file(path: Path) -> None:
    """Waits until the device has all that was written to a file; raises OSError as it comes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
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
        FileFormatError: not JSON, more than MOST_VALUES, or numbers that are not finite.
    """
    _check_values(content, where)
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as reason:
        raise FileFormatError(f"{where} is not valid JSON: {reason}; restore it or remove it") from None


def _check_values(content: bytes, where: str) -> None:
    values = sum(map(content.count, (b",", b"[", b"{")))
    if values > MOST_VALUES:
        raise FileFormatError(f"{where} holds about {values:,} values; at most {MOST_VALUES:,} are read of such a file")


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


def sealed(data: Mapping[str, Any], where: str) -> bytes:
    """JSON text whose last key is the sha256 of the text of the rest.

    Raises:
        InputError: a value that JSON cannot hold, or the key of the seal is taken.
    """
    return _signed(data, where, SEAL, 64, indent=2)


def unsealed(content: bytes, where: str) -> dict[str, Any]:
    """What was sealed, without the seal.

    Raises:
        FileFormatError: anything differs from what `sealed` gave.
    """
    data = _proved(content, decode_json(content, where), lambda data: sealed(data, where), SEAL)
    if data is None:
        raise FileFormatError(f"{where} is damaged: it does not match its own sha256; restore it from a copy")
    return data


def write_sealed_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replaces a sealed JSON file in one step.

    Raises:
        InputError: a value that JSON cannot hold, or the place cannot be written.
        RunError: no space, or the device failed.
    """
    write_atomically(path, sealed(data, path.name))


def read_sealed_json(path: Path, limit_bytes: int = JSON_LIMIT_BYTES) -> dict[str, Any]:
    """Reads what `write_sealed_json` wrote, without the seal.

    Raises:
        InputError: no such file, or it cannot be read.
        FileFormatError: larger than `limit_bytes`, or anything differs from what was written.
    """
    return unsealed(read_limited(path, limit_bytes), str(path))


def _signed(data: Mapping[str, Any], where: str, key: str, digits: int, indent: int | None) -> bytes:
    if key in data:
        raise InputError(f"{where}: the name {key!r} is kept for the checksum")
    digest = hashlib.sha256(encode_json(data, where, indent)).hexdigest()[:digits]
    return encode_json({**data, key: digest}, where, indent)


def _proved(content: bytes, data: Any, sign: Callable[[Mapping[str, Any]], bytes], key: str) -> dict[str, Any] | None:
    """The data without its signature, if signing it again gives the very same text."""
    if not isinstance(data, dict) or key not in data:
        return None
    rest = {name: value for name, value in data.items() if name != key}
    with contextlib.suppress(InputError):  # such as a number that is never written
        if sign(rest) == content:
            return rest
    return None


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
    """Appends one JSON object as a line with its checksum; what a killed writer left of the last line is cut off first.

    Raises:
        InputError: a value that JSON cannot hold, or the place cannot be written.
        RunError: no space, or the device failed.
    """
    content = _signed_line(line, path.name)
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


@dataclass(frozen=True, slots=True)
class Lines:
    """What is left of a file of lines.

    Args:
        whole: the lines that are as they were written, each with the bytes before it.
        problems: a sentence for every line that is not.
    """

    whole: tuple[tuple[int, dict[str, Any]], ...]
    problems: tuple[str, ...]


def read_lines(path: Path, *, signed: bool = True) -> Lines:
    """Every whole line of a file; damaged ones are left out and named, no file means no lines.

    Args:
        path: the file.
        signed: whether each line carries its checksum.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is no file of lines at all, but a directory, say, or larger than any of ours.
    """
    whole, problems, start = [], [], 0
    content = read_limited(path, LINES_LIMIT_BYTES) if path.exists() else b""
    _check_values(content, str(path))
    for number, text in enumerate(io.BytesIO(content), start=1):
        line = _line(text, path.name, signed)
        if line is not None:
            whole.append((start, line))
        elif text.endswith(b"\n"):
            problems.append(f"{path}, line {number} is damaged and left out")
        else:
            problems.append(f"{path}, line {number} is cut off and left out")
        start += len(text)
    return Lines(tuple(whole), tuple(problems))


def _line(text: bytes, where: str, signed: bool) -> dict[str, Any] | None:
    """One line, or None for a damaged one."""
    try:
        line = decode_json(text, where) if text.endswith(b"\n") else None
    except FileFormatError:
        return None
    if signed:
        return _proved(text, line, lambda rest: _signed_line(rest, where), LINE_SEAL)
    return line if isinstance(line, dict) else None


def _signed_line(line: Mapping[str, Any], where: str) -> bytes:
    return _signed(line, where, LINE_SEAL, _LINE_SEAL_DIGITS, indent=None)
