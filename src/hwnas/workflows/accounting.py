"""A run's own progress: what is kept goes to the run directory, what is shown to whoever watches; and stage costs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

from hwnas.core.protocols import PlannedPart, Progress, Silence
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stop import Stop


@final
class RunProgress:
    """A Progress that keeps records in the run's metrics.jsonl and passes the rest on.

    It is also where a run that was asked to stop leaves; `record` never does, so that no figure of a step is lost.

    Args:
        shown: what the user watches.
        run: where records are kept.
    """

    def __init__(self, shown: Progress, run: RunDirectory) -> None:
        self._shown = shown
        self._run = run

    def plan(self, title: str, parts: Sequence[PlannedPart]) -> None:
        """Passed on."""
        self._shown.plan(title, parts)

    def enter(self, part: str) -> None:
        """Passed on."""
        self._run.stop.check()
        self._shown.enter(part)

    def found(self, who: str, facts: Mapping[str, float | str]) -> None:
        """Passed on."""
        self._shown.found(who, facts)

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Passed on."""
        self._run.stop.check()
        self._shown.stage(name, total, done)

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """Passed on."""
        self._run.stop.check()
        self._shown.advance(done, facts)

    def say(self, text: str) -> None:
        """Passed on."""
        self._run.stop.check()
        self._shown.say(text)

    def record(self, line: Mapping[str, Any]) -> None:
        """Kept."""
        self._run.metrics(line)
        self._shown.record(line)


class Ended(Exception):
    """Nobody waits for this work any more."""


@final
class WithinStep(Silence):
    """A Progress for work within one step of another loop, in whichever thread: it only says what is out of order.

    Args:
        say: told.
        stop: of the run; work that hears of it ends.
    """

    def __init__(self, say: Callable[[str], None], stop: Stop) -> None:
        self._say = say
        self._stop = stop
        self._ended = threading.Event()

    def end(self) -> None:
        """Lets the work end when it next tells how far it is."""
        self._ended.set()

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Not shown."""
        self._check()

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """Not shown."""
        self._check()

    def say(self, text: str) -> None:
        """Passed on."""
        self._say(text)

    def _check(self) -> None:
        if self._ended.is_set() or self._stop.requested:
            raise Ended


@contextmanager
def accounted(run: RunDirectory, stage: str, progress: Progress | None = None) -> Iterator[None]:
    """Stores what the block cost under a stage's name, once: a stage replayed from checkpoints is not recounted.

    Args:
        run: its store keeps the figures.
        stage: unique in the run.
        progress: told that the part of this name begins; None for a block that readers need not know of.
    """
    if progress:
        progress.enter(stage)
    with run.accounted(stage):
        yield
