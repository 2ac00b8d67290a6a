"""MNN on the CPU, f32."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final
from uuid import UUID

import numpy as np

from hwnas.core.errors import EvaluationFailed, InputError
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Runner
from hwnas.formats.onnx_crop import with_slices
from hwnas.formats.onnx_file import to_onnx
from hwnas.hardware.engines.calls import facts, in_calls, some_images
from hwnas.hardware.engines.libraries import MNN as LIBRARY
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine

_STDOUT = 1
_one_at_a_time = threading.Lock()  # standard output belongs to the whole process
_LONGEST_S = 600.0  # of a conversion; a large network takes seconds
_COPIES = 4  # of a network that a conversion may write: the ONNX file, what the converter puts aside, the result
_WRONG = 0.01  # standard deviations of the scores: rounding alone gives 1e-5, an operation that was not understood 1
_IMAGES = 8  # that this is judged by
_SEAL = b"hwnas sha256 "
_NO_DIGEST = b"0" * 64
_NO_UUID = bytes(str(UUID(int=0)), "ascii")
_SEALED = re.compile(re.escape(_SEAL) + b"([0-9a-f]{64})")
# What `mnnconvert` runs, without what its console script does beside: that one installs a package and reports the use.
# It goes to its directory when everything is imported: PYTHONPATH may be relative.
_CONVERSION = f"""
import os, sys, _tools, MNN
os.chdir(sys.argv[1])
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", "a.onnx", "--MNNModel", "a.mnn",
                   "--bizCode", "{(_SEAL + _NO_DIGEST).decode()}"])
open("a.uuid", "w").write(MNN.get_model_uuid("a.mnn"))
"""
_COMPARISON = """
import sys
from pathlib import Path
from hwnas.hardware.engines.mnn import MnnEngine
files = [(Path(sys.argv[1]) / name).read_bytes() for name in ("a.onnx", "a.mnn")]
print(MnnEngine(batch=int(sys.argv[2])).disagreement(*files))
"""


@final
class MnnEngine:
    """Runs MNN's own files, which its converter makes of ONNX.

    A file carries the sha256 of what it holds, in the place that MNN keeps for a code of the user's; without it, or
    with another one, it is refused before MNN sees it. MNN itself crashes on some damaged files and runs most others,
    with wrong scores.

    Args:
        threads: of one network, at least 1.
        batch: images a call.

    Raises:
        TargetUnavailable: the package MNN is not installed.
    """

    suffix = ".mnn"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        with LIBRARY.needed_by("mnn-f32"), _silent_stdout():  # it says there what the processor can do
            import MNN
        self._vendor: Any = MNN
        self._threads = threads
        self._batch = batch

    def fingerprint(self) -> dict[str, str]:
        """Engine, version, precision, threads and batch."""
        return facts("mnn", str(self._vendor.version()), "f32", self._threads, self._batch)

    def write(
        self, network: NetworkSpec, arrays: Mapping[str, np.ndarray], images_BCHW: np.ndarray | None = None
    ) -> bytes:
        """The network as MNN's converter makes it of ONNX; the images do not matter.

        Raises:
            EvaluationFailed: the converter refuses it; the message says why.
        """
        return self._converted(to_onnx(network, arrays, batch=self._batch))

    def convert(self, model: bytes, images_BCHW: np.ndarray | None = None) -> bytes:
        """An ONNX file as one of MNN's, all in f32; equal files give equal ones.

        The converter calls a network converted that it has not understood, so its scores are held against ONNX
        Runtime's, in a process of its own: what it has not understood can also write where it must not.

        Raises:
            EvaluationFailed: the converter refuses the file or crashes on it, or what comes out computes something
                else; the message says why.
        """
        converted = self._converted(model)
        try:
            with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
                (Path(folder) / "a.onnx").write_bytes(model)
                (Path(folder) / "a.mnn").write_bytes(converted)
                said = _child("run this network from ONNX", _COMPARISON, folder, str(self._batch))
        except OSError as reason:
            raise EvaluationFailed(f"mnn cannot run this network from ONNX: {reason}") from reason
        error = float(said.splitlines()[-1])
        if not error <= _WRONG:
            raise EvaluationFailed(
                f"mnn converts this network from ONNX to one that computes something else: its scores are {error:.2g} "
                "standard deviations away from ONNX Runtime's"
            )
        return converted

    def disagreement(self, onnx: bytes, converted: bytes) -> float:
        """How far the scores of a converted network are from ONNX Runtime's for most images, in standard deviations.

        The median over images: where a gate is about to switch, rounding alone can turn the scores of one.

        Args:
            onnx: the network as an ONNX file.
            converted: the same as a file of this engine.

        Raises:
            EvaluationFailed: one of the two cannot be run.
        """
        images = some_images(_IMAGES, tuple(self._loaded(converted)[1][1:]))
        expected = OnnxRuntimeEngine(batch=self._batch).predict(onnx, images)
        found = self.predict(converted, images)
        if found.shape != expected.shape:
            return np.inf
        errors = np.abs(found - expected).reshape(_IMAGES, -1).max(axis=1)
        return float(np.median(errors) / max(expected.std(), 1e-12))

    def _converted(self, model: bytes) -> bytes:
        """An ONNX file as one of MNN's, as its converter makes it."""
        try:
            model = with_slices(model)  # MNN takes what negative pads cut from elsewhere
            with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
                # The converter does not look whether what it writes arrives.
                free, needed = shutil.disk_usage(folder).free, _COPIES * len(model)
                if free < needed:
                    raise EvaluationFailed(
                        f"a conversion to MNN needs {needed:,} bytes in {tempfile.gettempdir()}, and {free:,} are "
                        "free: free some, or set TMPDIR to a directory on another disk"
                    )
                return _converted_in(Path(folder), model)
        except (InputError, OSError) as reason:
            raise EvaluationFailed(f"mnn cannot convert this network from ONNX: {reason}") from reason

    def load(self, model: bytes, input_shape: Shape) -> Runner:
        """Prepares a file for images of input_shape.

        Raises:
            EvaluationFailed: the file is damaged, reads other images, or MNN refuses it; the message says why.
        """
        images = some_images(self._batch, input_shape)
        runner = _Run(self._module(model, images.shape), self._variable(images))
        runner()
        return runner

    def predict(self, model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
        """Class scores of images, as on the device.

        Returns:
            Scores, float32, shape (images, classes).

        Raises:
            EvaluationFailed: the file is damaged, reads other images, or MNN refuses it; the message says why.
        """
        module = self._module(model, (self._batch, *images_BCHW.shape[1:]))

        return in_calls(lambda images: _scores(module, self._variable(images)), images_BCHW, self._batch)

    def _variable(self, images: np.ndarray) -> Any:
        """A copy of images as MNN's."""
        return self._vendor.expr.const(images, list(images.shape), self._vendor.expr.NCHW, self._vendor.expr.float)

    def _module(self, model: bytes, shape: tuple[int, ...]) -> Any:
        """The network of a file, for images of a shape.

        Raises:
            EvaluationFailed: the file is damaged, reads another shape, or MNN refuses it.
        """
        module, reads = self._loaded(model)
        # MNN itself runs what has a global pooling on images of any size, and on some that lack an axis.
        if len(reads) != len(shape) or any(axis not in (-1, size) for axis, size in zip(reads, shape, strict=True)):
            raise EvaluationFailed(f"mnn cannot run this file: it reads {reads}, and the images are {list(shape)}")
        return module

    def _loaded(self, model: bytes) -> tuple[Any, list[int]]:
        """The network of a file, and the shape that it reads, -1 where that is open."""
        _check_seal(model)
        vendor = self._vendor.nn
        settings = {"backend": "CPU", "numThread": self._threads, "precision": "high"}
        try:
            with tempfile.TemporaryDirectory(prefix="hwnas-") as folder, _silent_stdout():
                path = Path(folder) / "a.mnn"
                path.write_bytes(model)
                known = vendor.load_module_from_file(str(path), [], []).get_info()
                module = vendor.load_module_from_file(
                    str(path), known["inputNames"], known["outputNames"][:1],
                    runtime_manager=vendor.create_runtime_manager((settings,)),
                )  # fmt: skip
                (given,) = module.get_info()["inputs"]  # known only where inputs were named
                return module, given.shape
        except Exception as reason:  # the vendor's exceptions share no base class
            raise EvaluationFailed(f"mnn cannot run this file: {' '.join(str(reason).split())}") from reason


def _converted_in(folder: Path, model: bytes) -> bytes:
    """Runs the converter in a process and a directory of its own.

    It keeps weights for a while in a file of fixed name in the current directory, so that two conversions in one place
    would mix their networks; it prints to stdout; and a file that crashes it costs the caller nothing.
    """
    (folder / "a.onnx").write_bytes(model)
    said = _child("convert this network from ONNX", _CONVERSION, str(folder))
    written = folder / "a.mnn"
    if not written.exists():  # the converter itself returns True whatever happened
        raise EvaluationFailed(f"mnn cannot convert this network from ONNX: {_reason(said)}")
    if (folder / "a.mnn.weight").exists():
        raise EvaluationFailed("mnn cannot convert this network from ONNX: its weights need more than one file of 2 GB")
    return _sealed(written.read_bytes(), (folder / "a.uuid").read_bytes())


def _child(what: str, program: str, *arguments: str) -> str:
    """What a Python program said that ran in a process of its own.

    Raises:
        EvaluationFailed: it failed, crashed or hung.
    """
    try:
        done = subprocess.run(
            (sys.executable, "-P", "-c", program, *arguments), capture_output=True, text=True,
            errors="replace", stdin=subprocess.DEVNULL, timeout=_LONGEST_S, check=False,
            start_new_session=True,  # Ctrl-C is for this process, which ends when its step is saved
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EvaluationFailed(f"mnn cannot {what}: it took longer than {_LONGEST_S:g} s") from None
    if done.returncode != 0:
        raise EvaluationFailed(f"mnn cannot {what}: it ended with status {done.returncode}, {_last(done.stderr)}")
    return done.stdout


def _reason(said: str) -> str:
    """The first of a converter's lines that sounds like a reason, or else the last."""
    told = [line for line in said.splitlines() if re.search("not support|failed:|invalid|error", line, re.IGNORECASE)]
    return re.sub(r"^\[.*?\](?: :\d+:)? *", "", told[0].strip()) if told else _last(said)


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _sealed(file: bytes, uuid: bytes) -> bytes:
    """A file with its sha256 in it, and a UUID that follows from that instead of one drawn at random."""
    plain = file.replace(uuid, _NO_UUID)
    digest = hashlib.sha256(plain).hexdigest()
    sealed = plain.replace(_SEAL + _NO_DIGEST, _SEAL + digest.encode())
    return sealed.replace(_NO_UUID, _uuid_of(digest))


def _check_seal(model: bytes) -> None:
    found = _SEALED.search(model)
    if found is None:
        raise EvaluationFailed(
            "mnn runs files that hwnas wrote, and this one carries no sha256: it is damaged, or was converted by other "
            "means; convert the ONNX file here"
        )
    digest = found[1].decode()
    plain = model.replace(_uuid_of(digest), _NO_UUID).replace(found[0], _SEAL + _NO_DIGEST)
    if hashlib.sha256(plain).hexdigest() != digest:
        raise EvaluationFailed("this MNN file is damaged: its content does not match the sha256 in it; write it anew")


def _uuid_of(digest: str) -> bytes:
    return str(UUID(digest[:32])).encode()


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """Within, nothing of what C code prints gets to standard output, which is for results.

    C keeps what it prints until its buffer is full or the process ends: it is made to write it while it goes nowhere.
    """
    c_library = ctypes.CDLL(None)
    with _one_at_a_time:
        try:
            kept = os.dup(_STDOUT)
        except OSError:  # closed: then nobody reads it
            yield
            return
        c_library.fflush(None)  # what others printed is still to be read
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDOUT)
        os.close(nowhere)
        try:
            yield
        finally:
            c_library.fflush(None)
            os.dup2(kept, _STDOUT)
            os.close(kept)


def _scores(module: Any, images: Any) -> np.ndarray:
    """Runs a network; returns when the scores have been computed.

    Raises:
        EvaluationFailed: MNN computed nothing.
    """
    results = module.forward([images])
    if len(results) != 1:
        raise EvaluationFailed("mnn cannot run this file: it computed nothing, and printed why")
    return np.array(results[0].read())  # a copy while the result lives: what it gives is its own memory


@final
class _Run:
    """A network with an image; a call ends when the scores have been computed."""

    def __init__(self, module: Any, images: Any) -> None:
        self._module = module
        self._images = images

    def __call__(self) -> None:
        """Runs the network once."""
        _scores(self._module, self._images)
