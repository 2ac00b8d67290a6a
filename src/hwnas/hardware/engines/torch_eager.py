"""PyTorch's eager mode on the CPU, f32: what a network costs where it was trained, with no engine at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np

from hwnas.core.errors import EvaluationFailed, InputError
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.arrays import check_arrays
from hwnas.hardware.engines.calls import facts, in_calls, some_images
from hwnas.hardware.engines.libraries import TORCH

_NETWORK = "network"  # the one key of a file's metadata: of several, safetensors draws the order anew at every call
_LENGTH_BYTES = 8  # of the length of a file's header, little-endian, before the header itself


@final
class TorchEngine:
    """Runs a network as the torch module that is trained: nothing is folded, every operation is a call.

    Its files are safetensors with the network's JSON as metadata: weights and no code. They serve every batch.

    The number of threads is a setting of torch that belongs to the thread that calls, and in part to the process; it is
    set for the time of a call and put back, so that a training beside it keeps its own.

    Args:
        threads: of one network, at least 1.
        batch: images a call.

    Raises:
        TargetUnavailable: torch is not installed.
    """

    suffix = ".torch.safetensors"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        with TORCH.needed_by("torch-f32"):
            import torch
        self._vendor: Any = torch
        self._threads = threads
        self._batch = batch

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return facts("torch", str(self._vendor.__version__), "f32", self._threads, self._batch)

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """The network and its arrays as one safetensors file; the images do not matter."""
        from safetensors.numpy import save

        check_arrays(network, arrays)
        return bytes(save(dict(arrays), {_NETWORK: json.dumps(network.to_json(), separators=(",", ":"))}))

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """Refuses.

        Raises:
            EvaluationFailed: always; the message says what to give instead.
        """
        raise EvaluationFailed(
            "torch has no way in from ONNX: give a network.json, an architecture.json, a published network's name or a "
            "run's directory instead"
        )

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares a file for images of input_shape.

        Raises:
            EvaluationFailed: the file is damaged, or reads other images; the message says why.
        """
        runner = _Run(self, self._module(model, input_shape), some_images(self._batch, input_shape))
        runner()
        return runner

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores of images, as on the device.

        Returns:
            Scores, float32, shape (images, classes).

        Raises:
            EvaluationFailed: the file is damaged, or reads other images; the message says why.
        """
        module = self._module(model, images_BCHW.shape[1:])

        def call(images: np.ndarray) -> np.ndarray:
            with self.settings():
                return np.asarray(module(self._vendor.from_numpy(images)).numpy())

        return in_calls(call, images_BCHW, self._batch)

    @contextlib.contextmanager
    def settings(self) -> Iterator[None]:
        """Within, torch has this target's threads and records nothing for gradients."""
        before = self._vendor.get_num_threads()
        self._vendor.set_num_threads(self._threads)
        try:
            with self._vendor.inference_mode():
                yield
        finally:
            self._vendor.set_num_threads(before)

    def _module(self, model: bytes, input_shape: tuple[int, ...]) -> Any:
        """The network of a file as a torch module.

        Raises:
            EvaluationFailed: the file is damaged, or reads images of another shape.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        from hwnas.nn.build import build, load_arrays

        try:
            arrays = load(model)  # first: it finds a header that ends outside the file
            header = json.loads(model[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(model[:_LENGTH_BYTES], "little")])
            network = NetworkSpec.from_json(json.loads(header["__metadata__"][_NETWORK]))
            check_arrays(network, arrays)
        except (SafetensorError, InputError, KeyError, TypeError, ValueError, RecursionError) as reason:
            raise EvaluationFailed(
                f"torch cannot run this file, it is damaged or of another kind: {reason}"
            ) from reason
        if network.input_shape != tuple(input_shape):
            raise EvaluationFailed(
                f"torch cannot run this file: it reads images of {network.input_shape}, not of {tuple(input_shape)}"
            )
        module = build(network).eval()
        load_arrays(module, arrays)
        return module


@final
class _Run:
    """A module with images."""

    def __init__(self, engine: TorchEngine, module: Any, images: np.ndarray) -> None:
        import torch

        self._settings = engine.settings
        self._module = module
        self._images = torch.from_numpy(images)

    def __call__(self) -> None:
        """Runs the network once."""
        with self._settings():
            self._module(self._images)
