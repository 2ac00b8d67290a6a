"""An Architecture: one option for every live choice of a space. A plain, frozen, hashable value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.core.errors import FileFormatError, quoted

Option = int | str


@dataclass(frozen=True, slots=True)
class Architecture:
    """One option per live choice, by name.

    Args:
        space: name and version of the space, for example "proxyless-imagenet@1"; checked when it is decoded.
        choices: (choice, option) pairs in the order of the space.
    """

    space: str
    choices: tuple[tuple[str, Option], ...]

    def __getitem__(self, choice: str) -> Option:
        for name, option in self.choices:
            if name == choice:
                return option
        raise KeyError(f"architecture of {self.space} has no live choice {choice!r}")

    def as_dict(self) -> dict[str, Option]:
        """The choices as a dictionary, in the space's order."""
        return dict(self.choices)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that are equal exactly for equal architectures."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` is its inverse."""
        return {"space": self.space, "choices": {name: option for name, option in self.choices}}

    @staticmethod
    def from_json(data: Any) -> Architecture:
        """Reads what `to_json` wrote.

        Raises:
            FileFormatError: a field is missing or of the wrong type; the message names it.
        """
        if not isinstance(data, Mapping):
            raise FileFormatError(f"an architecture is an object with 'space' and 'choices', not {type(data).__name__}")
        space, choices = data.get("space"), data.get("choices")
        if not isinstance(space, str):
            raise FileFormatError("architecture: field 'space' must be text, for example \"proxyless-imagenet@1\"")
        if not isinstance(choices, Mapping):
            raise FileFormatError("architecture: field 'choices' must be an object {choice: option}")
        for name, option in choices.items():
            if not isinstance(name, str) or isinstance(option, bool) or not isinstance(option, (int, str)):
                raise FileFormatError(
                    f"architecture: choice {quoted(name)} must have text or a whole number, not {quoted(option)}"
                )
        return Architecture(space, tuple(choices.items()))
