"""Measuring one file on a target, and holding it against a budget; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.cost import Budget
from hwnas.core.errors import InputError, fields_of
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Progress
from hwnas.hardware.kernel_times import WorkerProfiler
from hwnas.hardware.memory import Memory, weigh
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.resident import counts_peaks
from hwnas.hardware.sessions import WorkerTimer
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target
from hwnas.hardware.timing import Measurement, measure
from hwnas.runs.stored import read_run
from hwnas.workflows.by_layer import ByLayer, by_layer

FORMAT = "hwnas-measured@1"


@dataclass(frozen=True)
class Measured:
    """One file's latency on a target, its size and its memory.

    Args:
        source: what was asked for.
        target: where it was measured.
        latency: median, interval, samples.
        budget_ms: what it was held against; None without a budget.
        size_bytes: of the file.
        memory: that it needs; None where the system does not count it.
        by_layer: where the time goes; None where that was not asked for.
    """

    source: str
    target: Target
    latency: Measurement
    budget_ms: float | None
    size_bytes: int
    memory: Memory | None
    by_layer: ByLayer | None = None

    @property
    def inside_budget(self) -> bool | None:
        """Whether the upper end of the interval is within the budget; None without one."""
        return None if self.budget_ms is None else self.latency.inside(self.budget_ms)

    @property
    def images_per_s(self) -> float:
        """Throughput: images of a call by its latency."""
        return 1000 * self.target.key.batch / self.latency.median_ms

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return {
            "format": FORMAT,
            "source": self.source,
            "target": {"name": self.target.name, "id": self.target.key.id, "key": self.target.key.to_json()},
            "budget_ms": self.budget_ms,
            "inside_budget": self.inside_budget,
            "images_per_s": self.images_per_s,
            "latency": self.latency.to_json(),
            "size_bytes": self.size_bytes,
            "memory": self.memory.to_json() if self.memory else None,
            "by_layer": self.by_layer.to_json() if self.by_layer else None,
        }


def measure_model(
    source: str, file: ModelFile, target: Target, *, sessions: int, seed: int, budget_ms: float | None,
    progress: Progress, network: NetworkSpec | None = None, layers: bool = False,
) -> Measured:  # fmt: skip
    """Measures a file on a target of this machine.

    Args:
        source: what was asked for.
        file: the file.
        target: opened for the file's input shape.
        sessions: measuring processes, at least 2; a claim about a budget needs 5.
        seed: of the orders in which files are timed.
        budget_ms: what the latency is held against; None for nothing.
        progress: told about every session.
        network: what the file computes, where that is known.
        layers: whether to say where the time goes, too.

    Raises:
        EvaluationFailed: a session crashed or hung.
        ModelRefused: the file cannot be run.
    """
    store = TargetStore()
    measured = measure(target, {source: file.content}, store, sessions=sessions, seed=seed, progress=progress)
    found = measured[source]
    shares = None
    if layers:
        shares = by_layer(
            file, network, found.median_ms, target, store, seed=seed, timer=WorkerTimer(),
            profiler=WorkerProfiler(), progress=progress,
        )  # fmt: skip
    memory = weigh(target, file) if counts_peaks() else None
    return Measured(source, target, found, budget_ms, len(file.content), memory, shares)


def budget_in_ms(text: str, source: str) -> float:
    """A budget as a latency; a share is of the largest network that the run at `source` has measured.

    Raises:
        InputError: no budget, or a share where there is no run with a result.
    """
    budget = Budget.parse(text)
    if budget.latency_ms is not None:
        return budget.latency_ms
    if not (Path(source) / "result.json").is_file():
        raise InputError(
            f"budget {text!r} is a share of the largest network: give a run directory, or a time like 1.5ms"
        )
    with fields_of(Path(source) / "result.json"):
        largest = read_run(Path(source)).result().get("budget", {}).get("largest_ms")
    if not isinstance(largest, float):
        raise InputError(f"the run {source} has not measured its largest network: give a budget in time, like 1.5ms")
    return budget.resolve(largest)
