"""ExecuTorch on the CPU with XNNPACK, f32."""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, final

import numpy as np

from hwnas.core.errors import EvaluationFailed, quoted
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.executorch_file import to_executorch
from hwnas.formats.executorch_model import METHOD, is_whole
from hwnas.hardware.engines.calls import facts, in_calls, some_images
from hwnas.hardware.engines.libraries import EXECUTORCH
from hwnas.hardware.engines.notices import without_notices

_FLOAT32 = 6  # of ExecuTorch's scalar types
_NOTICES = (b"[cpuinfo_utils.cpp:", b"[threadpool.cpp:")  # how cores are counted, and how many threads there are
_one_at_a_time = threading.Lock()  # the pool of threads is the whole process's, and must not go while it is used


@final
class ExecuTorchEngine:
    """Runs .pte files with ExecuTorch's runtime, whole in XNNPACK.

    The runtime is the package's compiled module itself: `executorch.runtime` imports the exporter, for 4 CPU seconds.

    Args:
        threads: of one network, at least 1.
        batch: images a call.

    Raises:
        TargetUnavailable: the package executorch is not installed.
    """

    suffix = ".pte"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        with EXECUTORCH.needed_by("executorch-f32"), without_notices(*_NOTICES):
            import torch  # first: it brings libraries that the module is linked to
            from executorch.extension.pybindings import _C

            _C._threadpool_get_thread_count()  # makes the pool; it tells of the processor then
        self._vendor: Any = _C
        self._tensor: Any = torch.from_numpy
        self._threads = threads
        self._batch = batch

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return facts("executorch", importlib.metadata.version("executorch"), "f32", self._threads, self._batch)

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """The network as a .pte file; the images do not matter."""
        return to_executorch(network, arrays, batch=self._batch)

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """There is no way from ONNX to ExecuTorch.

        Raises:
            EvaluationFailed: always; the message says what to give instead.
        """
        raise EvaluationFailed(
            "ExecuTorch has no way in from ONNX: give a network.json, an architecture.json, a published network's name "
            "or a run's directory instead"
        )

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares a .pte file with one float32 input (batch, channels, height, width).

        Args:
            model: the content of the file.
            input_shape: (channels, height, width).

        Raises:
            EvaluationFailed: the file is damaged or not written by hwnas, ExecuTorch refuses it, or its input is
                another; the message says which.
        """
        runner = _Run(self._loaded(model, input_shape), self._tensor(some_images(self._batch, input_shape)))
        runner()
        return runner

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores of images, as on the device.

        Args:
            model: the content of the file.
            images_BCHW: float32.

        Returns:
            Scores, float32, shape (images, classes).

        Raises:
            EvaluationFailed: as for `load`; the message says why.
        """
        loaded = self._loaded(model, images_BCHW.shape[1:])
        return in_calls(lambda images: loaded.scores(self._tensor(images)).numpy(), images_BCHW, self._batch)

    def _loaded(self, model: bytes, input_shape: tuple[int, ...]) -> _Loaded:
        if not is_whole(model):
            raise EvaluationFailed(
                "this is no .pte file that hwnas wrote, or it is damaged: the checksum inside does not fit; write it "
                "again, or restore it from a copy"
            )
        loaded = _Loaded(self._vendor, model, self._threads)
        found, expected = loaded.reads(), (self._batch, *input_shape)
        if found != (expected, _FLOAT32):
            raise EvaluationFailed(
                f"this .pte file reads {quoted(found[0])}, of scalar type {found[1]}; expected {expected}, which is "
                f"(batch, channels, height, width), of type {_FLOAT32}, float32"
            )
        return loaded


@final
class _Loaded:
    """The method of a file, for a pool of so many threads.

    The pool is one of the whole process. Where another target has changed it, it is made anew and the method is loaded
    anew too: a method keeps the pool that it was loaded with, which is gone then.

    Args:
        vendor: the compiled module.
        model: the content of the file; the method reads it where it lies.
        threads: at least 1.
    """

    _resets: ClassVar[int] = 0  # of the pool, by whichever of these

    def __init__(self, vendor: Any, model: bytes, threads: int) -> None:
        self._vendor = vendor
        self._model = model
        self._threads = threads
        self._loaded_after = -1
        self._program: Any = None
        self._method: Any = None

    def reads(self) -> tuple[tuple[int, ...], int]:
        """Sizes and scalar type of what the method reads.

        Raises:
            EvaluationFailed: ExecuTorch refuses the file.
        """
        with _one_at_a_time, _refusals():
            tensor = self._ready().method_meta().input_tensor_meta(0)
            return tuple(tensor.sizes()), tensor.dtype()

    def scores(self, images: Any) -> Any:
        """Runs one batch; what it returns is memory of the method, overwritten by the next call.

        Args:
            images: torch's tensor.

        Raises:
            EvaluationFailed: a node of the file cannot be run.
        """
        with _one_at_a_time, _refusals():
            return self._ready().call((images,), False)[0]

    def _ready(self) -> Any:
        vendor = self._vendor
        if vendor._threadpool_get_thread_count() != self._threads:
            with without_notices(*_NOTICES):
                vendor._unsafe_reset_threadpool(self._threads)
            _Loaded._resets += 1
        if self._loaded_after != _Loaded._resets:
            self._program = vendor._load_program_from_buffer(self._model)
            self._method = self._program.load_method(METHOD)
            self._loaded_after = _Loaded._resets
        return self._method


@final
class _Run:
    """A loaded file with images."""

    def __init__(self, loaded: _Loaded, images: Any) -> None:
        self._scores = loaded.scores
        self._images = images

    def __call__(self) -> None:
        """Runs the network once."""
        self._scores(self._images)


@contextmanager
def _refusals() -> Iterator[None]:
    """Within, what ExecuTorch refuses is an EvaluationFailed with its reason."""
    try:
        yield
    except (ValueError, RuntimeError) as reason:
        raise EvaluationFailed(f"executorch cannot run this file: {' '.join(str(reason).split())}") from reason
