"""How well the latency model predicts networks that it never saw: `python benchmarks/latency_model.py --help`.

Prints one JSON object: the machine, the figures, and the marks that the method must reach: measuring within 30 s
(reference network, layers and calibration; the truth it is judged by costs extra), MAPE at most 4 % or the truth's own
retest spread, Kendall tau at least 0.93 or the truth's own, and a smaller MAPE than an affine fit on MACs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.core.errors import HwnasError
from hwnas.core.protocols import Silence
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.profiling import CALIBRATION, build, draw_networks, judge
from hwnas.hardware.sessions import Plan, Session, WorkerTimer
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, open_target
from hwnas.spaces.proxyless import proxyless_space

HELD_OUT = 40


@dataclass
class TimedTimer:
    """Worker sessions whose wall time is added up."""

    seconds: float = 0.0
    sessions: int = 0
    unstable: int = 0
    workers: WorkerTimer = field(default_factory=WorkerTimer)

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        """One worker session."""
        start = time.perf_counter()
        session = self.workers.time_session(target, models, plan)
        self.seconds += time.perf_counter() - start
        self.sessions += 1
        self.unstable += session.unstable + session.repeated
        return session


def run(space_name: str, resolution: int, target_name: str, seed: int) -> dict[str, object]:
    shape = (3, resolution, resolution)
    space = proxyless_space(space_name, shape, classes=1000 if space_name == "proxyless-imagenet" else 10)
    target = open_target(target_name, shape)
    judges, fitted = draw_networks(space, HELD_OUT, CALIBRATION, seed)
    profiling, truth = TimedTimer(), TimedTimer()
    with tempfile.TemporaryDirectory() as folder:
        store = TargetStore(Path(folder))  # an empty one: everything is measured, and counts
        model = build(target, space, store, fitted, judges, seed=seed, timer=profiling, progress=Silence())
        model = judge(model, target, store, fitted, judges, seed=seed, timer=truth, progress=Silence())
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "space": space.name,
        "resolution": resolution,
        "target": target.name,
        "key": target.key.to_json(),
        "seed": seed,
        "calibration_networks": CALIBRATION,
        "held_out_networks": HELD_OUT,
        "measuring_s": round(profiling.seconds, 1),
        "truth_s": round(truth.seconds, 1),
        "disturbed_rounds": {"profiling": profiling.unstable, "truth": truth.unstable},
        **_figures(model, profiling.seconds),
    }


def _figures(model: LatencyModel, measuring_s: float) -> dict[str, object]:
    quality = model.quality
    if quality is None:
        raise ValueError("the model was not judged")
    figures = quality.to_json()
    del figures["points"], figures["calibration_networks"]
    return {
        **{name: round(value, 3) for name, value in figures.items()},
        "marks": {
            "measuring <= 30 s": measuring_s <= 30,
            "MAPE <= max(4 %, retest CV)": quality.mape_percent <= max(4.0, quality.retest_cv_percent),
            "tau >= min(0.93, retest tau)": quality.kendall_tau >= min(0.93, quality.retest_tau),
            "MAPE < MAPE of MACs": quality.mape_percent < quality.macs_mape_percent,
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="proxyless-imagenet")
    parser.add_argument("--resolution", type=int, default=224, help="pixels a side")
    parser.add_argument("--target", default="onnxruntime-f32")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        print(json.dumps(run(options.space, options.resolution, options.target, options.seed), indent=2))
    except HwnasError as reason:
        print(reason, file=sys.stderr)
        return reason.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
