"""LiteRT (TensorFlow Lite) on the CPU with XNNPACK, f32."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import numpy as np

from hwnas.core.errors import EvaluationFailed, quoted
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.litert_file import to_litert
from hwnas.formats.litert_model import is_whole
from hwnas.hardware.engines.calls import facts, in_calls, some_images
from hwnas.hardware.engines.libraries import LITERT
from hwnas.hardware.engines.notices import without_notices

_NOTICES = (b"INFO: ",)  # that it uses XNNPACK


@final
class LiteRtEngine:
    """Runs .tflite files with LiteRT's interpreter, whose CPU kernels are XNNPACK's.

    Args:
        threads: of one network, at least 1.
        batch: images a call.

    Raises:
        TargetUnavailable: the package ai-edge-litert is not installed.
    """

    suffix = ".tflite"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        with LITERT.needed_by("litert-f32"):
            from ai_edge_litert import interpreter
        self._vendor: Any = interpreter
        self._threads = threads
        self._batch = batch

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return facts("litert", importlib.metadata.version("ai-edge-litert"), "f32", self._threads, self._batch)

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """The network as a .tflite file; the images do not matter."""
        return to_litert(network, arrays, batch=self._batch)

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """There is no way from ONNX to LiteRT.

        Raises:
            EvaluationFailed: always; the message says what to give instead.
        """
        raise EvaluationFailed(
            "LiteRT reads no ONNX files, and no converter that keeps to its channels-last layout is at hand: give the "
            "network itself (network.json, architecture.json, a run directory, or a published network's name), from "
            "which a .tflite file is written straight"
        )

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares a .tflite file with one float32 input (batch, height, width, channels).

        Args:
            model: the content of the file.
            input_shape: (channels, height, width).

        Raises:
            EvaluationFailed: the file is damaged or not written by hwnas, LiteRT refuses it, or its input is another;
                the message says which.
        """
        loaded = self._loaded(model, input_shape)
        loaded.scores(some_images(self._batch, input_shape))
        return loaded.run

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores of images, as on the device; that they come with channels first costs no time that is measured.

        Args:
            model: the content of the file.
            images_BCHW: float32.

        Returns:
            Scores, float32, shape (images, classes).

        Raises:
            EvaluationFailed: as for `load`; the message says why.
        """
        loaded = self._loaded(model, images_BCHW.shape[1:])
        return in_calls(loaded.scores, images_BCHW, self._batch)

    def _loaded(self, model: bytes, input_shape: Shape) -> _Loaded:
        if not is_whole(model):
            raise EvaluationFailed(
                "this is no .tflite file that hwnas wrote, or it is damaged: the checksum inside does not fit; write "
                "it again, or restore it from a copy"
            )
        with _refusals(), without_notices(*_NOTICES):
            interpreter = self._vendor.Interpreter(model_content=model, num_threads=self._threads)
            interpreter.allocate_tensors()
        sizes = (self._batch, *input_shape[1:], input_shape[0])
        details = *interpreter.get_input_details(), *interpreter.get_output_details()
        found = [(tuple(one["shape"].tolist()), np.dtype(one["dtype"]).name) for one in details]
        if len(found) != 2 or found[0] != (sizes, "float32") or found[1][1] != "float32":
            raise EvaluationFailed(
                f"this .tflite file reads and gives {quoted(found)}; expected one float32 input {sizes}, which is "
                "(batch, height, width, channels), and one float32 output"
            )
        return _Loaded(interpreter, *(one["index"] for one in details))


@final
class _Loaded:
    """An interpreter with its tensors allocated.

    Args:
        interpreter: the vendor's.
        images: index of its input.
        scores: index of its output.
    """

    def __init__(self, interpreter: Any, images: int, scores: int) -> None:
        self.run: Runner = interpreter.invoke
        self._interpreter = interpreter
        self._images, self._scores = images, scores

    def scores(self, images_BCHW: np.ndarray) -> np.ndarray:
        """Runs one batch, (batch, channels, height, width), and returns (batch, classes).

        Raises:
            EvaluationFailed: an operator of the file cannot be run.
        """
        with _refusals():
            self._interpreter.set_tensor(self._images, np.ascontiguousarray(np.moveaxis(images_BCHW, 1, -1)))
            self._interpreter.invoke()
        return np.moveaxis(self._interpreter.get_tensor(self._scores), -1, 1)


@contextmanager
def _refusals() -> Iterator[None]:
    """Within, what LiteRT refuses is an EvaluationFailed with its reason."""
    try:
        yield
    except (ValueError, RuntimeError) as reason:
        raise EvaluationFailed(f"litert cannot run this file: {' '.join(str(reason).split())}") from reason
