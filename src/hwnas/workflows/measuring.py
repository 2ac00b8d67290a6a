"""Measuring inside a run: what was measured once is never measured again there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import final

from hwnas.core.errors import FileFormatError
from hwnas.core.protocols import Progress
from hwnas.hardware.fields import numbers, whole
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.memory import Memory, weigh
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.profiling import profile
from hwnas.hardware.sessions import Plan, Session, Timer, WorkerTimer, read_session
from hwnas.hardware.targets import Target
from hwnas.hardware.timing import Measurement, measure
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import make_directory, write_sealed_json
from hwnas.runs.measurements import MeasurementRecord
from hwnas.runs.store import RunStore
from hwnas.runs.stored import LATENCY
from hwnas.workflows.job import FitJob

MODEL, SESSION_OF, MEMORY_OF = "latency-model", "session of ", "memory of "  # purposes; any other is of a Measurement


@final
@dataclass(frozen=True)
class RememberingTimer:
    """A Timer that commits every session when it is taken: a measuring that was cut off goes on with the next one.

    Args:
        timer: runs those that the store does not hold.
        store: of the run.
        purpose: a session for another purpose is taken anew.
    """

    timer: Timer
    store: RunStore
    purpose: str

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        """Times every model in every round, or reads what was timed with the very same files and plan."""
        files = [[name, model.sha256, list(model.input_shape)] for name, model in models.items()]
        asked = hashlib.sha256(json.dumps([files, asdict(plan)]).encode()).hexdigest()
        purpose = SESSION_OF + self.purpose
        stored = self.store.measurement(target.key.id, asked, purpose)
        if stored is None:
            session = self.timer.time_session(target, models, plan)
            self.store.add_measurement(target.key.id, asked, purpose, session.to_json())
            return session
        return read_session(stored, tuple(models), target)


def measured(
    job: FitJob, run: RunDirectory, models: Mapping[str, bytes], purpose: str, progress: Progress,
    sessions: int | None = None,
) -> dict[str, Measurement]:  # fmt: skip
    """The latency of files, from the run's store or measured now, side by side.

    Args:
        job: target, store, timer, number of sessions.
        run: keeps the measurements.
        models: content of files by name, in the format of the target's engine.
        purpose: the same file may be measured again for another purpose.
        progress: told about every session.
        sessions: measuring processes; None for those of final files.
    """
    target_id = job.target.key.id
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in models.items()}
    first = {digest: name for name, digest in reversed(digests.items())}  # equal files are measured once
    missing = {
        name: models[name]
        for digest, name in first.items()
        if run.store.measurement(target_id, digest, purpose) is None
    }
    if missing:
        fresh = measure(
            job.target, missing, job.store, sessions=sessions or job.settings.sessions, seed=job.settings.seed,
            timer=_timer(job, run, purpose), progress=progress,
        )  # fmt: skip
        # Together: a run that were cut off in between would measure the rest alone, in other sessions.
        contents = {digests[name]: measurement.to_json() for name, measurement in fresh.items()}
        run.store.add_measurements(target_id, purpose, contents)
    found = {name: run.store.measurement(target_id, digest, purpose) for name, digest in digests.items()}
    return {name: Measurement.from_json(stored) for name, stored in found.items()}


def weighed(job: FitJob, run: RunDirectory, content: bytes, purpose: str, processes: int) -> Memory:
    """The memory that a file needs, from the run's store or measured now.

    Args:
        job: target, scale.
        run: keeps the measurement.
        content: the file, in the format of the target's engine.
        purpose: the same file may be weighed again for another purpose.
        processes: in which it is weighed.
    """
    file, purpose = ModelFile(content, job.target.key.input_shape), MEMORY_OF + purpose
    stored = run.store.measurement(job.target.key.id, file.sha256, purpose)
    if stored is None:
        stored = weigh(job.target, file, scale=job.scale, processes=processes).to_json()
        run.store.add_measurement(job.target.key.id, file.sha256, purpose, stored)
    return Memory.from_json(stored)


def profiled(job: FitJob, run: RunDirectory, progress: Progress) -> LatencyModel:
    """The latency model of the job's space on its target, from the run's store or built now."""
    target_id, name = job.target.key.id, f"space/{job.space.choices.name}"
    stored = run.store.measurement(target_id, name, MODEL)
    if stored is None:
        model = profile(
            job.target, job.space, job.store, seed=job.settings.seed, calibration=job.settings.calibration,
            held_out=job.settings.held_out, timer=_timer(job, run, MODEL), progress=progress,
        )  # fmt: skip
        run.store.add_measurement(target_id, name, MODEL, model.to_json())
    else:
        model = LatencyModel.from_json(stored)
    make_directory(run.path / LATENCY)
    write_sealed_json(run.path / LATENCY / f"{job.target.file_name}.json", model.to_json())
    return model


def check_record(record: MeasurementRecord) -> None:
    """Whether a measurement from elsewhere is what runs keep for its purpose.

    Raises:
        FileFormatError: a field is missing or wrong; the message names it.
    """
    if record.purpose == MODEL:
        LatencyModel.from_json(record.content)
    elif record.purpose.startswith(MEMORY_OF):
        Memory.from_json(record.content)
    elif not record.purpose.startswith(SESSION_OF):
        Measurement.from_json(record.content)
    else:
        try:
            for row in record.content["samples"].values():
                for clock in ("cpu_ms", "wall_ms"):
                    numbers(row[clock])
            for counted in ("unstable", "repeated"):
                whole(record.content[counted])
        except (KeyError, TypeError, ValueError, AttributeError) as reason:
            raise FileFormatError(f"session: a field is missing or wrong ({reason!r})") from None


def _timer(job: FitJob, run: RunDirectory, purpose: str) -> Timer:
    return RememberingTimer(job.timer or WorkerTimer(), run.store, purpose)
