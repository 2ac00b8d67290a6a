"""Files that an engine can load, and how to get one without training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hwnas.core.errors import EvaluationFailed, ModelRefused, OutOfMemory
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Engine
from hwnas.formats.arrays import random_arrays


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that an engine can load.

    Args:
        content: the bytes, in the format of the engine.
        input_shape: (channels, height, width) of its images.
    """

    content: bytes
    input_shape: Shape

    @property
    def sha256(self) -> str:
        """Of the content, 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


def untrained(network: NetworkSpec, engine: Engine) -> ModelFile:
    """The network with random weights: it runs exactly as long as with trained ones, and needs no training.

    Args:
        network: the network.
        engine: writes the file.

    Raises:
        ModelRefused: the engine cannot run such a network; the message says why.
        OutOfMemory: memory ran out.
    """
    with refusals():
        return ModelFile(engine.write(network, random_arrays(network, seed=0)), network.input_shape)


@contextmanager
def refusals(name: str = "") -> Iterator[None]:
    """Within, an engine writes or takes a file, or its refusal is told as one.

    Args:
        name: of the file, for messages.

    Raises:
        ModelRefused: the engine refuses it; the message says why.
        OutOfMemory: memory ran out.
    """
    of = f"{name}: " if name else ""
    try:
        yield
    except OutOfMemory:
        raise
    except EvaluationFailed as reason:
        raise ModelRefused(f"{of}{reason}") from reason
    except MemoryError as reason:
        raise OutOfMemory(f"{of}memory ran out; measure smaller networks or images") from reason
