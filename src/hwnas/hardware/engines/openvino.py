"""OpenVINO on the CPU, f32 and bf16."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, final

import numpy as np

from hwnas.core.errors import EvaluationFailed, TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.onnx_file import to_onnx
from hwnas.hardware.engines.calls import facts, in_calls, some_images
from hwnas.hardware.engines.kernels import by_node
from hwnas.hardware.engines.libraries import OPENVINO

_PLACES = re.compile(r"Exception from \S+:\d+: |Check '.*?' failed at \S+:\d+: ")
_WARM_UP_RUNS, _COUNTED_RUNS = 1, 8  # after compiling, when profiling


@final
class OpenVinoEngine:
    """Runs ONNX files with OpenVINO's CPU plug-in.

    The precision is always set: left to itself, OpenVINO computes in bf16 wherever the processor can.

    Args:
        threads: of one network, at least 1.
        batch: images a call.
        precision: "f32" or "bf16".

    Raises:
        TargetUnavailable: the package openvino is not installed, too old or broken, or the processor cannot compute
            in bf16.
    """

    suffix = ".onnx"

    def __init__(self, threads: int = 1, batch: int = 1, precision: str = "f32") -> None:
        _keep_off_the_network()
        with OPENVINO.needed_by(f"openvino-{precision}"):
            import openvino

            self._core: Any = openvino.Core()
        self._vendor: Any = openvino
        self._batch = batch
        self._threads = threads
        self._precision = precision
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in able:
            raise TargetUnavailable(
                "target 'openvino-bf16' needs a processor with bf16 instructions (AVX512_BF16, AMX or Armv8.6); this "
                "one has none: take openvino-f32"
            )

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return facts(
            "openvino", str(self._vendor.__version__).split("-")[0], self._precision, self._threads, self._batch
        )

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

        Raises:
            EvaluationFailed: OpenVINO refuses the file; the message says why.
        """
        try:
            request = self._request(model)
            request.set_input_tensor(self._vendor.Tensor(some_images(self._batch, input_shape)))
            request.infer()
            return request.infer  # type: ignore[no-any-return]
        except Exception as reason:  # the vendor's exceptions share no base class
            raise _refused(reason) from reason

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores of images, as on the device.

        Returns:
            Scores, float32, shape (images, classes).

        Raises:
            EvaluationFailed: OpenVINO refuses the file or the images; the message says why.
        """
        try:
            request = self._request(model)

            def call(images: np.ndarray) -> np.ndarray:
                request.infer([images])
                return np.asarray(request.get_output_tensor().data)

            return in_calls(call, images_BCHW, self._batch)
        except Exception as reason:  # the vendor's exceptions share no base class
            raise _refused(reason) from reason

    def profile(self, model: bytes, input_shape: Shape, runs: int) -> Mapping[str, float]:
        """What each kernel takes inside a run, in ms, by OpenVINO's performance counters.

        A counter tells the mean of all runs since the model was compiled, in whole microseconds. So one run is a
        difference that is off by as many microseconds as there were runs, and the model is compiled anew after a few.

        Raises:
            EvaluationFailed: OpenVINO refuses the file; the message says why.
        """
        try:
            image = self._vendor.Tensor(some_images(self._batch, input_shape))
            taken: list[dict[str, float]] = []
            while len(taken) < runs:
                request = self._request(model, counting=True)
                request.set_input_tensor(image)
                means = []
                for _ in range(_WARM_UP_RUNS + _COUNTED_RUNS):
                    request.infer()
                    means.append(self._means_ms(request))
                taken += _single_runs(means)[_WARM_UP_RUNS:]
            return by_node(model, taken)
        except Exception as reason:  # the vendor's exceptions share no base class
            raise _refused(reason) from reason

    def _means_ms(self, request: Any) -> dict[str, float]:
        executed = self._vendor.ProfilingInfo.Status.EXECUTED
        return {
            info.node_name: info.real_time.total_seconds() * 1000
            for info in request.get_profiling_info()
            if info.status == executed
        }

    def _request(self, model: bytes, counting: bool = False) -> Any:
        settings = {
            "PERF_COUNT": counting,
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self._precision,
            "ENABLE_CPU_PINNING": False,  # the measuring process is on its cores already
        }
        return self._core.compile_model(self._core.read_model(model), "CPU", settings).create_infer_request()


def _keep_off_the_network() -> None:
    """Importing openvino tells its vendor so, over the network, through a package that it can do without."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # so nobody can import it


def _single_runs(means: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """What each run took, from the means of the first run, of the first two, and so on."""
    totals = [{}, *({name: count * mean for name, mean in one.items()} for count, one in enumerate(means, start=1))]
    return [{name: ms - before.get(name, 0.0) for name, ms in after.items()} for before, after in pairwise(totals)]


def openvino_bf16(threads: int = 1, batch: int = 1) -> OpenVinoEngine:
    """OpenVINO computing in bf16."""
    return OpenVinoEngine(threads, batch, "bf16")


def _refused(reason: Exception) -> EvaluationFailed:
    """What OpenVINO says, without the lines of its source and its advice on writing extensions."""
    said = _PLACES.sub("", " ".join(str(reason).split())).partition(" To facilitate ")[0]
    return EvaluationFailed(f"openvino cannot run this file: {said}")
