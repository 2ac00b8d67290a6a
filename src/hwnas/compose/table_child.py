"""The process of searches on a table: `python -m hwnas.compose.table_child`, asked on the socket at stdin."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, final

from hwnas.compose.comparisons import TableProblem
from hwnas.compose.controllers import known_controller
from hwnas.core.errors import HwnasError
from hwnas.core.protocols import PlannedPart
from hwnas.evaluation.asking import STILL_AT
from hwnas.evaluation.channel import Channel
from hwnas.workflows.search_table import attempt

_SPEAKS_EVERY_S = 0.5


def main() -> int:
    """Searches what the parent asks for; ends when the parent does."""
    channel = Channel(socket.socket(fileno=0))
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            _search(channel)
        except HwnasError as reason:
            channel.send({"error": str(reason), "kind": type(reason).__name__})
    return 0


def _search(channel: Channel) -> None:
    problem = TableProblem(**channel.receive().facts)
    known, progress = problem.open(), _ParentsProgress(channel)
    while True:
        asked = channel.receive().facts
        strategy, seed = asked["strategy"], asked["seed"]
        make = known_controller(strategy).make
        found = attempt(known, strategy, make, problem.objective(), problem.settings(), seed, progress)
        channel.send(found.to_json())


@final
class _ParentsProgress:
    """Tells the parent now and then how far the search is, and so finds out whether there still is one."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._spoken = time.monotonic()

    def plan(self, title: str, parts: Sequence[PlannedPart]) -> None:
        """Nothing: the parent has the plan."""

    def enter(self, part: str) -> None:
        """Nothing: the parent knows where it is."""

    def found(self, who: str, facts: Mapping[str, float | str]) -> None:
        """Nothing: the parent compares."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Nothing: the parent counts the searches."""

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """Passed on, not too often."""
        if time.monotonic() - self._spoken >= _SPEAKS_EVERY_S:
            self._channel.send({STILL_AT: done})
            self._spoken = time.monotonic()

    def say(self, text: str) -> None:
        """Nothing is said on a table."""

    def record(self, line: Mapping[str, Any]) -> None:
        """Nothing is kept of a step."""


if __name__ == "__main__":
    sys.exit(main())
