"""ncnn on the CPU, f32."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from hwnas.core.errors import EvaluationFailed, FileFormatError, TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.ncnn_file import BIN, PARAM, to_ncnn
from hwnas.formats.ncnn_reading import read_ncnn
from hwnas.formats.onnx_file import INPUT_NAME, OUTPUT_NAME
from hwnas.hardware.engines.calls import facts, in_calls, some_images
from hwnas.hardware.engines.libraries import NCNN


@final
class NcnnEngine:
    """Runs files of `to_ncnn` with ncnn, every form of storage and arithmetic below f32 switched off.

    The same file serves every batch. ncnn takes more than one image a call since version 1.0.20261020, and runs them
    one after the other inside, with the scores that each has alone. Older versions are refused then: calling them image
    by image would be the latency of one image, times the batch, under another name.

    Args:
        threads: of one network, at least 1.
        batch: images a call.

    Raises:
        TargetUnavailable: the package ncnn is not installed, or too old for a batch.
    """

    suffix = ".ncnn.zip"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        with NCNN.needed_by("ncnn-f32"):
            import ncnn
        self._vendor: Any = ncnn
        self._threads = threads
        self._batch = batch
        if batch > 1 and not hasattr(ncnn.Mat, "batch"):
            raise TargetUnavailable(
                f"ncnn {ncnn.__version__} takes one image a call: pip install 'ncnn>=1.0.20261020', or take batch 1"
            )

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return facts("ncnn", str(self._vendor.__version__), "f32", self._threads, self._batch)

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """The network as an archive of ncnn's two files; the images do not matter."""
        return to_ncnn(network, arrays)

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """Refuses.

        Raises:
            EvaluationFailed: always; the message says what to give instead.
        """
        raise EvaluationFailed(
            "ncnn reads no ONNX, and its files are written from a network here, not from ONNX: give a network.json, an "
            "architecture.json, a published network's name or a run's directory instead"
        )

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares a file for images of (batch, *input_shape).

        Raises:
            EvaluationFailed: the file is damaged, not for such images, or refused by ncnn; the message says why.
        """
        network = self._network(model, input_shape)
        images = self._images(some_images(self._batch, input_shape))

        def run() -> None:
            self._scores(network, images)

        run()
        return run

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores of images, as on the device.

        Returns:
            Scores, float32, shape (images, classes).

        Raises:
            EvaluationFailed: the file is damaged, not for such images, or refused by ncnn; the message says why.
        """
        network = self._network(model, tuple(images_BCHW.shape[1:]))

        def call(images: np.ndarray) -> np.ndarray:
            scores = self._scores(network, self._images(images))
            if self._batch == 1:
                return np.array(scores)[None]
            return np.stack([np.array(scores.batch(index)) for index in range(self._batch)])

        return in_calls(call, images_BCHW, self._batch)

    def _network(self, model: bytes, input_shape: Shape) -> Any:
        """The file, checked first, for ncnn reads beside its arrays where the two files do not fit."""
        try:
            parts = read_ncnn(model)
        except FileFormatError as reason:
            raise EvaluationFailed(f"ncnn cannot run this file: {reason}") from reason
        if parts.input_shape != input_shape:
            raise EvaluationFailed(
                f"ncnn cannot run this file on images of {input_shape}: it is for images of {parts.input_shape}"
            )
        network = self._vendor.Net()
        network.opt = self._options()  # before loading: ncnn arranges the weights for it
        try:
            with tempfile.TemporaryDirectory(prefix="hwnas-ncnn-") as directory:
                param, weights = Path(directory, PARAM), Path(directory, BIN)
                param.write_bytes(parts.param)
                weights.write_bytes(parts.weights)
                failed = network.load_param(str(param)) or network.load_model(str(weights))
        except OSError as reason:
            raise EvaluationFailed(f"ncnn loads from files, and none can be written for it: {reason}") from reason
        if failed:
            raise EvaluationFailed(f"ncnn {self._vendor.__version__} refuses this file (code {failed})")
        return network

    def _options(self) -> Any:
        options = self._vendor.Option()
        options.num_threads = self._threads
        for name in dir(options):
            if any(less in name for less in ("fp16", "bf16", "int8")):
                setattr(options, name, False)
        return options

    def _images(self, images_BCHW: np.ndarray) -> Any:
        """Images in memory of ncnn's own.

        `Mat(array)` only borrows the array's memory: it keeps nothing alive, and it passes over strides. So the array
        lies in order, and has a name, until the copy is made; `Mat(array.copy()).clone()` copies memory that is free
        already, and has the allocator's marks for the first eight pixels.
        """
        held = np.ascontiguousarray(images_BCHW, dtype=np.float32)
        borrowed = self._vendor.Mat(held[0]) if self._batch == 1 else self._vendor.Mat(held, 0)
        return borrowed.clone()

    def _scores(self, network: Any, images: Any) -> Any:
        extractor = network.create_extractor()
        failed = extractor.input(INPUT_NAME, images)
        if not failed:
            failed, scores = extractor.extract(OUTPUT_NAME)
        if failed:
            raise EvaluationFailed(f"ncnn {self._vendor.__version__} fails on this network (code {failed})")
        return scores
