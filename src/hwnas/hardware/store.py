"""What is known about each target: the reference's latency and the layers timed so far, a JSON file per target key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from hwnas.core.errors import FileFormatError, InputError
from hwnas.hardware.fields import numbers, positive, whole
from hwnas.hardware.sealed import cache_directory, keeping, sealed_text, verified_content, write_whole
from hwnas.hardware.targets import Target

FORMAT = "hwnas-target@1"


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference network's long-run median on a target.

    Args:
        ms: median over sessions of the median over rounds, in ms.
        sessions: how many processes it comes from.
        rounds: in each.
    """

    ms: float
    sessions: int
    rounds: int


@dataclass(frozen=True, slots=True)
class LayerLatency:
    """One layer timed alone.

    Args:
        ms: median over sessions.
        samples: each session's value in ms.
    """

    ms: float
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """Everything stored about one target key.

    Args:
        reference: None before the first measurement.
        layers: by `LocatedLayer.key`.
        note: one sentence worth telling, for example that a damaged file was set aside; empty if there is none.
    """

    reference: Reference | None = None
    layers: Mapping[str, LayerLatency] = field(default_factory=dict)
    note: str = ""


@final
class TargetStore:
    """A directory with one file per target key.

    A file is written whole or not at all, and carries a checksum: a damaged one is set aside, never used.

    Args:
        directory: None for $HWNAS_CACHE, or ~/.cache/hwnas without it.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or cache_directory()

    def read(self, target: Target) -> Record:
        """What is stored for exactly this target key; an empty record, with a note where one helps, if nothing is.

        Raises:
            FileFormatError: the file was written by a newer hwnas.
        """
        path = self._path(target)
        try:
            content = verified(path)
            if content["key"] != target.key.to_json():
                raise ValueError("it belongs to another target")
            return _record(content)
        except FileNotFoundError:
            return Record(note=self._other_keys(target))
        except OSError as reason:
            raise InputError(f"{path} cannot be read: {reason.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            return Record(note=f"{path} was damaged ({reason}); it was set aside as {aside.name} and is measured anew")

    def keep_reference(self, target: Target, reference: Reference) -> Reference:
        """Stores the reference's latency unless one is there already, and returns the one that is stored.

        Raises:
            InputError: the directory cannot be written.
        """
        with keeping("latencies", self.directory):
            record = self.read(target)
            if record.reference is not None:
                return record.reference
            write_whole(self._path(target), _text(target, replace(record, reference=reference)))
        return reference

    def add_layers(self, target: Target, layers: Mapping[str, LayerLatency]) -> Mapping[str, LayerLatency]:
        """Stores the latencies of layers beside those that are there, and returns all.

        Raises:
            InputError: the directory cannot be written.
        """
        with keeping("latencies", self.directory):
            record = self.read(target)
            record = replace(record, layers={**record.layers, **layers})
            write_whole(self._path(target), _text(target, record))
        return record.layers

    def _path(self, target: Target) -> Path:
        return self.directory / f"{target.key.id}.json"

    def _other_keys(self, target: Target) -> str:
        """A sentence if this target was measured before under another key, for example another engine version."""
        for path in sorted(self.directory.glob("*.json")):
            try:
                content = verified(path)
                key = content["key"]
                same = content["target"] == target.name and key["input_shape"] == list(target.key.input_shape)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, FileFormatError):
                continue
            if same:
                differences = ", ".join(target.key.differs_in(key))
                return f"{target.name} was measured before, but with {differences}; it is measured anew"
        return ""


def verified(path: Path) -> dict[str, Any]:
    """The content of a stored file; ValueError, KeyError or TypeError if it is damaged."""
    return verified_content(path, FORMAT)


def _record(content: Mapping[str, Any]) -> Record:
    reference = content["reference"]
    layers = {key: LayerLatency(positive(row["ms"]), numbers(row["samples"])) for key, row in content["layers"].items()}
    if reference is None:
        return Record(None, layers)
    return Record(
        Reference(positive(reference["ms"]), whole(reference["sessions"]), whole(reference["rounds"])), layers
    )


def _text(target: Target, record: Record) -> str:
    reference = record.reference
    content = {
        "target": target.name,
        "key": target.key.to_json(),
        "reference": reference and {"ms": reference.ms, "sessions": reference.sessions, "rounds": reference.rounds},
        "layers": {key: {"ms": row.ms, "samples": list(row.samples)} for key, row in record.layers.items()},
    }
    return sealed_text(FORMAT, content)
