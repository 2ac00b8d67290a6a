"""config.yaml: the resolved settings of a run, written once, sealed by its last line, compared on every resume."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hwnas.core.errors import FileFormatError, InputError
from hwnas.runs.files import read_limited, write_atomically
from hwnas.runs.plain_yaml import plain_yaml

_LIMIT_BYTES = 2**16
_NOT_SET = "(not set)"
_SEAL = re.compile(rb"# sha256: [0-9a-f]{64}\n")


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes plain settings as YAML, keys in their order, and the sha256 of that text as a comment below it.

    Raises:
        InputError: a value that would not come back from YAML as it is, or the place cannot be written.
        RunError: no space, or the device failed.
    """
    text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=120)
    lost = changes(settings, yaml.safe_load(text))  # a few control characters do not come through
    if lost:
        raise InputError(f"the settings cannot be kept in {path}; YAML would change {'; '.join(lost)}")
    content = text.encode("utf-8")
    write_atomically(path, content + _seal(content))


def read_settings(path: Path, *, sealed: bool | None = None) -> dict[str, Any]:
    """Reads settings from YAML.

    Args:
        path: the file.
        sealed: whether its last line must be, or must not be, the sha256 of the lines above; None where it does not
            matter, because a user may have changed them.

    Raises:
        InputError: no such file.
        FileFormatError: not YAML, too large, with tags, anchors or aliases, deeply nested, not a mapping, with a
            setting twice, or not as it was written.
    """
    content = read_limited(path, _LIMIT_BYTES)
    if sealed is not None:
        _check_seal(path, content, sealed)
    return plain_yaml(content, str(path), "setting")


def _seal(content: bytes) -> bytes:
    return f"# sha256: {hashlib.sha256(content).hexdigest()}\n".encode("ascii")


def _check_seal(path: Path, content: bytes, sealed: bool) -> None:
    start = content.rfind(b"\n", 0, -1) + 1
    if sealed and content[start:] != _seal(content[:start]):
        raise FileFormatError(f"{path} is damaged: it does not match the sha256 in its last line")
    if not sealed and _SEAL.fullmatch(content[start:]):
        raise FileFormatError(f"{path} is damaged: it has a sha256 in its last line, and its run's format has none")


def changes(old: Any, new: Any, name: str = "") -> list[str]:
    """What differs between two plain values: "search.steps: 200 -> 400", one text a key, in the order of the keys."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{name}.{key}" if name else str(key)
            found += changes(old.get(key, _NOT_SET), new.get(key, _NOT_SET), inner)
        return found
    # True == 1 in Python, but not to who set it.
    same = old == new and isinstance(old, bool) == isinstance(new, bool)
    return [] if same else [f"{name}: {_shown(old)} -> {_shown(new)}"]


def _shown(value: Any) -> str:
    return value if value is _NOT_SET else repr(value)
