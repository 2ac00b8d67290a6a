"""What the user sees while a command runs: one live line on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_EVERY_SECONDS = 15.0
WIDE_ENOUGH = 100  # columns; a narrower terminal would cut figures off


def complain(text: str) -> None:
    """One error message on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print("error:", style="bold red", end=" ")
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(text)


def print_json(data: Any) -> None:
    """One object on stdout, and nothing else."""
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def show_result(result: Mapping[str, Any], directory: str) -> None:
    """The result of a fit on stdout: a table on a terminal that is wide enough for it, plain lines elsewhere."""
    from hwnas.report.terminal import result_lines, result_table

    console = Console(highlight=False)
    if console.is_terminal and console.width >= WIDE_ENOUGH:
        console.print(result_table(result, directory=directory))
    else:
        sys.stdout.write("\n".join(result_lines(result, directory=directory)) + "\n")


def show_table(columns: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
    """Rows of text on stdout, in columns as wide as what they hold, so that a pipe gets them whole."""
    table = [*([columns] if columns else []), *rows]
    widths = [max((len(row[index]) for row in table), default=0) for index in range(len(table[0]) if table else 0)]
    for row in table:
        cells = [cell.replace("\u00a0", " ").ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


@final
class TerminalProgress:
    """A core Progress for people: the stage, how far it is, its figures and the time left.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._live = self._console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("[dim]{task.fields[facts]}"),
            console=self._console, transient=True, disable=not self._live,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._name, self._total, self._started, self._spoken = "", 0, 0.0, 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str, total: int) -> None:
        """A new stage begins."""
        self._name, self._total = name, total
        self._started = self._spoken = time.monotonic()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=total, facts="")
        if not self._live:
            self._console.print(f"{name}: {total} steps", markup=False, soft_wrap=True)

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """`done` steps are finished."""
        shown = "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                          for name, value in facts.items())  # fmt: skip
        if self._task is not None:
            self._bar.update(self._task, completed=done, facts=shown)
        now = time.monotonic()
        if not self._live and now - self._spoken > PLAIN_EVERY_SECONDS and done:
            self._spoken = now
            left = (now - self._started) / done * (self._total - done)
            self._console.print(
                f"{self._name}: {done}/{self._total}, {left:.0f} s left  {shown}", markup=False, soft_wrap=True
            )

    def say(self, text: str) -> None:
        """One sentence."""
        self._console.print(text, markup=False, soft_wrap=True)

    def record(self, line: Mapping[str, Any]) -> None:
        """Nothing: records are for the run directory."""
