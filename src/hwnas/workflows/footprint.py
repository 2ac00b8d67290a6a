"""What a network takes beside time: what is counted of it, the size of its file, and the memory that the file needs.

Size and memory are known when a file is written and has run. Before that they are expected to lie on a line through
the files of both ends of the space, drawn over the bytes of weights and activations; a file that takes more than was
expected moves the line up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hwnas.core.counting import BYTES_PER_VALUE, Counts
from hwnas.hardware.memory import PROCESSES
from hwnas.report.wording import short_count
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.job import FitJob
from hwnas.workflows.measuring import weighed

_COUNTED: Mapping[str, Callable[[Counts], int]] = {
    "params": lambda counts: counts.params,
    "macs": lambda counts: counts.macs,
    "activations": lambda counts: counts.peak_activation_bytes,
}
_GROWS_WITH: Mapping[str, Callable[[Counts], int]] = {
    "size": lambda counts: BYTES_PER_VALUE * counts.params,
    "memory": lambda counts: BYTES_PER_VALUE * counts.params + counts.peak_activation_bytes,
}


@dataclass(frozen=True, slots=True)
class Line:
    """Expected bytes: `start` and, for every byte that is counted, `slope` more."""

    start: float
    slope: float

    def at(self, counted: float) -> float:
        """The expected bytes."""
        return self.start + self.slope * counted


@dataclass(frozen=True, slots=True)
class Expected:
    """What networks are expected to take, by the names of limits.

    Args:
        lines: of what is known of files alone, "size" and "memory".
    """

    lines: Mapping[str, Line] = field(default_factory=dict)

    def of(self, name: str, counts: Counts) -> float:
        """What a network takes of one name: exact where it is counted."""
        return self.lines[name].at(_GROWS_WITH[name](counts)) if name in self.lines else _COUNTED[name](counts)

    def learned(self, counts: Counts, taken: Mapping[str, int]) -> Expected:
        """The same after a file was seen: no line lies below it."""
        lines = {
            name: Line(line.start + max(0.0, taken[name] - self.of(name, counts)), line.slope)
            for name, line in self.lines.items()
        }
        return Expected(lines)


def expected(ends: Mapping[str, tuple[Counts, Mapping[str, int]]]) -> Expected:
    """Lines through what was found of two files.

    Args:
        ends: of each, its network's counts and what the file takes, see `taken_by`.
    """
    (low, of_low), (high, of_high) = sorted(ends.values(), key=lambda end: end[0].params)
    lines = {}
    for name in of_low:
        grows = _GROWS_WITH[name]
        apart = grows(high) - grows(low)
        slope = max(0.0, (of_high[name] - of_low[name]) / apart) if apart else 0.0
        lines[name] = Line(of_low[name] - slope * grows(low), slope)
    return Expected(lines)


def counted_of(counts: Counts) -> dict[str, int]:
    """What is counted of a network, by the names of limits."""
    return {name: of(counts) for name, of in _COUNTED.items()}


def taken_by(
    job: FitJob, run: RunDirectory, content: bytes, purpose: str = "a file", processes: int = PROCESSES
) -> dict[str, int]:  # fmt: skip
    """What a file takes, in bytes: its "size", and its "memory" where that is limited; only what is limited costs time.

    Args:
        job: target, limits, scale.
        run: keeps what was measured.
        content: the file, in the format of the target's engine.
        purpose: the same file may be weighed again for another purpose.
        processes: in which it is weighed.

    Raises:
        EvaluationFailed: a process crashed or hung, or the file cannot be run.
        TargetUnavailable: the system does not count peaks.
    """
    limited = job.settings.limits
    taken = {"size": len(content)} if "size" in limited else {}
    if "memory" not in limited:
        return taken
    return {**taken, "memory": weighed(job, run, content, purpose, processes).peak_bytes}


def over(limits: Mapping[str, int], taken: Mapping[str, float]) -> list[str]:
    """What is over its limit, in words: "memory 3.21 MB, limit 3.00 MB"."""
    return [
        f"{name} {amount(name, value)}, limit {amount(name, limits[name])}"
        for name, value in taken.items()
        if name in limits and value > limits[name]
    ]


def amount(name: str, value: float) -> str:
    """A limit or what is held against it, with its unit."""
    return short_count(value, "" if name in ("params", "macs") else "B")


def in_words(limits: Mapping[str, int]) -> str:
    """All limits in a row: "params 1.00 M, memory 512 kB"."""
    return ", ".join(f"{name} {amount(name, most)}" for name, most in limits.items()) or "none"
