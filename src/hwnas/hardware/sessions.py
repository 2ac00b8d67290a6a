"""One measuring session: what is timed, how, and the raw samples that come back.

The part that really runs networks is a Timer. `WorkerTimer` starts a process of its own for every session; whatever
needs known latencies passes another Timer in.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol, final

from hwnas.core.errors import EvaluationFailed, HwnasError, OutOfMemory, ProcessLost, RunError, TargetUnavailable
from hwnas.core.primitives import Shape
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.targets import Target

# -P: what lies in the working directory, such as somebody's numpy.py, is not imported.
WORKER = (sys.executable, "-P", "-m", "hwnas.hardware.worker")
_LISTED = 3  # files that a message names


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
    """

    samples: Mapping[str, Samples]
    unstable: int
    repeated: int

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
    """Runs each session in a process of its own, pinned to one core where the system allows.

    Args:
        timeout_s: a session that lasts longer is stopped.
        command: starts the worker.
    """

    timeout_s: float = 600.0
    command: tuple[str, ...] = WORKER

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        """Times every model in every round."""
        with contextlib.ExitStack() as removed:
            paths = _written(models, removed)
            request = {
                "target": target.name,
                "threads": target.key.threads,
                "models": [
                    {"name": name, "path": str(paths[name]), "input_shape": list(model.input_shape)}
                    for name, model in models.items()
                ],
                "rounds": plan.rounds,
                "seed": plan.seed,
                "sample_ms": plan.sample_ms,
                "warm_up_calls": plan.warm_up_calls,
                "unstable_above": plan.unstable_above,
            }
            answer = self._answer(target, json.dumps(request), _listed(models))
        return read_session(answer, tuple(models), target)

    def _answer(self, target: Target, request: str, files: str) -> Any:
        try:
            done = subprocess.run(
                self.command, input=request, capture_output=True, text=True, timeout=self.timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise EvaluationFailed(
                f"measuring on {target.name!r} did not end within {self.timeout_s:g} s and was stopped: "
                "is the machine overloaded, or a network far too large?"
            ) from None
        if done.returncode != 0:
            raise _crash(f"measuring {files} on {target.name!r}", done.returncode, done.stderr)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError as reason:
            raise EvaluationFailed(f"measuring on {target.name!r} gave an answer that is no JSON: {reason}") from None


def _listed(models: Mapping[str, ModelFile]) -> str:
    """The files of a session for messages, the largest first."""
    names = sorted(models, key=lambda name: -len(models[name].content))
    said = [f"{name} ({len(models[name].content):,} bytes)" for name in names[:_LISTED]]
    return ", ".join(said + ([f"{len(names) - _LISTED} more files"] if len(names) > _LISTED else []))


def _crash(what: str, status: int, said: str) -> EvaluationFailed:
    """Why a worker ended without an answer; whoever is killed without a word was most often in the way of others."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if status == -signal.SIGKILL:
        return OutOfMemory(
            f"{what}: its process was killed, probably by the system because memory ran out; end other programs or "
            "search smaller networks, then run the same command again"
        )
    if status < 0:
        return ProcessLost(f"{what}: its process was ended by {signal.Signals(-status).name} ({last})")
    return EvaluationFailed(f"{what} ended with status {status}: {last}")


def _written(models: Mapping[str, ModelFile], removed: contextlib.ExitStack) -> dict[str, Path]:
    """Where the files lie until the stack is closed.

    Raises:
        RunError: there is no room for them.
    """
    paths = {name: f"{index}.model" for index, name in enumerate(models)}
    try:
        folder = Path(removed.enter_context(tempfile.TemporaryDirectory(prefix="hwnas-")))
        for name, model in models.items():
            (folder / paths[name]).write_bytes(model.content)
    except OSError as reason:
        needed = sum(len(model.content) for model in models.values())
        where = f" {reason.filename}" if reason.filename else ""
        raise RunError(
            f"the files to be measured cannot be written{where}: {reason.strerror or reason}, {needed:,} bytes are "
            "needed; free some, or set TMPDIR to a directory on another disk, and run the same command again"
        ) from reason
    return {name: folder / file for name, file in paths.items()}


def read_session(answer: Any, names: tuple[str, ...], target: Target) -> Session:
    """A worker's answer as a value; its own errors are raised here under their own names.

    Args:
        answer: what it wrote.
        names: of the models that it was asked to time.
        target: for messages.

    Raises:
        EvaluationFailed: it says so, or it is not whole.
        OutOfMemory: it says so.
        TargetUnavailable: it says so.
    """
    try:
        if "error" in answer:
            kinds: dict[str, type[HwnasError]] = {kind.__name__: kind for kind in (TargetUnavailable, OutOfMemory)}
            raise kinds.get(answer["kind"], EvaluationFailed)(answer["error"])
        samples = {
            name: Samples(tuple(map(float, row["cpu_ms"])), tuple(map(float, row["wall_ms"])))
            for name, row in answer["samples"].items()
        }
        session = Session({name: samples[name] for name in names}, int(answer["unstable"]), int(answer["repeated"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as reason:
        raise EvaluationFailed(f"measuring on {target.name!r} gave an incomplete answer: {reason!r}") from None
    return session
