"""Where the time of a run goes by the engine's own profiler, which slows the run down: shares are to be believed.

Profilers count wall time, in microseconds, around every kernel. The median over runs takes out what another process
interrupted; the median over processes, the error that a process keeps with its memory layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol, final

from hwnas.core.errors import EvaluationFailed, quoted
from hwnas.core.protocols import Progress
from hwnas.hardware.fields import number, rows, text
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.sessions import default_rounds
from hwnas.hardware.targets import Target
from hwnas.hardware.worker_process import WorkerProcess

PROFILE_SESSIONS = 5  # as when measuring: in one of a few, a kernel may be interrupted in most runs


class Profiler(Protocol):
    """Runs one session of profiling."""

    def profile_session(self, target: Target, file: ModelFile, runs: int) -> Mapping[str, float]:
        """What each kernel takes, as `ProfilingEngine.profile` says it.

        Raises:
            EvaluationFailed: the session crashed, hung, or the file cannot be run.
            TargetUnavailable: the engine is not installed, or has no profiler.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class WorkerProfiler:
    """Runs each session in a process of its own.

    Args:
        process: starts it.
    """

    process: WorkerProcess = WorkerProcess()

    def profile_session(self, target: Target, file: ModelFile, runs: int) -> Mapping[str, float]:
        """What each kernel takes, in ms."""
        return _kernels(self.process.ask("profile", target.name, {"the file": file}, runs=runs), target)


@dataclass(frozen=True, slots=True)
class KernelTimes:
    """What the kernels of a file take inside a run.

    Args:
        ms: median over sessions, by node of the file or by the engine's own name, in the order in which they run.
        sessions: the same of each session, in that order.
        runs: of each session.
    """

    ms: Mapping[str, float]
    sessions: tuple[Mapping[str, float], ...]
    runs: int


def profile_kernels(target: Target, file: ModelFile, profiler: Profiler, progress: Progress) -> KernelTimes:
    """Profiles a file in several processes, each with as many runs as a measuring session has rounds.

    Args:
        target: where; its engine has a profiler.
        file: in the format of the engine.
        profiler: runs the sessions.
        progress: told about every session.

    Raises:
        EvaluationFailed: a session crashed or hung, or the file cannot be run.
    """
    runs = default_rounds(file.input_shape)
    progress.stage("profile", PROFILE_SESSIONS)
    taken: list[Mapping[str, float]] = []
    for session in range(PROFILE_SESSIONS):
        taken.append(profiler.profile_session(target, file, runs))
        progress.advance(session + 1, {"kernels": len(taken[-1])})
    names = dict.fromkeys(name for session_ms in taken for name in session_ms)
    sessions = tuple({name: session_ms.get(name, 0.0) for name in names} for session_ms in taken)
    return KernelTimes({name: median(one[name] for one in sessions) for name in names}, sessions, runs)


def _kernels(answer: Any, target: Target) -> dict[str, float]:
    try:
        found = {text(name): number(ms) for name, ms in rows(answer["kernels"])}
        if not sum(found.values()) > 0:
            raise ValueError("no time at all")
    except (KeyError, TypeError, ValueError) as reason:
        said = f"profiling on {target.name!r} gave an incomplete answer: {quoted(reason)}"
        raise EvaluationFailed(said) from None
    return found
