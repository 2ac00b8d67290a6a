"""What a stage costs: CPU seconds of this process and its children, and wall seconds, by monotonic clocks."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import final

import psutil


@dataclass(frozen=True, slots=True)
class Spent:
    """Compute that was used.

    Args:
        cpu_seconds: processor time of the process and its children.
        wall_seconds: time that passed.
    """

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0


NOTHING = Spent()


@final
class Stopwatch:
    """Runs from the moment it is made; a clock that is set back or forth does not touch it.

    Args:
        earlier: what the same stage had used before the run was cut off; counted on top.
    """

    def __init__(self, earlier: Spent = NOTHING) -> None:
        self._earlier = earlier
        self._cpu_at_start = _cpu_seconds()
        self._wall_at_start = time.monotonic()

    def spent(self) -> Spent:
        """What was used so far."""
        return Spent(
            self._earlier.cpu_seconds + max(0.0, _cpu_seconds() - self._cpu_at_start),
            self._earlier.wall_seconds + time.monotonic() - self._wall_at_start,
        )


def _cpu_seconds() -> float:
    """Of this process, its finished children and its living ones, which the system adds only when they end."""
    finished = os.times()
    total = time.process_time() + finished.children_user + finished.children_system
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended in this moment
            times = child.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(total)
