"""What every call checks of its arguments before it does anything: paths, numbers, image shapes, places to write to."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from hwnas.core.errors import InputError, quoted
from hwnas.core.primitives import LARGEST_VALUE, Shape
from hwnas.core.text import check_text
from hwnas.runs.files import write_error


def checked_path(what: str, path: str | Path) -> Path:
    """A path that can be looked at and kept in our files, whether or not something is there.

    Raises:
        InputError: its name is too long, or not in UTF-8; says what the path is for.
    """
    check_text(what, str(path))
    try:
        os.stat(path)
    except OSError as reason:
        if reason.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise InputError(f"{what}: {quoted(str(path))} cannot be used: {reason.strerror}") from None
    return Path(path)


def check_number(what: str, number: float | None, least: float, most: float) -> None:
    """Refuses a number that is out of its range; None is none.

    Raises:
        InputError: says the range.
    """
    if number is not None and not least <= number <= most:  # NaN is in no range
        raise InputError(f"{what} must be from {least:,} to {most:,}, not {quoted(number)}")


def check_count(what: str, number: int, least: int, most: int) -> None:
    """Refuses what is no whole number, or out of its range.

    Raises:
        InputError: says which.
    """
    if type(number) is not int:
        raise InputError(f"{what} must be a whole number, not {quoted(number)}")
    check_number(what, number, least, most)


def macs_limits(limits: Sequence[str]) -> dict[str, int]:
    """The limits of a search on a table of accuracies: multiply-accumulates by name, or nothing.

    Raises:
        InputError: no limit, or one of another cost.
    """
    from hwnas.config import parse_limits

    found = parse_limits(tuple(limits) if not isinstance(limits, str) else (limits,))
    others = [name for name in found if name != "macs"]
    if others:
        raise InputError(f"a table of accuracies is limited by macs alone, not by {others[0]}: give macs=40.5M")
    return found


def call_in_words(function: str, arguments: Mapping[str, Any]) -> str:
    """A Python call in words, for reports."""
    return f"hwnas.{function}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def check_shape(shape: Shape | None) -> None:
    """Refuses images that no network reads; None is none.

    Raises:
        InputError: not (channels, height, width), or too large for memory.
    """
    if shape is None:
        return
    sides = tuple(shape)
    if len(sides) != 3 or not all(type(side) is int and 0 < side < 2**16 for side in sides):
        raise InputError(f"--input-shape must be channels x height x width, for example 3x64x64, not {quoted(sides)}")
    if prod(sides) > LARGEST_VALUE:
        raise InputError(f"--input-shape {'x'.join(map(str, sides))} has more than {LARGEST_VALUE:,} values: give less")


@contextmanager
def place_for(out: Path) -> Iterator[None]:
    """Makes the directory of a run, or of several, and takes it away again where nothing was begun in it.

    Raises:
        InputError: the place cannot be written, or its name cannot be kept.
    """
    checked_path("--out", out)
    made = []
    try:
        made = [place for place in (out, *out.parents) if not place.exists()]  # the deepest first
        out.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        _remove_empty(made)
        raise write_error(out, reason) from reason
    try:
        yield
    finally:
        _remove_empty(made)


@contextmanager
def place_for_file(out: Path | None, what: str = "--out") -> Iterator[None]:
    """The same for one file that is going to be written.

    Args:
        out: the file; None for none.
        what: the option that names it.

    Raises:
        InputError: the place cannot be written, or a directory is there.
    """
    if out is None:
        yield
        return
    if checked_path(what, out).is_dir():
        raise InputError(f"{what} {out} is a directory: name a file")
    with place_for(out.parent):
        yield


def _remove_empty(places: list[Path]) -> None:
    for place in places:
        with contextlib.suppress(OSError):  # not empty, or never made
            place.rmdir()
