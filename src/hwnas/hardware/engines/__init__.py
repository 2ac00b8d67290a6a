"""One inference engine per file; the vendor's library is imported lazily there."""

from __future__ import annotations

from collections.abc import Callable

from hwnas.core.errors import UnknownName
from hwnas.core.protocols import Engine
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine

ENGINES: dict[str, Callable[[], Engine]] = {"onnxruntime-f32": OnnxRuntimeEngine}
ALIASES: dict[str, str] = {"onnxruntime": "onnxruntime-f32"}


def canonical_name(name: str) -> str:
    """The full name, engine-precision, of a target on this machine.

    Raises:
        UnknownName: no such target; the nearest is named.
    """
    full = ALIASES.get(name, name)
    if full not in ENGINES:
        raise UnknownName("target", name, [*ENGINES, *ALIASES])
    return full


def open_engine(name: str) -> Engine:
    """The engine of a target.

    Raises:
        UnknownName: no such target.
        TargetUnavailable: the engine's library is not installed; the message names the package.
    """
    return ENGINES[canonical_name(name)]()
