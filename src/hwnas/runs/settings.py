"""config.yaml: the resolved settings of a run, written once and compared on every resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hwnas.core.errors import FileFormatError, InputError
from hwnas.runs.files import read_limited, write_atomically

_LIMIT_BYTES = 2**20
_NOT_SET = "(not set)"


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes plain settings as YAML, keys in their order.

    Raises:
        InputError: a value that would not come back from YAML as it is, or the place cannot be written.
        RunError: no space, or the device failed.
    """
    text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=120)
    lost = changes(settings, yaml.safe_load(text))  # a few control characters do not come through
    if lost:
        raise InputError(f"the settings cannot be kept in {path}; YAML would change {'; '.join(lost)}")
    write_atomically(path, text.encode("utf-8"))


def read_settings(path: Path) -> dict[str, Any]:
    """Reads settings from YAML.

    Raises:
        InputError: no such file.
        FileFormatError: not YAML, too large, with anchors or aliases, or not a mapping.
    """
    try:
        text = read_limited(path, _LIMIT_BYTES).decode("utf-8")
        # A few nested aliases stand for billions of values; settings need none.
        if any(isinstance(token, (yaml.AnchorToken, yaml.AliasToken)) for token in yaml.scan(text, yaml.SafeLoader)):
            raise FileFormatError(f"{path} has YAML anchors or aliases; write the values out")
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as reason:
        raise FileFormatError(f"{path} is not valid YAML: {reason}") from None
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise FileFormatError(f"{path}: expected settings by name, not {type(settings).__name__}")
    return settings


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
