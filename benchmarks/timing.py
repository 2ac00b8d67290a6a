"""How far a measured latency can be trusted: on made-up machines whose truth is known, and beside a busy process.

Prints one JSON object with the marks. Of made-up machines (--traces: steady ones, spikes, ramps and steps): within 2 %
of the truth or flagged, at least 95 % of the throttled ones flagged, at most 2 % of the others. Of real targets
(--targets, a session of each in turn): the coefficient of variation over sessions is at most 3 % with one thread on
ONNX Runtime, OpenVINO, MNN and ncnn. Beside it stand plain blocked medians, taken right after each session: the file
alone, call after call, without a reference.

    python benchmarks/timing.py --traces 200
    python benchmarks/timing.py --targets onnxruntime-f32 openvino-f32 --busy same-core
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median, stdev

from hwnas.core.errors import HwnasError, TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Silence
from hwnas.core.seeds import seed_for
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import untrained
from hwnas.hardware.profiling import draw_networks
from hwnas.hardware.reference import REFERENCE
from hwnas.hardware.sessions import Plan, Session, WorkerTimer, default_rounds
from hwnas.hardware.steadiness import doubts
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, TargetKey, cpu_model, open_target
from hwnas.hardware.timing import run_sessions
from hwnas.hardware.traces import measure_traces, trace_figures
from hwnas.spaces.proxyless import proxyless_space

MARKED = ("onnxruntime", "openvino", "mnn", "ncnn")  # engines whose spread has a mark
MOST_CV = 3.0  # per cent
# A process that computes for ever, in matrices that do not fit in the second cache; it ends when its parent is gone.
BURNER = """
import os, sys
import numpy as np
core, parent = int(sys.argv[1]), os.getppid()
if core >= 0:
    os.sched_setaffinity(0, {core})
a = np.ones((600, 600), np.float32)
while os.getppid() == parent:
    a @ a
"""


def traces(count: int, rounds: int | None, seed: int) -> dict[str, object]:
    target = Target("onnxruntime-f32", TargetKey("made up", "1", "f32", 1, 1, (1, 24, 24), "made up"))
    with tempfile.TemporaryDirectory() as folder:
        found = measure_traces(count, seed, target, TargetStore(Path(folder)), rounds)
    figures = trace_figures(found)
    return {"rounds": rounds or default_rounds(target.key.input_shape), "sessions": 5, "seed": seed, **figures}


def real(names: list[str], resolution: int, sessions: int, busy: str, seed: int) -> dict[str, object]:
    shape = (3, resolution, resolution)
    space = proxyless_space("proxyless-imagenet" if resolution > 100 else "proxyless-small", shape, 10)
    networks, _ = draw_networks(space, 3, 2, seed)  # a small, a middle and a large one, most often
    engines, unavailable = {}, {}
    for name in names:
        try:
            engines[name] = Beside(open_target(name, shape), networks)
        except TargetUnavailable as reason:
            unavailable[name] = str(reason)
    with burning(busy):
        for index in range(sessions):
            for engine in engines.values():
                engine.take(seed_for(seed, "session", index))
            print(f"{index + 1} of {sessions} sessions", file=sys.stderr)
    figures = {name: engine.figures() for name, engine in engines.items()}
    marks = {
        f"{name}: CV over sessions <= {MOST_CV:g} %": figures[name]["cv_percent"]["by_reference"] <= MOST_CV
        for name, engine in engines.items()
        if engine.target.key.engine in MARKED and engine.target.key.threads == 1
    }
    asked = {"resolution": resolution, "sessions": sessions, "busy": busy, "seed": seed}
    return {**asked, "targets": figures, "unavailable": unavailable, "marks": marks}


class Beside:
    """One target's sessions by the reference's time, and right after each the files alone, in blocks."""

    def __init__(self, target: Target, networks: tuple[NetworkSpec, ...]) -> None:
        self.target, self.timer = target, WorkerTimer()
        engine = open_engine(target.name)
        self.files = {f"network{index}": untrained(network, engine) for index, network in enumerate(networks)}
        self.plan_rounds = default_rounds(target.key.input_shape)
        self.interleaved: list[Session] = []
        self.blocked: dict[str, list[Session]] = {name: [] for name in self.files}

    def take(self, seed: int) -> None:
        """One session, and the blocks after it."""
        plan = Plan(self.plan_rounds, seed)
        taken = run_sessions(self.target, self.files, plan, 1, self.timer, Silence(), "measure")
        self.interleaved.append(next(iter(taken.values()))[0])
        for name, file in self.files.items():
            self.blocked[name].append(self.timer.time_session(self.target, {name: file}, plan))

    def figures(self) -> dict[str, object]:
        """How far sessions are apart, by each way of timing."""
        ways = ("by_reference", "blocked_cpu", "blocked_wall")
        networks = {name: self._network(name) for name in self.files}
        return {
            "key": self.target.key.to_json(),
            "cv_percent": {way: round(fmean(row["cv_percent"][way] for row in networks.values()), 2) for way in ways},
            "disturbed_rounds": sum(session.unstable for session in self.interleaved),
            "rounds": self.plan_rounds * len(self.interleaved),
            "networks": networks,
        }

    def _network(self, name: str) -> dict[str, object]:
        ratios = [session.ratio(name, REFERENCE, self.target) for session in self.interleaved]
        own, fixed = (
            [session.samples[which].on(self.target) for session in self.interleaved] for which in (name, REFERENCE)
        )
        alone = [session.samples[name] for session in self.blocked[name]]
        values = {
            "by_reference": ratios,
            "blocked_cpu": [median(samples.cpu_ms) for samples in alone],
            "blocked_wall": [median(samples.wall_ms) for samples in alone],
        }
        found = doubts(own, fixed, median(sample for session in fixed for sample in session))
        return {
            "ms": round(median(values["blocked_cpu"]), 3),
            "cv_percent": {way: round(100 * stdev(row) / fmean(row), 2) for way, row in values.items()},
            "doubts": [doubt.says for doubt in found],
        }


@contextlib.contextmanager
def burning(busy: str) -> Iterator[None]:
    """A second busy process meanwhile: where the workers are pinned, anywhere, or none."""
    if busy == "no":
        yield
        return
    core = max(os.sched_getaffinity(0)) if busy == "same-core" else -1
    with subprocess.Popen([sys.executable, "-c", BURNER, str(core)], env={**os.environ, "OMP_NUM_THREADS": "1"}) as one:
        try:
            yield
        finally:
            one.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=0, help="how many made-up ones; 0 for none")
    parser.add_argument("--rounds", type=int, help="of their sessions; as for small images without it")
    parser.add_argument("--targets", nargs="*", default=[], help="names of targets")
    parser.add_argument("--resolution", type=int, default=224, help="pixels a side")
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--busy", choices=("same-core", "anywhere", "no"), default="same-core", help="a second process")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    machine = {"cpu": cpu_model(), "cores": os.cpu_count(), "system": platform.platform()}
    found: dict[str, object] = {"machine": {**machine, "python": platform.python_version()}}
    try:
        if asked.traces:
            found["traces"] = traces(asked.traces, asked.rounds, asked.seed)
        if asked.targets:
            found["real"] = real(asked.targets, asked.resolution, asked.sessions, asked.busy, asked.seed)
    except HwnasError as reason:
        print(reason, file=sys.stderr)
        return reason.exit_code
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
