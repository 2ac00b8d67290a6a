"""What is known about each target: the reference's latency and the layers timed so far, a JSON file per target key."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from hwnas.core.errors import FileFormatError, InputError, RunError, quoted
from hwnas.hardware.fields import numbers, positive, whole
from hwnas.hardware.targets import Target

FORMAT = "hwnas-target@1"
_LIMIT_BYTES = 32 * 2**20


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
        cache = os.environ.get("HWNAS_CACHE")
        self.directory = directory or (Path(cache) if cache else Path.home() / ".cache" / "hwnas")

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
        with self._writing():
            record = self.read(target)
            if record.reference is not None:
                return record.reference
            _write(self._path(target), _text(target, replace(record, reference=reference)))
        return reference

    def add_layers(self, target: Target, layers: Mapping[str, LayerLatency]) -> Mapping[str, LayerLatency]:
        """Stores the latencies of layers beside those that are there, and returns all.

        Raises:
            InputError: the directory cannot be written.
        """
        with self._writing():
            record = self.read(target)
            record = replace(record, layers={**record.layers, **layers})
            _write(self._path(target), _text(target, record))
        return record.layers

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keeps other processes from writing; their additions are read before ours are written, so none is lost."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with _locked(self.directory / "lock"):
                for left in self.directory.glob("*.part"):  # of a process that was killed
                    left.unlink(missing_ok=True)
                yield
        except OSError as reason:
            raise InputError(
                f"latencies cannot be stored in {self.directory} ({reason.strerror}): "
                "set HWNAS_CACHE to a directory that can be written"
            ) from None

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
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LIMIT_BYTES:  # a pipe would be waited for
        raise ValueError("it is not a file of this cache")
    stored = path.read_text(encoding="utf-8")
    data = json.loads(stored)
    if data["format"] != FORMAT:
        raise FileFormatError(
            f"{path} is in format {quoted(data['format'])}, this hwnas reads {FORMAT!r}: use the hwnas that wrote it, "
            "or set HWNAS_CACHE to another directory"
        )
    content: dict[str, Any] = data["content"]
    if data["sha256"] != _checksum(content) or stored != _written(data):
        raise ValueError("its checksum is wrong")
    return content


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
    return _written({"format": FORMAT, "sha256": _checksum(content), "content": content})


def _written(data: Any) -> str:
    return json.dumps(data, indent=1)


def _checksum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    """Writes beside, makes it durable, and renames: a reader sees the old file or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as reason:
        if reason.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(
            f"no space left for {path}: {len(text):,} bytes are needed; free some and run the same command again, or "
            "set HWNAS_CACHE to a directory on another disk"
        ) from reason
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock file where the system has such locks; elsewhere the last writer wins."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
