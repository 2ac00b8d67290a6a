"""Targets: a name, and the key that says what a latency on it depends on."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.core.primitives import Shape
from hwnas.hardware.engines import canonical_name, open_engine


@dataclass(frozen=True, slots=True)
class TargetKey:
    """Everything that a latency depends on besides the network; two keys are never compared or mixed.

    Args:
        engine: for example "onnxruntime".
        version: of the engine.
        precision: for example "f32".
        threads: of one network.
        batch: images per call.
        input_shape: (channels, height, width) of the whole network's images.
        cpu: model name of the processor.
    """

    engine: str
    version: str
    precision: str
    threads: int
    batch: int
    input_shape: Shape
    cpu: str

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that are equal exactly for equal keys."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return {**asdict(self), "input_shape": list(self.input_shape)}

    def differs_in(self, other: Mapping[str, Any]) -> list[str]:
        """The fields in which a stored key is another one, as "version 1.30.0 instead of 1.31.1"."""
        own = self.to_json()
        return [f"{name} {other.get(name)} instead of {own[name]}" for name in own if other.get(name) != own[name]]


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment device by name.

    Args:
        name: engine-precision and options, for example "onnxruntime-f32" or "openvino-bf16?threads=2&batch=8".
        key: what its latencies depend on.
    """

    name: str
    key: TargetKey

    @property
    def file_name(self) -> str:
        """The name as part of a file's: "openvino-bf16-threads2-batch8"."""
        return file_name(self.name)


def open_target(name: str, input_shape: Shape) -> Target:
    """A target on this machine, ready to be measured.

    Args:
        name: for example "onnxruntime-f32", its alias "onnxruntime", or "onnxruntime?threads=2&batch=8".
        input_shape: (channels, height, width) of the images.

    Raises:
        UnknownName: no such target.
        InputError: an option is wrong.
        TargetUnavailable: its engine is not installed, the message names the package; or it has too few cores here.
    """
    full = canonical_name(name)
    facts = open_engine(full).fingerprint()
    return Target(
        full,
        TargetKey(
            engine=facts["engine"],
            version=facts["version"],
            precision=facts["precision"],
            threads=int(facts["threads"]),
            batch=int(facts["batch"]),
            input_shape=tuple(input_shape),
            cpu=cpu_model(),
        ),
    )


def file_name(target: str) -> str:
    """The name of a target as part of a file's: "onnxruntime-f32?threads=2" becomes "onnxruntime-f32-threads2"."""
    return target.replace("?", "-").replace("&", "-").replace("=", "")


def cpu_model() -> str:
    """The processor's model name, from /proc/cpuinfo where there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name") and ":" in line]
    return next((name for name in named if name), platform.processor() or platform.machine() or "unknown")
