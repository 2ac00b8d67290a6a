"""Training a network in a process of its own: whatever becomes of that one, this one lives.

The child only computes. It asks for its checkpoints, and hands over those that are to be kept, so that a run directory
has one writer; a child whose parent is gone ends at its next step.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.core.errors import (
    DataError,
    Diverged,
    EvaluationFailed,
    HwnasError,
    InputError,
    OutOfMemory,
    ProcessLost,
    RunError,
)
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Checkpoint, Checkpoints, Progress
from hwnas.core.trial import Quality
from hwnas.data.handover import handed_over
from hwnas.data.images import ImageData
from hwnas.evaluation.channel import Channel
from hwnas.evaluation.process import started
from hwnas.training.device import TrainingDevice
from hwnas.training.memory import says_out_of_memory
from hwnas.training.recipe import Recipe

CHILD = (sys.executable, "-P", "-m", "hwnas.evaluation.child")  # -P: nothing out of the working directory
PATIENCE_S = 600.0
_ERRORS: Mapping[str, type[HwnasError]] = {
    kind.__name__: kind for kind in (DataError, Diverged, EvaluationFailed, InputError, OutOfMemory, RunError)
}


@dataclass(frozen=True)
class Training:
    """One training and the score after it.

    Args:
        network: what is trained.
        recipe: how.
        steps: number of weight updates.
        seed: of the run.
        initial_seed: of the initial weights.
        purpose: names it; batches are drawn by it.
        device: where it runs.
        threads: of torch.
    """

    network: NetworkSpec
    recipe: Recipe
    steps: int
    seed: int
    initial_seed: int
    purpose: str
    device: TrainingDevice
    threads: int

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        values = {name: getattr(self, name) for name in ("steps", "seed", "initial_seed", "purpose", "threads")}
        parts = {"network": self.network.to_json(), "recipe": asdict(self.recipe), "device": asdict(self.device)}
        return {**values, **parts}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Training:
        """The training that `to_json` wrote down."""
        parts = {
            "network": NetworkSpec.from_json(values["network"]),
            "recipe": Recipe(**values["recipe"]),
            "device": TrainingDevice(**values["device"]),
        }
        return Training(**{**values, **parts})


def train_in_child(
    training: Training, data: ImageData, checkpoints: Checkpoints, progress: Progress, *,
    patience_s: float = PATIENCE_S, command: tuple[str, ...] = CHILD,
) -> Quality:  # fmt: skip
    """Trains on the train split and scores on the search split, in a process of its own.

    Args:
        training: what and how.
        data: the child never sees its test split.
        checkpoints: kept by this process; a training that was cut off goes on from there.
        progress: told how far the child is.
        patience_s: a child that finishes no step for so long hangs.
        command: starts the child.

    Raises:
        Diverged: the loss is not finite, and lower learning rates have not helped.
        OutOfMemory: memory ran out, or the system killed the child, which is how it says so.
        ProcessLost: the child was ended by another signal, or hangs.
        EvaluationFailed: the child failed in another way; it would again.
    """
    with started(command, patience_s) as child:
        try:
            facts, arrays = handed_over(data)
            child.channel.send({"training": training.to_json(), "data": facts}, arrays)
            return _serve(child.channel, checkpoints, progress)
        except TimeoutError:
            raise ProcessLost(
                f"{training.purpose}: its process finished no step in {patience_s:g} s and was stopped"
            ) from None
        except (EOFError, ConnectionError):
            raise _reason(training, *child.last_words()) from None


def _serve(channel: Channel, checkpoints: Checkpoints, progress: Progress) -> Quality:
    """Does what the child asks for until it gives its answer."""
    while True:
        message = channel.receive()
        match message.facts:
            case {"latest": _}:
                saved = checkpoints.latest()
                if saved is None:
                    channel.send({"step": None})
                else:
                    channel.send({"step": saved.step, "state": saved.state}, saved.arrays)
            case {"due": step}:
                channel.send({"due": checkpoints.due(step)})
            case {"save": step, "state": state}:
                checkpoints.save(Checkpoint(step, message.arrays, state))
                channel.send({"saved": step})
            case {"stage": [name, total, done]}:
                progress.stage(name, total, done)
            case {"advance": [done, facts]}:
                progress.advance(done, facts)
            case {"record": line}:
                progress.record(line)
            case {"say": text}:
                progress.say(text)
            case {"quality": quality}:
                return Quality(**quality)
            case {"error": reason, "kind": kind}:
                raise _ERRORS.get(kind, EvaluationFailed)(reason)


def _reason(training: Training, code: int | None, lines: list[str]) -> EvaluationFailed:
    """Why a child ended without an answer, by its exit status and its last words."""
    last = lines[-1] if lines else "it said nothing"
    if code == -signal.SIGKILL or any(map(says_out_of_memory, lines)):
        size = training.recipe.batch_size
        return OutOfMemory(f"{training.purpose}: its process ran out of memory with {size} images a step ({last})")
    if code is not None and code < 0:
        return ProcessLost(f"{training.purpose}: its process was ended by {signal.Signals(-code).name} ({last})")
    return EvaluationFailed(f"{training.purpose}: its process ended with status {code}: {last}")
