"""One measuring session: what is timed, how, and the raw samples that come back.

The part that really runs networks is a Timer. `WorkerTimer` starts a process of its own for every session; whatever
needs known latencies passes another Timer in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol, final

from hwnas.core.errors import EvaluationFailed
from hwnas.core.primitives import Shape
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.targets import Target
from hwnas.hardware.worker_process import WorkerProcess


@dataclass(frozen=True, slots=True)
class Plan:
    """How one session samples.

    Args:
        rounds: in each, every model is timed once, in an order drawn anew.
        seed: of the orders.
        sample_ms: one sample is as many calls in a row as last this long, in ms. Clocks and caches need about 1.5 ms.
        warm_up_calls: before anything is timed; the first call costs up to 1.6 times the later ones.
        unstable_above: a round whose wall time is more than this many times its CPU time was disturbed.
    """

    rounds: int
    seed: int
    sample_ms: float = 1.5
    warm_up_calls: int = 3
    unstable_above: float = 1.1


@dataclass(frozen=True, slots=True)
class Samples:
    """Milliseconds per call of one model, one value per kept round."""

    cpu_ms: tuple[float, ...]
    wall_ms: tuple[float, ...]

    def on(self, target: Target) -> tuple[float, ...]:
        """The clock that counts: process CPU time for one thread, wall time for more."""
        return self.cpu_ms if target.key.threads == 1 else self.wall_ms


@dataclass(frozen=True, slots=True)
class Session:
    """The raw samples of one session.

    Args:
        samples: by model name.
        unstable: kept rounds that were disturbed.
        repeated: disturbed rounds that were thrown away and repeated.
        loading_s: seconds in which the engine read the files and prepared them; 0 where nobody counted.
    """

    samples: Mapping[str, Samples]
    unstable: int
    repeated: int
    loading_s: float = 0.0

    def ratio(self, name: str, reference: str, target: Target) -> float:
        """Median over rounds of a model's time by the reference's time in the same round.

        Slow drift (other processes, clock frequency) moves both alike and cancels; a median of times would keep it.
        """
        own, fixed = self.samples[name].on(target), self.samples[reference].on(target)
        return median(a / b for a, b in zip(own, fixed, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a worker answers and `read_session` reads."""
        return asdict(self)


def default_rounds(input_shape: Shape) -> int:
    """Rounds of one session: 50 for images up to 48 pixels, 12 from 200 on; short runs scatter more.

    Source: own measurements of the retest spread, 50 rounds at 32 pixels and 8 to 15 at 224.
    """
    return round(max(12.0, min(50.0, 50 * 48 / max(input_shape[1:]))))


class Timer(Protocol):
    """Runs one session."""

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        """Times every model in every round.

        Raises:
            EvaluationFailed: the session crashed, hung, or a file cannot be run.
            TargetUnavailable: the engine is not installed.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class WorkerTimer:
    """Runs each session in a process of its own.

    Args:
        process: starts it.
    """

    process: WorkerProcess = WorkerProcess()

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        """Times every model in every round."""
        return read_session(self.process.ask("time", target.name, models, **asdict(plan)), tuple(models), target)


def read_session(answer: Any, names: tuple[str, ...], target: Target) -> Session:
    """A worker's answer as a value.

    Args:
        answer: what it wrote.
        names: of the models that it was asked to time.
        target: for messages.

    Raises:
        EvaluationFailed: it is not whole.
    """
    try:
        samples = {
            name: Samples(tuple(map(float, row["cpu_ms"])), tuple(map(float, row["wall_ms"])))
            for name, row in answer["samples"].items()
        }
        counted = int(answer["unstable"]), int(answer["repeated"]), float(answer.get("loading_s", 0.0))
        session = Session({name: samples[name] for name in names}, *counted)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as reason:
        raise EvaluationFailed(f"measuring on {target.name!r} gave an incomplete answer: {reason!r}") from None
    return session
