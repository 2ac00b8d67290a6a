"""ONNX Runtime on the CPU, f32."""

from __future__ import annotations

import json
import tempfile
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from hwnas.core.errors import EvaluationFailed
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.onnx_file import to_onnx
from hwnas.hardware.engines.calls import facts, in_calls, some_images
from hwnas.hardware.engines.kernels import by_node
from hwnas.hardware.engines.libraries import ONNXRUNTIME

_WARM_UP_RUNS = 3  # when profiling; the first run costs up to 1.6 times the later ones


@final
class OnnxRuntimeEngine:
    """Runs ONNX files with ONNX Runtime's CPU provider.

    Args:
        threads: of one network, at least 1. Waiting threads sleep instead of spinning, so that they cost no CPU time.
        batch: images a call.

    Raises:
        TargetUnavailable: the package onnxruntime is not installed, too old or broken.
    """

    suffix = ".onnx"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        with ONNXRUNTIME.needed_by("onnxruntime-f32"):
            import onnxruntime
        self._vendor: Any = onnxruntime
        self._threads = threads
        self._batch = batch

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return facts("onnxruntime", str(self._vendor.__version__), "f32", self._threads, self._batch)

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """The network as an ONNX file; the images do not matter."""
        return to_onnx(network, arrays, batch=self._batch)

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """The ONNX file as it is."""
        return model

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares an ONNX file with one input of (batch, *input_shape), f32.

        Args:
            model: the content of the file.
            input_shape: (channels, height, width).

        Raises:
            EvaluationFailed: ONNX Runtime refuses the file; the message says why.
        """
        try:
            return _BoundRun(self._session(model), self._vendor, some_images(self._batch, input_shape))
        except Exception as reason:  # the vendor's exceptions share no base class
            raise _refused(reason) from reason

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores of images, as on the device.

        Args:
            model: the content of the file.
            images_BCHW: float32.

        Returns:
            Scores, float32, shape (images, classes).

        Raises:
            EvaluationFailed: ONNX Runtime refuses the file or the images; the message says why.
        """
        try:
            session = self._session(model)
            name = session.get_inputs()[0].name
            return in_calls(lambda images: session.run(None, {name: images})[0], images_BCHW, self._batch)
        except Exception as reason:  # the vendor's exceptions share no base class
            raise _refused(reason) from reason

    def profile(self, model: bytes, input_shape: Shape, runs: int) -> Mapping[str, float]:
        """What each kernel takes inside a run, in ms, by ONNX Runtime's session profiler; it counts microseconds.

        The session is optimised as it is for timing: a lower level keeps more names, and is another program.

        Raises:
            EvaluationFailed: ONNX Runtime refuses the file; the message says why.
        """
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            try:
                session = self._session(model, str(Path(folder) / "profile"))
                run = _BoundRun(session, self._vendor, some_images(self._batch, input_shape))
                for _ in range(_WARM_UP_RUNS + runs):
                    run()
                events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
                return by_node(model, _kernels(events)[-runs:])
            except Exception as reason:  # the vendor's exceptions share no base class
                raise _refused(reason) from reason

    def _session(self, model: bytes, profile: str = "") -> Any:
        """A session; with the beginning of a file's name, one that writes there what its kernels take."""
        options = self._vendor.SessionOptions()
        options.enable_profiling = bool(profile)
        if profile:
            options.profile_file_prefix = profile
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = self._vendor.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors only: warnings would mix with the caller's messages
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # What was checked as ONNX is not to be taken for ONNX Runtime's own format, which it would tell by four bytes.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        return self._vendor.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _kernels(events: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """What every kernel took in every run, in ms, from the profiler's events, which are in microseconds."""
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    runs: list[dict[str, float]] = [{} for _ in starts]
    for event in sorted(events, key=lambda event: event["ts"]):
        name, mark, _ = event["name"].rpartition("_kernel_time")
        if event["cat"] == "Node" and mark:
            run = runs[bisect_right(starts, event["ts"]) - 1]
            run[name] = run.get(name, 0.0) + event["dur"] / 1000
    return runs


def _refused(reason: Exception) -> EvaluationFailed:
    return EvaluationFailed(f"onnxruntime cannot run this file: {' '.join(str(reason).split())}")


@final
class _BoundRun:
    """A session with its input and outputs bound once, so that a call copies nothing."""

    def __init__(self, session: Any, vendor: Any, images: np.ndarray) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, vendor.OrtValue.ortvalue_from_numpy(images))
        for output in session.get_outputs():
            self._binding.bind_output(output.name)
        self()

    def __call__(self) -> None:
        """Runs the network once."""
        self._session.run_with_iobinding(self._binding)
