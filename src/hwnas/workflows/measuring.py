"""Measuring inside a run: what was measured once is never measured again there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hwnas.core.protocols import Progress
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.profiling import profile
from hwnas.hardware.timing import Measurement, measure
from hwnas.runs.directory import LATENCY, RunDirectory
from hwnas.runs.files import write_json
from hwnas.workflows.job import FitJob


def measured(
    job: FitJob, run: RunDirectory, models: Mapping[str, bytes], purpose: str, progress: Progress
) -> dict[str, Measurement]:
    """The latency of files, from the run's store or measured now, side by side.

    Args:
        job: target, store, timer, number of sessions.
        run: keeps the measurements.
        models: content of ONNX files by name.
        purpose: the same file may be measured again for another purpose.
        progress: told about every session.
    """
    target_id = job.target.key.id
    known: dict[str, Measurement] = {}
    for name, content in models.items():
        stored = run.store.measurement(target_id, hashlib.sha256(content).hexdigest(), purpose)
        if stored is not None:
            known[name] = Measurement.from_json(stored)
    missing = {name: content for name, content in models.items() if name not in known}
    if missing:
        fresh = measure(
            job.target, missing, job.store, sessions=job.settings.sessions, seed=job.settings.seed, timer=job.timer,
            progress=progress,
        )  # fmt: skip
        for name, measurement in fresh.items():
            if run.store.measurement(target_id, measurement.file_sha256, purpose) is None:
                run.store.add_measurement(target_id, measurement.file_sha256, purpose, measurement.to_json())
            known[name] = measurement
    return {name: known[name] for name in models}


def profiled(job: FitJob, run: RunDirectory, progress: Progress) -> LatencyModel:
    """The latency model of the job's space on its target, from the run's store or built now."""
    target_id, name = job.target.key.id, f"space/{job.space.choices.name}"
    stored = run.store.measurement(target_id, name, "latency-model")
    if stored is not None:
        return LatencyModel.from_json(stored)
    model = profile(
        job.target, job.space, job.store, seed=job.settings.seed, calibration=job.settings.calibration,
        held_out=job.settings.held_out, timer=job.timer, progress=progress,
    )  # fmt: skip
    run.store.add_measurement(target_id, name, "latency-model", model.to_json())
    (run.path / LATENCY).mkdir(exist_ok=True)
    write_json(run.path / LATENCY / f"{job.target.name}.json", model.to_json())
    return model
