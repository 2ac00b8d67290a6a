"""How well the latency model predicts networks that it never saw: `python benchmarks/latency_model.py --help`.

Any target and any space of one resolution. Prints one JSON object: the machine, the figures, and the marks that the
method must reach: measuring within 30 s (reference network, layers and calibration; 90 s where a space has too many
layers to be timed each), MAPE at most 5 % or the truth's own retest spread, Kendall tau at least 0.92 or the truth's
own, and a smaller MAPE than an affine fit on MACs. Counted apart are the seconds in which files were written and
engines loaded and compiled them, and those of the truth that the model is judged by.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from hwnas import compose
from hwnas.core.errors import HwnasError
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Silence
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.layers import distinct_layers
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.profiling import (
    CALIBRATION,
    CALIBRATION_BY_FEATURES,
    MOST_LAYERS,
    build,
    draw_networks,
    judge,
)
from hwnas.hardware.quality import ModelQuality
from hwnas.hardware.sessions import Plan, Session, WorkerTimer
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target, open_target

HELD_OUT = 40


@dataclass
class TimedTimer:
    """Worker sessions whose wall time is added up, that of loading files by itself."""

    measuring_s: float = 0.0
    loading_s: float = 0.0
    sessions: int = 0
    disturbed: int = 0
    workers: WorkerTimer = field(default_factory=WorkerTimer)

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        """One worker session."""
        start = time.perf_counter()
        session = self.workers.time_session(target, models, plan)
        self.measuring_s += time.perf_counter() - start - session.loading_s
        self.loading_s += session.loading_s
        self.sessions += 1
        self.disturbed += session.unstable + session.repeated
        return session

    def figures(self, wall_s: float) -> dict[str, float]:
        """Where the time went; what is left of the wall time is drawing networks and writing files."""
        return {
            "measuring_s": round(self.measuring_s, 1),
            "loading_s": round(self.loading_s, 1),
            "writing_s": round(wall_s - self.measuring_s - self.loading_s, 1),
            "sessions": self.sessions,
            "disturbed_rounds": self.disturbed,
        }


def run(
    space_name: str, resolution: int | None, target_name: str, seed: int, held_out: int, calibration: int | None
) -> dict[str, object]:
    space = compose.own_space(space_name, resolution, None, None, 1.0)
    target = open_target(target_name, space.input_shape)
    layers = distinct_layers(space, MOST_LAYERS)
    calibration = calibration or (CALIBRATION if layers else CALIBRATION_BY_FEATURES)
    judges, fitted = draw_networks(space, held_out, calibration, seed)
    profiling, truth, start = TimedTimer(), TimedTimer(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = TargetStore(Path(folder))  # an empty one: everything is measured, and counts
        model = build(target, layers, store, fitted, judges, seed=seed, timer=profiling, progress=Silence())
        built = time.perf_counter()
        model = judge(model, target, store, fitted, judges, seed=seed, timer=truth, progress=Silence())
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "load": os.getloadavg()[0],
        "space": space.choices.name,
        "target": target.name,
        "key": target.key.to_json(),
        "seed": seed,
        "layers_timed": len(model.table),
        "calibration_networks": calibration,
        "held_out_networks": held_out,
        "profiling": profiling.figures(built - start),
        "truth": truth.figures(time.perf_counter() - built),
        "kind": model.kind,
        "errors_percent": {kind: round(error, 3) for kind, error in model.errors_percent.items()},
        "held_out_mape_percent": _by_kind(model, judges),
        **_figures(model, profiling.measuring_s, 30 if layers else 90),
    }


def _by_kind(model: LatencyModel, judges: Sequence[NetworkSpec]) -> dict[str, float]:
    """What every kind would have had on the held-out networks: whether the choice was right, which it did not know."""
    truth = [point.measured_ms for point in _quality(model).points]
    models = {kind: replace(model, kind=kind) for kind in model.errors_percent}
    return {
        kind: round(100 * fmean(abs(one.cost(n).value / ms - 1) for n, ms in zip(judges, truth, strict=True)), 3)
        for kind, one in models.items()
    }


def _quality(model: LatencyModel) -> ModelQuality:
    if model.quality is None:
        raise ValueError("the model was not judged")
    return model.quality


def _figures(model: LatencyModel, measuring_s: float, most_s: int) -> dict[str, object]:
    quality = _quality(model)
    figures = quality.to_json()
    del figures["points"], figures["calibration_networks"]
    return {
        **{name: round(value, 3) for name, value in figures.items()},
        "marks": {
            f"measuring <= {most_s} s": measuring_s <= most_s,
            "MAPE <= max(5 %, retest CV)": quality.mape_percent <= max(5.0, quality.retest_cv_percent),
            "tau >= min(0.92, retest tau)": quality.kendall_tau >= min(0.92, quality.retest_tau),
            "MAPE < MAPE of MACs": quality.mape_percent < quality.macs_mape_percent,
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="proxyless-imagenet")
    parser.add_argument("--resolution", type=int, help="pixels a side; by default the space's own")
    parser.add_argument("--target", default="onnxruntime-f32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="networks that judge the model")
    parser.add_argument("--calibration", type=int, help="networks that it is fitted on; by default what it needs")
    options = parser.parse_args()
    try:
        found = run(
            options.space, options.resolution, options.target, options.seed, options.held_out, options.calibration
        )
    except HwnasError as reason:
        print(reason, file=sys.stderr)
        return reason.exit_code
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
