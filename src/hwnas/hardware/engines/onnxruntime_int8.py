"""ONNX Runtime on the CPU, int8: static quantisation of weights and activations, calibrated on images."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from hwnas.core.errors import EvaluationFailed
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.onnx_file import to_onnx
from hwnas.hardware.engines.calls import some_images
from hwnas.hardware.engines.libraries import ONNXRUNTIME
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine

_RANDOM_IMAGES = 16  # by which ranges are chosen where there are no others
_WARNING, _FATAL = 2, 4  # severities of ONNX Runtime's logger


@final
class OnnxRuntimeInt8Engine:
    """Runs ONNX files whose tensors are 8-bit integers between QuantizeLinear and DequantizeLinear (QDQ).

    Weights are int8 with a scale per channel, activations uint8 with a range from the least to the largest value that
    the calibration images gave. Quantised by ONNX Runtime's own `quantize_static`.

    Args:
        threads: of one network, at least 1.
        batch: images a call.

    Raises:
        TargetUnavailable: the package onnxruntime is not installed, too old or broken.
    """

    suffix = ".int8.onnx"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        with ONNXRUNTIME.needed_by("onnxruntime-int8"):
            import onnxruntime  # noqa: F401 - what is missing is said with the name of this target

        self._plain = OnnxRuntimeEngine(threads, batch)
        self._batch = batch

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return {**self._plain.fingerprint(), "precision": "int8"}

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """The network quantised.

        Raises:
            EvaluationFailed: it cannot be quantised; the message says why.
        """
        return self.convert(to_onnx(network, arrays, batch=self._batch), images_BCHW)

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """An ONNX file quantised; one that holds quantised tensors already stays as it is.

        Args:
            model: with one float32 input of (batch, channels, height, width).
            images_BCHW: calibrate the ranges; None for random ones, which is good enough for timing alone.

        Raises:
            EvaluationFailed: it cannot be quantised; the message says why.
        """
        import onnx

        try:
            parsed = onnx.load_from_string(model)
            if any(node.op_type == "QuantizeLinear" for node in parsed.graph.node):
                return model
            return _quantised(parsed, self._batch, images_BCHW)
        except Exception as reason:  # protobuf's and the vendor's exceptions share no base class
            raise EvaluationFailed(
                f"onnxruntime cannot quantise this network: {' '.join(str(reason).split())}"
            ) from None

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares a quantised file with one input of (batch, *input_shape), f32."""
        return self._plain.load(model, input_shape)

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores (images, classes) of float32 images."""
        return self._plain.predict(model, images_BCHW)

    def profile(self, model: bytes, input_shape: Shape, runs: int) -> Mapping[str, float]:
        """What each kernel of a quantised file takes inside a run, in ms."""
        return self._plain.profile(model, input_shape, runs)


def _quantised(model: Any, batch: int, images_BCHW: np.ndarray | None) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    stored = {array.name for array in model.graph.initializer}
    (given,) = (value for value in model.graph.input if value.name not in stored)
    shape = tuple(axis.dim_value for axis in given.type.tensor_type.shape.dim)[1:]
    images = some_images(_RANDOM_IMAGES, shape) if images_BCHW is None else images_BCHW
    whole = len(images) - len(images) % batch  # a call takes exactly `batch`
    images = images[:whole] if whole else np.resize(images, (batch, *shape))

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The calibration images, `batch` at a time."""

        def __init__(self) -> None:
            self._left: Iterator[np.ndarray] = iter(np.split(images, len(images) // batch))

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next ones; None at the end."""
            part = next(self._left, None)
            return None if part is None else {given.name: np.ascontiguousarray(part)}

    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder, _silence():
        given_file, prepared, written = (Path(folder) / name for name in ("f32.onnx", "prepared.onnx", "int8.onnx"))
        given_file.write_bytes(model.SerializeToString())
        quant_pre_process(str(given_file), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(written), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
        )  # fmt: skip
        return written.read_bytes()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The quantiser advises and complains by printing, through the root logger and through ONNX Runtime's own."""
    import onnxruntime

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL + 1)
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)  # as it begins; there is no way to ask
        root.setLevel(level)
