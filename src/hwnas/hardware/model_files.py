"""Files that an engine can load, and how to get one without training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

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
        EvaluationFailed: the engine cannot run such a network; the message says why.
    """
    return ModelFile(engine.write(network, random_arrays(network, seed=0)), network.input_shape)
