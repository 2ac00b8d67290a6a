"""The process of one training: `python -m hwnas.evaluation.child`, asked and answering on the socket at stdin."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, final

import torch

from hwnas.core.errors import HwnasError
from hwnas.core.protocols import Checkpoint, PlannedPart
from hwnas.core.trial import Quality
from hwnas.data.handover import taken_over
from hwnas.evaluation.channel import Channel
from hwnas.evaluation.isolated import Training
from hwnas.evaluation.standalone import score
from hwnas.nn.build import build, initialise
from hwnas.training.fit import train
from hwnas.training.memory import memory_for


def main() -> int:
    """Does the training that the parent asks for; ends when the parent does."""
    channel = Channel(socket.socket(fileno=0))
    with contextlib.suppress(EOFError, ConnectionError):
        answer: dict[str, Any]
        try:
            answer = {"quality": asdict(_trained(channel))}
        except HwnasError as reason:
            answer = {"error": str(reason), "kind": type(reason).__name__}
        channel.send(answer)
    return 0


def _trained(channel: Channel) -> Quality:
    request = channel.receive()
    training = Training.from_json(request.facts["training"])
    data = taken_over(request.facts["data"], request.arrays)
    torch.set_num_threads(training.threads)
    network = build(training.network)
    initialise(network, training.initial_seed)
    with memory_for(training.purpose, training.recipe.batch_size):
        trained = train(
            network, data, training.recipe, steps=training.steps, seed=training.seed, purpose=training.purpose,
            device=training.device, checkpoints=_ParentsCheckpoints(channel), progress=_ParentsProgress(channel),
        )  # fmt: skip
        return score(trained.network, data, data.search, training.device).quality


@final
class _ParentsCheckpoints:
    """Checkpoints that the parent keeps."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None at the start."""
        self._channel.send({"latest": None})
        saved = self._channel.receive()
        step = saved.facts["step"]
        return None if step is None else Checkpoint(step, saved.arrays, saved.facts["state"])

    def due(self, step: int) -> bool:
        """Whether the parent wants one after so many steps."""
        self._channel.send({"due": step})
        return bool(self._channel.receive().facts["due"])

    def save(self, checkpoint: Checkpoint) -> None:
        """Returns when the parent says that it is durable."""
        self._channel.send({"save": checkpoint.step, "state": checkpoint.state}, checkpoint.arrays)
        self._channel.receive()


@final
class _ParentsProgress:
    """A Progress that tells the parent's."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def plan(self, title: str, parts: Sequence[PlannedPart]) -> None:
        """Nothing: the parent has the plan."""

    def enter(self, part: str) -> None:
        """Nothing: the parent knows where it is."""

    def found(self, who: str, facts: Mapping[str, float | str]) -> None:
        """Nothing: the parent compares."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Passed on."""
        self._channel.send({"stage": [name, total, done]})

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        """Passed on."""
        self._channel.send({"advance": [done, facts]})

    def say(self, text: str) -> None:
        """Passed on."""
        self._channel.send({"say": text})

    def record(self, line: Mapping[str, Any]) -> None:
        """Passed on."""
        self._channel.send({"record": line})


if __name__ == "__main__":
    sys.exit(main())
