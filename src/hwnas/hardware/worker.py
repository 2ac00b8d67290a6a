"""The measuring process: `python -m hwnas.hardware.worker`, one JSON request on stdin, one JSON answer on stdout.

It times files side by side, has an engine's profiler say where the time of one goes, measures the memory that one
needs, or tries whether an engine works.

It has a process of its own so that nothing else shares its CPU clock, its caches' history or its crash. It ends when
the process that asked is gone, however that died.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from hwnas.core.errors import HwnasError, TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import ProfilingEngine, Runner
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import refusals, untrained
from hwnas.hardware.resident import begin_peak, peak_bytes

NS_PER_MS = 1e6
LONGEST_STEP_MS = 0.5


def main() -> int:
    """Answers the request on stdin."""
    answers = _stdout_for_answers_only()
    _end_when_nobody_listens(answers.fileno())
    request = json.load(sys.stdin)
    _pin(request["threads"])
    _leave_memory()
    try:
        _check_clock()
        answer = _TASKS[request["task"]](request)
    except HwnasError as reason:
        answer = {"error": str(reason), "kind": type(reason).__name__}
    json.dump(answer, answers)
    answers.flush()
    return 0


def _stdout_for_answers_only() -> TextIO:
    """Keeps stdout for the answer: whatever an engine prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _end_when_nobody_listens(descriptor: int) -> None:
    """Ends this process when the other end of its pipe is closed; the thread sleeps in the system until then."""

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # no event of its own, so only that
        poll.poll()
        os._exit(1)

    if hasattr(select, "poll"):
        threading.Thread(target=watch, daemon=True).start()


def _pin(threads: int) -> None:
    """Stays on as many cores as the target has threads, so that caches stay warm; not every system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def _check_clock() -> None:
    """A limit on CPU time makes Linux count it in ticks of milliseconds, longer than what is to be timed.

    Raises:
        TargetUnavailable: it does.
    """
    moments = [time.process_time_ns()]
    while len(moments) < 3:  # the first step was under way
        now = time.process_time_ns()
        if now != moments[-1]:
            moments.append(now)
    step_ms = (moments[2] - moments[1]) / NS_PER_MS
    if step_ms > LONGEST_STEP_MS:
        raise TargetUnavailable(
            f"CPU time is counted in steps of {step_ms:.2g} ms here, too coarse to time a network: if a limit is set "
            "(ulimit -t), lift it"
        )


def _leave_memory() -> None:
    """A file that asks for more than half of the machine's memory gets an error, and nobody else has to make room."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = [half, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(allowed), hard))


def _timed(request: dict[str, Any]) -> dict[str, Any]:
    """Loads every model, runs the rounds, and says what one call of each took in each."""
    start = time.perf_counter()
    runners = _load(request)
    loading_s = time.perf_counter() - start
    calls = [_calls_per_sample(runner, request["warm_up_calls"], request["sample_ms"]) for runner in runners]
    kept, unstable, repeated = _rounds(request, runners, calls)
    per_call_ms = np.stack(kept) / np.asarray(calls)[:, None] / NS_PER_MS  # (rounds, models, clocks)
    return {
        "samples": {
            model["name"]: {"cpu_ms": per_call_ms[:, index, 0].tolist(), "wall_ms": per_call_ms[:, index, 1].tolist()}
            for index, model in enumerate(request["models"])
        },
        "unstable": unstable,
        "repeated": repeated,
        "loading_s": loading_s,
    }


def _profiled(request: dict[str, Any]) -> dict[str, Any]:
    """What each kernel of the only model takes, in the order in which they run."""
    engine = open_engine(request["target"])
    if not isinstance(engine, ProfilingEngine):
        raise TargetUnavailable(f"target {request['target']!r} has no profiler")
    (model,) = request["models"]
    with refusals(model["name"]):
        kernels = engine.profile(*_content(model), request["runs"])
    return {"kernels": list(kernels.items())}


def _weighed(request: dict[str, Any]) -> dict[str, Any]:
    """How many bytes more than with the first model alone are resident at the peak, when the second is read and run."""
    engine = open_engine(request["target"])
    first, second = request["models"]
    kept = []  # both stay loaded: what the first one gave back, the second one would use
    for model in (first, second):
        before = begin_peak()
        with refusals(model["name"]):
            kept.append(engine.load(*_content(model)))
            kept[-1]()
            kept[-1]()  # some prepare in the first call what they need from then on
    return {"peak_bytes": peak_bytes() - before}


def _tried(request: dict[str, Any]) -> dict[str, Any]:
    """What the engine is, and what a network that it wrote itself takes, in ms of CPU time."""
    engine = open_engine(request["target"])
    network = NetworkSpec.from_json(request["network"])
    with refusals():
        runner = engine.load(untrained(network, engine).content, network.input_shape)
    calls = _calls_per_sample(runner, request["warm_up_calls"], request["sample_ms"])
    return {"fingerprint": engine.fingerprint(), "ms": _time(runner, calls)[0] / calls / NS_PER_MS}


_TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "time": _timed, "profile": _profiled, "weigh": _weighed, "try": _tried
}  # fmt: skip


def _load(request: dict[str, Any]) -> list[Runner]:
    engine = open_engine(request["target"])
    runners = []
    for model in request["models"]:
        with refusals(model["name"]):
            runners.append(engine.load(*_content(model)))
    return runners


def _content(model: dict[str, Any]) -> tuple[bytes, Shape]:
    return Path(model["path"]).read_bytes(), tuple(model["input_shape"])


def _calls_per_sample(runner: Runner, warm_up_calls: int, sample_ms: float) -> int:
    """How many calls in a row last at least `sample_ms`; fixed for the session."""
    for _ in range(warm_up_calls):
        runner()
    cpu_ns, _ = _time(runner, 3)
    return max(1, math.ceil(sample_ms * NS_PER_MS / max(cpu_ns / 3, 1.0)))


def _rounds(request: dict[str, Any], runners: list[Runner], calls: list[int]) -> tuple[list[np.ndarray], int, int]:
    """Times every model once a round; returns rounds of (models, clocks) in ns, how many unstable, how many repeated.

    A disturbed round is repeated, up to a quarter as many again as were asked for; after that it is kept and counted:
    where the processor is always shared, repeating costs time and gains nothing over CPU time by the reference's.
    """
    rng = np.random.default_rng(request["seed"])
    repeats_left = request["rounds"] // 4
    kept: list[np.ndarray] = []
    unstable = repeated = 0
    while len(kept) < request["rounds"]:
        taken = np.zeros((len(runners), 2))
        for index in rng.permutation(len(runners)):
            runners[index]()  # not timed: without it, a file costs 1 to 2 % more the more files stand beside it
            taken[index] = _time(runners[index], calls[index])
        cpu_ns, wall_ns = taken.sum(axis=0)
        disturbed = request["threads"] == 1 and wall_ns > request["unstable_above"] * cpu_ns
        if disturbed and repeats_left:
            repeats_left -= 1
            repeated += 1
        else:
            kept.append(taken)
            unstable += disturbed
    return kept, int(unstable), repeated


def _time(runner: Runner, calls: int) -> tuple[int, int]:
    """CPU time of this process and wall time of some calls in a row, in ns."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for _ in range(calls):
        runner()
    return time.process_time_ns() - cpu, time.perf_counter_ns() - wall


if __name__ == "__main__":
    sys.exit(main())
