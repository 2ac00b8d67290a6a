"""Files that an engine can load, and how to get one without training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.formats.arrays import random_arrays
from hwnas.formats.onnx_file import to_onnx


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that an engine can load.

    Args:
        content: the bytes of an ONNX file.
        input_shape: (channels, height, width) of its images.
    """

    content: bytes
    input_shape: Shape

    @property
    def sha256(self) -> str:
        """Of the content, 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


def untrained(network: NetworkSpec) -> ModelFile:
    """The network with random weights: it runs exactly as long as with trained ones, and needs no training."""
    return ModelFile(to_onnx(network, random_arrays(network, seed=0)), network.input_shape)
