"""One inference engine per file; the vendor's library is imported lazily there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from hwnas.core.errors import InputError, TargetUnavailable, UnknownName, quoted
from hwnas.core.protocols import Engine
from hwnas.hardware.engines.executorch import ExecuTorchEngine
from hwnas.hardware.engines.libraries import (
    EXECUTORCH,
    LITERT,
    MNN,
    NCNN,
    ONNXRUNTIME,
    OPENVINO,
    TORCH,
    Library,
)
from hwnas.hardware.engines.litert import LiteRtEngine
from hwnas.hardware.engines.mnn import MnnEngine
from hwnas.hardware.engines.ncnn import NcnnEngine
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.hardware.engines.onnxruntime_int8 import OnnxRuntimeInt8Engine
from hwnas.hardware.engines.openvino import OpenVinoEngine, openvino_bf16
from hwnas.hardware.engines.torch_eager import TorchEngine


@dataclass(frozen=True, slots=True)
class Offer:
    """An engine that can be asked for by name; nothing of its library is imported to know this.

    Args:
        title: what runs the networks.
        precision: what it computes in.
        library: what it needs.
        suffix: what its files end in.
        make: the engine for so many threads and images a call.
    """

    title: str
    precision: str
    library: Library
    suffix: str
    make: Callable[[int, int], Engine]


_ORT, _OV = "ONNX Runtime on this machine's CPU", "OpenVINO on this machine's CPU"
ENGINES: dict[str, Offer] = {
    "onnxruntime-f32": Offer(_ORT, "f32", ONNXRUNTIME, OnnxRuntimeEngine.suffix, OnnxRuntimeEngine),
    "onnxruntime-int8": Offer(_ORT, "int8", ONNXRUNTIME, OnnxRuntimeInt8Engine.suffix, OnnxRuntimeInt8Engine),
    "openvino-f32": Offer(_OV, "f32", OPENVINO, OpenVinoEngine.suffix, OpenVinoEngine),
    "openvino-bf16": Offer(_OV, "bf16", OPENVINO, OpenVinoEngine.suffix, openvino_bf16),
    "ncnn-f32": Offer("ncnn on this machine's CPU", "f32", NCNN, NcnnEngine.suffix, NcnnEngine),
    "litert-f32": Offer(
        "LiteRT (TensorFlow Lite) with XNNPACK on this machine's CPU", "f32", LITERT, LiteRtEngine.suffix, LiteRtEngine
    ),
    "executorch-f32": Offer(
        "ExecuTorch with XNNPACK on this machine's CPU", "f32", EXECUTORCH, ExecuTorchEngine.suffix, ExecuTorchEngine
    ),
    "mnn-f32": Offer("MNN on this machine's CPU", "f32", MNN, MnnEngine.suffix, MnnEngine),
    "torch-f32": Offer("PyTorch's eager mode on this machine's CPU", "f32", TORCH, TorchEngine.suffix, TorchEngine),
}
ALIASES: dict[str, str] = {name.removesuffix("-f32"): name for name in ENGINES if name.endswith("-f32")}
PROOF = "onnxruntime-f32"  # proves exported files, whatever they are made for; every installation has it
MOST = 1024  # threads, or images a call


@dataclass(frozen=True, slots=True)
class Options:
    """How networks are run on a target.

    Args:
        threads: of one network, at least 1.
        batch: images a call, at least 1.
    """

    threads: int = 1
    batch: int = 1


def parse(name: str) -> tuple[str, Options]:
    """The engine-precision of a target's name, and what follows the question mark: "onnxruntime?threads=2&batch=8".

    Raises:
        UnknownName: no such target or option; the nearest is named.
        InputError: an option is no number from 1 to 1024, or is given twice.
    """
    if not isinstance(name, str):
        raise InputError(f"a target is a name such as 'onnxruntime-f32', not {quoted(name)}")
    engine, mark, rest = name.partition("?")
    engine = ALIASES.get(engine, engine)
    if engine not in ENGINES:
        raise UnknownName("target", engine, [*ENGINES, *ALIASES])
    known = [field.name for field in fields(Options)]
    given: dict[str, int] = {}
    for text in rest.split("&") if mark else ():
        option, _, value = text.partition("=")
        if not option:
            raise InputError(f"target {quoted(name)}: an option is empty; write for example {engine}?threads=2&batch=8")
        if option not in known:
            raise UnknownName(f"option of target {quoted(name)}", option, known)
        if option in given:
            raise InputError(f"target {quoted(name)}: {option} is given twice; give each option once")
        if not (value.isascii() and value.isdecimal() and len(value) <= 4 and 1 <= int(value) <= MOST):
            raise InputError(
                f"target {quoted(name)}: {option} must be a whole number from 1 to {MOST}, for example "
                f"{engine}?threads=2&batch=8"
            )
        given[option] = int(value)
    return engine, Options(**given)


def canonical_name(name: str) -> str:
    """The full name, engine-precision and what differs from one thread and one image, of a target on this machine.

    Raises:
        UnknownName: no such target; the nearest is named.
        InputError: an option is wrong.
    """
    engine, options = parse(name)
    usual = asdict(Options())
    told = [f"{option}={value}" for option, value in asdict(options).items() if value != usual[option]]
    return f"{engine}?{'&'.join(told)}" if told else engine


def open_engine(name: str) -> Engine:
    """The engine of a target.

    Raises:
        UnknownName: no such target.
        InputError: an option is wrong.
        TargetUnavailable: the engine's library is not installed; the message names the package. Or it is asked for
            more threads than there are cores.
    """
    engine, options = parse(name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if options.threads > cores:
        raise TargetUnavailable(
            f"target {canonical_name(name)!r} needs {options.threads} cores, and {cores} can be used here: ask for "
            "fewer threads"
        )
    return ENGINES[engine].make(options.threads, options.batch)
