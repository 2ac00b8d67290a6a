"""Made-up sessions whose truth is known, of machines that throttle, step and stutter: what measuring is judged by.

The latency and the doubts of `measure` are judged on them together, in the tests and in `benchmarks/timing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from hwnas.core.seeds import rng_for, seed_for
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.reference import REFERENCE
from hwnas.hardware.sessions import Plan, Samples, Session
from hwnas.hardware.steadiness import Doubt
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target
from hwnas.hardware.timing import SESSIONS, measure

KINDS = ("steady", "spikes", "ramp", "step")
REFERENCE_MS, FILE_MS = 0.5, 0.8  # on a quiet machine
RAMP, STEP = 1.4, 1.6  # times as slow; half of these traces have spikes too
SPIKE_SHARE, SPIKE = 0.05, 10.0  # of the samples of each; times as long
NOISE = (0.01, 0.05)  # of one sample; seen on two cores: 1 to 2 % at 32 pixels, 2 to 7 % at 224
DRIFT = 0.05  # at most, over the whole measurement, of the steady ones too
LAYOUT = 0.005  # of a session: a process keeps its memory layout
REACTION = 0.2  # a file is slowed by a power of what slows the reference, at most so far from 1
NEAR = 0.02  # of the truth

Array = NDArray[np.float64]


@final
@dataclass
class TraceTimer:
    """A Timer that makes its sessions up; where the reference network is timed alone, the machine is quiet.

    Args:
        kind: one of KINDS.
        seed: of everything that is drawn.
        sessions: how many there will be; the trouble is laid over all of them.
        taken: how many there were.
    """

    kind: str
    seed: int
    sessions: int = SESSIONS
    taken: int = field(default=0, init=False)

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        """The next session."""
        if set(models) == {REFERENCE}:
            logs = NOISE[0] * rng_for(plan.seed, "quiet").standard_normal(plan.rounds)
            return Session({REFERENCE: _samples(REFERENCE_MS, logs)}, unstable=0, repeated=0)
        rng = rng_for(self.seed, "trace", self.kind)  # of the whole measurement: every session draws the same
        noise = float(np.exp(rng.uniform(*np.log(NOISE))))
        reaction = rng.uniform(1 - REACTION, 1 + REACTION)
        spikes = SPIKE_SHARE if self.kind == "spikes" or (self.kind != "steady" and rng.uniform() < 0.5) else 0.0
        when = (np.arange(self.sessions * plan.rounds) / plan.rounds).reshape(self.sessions, -1)
        drift = DRIFT * rng.uniform() * np.sin(2 * np.pi * (rng.uniform() + rng.uniform(0.06, 0.6) * when[self.taken]))
        slow = _slow_down(self.kind, when, rng)[self.taken]
        own, samples = rng_for(plan.seed, "trace", self.seed), {}
        for name in models:
            logs = drift + slow * (1.0 if name == REFERENCE else reaction) + LAYOUT * own.standard_normal()
            logs += noise * own.standard_normal(plan.rounds) + np.log(SPIKE) * (own.uniform(size=plan.rounds) < spikes)
            samples[name] = _samples(REFERENCE_MS if name == REFERENCE else FILE_MS, logs)
        self.taken += 1
        return Session(samples, unstable=0, repeated=0)


def _samples(quiet_ms: float, logs: Array) -> Samples:
    cpu_ms = quiet_ms * np.exp(logs)
    return Samples(tuple(cpu_ms.tolist()), tuple((1.05 * cpu_ms).tolist()))


def _slow_down(kind: str, when: Array, rng: np.random.Generator) -> Array:
    """The logarithm of how many times as slow the machine is.

    Args:
        kind: one of KINDS.
        when: (sessions, rounds), the time of every round, one unit a session.
        rng: draws how a ramp or step lies.
    """
    end = float(len(when))
    if kind == "ramp":
        match rng.integers(4):
            case 0:  # over everything
                risen = when / end
            case 1:  # in every session, and cool again before the next
                risen = when % 1
            case 2:  # in one session
                risen = np.where(np.arange(len(when))[:, None] == rng.integers(len(when)), when % 1, 0.0)
            case _:  # from some moment on
                start = rng.uniform(0, end / 2)
                risen = np.clip((when - start) / (end - start), 0, 1)
        return np.asarray(np.log(1 + (RAMP - 1) * risen), dtype=np.float64)
    if kind == "step":
        match rng.integers(3):
            case 0:  # slow from some moment on
                after, before = rng.uniform(0.1, 0.9) * end, np.inf
            case 1:  # slow until some moment
                after, before = -np.inf, rng.uniform(0.1, 0.9) * end
            case _:  # slow for a while, half a session at least
                after = rng.uniform(0, 0.85) * end
                before = after + rng.uniform(0.1, 0.5) * end
        return np.where((after <= when) & (when < before), np.log(STEP), 0.0)
    return np.zeros_like(when)


@dataclass(frozen=True, slots=True)
class MeasuredTrace:
    """What measuring made of a trace.

    Args:
        kind: of the trace.
        error: of the latency, relative to the truth.
        doubts: what it says about itself.
    """

    kind: str
    error: float
    doubts: tuple[Doubt, ...]


def measure_traces(
    count: int, seed: int, target: Target, store: TargetStore, rounds: int | None = None
) -> list[MeasuredTrace]:
    """Measures made-up files, as many of each kind.

    Args:
        count: of traces.
        seed: of all.
        target: any with one thread; nothing runs on it.
        store: an empty one, or one that an earlier call filled.
        rounds: of a session; None for the target's default.
    """
    found = []
    for index in range(count):
        kind, own = KINDS[index % len(KINDS)], seed_for(seed, "trace", index)
        timer = TraceTimer(kind, own)
        measured = measure(target, {"file": b"made up"}, store, rounds=rounds, seed=own, timer=timer)["file"]
        found.append(MeasuredTrace(kind, measured.median_ms / FILE_MS - 1, measured.doubts))
    return found


def trace_figures(traces: Sequence[MeasuredTrace]) -> dict[str, Any]:
    """How measuring bore it, as plain values, with the marks that it must reach."""
    right = [bool(trace.doubts) or abs(trace.error) <= NEAR for trace in traces]
    flagged = [bool(trace.doubts) for trace in traces if trace.kind in ("ramp", "step")]
    false = [bool(trace.doubts) for trace in traces if trace.kind in ("steady", "spikes")]
    return {
        "traces": len(traces),
        "right_or_flagged": sum(right) / len(right),
        "throttled_flagged": sum(flagged) / len(flagged),
        "false_flags": sum(false) / len(false),
        "largest_error_unflagged": max((abs(trace.error) for trace in traces if not trace.doubts), default=0.0),
        "marks": {
            "within 2 % of the truth or flagged: >= 99 %": sum(right) >= 0.99 * len(right),
            "throttled ones flagged: >= 95 %": sum(flagged) >= 0.95 * len(flagged),
            "false flags: <= 2 %": sum(false) <= 0.02 * len(false),
        },
    }
