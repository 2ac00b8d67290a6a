"""Whether a measurement can be trusted: what its own rounds tell of the machine while they were taken.

All of it rests on one figure, `_change`: sessions are cut into stretches (quarters, halves, whole ones), each has its
median on a logarithmic scale, and the slowest is held against the fastest. It counts as a change where it is large
enough to matter and beyond what the scatter from round to round can do. A slow-down of file and reference alike cancels
in their ratio, and is told all the same: not everything is slowed alike, and the ms then stand for the machine as it
was when its reference was measured.

The limits were chosen on made-up sessions (`hwnas.hardware.traces`, seed 0), confirmed on others, and lie above what
two busy cores did while nothing was wrong with the result: quarters of five sessions were 1 to 24 % apart there, whole
sessions 0 to 7 % by the reference's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.hardware.fields import SMALLEST, number, text

STRETCHES = (4, 2, 1)  # of one session: a step may fall into one of them, a ramp is longest over whole ones
LEAST_ROUNDS = 3  # of a stretch; the median of fewer is a single sample
SPEED = 1.25  # the reference's own time may change by so much; a ramp of 40 % makes quarters of a session 29 % apart
RATIO = 1.10  # a file's time by the reference's may change by so much
# The range of 20 medians passes 6.5 of their standard deviations once in a thousand measurements that are steady.
BEYOND_NOISE = 6.5
SPIKE = 3.0  # times a session's median
SPIKED = 0.25  # of all rounds; the median of a session bears half

Sessions = list[NDArray[np.float64]]  # one array a session: the logarithm of ms, or of a ratio, of every round


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason not to trust a measurement.

    Args:
        name: "throttled", "other-speed", "sessions-disagree", "uneven" or "spiky".
        figures: the numbers that it rests on.
        says: what was seen, one sentence.
        advice: what to do, one sentence.
    """

    name: str
    figures: Mapping[str, float]
    says: str
    advice: str

    @staticmethod
    def from_json(data: Any) -> Doubt:
        """Reads a dictionary of the fields.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or wrong.
        """
        figures = {text(key): number(value) for key, value in dict(data["figures"]).items()}
        return Doubt(text(data["name"]), figures, text(data["says"]), text(data["advice"]))


def doubts(
    file_ms: Sequence[Sequence[float]], reference_ms: Sequence[Sequence[float]], long_run_ms: float
) -> tuple[Doubt, ...]:
    """What speaks against a measurement; nothing where it can be trusted.

    Args:
        file_ms: of each session one sample a round, by the clock that counts.
        reference_ms: of the reference network in the same rounds.
        long_run_ms: the reference's long-run median.

    Raises:
        ValueError: a sample is not above zero, or the two do not have the same rounds.
    """
    file, reference = _logarithms(file_ms), _logarithms(reference_ms)
    if [len(session) for session in file] != [len(session) for session in reference]:
        raise ValueError("the file and the reference network must have samples of the same rounds")
    ratio = [own - fixed for own, fixed in zip(file, reference, strict=True)]
    found = (
        throttled(reference_ms) or _other_speed(reference, long_run_ms),
        _sessions_disagree(ratio) or _uneven(ratio),
        _spiky(file, reference),
    )
    return tuple(doubt for doubt in found if doubt)


def throttled(reference_ms: Sequence[Sequence[float]]) -> Doubt | None:
    """Whether the machine's speed changed while the reference network was timed: heat, a power limit, neighbours.

    Args:
        reference_ms: of each session one sample a round, by the clock that counts.
    """
    change = _change(_logarithms(reference_ms), SPEED)
    if change is None:
        return None
    return Doubt(
        "throttled", {"change": change},
        f"The machine did not keep its speed: the reference network took {_percent(change)} more in one stretch of the "
        "measurement than in another.",
        "Let it cool down, end other programs, and measure again.",
    )  # fmt: skip


def _other_speed(reference: Sessions, long_run_ms: float) -> Doubt | None:
    change = exp(median(float(np.median(session)) for session in reference)) / long_run_ms
    if 1 / SPEED <= change <= SPEED:
        return None
    how = f"{_percent(change)} more" if change > 1 else f"{100 * (1 - change):.0f} % less"
    return Doubt(
        "other-speed", {"change": change},
        f"The machine ran at another speed than when its reference was measured: the reference network took {how} than "
        f"its long-run median of {long_run_ms:.3g} ms, for which the latency stands.",
        "Measure again when the machine is as usual; if it stays like this, measure everything anew with another "
        "HWNAS_CACHE.",
    )  # fmt: skip


def _sessions_disagree(ratio: Sessions) -> Doubt | None:
    change = _change(ratio, RATIO, stretches=(1,))
    if change is None:
        return None
    return Doubt(
        "sessions-disagree", {"change": change},
        f"Sessions disagree: by the reference network's time, the file took {_percent(change)} more in one than in "
        "another.",
        "Measure again with more sessions (--sessions 10).",
    )  # fmt: skip


def _uneven(ratio: Sessions) -> Doubt | None:
    change = _change(ratio, RATIO)
    if change is None:
        return None
    return Doubt(
        "uneven", {"change": change},
        f"By the reference network's time, the file took {_percent(change)} more in one stretch of a session than in "
        "another: what slowed one did not slow the other alike.",
        "End other programs and measure again.",
    )  # fmt: skip


def _spiky(file: Sessions, reference: Sessions) -> Doubt | None:
    spikes = [_spikes(own) | _spikes(fixed) for own, fixed in zip(file, reference, strict=True)]
    share = float(np.mean(np.concatenate(spikes)))
    if share <= SPIKED:
        return None
    return Doubt(
        "spiky", {"share": share},
        f"In {100 * share:.0f} % of the rounds the file or the reference network took over {SPIKE:g} times what it "
        "mostly took, or under a third.",
        "End what interrupts it, and measure again.",
    )  # fmt: skip


def _change(sessions: Sessions, least: float, stretches: Sequence[int] = STRETCHES) -> float | None:
    """How many times the fastest stretch's time the slowest took; None where it is less than `least` or may be noise.

    Args:
        sessions: logarithms.
        least: a factor above 1.
        stretches: how many of a session; those that would be too short are left out.
    """
    steps = np.concatenate([np.diff(session) for session in sessions])
    if not len(steps):
        return None
    scatter = 1.4826 * float(np.median(np.abs(steps))) / sqrt(2)  # of one sample; ramps, steps and spikes hardly count
    found = []
    for count in stretches:
        rounds = min(len(session) for session in sessions) // count
        if rounds < LEAST_ROUNDS:
            continue
        medians = [_median(part, session) for session in sessions for part in np.array_split(session, count)]
        change = max(medians) - min(medians)
        # 1.2533: a median scatters by so much more than a mean.
        if change > max(log(least), BEYOND_NOISE * 1.2533 * scatter / sqrt(rounds)):
            found.append(exp(change))
    return max(found, default=None)


def _median(stretch: NDArray[np.float64], session: NDArray[np.float64]) -> float:
    """Without spikes, of which two are most of a stretch of three; what is long enough to fill a stretch is none."""
    calm = stretch[np.abs(stretch - np.median(session)) <= log(SPIKE)]
    return float(np.median(calm if len(calm) else stretch))


def _spikes(session: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(session - np.median(session)) > log(SPIKE)


def _logarithms(sessions_ms: Sequence[Sequence[float]]) -> Sessions:
    found = [np.asarray(session, dtype=np.float64) for session in sessions_ms]
    if not found or any(session.ndim != 1 or not len(session) or not (session >= SMALLEST).all() for session in found):
        raise ValueError("samples must be above zero, at least one in each session")
    return [np.log(session) for session in found]


def _percent(change: float) -> str:
    return f"{100 * (change - 1):.0f} %"
