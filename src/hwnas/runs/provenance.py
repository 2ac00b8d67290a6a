"""What a result depends on besides its settings: versions, processor, threads, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = (
    "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "safetensors", "onnx", "onnxruntime", "openvino",
    "ncnn", "pydantic", "pillow", "psutil", "mlxtend",
)  # fmt: skip
_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
    "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_AFFINITY", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG",
)  # fmt: skip
# The instruction sets between which CPU kernels, and so the last bits of results, differ.
_INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GIT_TIMEOUT_SECONDS = 5.0


def environment() -> dict[str, Any]:
    """Plain values for env.json; nothing heavy is imported, and the machine's name is not among them."""
    model, instruction_sets = _processor()
    return {
        "hwnas": _version("hwnas") or "not installed",
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": model,
        "cpu_instruction_sets": instruction_sets,
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "git_commit": _git_commit(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> tuple[str, list[str]]:
    """The model's name, and which of the instruction sets it has."""
    facts: dict[str, str] = {}
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    model = facts.get("model name") or platform.processor() or platform.machine() or "unknown"
    return model, [name for name in _INSTRUCTION_SETS if name in flags]


def _git_commit() -> str | None:
    """The commit of the repository that the command was started in, if it is one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_GIT_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    commit = answer.stdout.decode("ascii", errors="replace").strip()
    return commit if answer.returncode == 0 and _COMMIT.fullmatch(commit) else None
