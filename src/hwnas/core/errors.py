"""Every error that hwnas raises on purpose.

    HwnasError
    ├── InputError              wrong usage or input                                        exit 2
    │   ├── UnknownName         a name that is not known; offers the nearest
    │   ├── DataError           images or labels that cannot be used
    │   └── FileFormatError     a file that is damaged, foreign or from a newer version
    ├── BudgetError             infeasible or missed budget                                 exit 3
    ├── TargetUnavailable       the engine or device cannot be used here                    exit 4
    ├── UnknownLayer            a cost table lacks a layer                                  exit 2
    ├── EvaluationFailed        one architecture could not be evaluated                     exit 1
    │   ├── Diverged            because its numbers were not finite                         exit 1
    │   ├── ModelRefused        because its engine refuses it, or lacks an operation        exit 2
    │   ├── OutOfMemory         because memory ran out                                      exit 2
    │   └── ProcessLost         because the process that did it crashed or hung             exit 1
    └── RunError                a run directory that cannot be continued                    exit 2

Each message says what was wrong, where, what was expected and what to do.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

_MANY_NAMES = 40
_LONG = 200
_LONGEST_KEY = 500


def quoted(value: Any) -> str:
    """A value as a message quotes it: on one line, and cut where it is long or deep."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 120
    short.maxlevel = 3
    try:
        text = short.repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


@contextmanager
def fields_of(where: object) -> Iterator[None]:
    """Within, whatever is read from a file has the fields that it should have; if not, the file is named.

    Raises:
        FileFormatError: a field is missing, or of another kind.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError) as reason:
        said = f"{where}: a field is missing or wrong ({quoted(reason)}); restore it from a copy"
        raise FileFormatError(said) from None


class HwnasError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


@contextmanager
def said_of(where: object) -> Iterator[None]:
    """Within, every error raised on purpose begins with a place, such as the file that is being read."""
    try:
        yield
    except HwnasError as error:
        error.args = (f"{where}: {error}",)
        raise


class InputError(HwnasError):
    """Wrong usage or input: an argument, a setting, a value."""

    exit_code = 2


class UnknownName(InputError):
    """A name that is not known.

    Args:
        kind: what was looked up, for example "space".
        name: what was asked for.
        known: every valid name.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        spelt = {one.lower(): one for one in names}
        asked = name[:100].lower()
        near = [spelt[one] for one in difflib.get_close_matches(asked, spelt, n=_MANY_NAMES, cutoff=0.4)]
        near.sort(key=lambda one: not (asked and one.lower().startswith(asked)))  # what was begun, before what is alike
        hint = f"did you mean {near[0]!r}? " if near else ""
        listed = names if len(names) <= _MANY_NAMES else sorted(near or names[:_MANY_NAMES])
        others = f" and {len(names) - len(listed)} others" if len(listed) < len(names) else ""
        super().__init__(f"unknown {kind} {quoted(name)}: {hint}known: {', '.join(listed)}{others}")


class DataError(InputError):
    """Images or labels that cannot be used."""


class FileFormatError(InputError):
    """A file that is damaged, of another kind, or from a newer version."""


class BudgetError(HwnasError):
    """A budget that no network meets, or that the delivered file missed; the message names the nearest point."""

    exit_code = 3


class TargetUnavailable(HwnasError):
    """An engine or device that cannot be used here; the message says how to get it."""

    exit_code = 4


class UnknownLayer(HwnasError):
    """A cost table that lacks a layer.

    Args:
        layer: the key that was asked for.
        table: the table's name.
        known: the table's keys; the nearest is named.
    """

    exit_code = 2

    def __init__(self, layer: str, table: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(layer, list(known), n=1, cutoff=0.0)
        hint = f"; the nearest entry is {_key(near[0])}" if near else ""
        super().__init__(f"latency table {quoted(table)} has no entry for layer {_key(layer)}{hint}")


def _key(key: str) -> str:
    """A table's key as a message quotes it: whole, as far as keys of published tables go."""
    return repr(key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…")


class EvaluationFailed(HwnasError):
    """One architecture could not be evaluated; the message gives the reason, `status` its kind in tables."""

    status = "FAILED"


class Diverged(EvaluationFailed):
    """A loss or a weight was infinite or not a number, and lower learning rates have not helped."""

    status = "FAILED(nan)"


class ModelRefused(EvaluationFailed):
    """An engine refuses a network or a file, or lacks one of its operations; the message gives the engine's reason."""

    exit_code = 2


class OutOfMemory(EvaluationFailed):
    """Memory ran out, on the machine or on its accelerator; the message says what would need less."""

    exit_code = 2
    status = "INFEASIBLE(oom)"


class ProcessLost(EvaluationFailed):
    """The process that evaluated it crashed or hung; nothing is known of the architecture."""

    status = "FAILED(crash)"


class RunError(HwnasError):
    """A run directory that cannot be continued: other settings, a newer format, or in use."""

    exit_code = 2
