"""The memory that a file needs on a target, measured.

It is how many bytes more are resident, at the peak, while a process reads the file, loads it and runs it, than there
were when the engine had run a small network: the file, the weights in all the forms in which the engine holds them at
one time, and the activations. The engine itself is not in it, which every program has that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, final

from hwnas.core.errors import EvaluationFailed, FileFormatError
from hwnas.hardware.engines import open_engine
from hwnas.hardware.fields import rows, text, whole
from hwnas.hardware.model_files import ModelFile, untrained
from hwnas.hardware.reference import REFERENCE, reference_network
from hwnas.hardware.targets import Target
from hwnas.hardware.worker_process import WorkerProcess

FORMAT = "hwnas-memory@1"
PROCESSES = 3  # which agree to 1 % on most engines, to 10 % on ONNX Runtime
_SIDE = 32  # pixels: the small network that has run before


class Scale(Protocol):
    """Weighs one file once."""

    def peak_bytes(self, target: Target, file: ModelFile) -> int:
        """The memory that the file needs at its peak, in bytes.

        Raises:
            EvaluationFailed: it crashed, hung, or cannot be run.
            TargetUnavailable: the engine is not installed, or the system does not count peaks.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class WorkerScale:
    """Weighs each file in a process of its own.

    Args:
        process: starts it.
    """

    process: WorkerProcess = WorkerProcess()

    def peak_bytes(self, target: Target, file: ModelFile) -> int:
        """The memory that the file needs at its peak, in bytes."""
        channels = file.input_shape[0]
        before = untrained(reference_network((channels, _SIDE, _SIDE)), open_engine(target.name))
        answer = self.process.ask("weigh", target.name, {REFERENCE: before, "the file": file})
        try:
            return whole(answer["peak_bytes"])
        except (KeyError, TypeError, ValueError) as reason:
            raise EvaluationFailed(f"weighing on {target.name!r} gave an incomplete answer: {reason!r}") from None


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory that one file needs.

    Args:
        target_id: of the target key.
        file_sha256: of the file.
        processes_bytes: the peak in each process.
    """

    target_id: str
    file_sha256: str
    processes_bytes: tuple[int, ...]

    @property
    def peak_bytes(self) -> int:
        """The largest: a limit holds for every process."""
        return max(self.processes_bytes)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` is its inverse."""
        return {"format": FORMAT, **asdict(self)}

    @staticmethod
    def from_json(data: Any) -> Memory:
        """Reads what `to_json` wrote.

        Raises:
            FileFormatError: another format, or a field is missing or wrong.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise FileFormatError(f"expected a memory measurement in format {FORMAT!r}")
        try:
            taken = tuple(whole(value) for value in rows(data["processes_bytes"]))
            if not taken:
                raise ValueError("no process")
            return Memory(text(data["target_id"]), text(data["file_sha256"]), taken)
        except (KeyError, TypeError, ValueError) as reason:
            raise FileFormatError(f"memory: a field is missing or wrong ({reason!r})") from None


def weigh(target: Target, file: ModelFile, *, scale: Scale | None = None, processes: int = PROCESSES) -> Memory:
    """Measures the memory that a file needs.

    Args:
        target: where.
        file: in the format of the target's engine.
        scale: weighs; None for worker processes.
        processes: at least 1.

    Raises:
        EvaluationFailed: a process crashed or hung, or the file cannot be run.
        TargetUnavailable: the engine is not installed, or the system does not count peaks.
    """
    scale = scale or WorkerScale()
    taken = tuple(scale.peak_bytes(target, file) for _ in range(processes))
    return Memory(target.key.id, file.sha256, taken)
