"""The latency of files on a target, measured: the only place where a value of kind "measured" comes from.

For a one-thread target it is, in each session, the median over rounds of (process CPU time of the file ÷ that of the
reference network in the same shuffled round) × the reference's long-run median, which is stored with the target key.
For more threads the ratio is of wall times. Never the minimum, which is the worst statistic of interleaved samples.
Sessions are processes of their own, because a process keeps its memory layout, and with it an error of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import sqrt
from statistics import fmean, median, stdev
from typing import Any

import numpy as np

from hwnas.core.errors import FileFormatError, InputError
from hwnas.core.protocols import Progress, Silence
from hwnas.core.seeds import seed_for
from hwnas.hardware.engines import open_engine
from hwnas.hardware.fields import numbers, positive, rows, text, whole
from hwnas.hardware.model_files import ModelFile, untrained
from hwnas.hardware.reference import REFERENCE, reference_ms, reference_network
from hwnas.hardware.sessions import Plan, Session, Timer, WorkerTimer, default_rounds
from hwnas.hardware.steadiness import Doubt, doubts
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target

SESSIONS = 5  # the least for which the t-interval is short enough to be of use: t = 2.8 standard errors
GROUP_BYTES = 200_000_000  # of files timed side by side, which an engine may hold three times over
FORMAT = "hwnas-measurement@2"
WITHOUT_DOUBTS = "hwnas-measurement@1"  # all of one thread; read, and judged by its samples


@dataclass(frozen=True, slots=True)
class RawSession:
    """One session's samples in ms per call, one per round: of the file and of the reference in the same round."""

    cpu_ms: tuple[float, ...]
    wall_ms: tuple[float, ...]
    reference_cpu_ms: tuple[float, ...]
    reference_wall_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured of one file.

    Args:
        target_id: of the target key.
        file_sha256: of the file that was timed.
        sessions_ms: the latency in each session.
        median_ms: of the sessions.
        interval_ms: 95 % t-interval of the mean over sessions, (lower, upper).
        wall_p50_ms: median of all wall times as they were, disturbances included.
        wall_p90_ms: their 90th percentile.
        rounds: over all sessions.
        unstable: rounds in which something else took the processor, kept after repeating did not help.
        reference_ms: the reference's long-run median, which the ratios were multiplied by.
        raw: every sample.
        doubts: what speaks against trusting it; empty where nothing does.
    """

    target_id: str
    file_sha256: str
    sessions_ms: tuple[float, ...]
    median_ms: float
    interval_ms: tuple[float, float]
    wall_p50_ms: float
    wall_p90_ms: float
    rounds: int
    unstable: int
    reference_ms: float
    raw: tuple[RawSession, ...]
    doubts: tuple[Doubt, ...]

    def inside(self, budget_ms: float) -> bool:
        """Whether the upper end of the interval is within the budget."""
        return self.interval_ms[1] <= budget_ms

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` is its inverse."""
        return {"format": FORMAT, **asdict(self)}

    @staticmethod
    def from_json(data: Any) -> Measurement:
        """Reads what `to_json` wrote.

        Raises:
            FileFormatError: another format, or a field is missing or wrong.
        """
        if not isinstance(data, Mapping) or data.get("format") not in (FORMAT, WITHOUT_DOUBTS):
            raise FileFormatError(f"expected a measurement in format {FORMAT!r} or {WITHOUT_DOUBTS!r}")
        try:
            lower, upper = numbers(data["interval_ms"])
            raw, reference = tuple(_raw_session(row) for row in rows(data["raw"])), positive(data["reference_ms"])
            return Measurement(
                target_id=text(data["target_id"]),
                file_sha256=text(data["file_sha256"]),
                sessions_ms=numbers(data["sessions_ms"]),
                median_ms=positive(data["median_ms"]),
                interval_ms=(lower, upper),
                wall_p50_ms=positive(data["wall_p50_ms"]),
                wall_p90_ms=positive(data["wall_p90_ms"]),
                rounds=whole(data["rounds"]),
                unstable=whole(data["unstable"]),
                reference_ms=reference,
                raw=raw,
                doubts=(
                    tuple(Doubt.from_json(row) for row in rows(data["doubts"]))
                    if data["format"] == FORMAT
                    else _doubts(raw, reference, threads=1)
                ),
            )
        except (KeyError, TypeError, ValueError) as reason:
            raise FileFormatError(f"measurement: a field is missing or wrong ({reason!r})") from None


def measure(
    target: Target, models: Mapping[str, bytes], store: TargetStore, *, sessions: int = SESSIONS,
    rounds: int | None = None, seed: int = 0, timer: Timer | None = None, progress: Progress | None = None,
    stage: str = "measure",
) -> dict[str, Measurement]:  # fmt: skip
    """Measures files side by side.

    The first measurement on a target key also establishes the reference's long-run median and stores it.

    Args:
        target: where.
        models: content of the files by name, in the format of the target's engine; their input shape is the target's.
        store: holds the reference's latency.
        sessions: processes, at least 2; a claim about a budget needs 5.
        rounds: in each session; None for `default_rounds`.
        seed: of the orders in which files are timed.
        timer: runs the sessions; None for worker processes.
        progress: told about every session.
        stage: what progress calls this.

    Returns:
        One Measurement per name.

    Raises:
        InputError: fewer than 2 sessions.
        EvaluationFailed: a session crashed or hung, or a file cannot be run.
        TargetUnavailable: the engine is not installed.
    """
    if sessions < 2:
        raise InputError(f"an interval needs at least 2 sessions, not {sessions}")
    timer, progress = timer or WorkerTimer(), progress or Silence()
    files = {name: ModelFile(content, target.key.input_shape) for name, content in models.items()}
    plan = Plan(rounds or default_rounds(target.key.input_shape), seed)
    taken = run_sessions(target, files, plan, sessions, timer, progress, stage)
    yardstick_ms = reference_ms(target, store, timer, progress)  # after it: a file that is refused is refused at once
    return {name: _measurement(target, files[name], name, taken[name], yardstick_ms) for name in models}


def run_sessions(
    target: Target, files: Mapping[str, ModelFile], plan: Plan, sessions: int, timer: Timer, progress: Progress,
    stage: str,
) -> dict[str, tuple[Session, ...]]:  # fmt: skip
    """Times files beside the reference network, in groups where they are too large to be loaded together.

    Args:
        target: where.
        files: by name.
        plan: of one session; each gets a seed of its own.
        sessions: of each group.
        timer: runs them.
        progress: told about every session.
        stage: what progress calls this.

    Returns:
        The sessions in which each file took part.
    """
    reference = {REFERENCE: untrained(reference_network(target.key.input_shape), open_engine(target.name))}
    groups = list(_groups(files))
    taken: dict[str, tuple[Session, ...]] = {}
    progress.stage(stage, len(groups) * sessions)
    for number, group in enumerate(groups):
        run = []
        for index in range(sessions):
            seeded = replace(plan, seed=seed_for(plan.seed, "session", number, index))
            run.append(timer.time_session(target, {**reference, **group}, seeded))
            done = number * sessions + index + 1
            progress.advance(done, {"files": len(group), "unstable rounds": run[-1].unstable})
        taken.update(dict.fromkeys(group, tuple(run)))
    return taken


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of at least two independent values, by Student's t."""
    from scipy.special import stdtrit

    reach = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / sqrt(len(values))
    return fmean(values) - reach, fmean(values) + reach


def _groups(files: Mapping[str, ModelFile]) -> Iterator[dict[str, ModelFile]]:
    group: dict[str, ModelFile] = {}
    size = 0
    for name, file in files.items():
        if group and size + len(file.content) > GROUP_BYTES:
            yield group
            group, size = {}, 0
        group[name] = file
        size += len(file.content)
    if group:
        yield group


def _measurement(
    target: Target, file: ModelFile, name: str, sessions: Sequence[Session], yardstick_ms: float
) -> Measurement:
    latencies_ms = tuple(yardstick_ms * session.ratio(name, REFERENCE, target) for session in sessions)
    wall_ms = np.concatenate([session.samples[name].wall_ms for session in sessions])
    pairs = [(session.samples[name], session.samples[REFERENCE]) for session in sessions]
    raw = tuple(RawSession(own.cpu_ms, own.wall_ms, ref.cpu_ms, ref.wall_ms) for own, ref in pairs)
    return Measurement(
        target_id=target.key.id,
        file_sha256=file.sha256,
        sessions_ms=latencies_ms,
        median_ms=median(latencies_ms),
        interval_ms=t_interval(latencies_ms),
        wall_p50_ms=float(np.percentile(wall_ms, 50)),
        wall_p90_ms=float(np.percentile(wall_ms, 90)),
        rounds=len(wall_ms),
        unstable=sum(session.unstable for session in sessions),
        reference_ms=yardstick_ms,
        raw=raw,
        doubts=_doubts(raw, yardstick_ms, target.key.threads),
    )


def _doubts(raw: Sequence[RawSession], yardstick_ms: float, threads: int) -> tuple[Doubt, ...]:
    if threads == 1:
        file, reference = [row.cpu_ms for row in raw], [row.reference_cpu_ms for row in raw]
    else:
        file, reference = [row.wall_ms for row in raw], [row.reference_wall_ms for row in raw]
    return doubts(file, reference, yardstick_ms)


def _raw_session(row: Any) -> RawSession:
    return RawSession(**{field.name: numbers(row[field.name]) for field in fields(RawSession)})
