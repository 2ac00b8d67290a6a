"""One object of a foreign file, read field by field: every error names the field by its whole place in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwnas.core.errors import FileFormatError, quoted

LARGEST = 2**16  # of widths, kernels and sizes in a file: published ones have a few thousand
MOST_BLOCKS = 1_000
_NEEDED = object()


@dataclass
class Fields:
    """An object of a file.

    Args:
        data: what stands in its place.
        place: how one gets there, "" for the file itself; for example "blocks[7].shortcut".

    Raises:
        FileFormatError: it is no object with text keys; every method raises it, too, and names the field.
    """

    data: Any
    place: str = ""
    _read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not isinstance(self.data, Mapping) or not all(isinstance(name, str) for name in self.data):
            raise FileFormatError(f"{self.place or 'the file'} must be an object with named fields{_not(self.data)}")

    def at(self, name: str) -> str:
        """The place of a field: "blocks[7].shortcut.name"."""
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self.data

    def value(self, name: str, default: Any = _NEEDED) -> Any:
        """Whatever the field holds."""
        self._read.add(name)
        if name not in self.data:
            if default is _NEEDED:
                raise FileFormatError(f"field {quoted(self.at(name))} is missing")
            return default
        return self.data[name]

    def whole(self, name: str, default: Any = _NEEDED, least: int = 1) -> int:
        """A whole number from `least` to LARGEST."""
        value = self.value(name, default)
        if type(value) is not int or not least <= value <= LARGEST:
            raise self.wrong(name, f"a whole number from {least} to {LARGEST}")
        return value

    def number(self, name: str, low: float, high: float, default: Any = _NEEDED) -> float:
        """A number of `low` to `high`, whole where it is whole in the file."""
        value = self.value(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.wrong(name, f"a number from {low:g} to {high:g}")
        return value

    def flag(self, name: str, default: Any = _NEEDED) -> bool:
        """True or false."""
        value = self.value(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def one_of(self, name: str, known: Sequence[Any], default: Any = _NEEDED) -> Any:
        """One of the known values; true is not 1."""
        value = self.value(name, default)
        for one in known:
            if type(value) is type(one) and value == one:
                return one
        raise self.wrong(name, " or ".join("null" if one is None else repr(one) for one in known))

    def neutral(self, name: str, *values: Any) -> None:
        """Refuses a field that would change the network in a way that no layer of ours can; it may be absent."""
        if name in self.data:
            self.one_of(name, values)

    def inner(self, name: str) -> Fields:
        """The object in a field."""
        return Fields(self.value(name), self.at(name))

    def rows(self, name: str) -> Sequence[Any]:
        """A list of 1 to MOST_BLOCKS values."""
        value = self.value(name)
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_BLOCKS:
            raise self.wrong(name, f"a list of 1 to {MOST_BLOCKS} values")
        return value

    def arriving(self, name: str, channels: int) -> None:
        """Checks that a layer reads as many channels as the layer before it gives; some files write [16] for 16."""
        value = self.value(name)
        if value != channels and value != [channels] or isinstance(value, bool):
            raise self.wrong(name, f"{channels}, the width of what arrives there")

    def done(self) -> None:
        """Refuses the fields that nobody has read: their meaning is not known."""
        unknown = [name for name in self.data if name not in self._read]
        if unknown:
            raise FileFormatError(
                f"field {quoted(self.at(unknown[0]))} is not known: remove it if the network does not depend on it"
            )

    def wrong(self, name: str, expected: str) -> FileFormatError:
        """The error for a field whose value cannot be used."""
        return FileFormatError(f"field {quoted(self.at(name))} must be {expected}{_not(self.data.get(name))}")


def _not(value: Any) -> str:
    return f", not {quoted(value)}"
