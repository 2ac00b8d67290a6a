"""What a command prints: errors on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDE_ENOUGH = 90  # columns; a narrower terminal would cut figures of the table off
# Control and format characters, lone surrogates, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""The text with every character that a terminal would obey, or could not show, as its escape: \x1b, \n.

    Names of files, classes and runs come from elsewhere; none of them is to move the cursor, change a colour or turn
    the direction of writing.
    """
    return "".join(ascii(one)[1:-1] if unicodedata.category(one) in _UNSEEN else one for one in text)


def complain(text: str) -> None:
    """One error message on stderr."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print("error:", style="bold red", end=" ")
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(printable(text))


def print_json(data: Any) -> None:
    """One object on stdout, and nothing else."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower() not in ("utf-8", "utf8"):
        text = json.dumps(data, indent=2, allow_nan=False)
    shown = (json.dumps(one)[1:-1] if one != "\n" and unicodedata.category(one) in _UNSEEN else one for one in text)
    sys.stdout.write("".join(shown) + "\n")


def show_result(result: Mapping[str, Any], directory: str, console: Console | None = None) -> None:
    """The result of a fit on stdout: made for its width on a terminal, plain lines elsewhere.

    Args:
        result: the content of result.json.
        directory: where the run's files lie.
        console: where to; None for stdout.
    """
    from rich.console import Console

    from hwnas.report.terminal import result_lines, result_table

    console = console or Console(highlight=False)
    if console.is_terminal:
        console.print(result_table(result, directory=directory, narrow=console.width < WIDE_ENOUGH))
    else:
        _write("\n".join(result_lines(result, directory=directory)))


def show_table(columns: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
    """Rows of text on stdout, in columns as wide as what they hold, so that a pipe gets them whole."""
    table = [*([columns] if columns else []), *rows]
    widths = [max((len(row[index]) for row in table), default=0) for index in range(len(table[0]) if table else 0)]
    for row in table:
        cells = [cell.replace("\u00a0", " ").ljust(width) for cell, width in zip(row, widths, strict=True)]
        _write(printable("  ".join(cells).rstrip()))


def show_text(text: str) -> None:
    """Lines of text on stdout."""
    for line in text.split("\n"):
        _write(printable(line))


def _write(text: str) -> None:
    """On stdout; what its encoding has no sign for comes as an escape."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
