"""What the user sees while a command runs: a panel on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, final

from rich.console import Console
from rich.live import Live

from hwnas.cli.course import Course, rough
from hwnas.cli.live import View, fact_words, summary
from hwnas.cli.terminal import printable

if TYPE_CHECKING:
    from hwnas.core.protocols import PlannedPart

PLAIN_EVERY_SECONDS = 15.0


@final
class TerminalProgress:
    """A core Progress for people, on stderr: a panel on a terminal, plain lines elsewhere.

    Args:
        quiet: show nothing.
        console: where to; None for stderr.
        clock: seconds that never go back.
    """

    def __init__(
        self, quiet: bool = False, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._clock = clock
        self._course = Course(clock)
        self._lock = RLock()  # the panel is drawn in a thread of its own
        self._spoken = clock()
        drawable = self._console.file.isatty() and not self._console.is_dumb_terminal
        self._live = None if quiet or not drawable else self._panel()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
            self._console.show_cursor()  # a process that is killed cannot bring it back
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._course.close()
        if self._live:
            self._live.stop()
        if self._course.parts:
            self._print(summary(self._course))

    def plan(self, title: str, parts: Sequence[PlannedPart]) -> None:
        """A job begins."""
        with self._lock:
            self._course.begin(title, parts)
        self._line(f"{title}. In order: {', '.join(part.label for part in parts)}")

    def enter(self, part: str) -> None:
        """A part of it begins."""
        with self._lock:
            self._course.enter(part)
            parts, present = self._course.parts, self._course.part
        if present:
            self._line(f"[{parts.index(present) + 1}/{len(parts)}] {present.label}")

    def found(self, who: str, facts: Mapping[str, float | str]) -> None:
        """The best so far."""
        with self._lock:
            self._course.learn(who, facts)
        self._line(f"{who}: {', '.join(fact_words(facts, self._course))}")

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A new stage begins."""
        with self._lock:
            self._course.begin_stage(name, total, done)
        self._spoken = self._clock()
        self._line(f"{name}: {total} steps{f', {done} of them done before' if done else ''}")

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """`done` steps are finished."""
        with self._lock:
            stage = self._course.advance(done, facts)
        now = self._clock()
        if self._live or stage is None or (done < stage.total and now - self._spoken <= PLAIN_EVERY_SECONDS):
            return
        self._spoken = now
        figures = ", ".join(fact_words(stage.facts, self._course))
        figures = f": {figures}" if figures else ""
        if done >= stage.total:
            self._line(f"{stage.name}: done in {rough(now - stage.started)}{figures}")
        else:
            times = (("stage", self._course.stage_left()), ("job", self._course.left()))
            ends = [f"{name} {left}" for name, left in times if left]
            self._line(f"{stage.name}: {done}/{stage.total}, {', '.join(ends)}{figures}")

    def say(self, text: str) -> None:
        """One sentence; it stays where it is, above the panel."""
        self._print(text)

    def record(self, line: Mapping[str, Any]) -> None:
        """Nothing: records are for the run directory."""

    def _panel(self) -> Live:
        view = View(self._course, self._lock)
        return Live(view, console=self._console, transient=True, refresh_per_second=2, redirect_stdout=False)

    def _line(self, text: str) -> None:
        """What the panel shows anyway."""
        if not self._live:
            self._print(text)

    def _print(self, text: str) -> None:
        if not self._quiet:
            # In a pipe a line stays one line; a terminal would break it in the middle of a word.
            self._console.print(printable(text), markup=False, highlight=False, soft_wrap=self._live is None)
