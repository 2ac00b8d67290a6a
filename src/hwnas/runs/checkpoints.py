"""Checkpoints: a directory for each, made aside, renamed into place whole, and proved by sha256 when it is read.

A checkpoint `step-00000123/` holds arrays.safetensors, state.json and, written last, manifest.json. Names with a dot in
front are work in progress: `.part` is being written, `.old` makes room for a new one of the same step, `.gone` is being
removed. `broken-step-00000123/` did not verify and was set aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from hwnas.core.errors import FileFormatError, InputError, RunError
from hwnas.core.protocols import Checkpoint, Silence
from hwnas.runs.files import decode_json, encode_json, sealed, sync_directory, unsealed, write_durably, write_error
from hwnas.runs.stop import Stop

CHECKPOINT_FORMAT = "hwnas-checkpoint@1"
CHECKPOINT_EVERY = 200  # steps
KEPT = 2  # the one before remains if the newest is damaged
_ARRAYS, _STATE, _MANIFEST = "arrays.safetensors", "state.json", "manifest.json"
_MANIFEST_LIMIT_BYTES = 16 * 2**20
_STEP = re.compile(r"step-([0-9]{8,15})")
_BROKEN = re.compile(r"broken-step-([0-9]{8,15})")
_UNFINISHED = re.compile(r"\.(step-[0-9]{8,15})\.(part|old|gone)")


@dataclass(frozen=True, slots=True)
class CheckpointStatus:
    """What is known of one checkpoint on disk.

    Args:
        path: its directory.
        step: the step in its name.
        problem: why it cannot be used, as a sentence; None for a whole one.
    """

    path: Path
    step: int
    problem: str | None


@final
class CheckpointDirectory:
    """The checkpoints of one loop; implements `core.protocols.Checkpoints`.

    Whoever saves must be the only one that does: a run directory's lock sees to it.

    Args:
        path: made when the first checkpoint is saved.
        keep: how many are kept, at least 1; with 2 the one before remains if the newest is damaged.
        every: steps between two of them.
        stop: when the run is asked to end, one is due after any step.
        saving: called before each is saved, so that what belongs to the steps before it is durable by then.
        say: told when one is damaged and set aside.

    Raises:
        InputError: `keep` below 1.
    """

    def __init__(
        self, path: Path, keep: int = KEPT, *, every: int = CHECKPOINT_EVERY, stop: Stop | None = None,
        saving: Callable[[], None] | None = None, say: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        if keep < 1:
            raise InputError(f"checkpoints in {path}: keep must be at least 1, not {keep}")
        self._path = path
        self._keep = keep
        self._every = every
        self._stop = stop or Stop()
        self._saving = saving
        self._say = say or Silence().say

    @property
    def path(self) -> Path:
        """The directory that holds them."""
        return self._path

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None; those that do not are set aside as `broken-…`, and named.

        Raises:
            RunError: one is from a newer hwnas, or the directory cannot be changed.
            InputError: the directory may not be read or changed.
        """
        found: Checkpoint | None = None
        broken = []
        try:
            self._finish_what_was_cut_off()
            for step, directory in reversed(self._named(_STEP)):
                try:
                    loaded = _load(directory, step)  # older ones as well: what is kept to fall back on must be whole
                    found = found or loaded
                except FileFormatError as damage:
                    aside = self._set_aside(directory)
                    broken.append(f"checkpoint {directory} is damaged and set aside as {aside.name} ({damage})")
        except OSError as reason:
            raise write_error(self._path, reason) from reason
        then = f"going on from step {found.step}" if found else "none is left, so its loop starts anew"
        for problem in broken:
            self._say(f"{problem}: {then}")
        return found

    def peek(self) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None; changes nothing, so that it needs no lock.

        Raises:
            InputError: the directory may not be read.
        """
        try:
            for step, directory in reversed(self._named(_STEP)):
                with contextlib.suppress(FileFormatError):
                    return _load(directory, step)
        except OSError as reason:
            raise InputError(f"cannot read {self._path}: {reason.strerror}") from reason
        return None

    def inspect(self) -> list[CheckpointStatus]:
        """Every checkpoint on disk by rising step, those set aside included; changes nothing."""
        found = []
        for pattern in (_STEP, _BROKEN):
            for step, directory in self._named(pattern):
                problem = None if pattern is _STEP else f"{directory} was set aside because it did not verify"
                try:
                    _load(directory, step)
                except (InputError, RunError) as reason:
                    problem = str(reason)
                found.append(CheckpointStatus(directory, step, problem))
        return sorted(found, key=lambda status: (status.step, status.path.name))

    def due(self, step: int) -> bool:
        """Whether a loop should save after so many steps."""
        asked = self._stop.poll()
        return asked or step % self._every == 0

    def save(self, checkpoint: Checkpoint) -> None:
        """Keeps a checkpoint; returns when it is durable.

        It becomes the newest: one of the same step is replaced, those of later steps (a path that was given up) and
        the oldest beyond `keep` are removed, all after the new one is in place.

        Raises:
            InputError: a value that cannot be stored, or the place cannot be written.
            RunError: no space, or the device failed; the checkpoints before are still there.
        """
        files = _encode(checkpoint)
        if self._saving is not None:
            self._saving()
        name = f"step-{checkpoint.step:08d}"
        part = self._path / f".{name}.part"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._finish_what_was_cut_off()
            os.mkdir(part)
            for file, content in files.items():
                write_durably(part / file, content)
            sync_directory(part)
            self._put_in_place(part, self._path / name)
            self._remove_outdated(checkpoint.step)
        except OSError as reason:
            with contextlib.suppress(OSError):
                self._finish_what_was_cut_off()  # on a full disk the space is wanted back
            raise write_error(self._path / name, reason, sum(map(len, files.values()))) from reason

    def clear(self) -> None:
        """Removes every checkpoint, whole, broken or unfinished, and the directory if nothing else is in it."""
        if not self._path.is_dir():
            return
        try:
            for entry in self._entries():
                if any(pattern.fullmatch(entry.name) for pattern in (_STEP, _BROKEN, _UNFINISHED)):
                    shutil.rmtree(entry)
            with contextlib.suppress(OSError):
                self._path.rmdir()
        except OSError as reason:
            raise write_error(self._path, reason) from reason

    def _put_in_place(self, part: Path, final_path: Path) -> None:
        old = self._path / f".{final_path.name}.old"
        if final_path.exists():
            os.rename(final_path, old)  # a directory cannot be renamed over another; see _finish_what_was_cut_off
        os.rename(part, final_path)
        sync_directory(self._path)
        if old.exists():
            shutil.rmtree(old)

    def _remove_outdated(self, newest_step: int) -> None:
        steps = self._named(_STEP)
        outdated = [directory for step, directory in steps if step > newest_step]
        outdated += [directory for step, directory in steps if step <= newest_step][: -self._keep]
        for directory in outdated:
            # Renamed first: a removal that is cut off leaves no half checkpoint under a good name.
            gone = self._path / f".{directory.name}.gone"
            os.rename(directory, gone)
            shutil.rmtree(gone)

    def _set_aside(self, directory: Path) -> Path:
        broken = self._path / f"broken-{directory.name}"
        if broken.exists():
            shutil.rmtree(broken)
        os.rename(directory, broken)
        sync_directory(self._path)
        return broken

    def _finish_what_was_cut_off(self) -> None:
        """Brings back a checkpoint whose replacement never came, and removes everything unfinished."""
        for entry in self._entries():
            match = _UNFINISHED.fullmatch(entry.name)
            if match is None:
                continue
            place = self._path / match[1]
            if match[2] == "old" and not place.exists():
                os.rename(entry, place)
            else:
                shutil.rmtree(entry)

    def _named(self, pattern: re.Pattern[str]) -> list[tuple[int, Path]]:
        """(step, directory) by rising step."""
        matches = [(pattern.fullmatch(entry.name), entry) for entry in self._entries()]
        return sorted((int(match[1]), entry) for match, entry in matches if match is not None)

    def _entries(self) -> list[Path]:
        return sorted(self._path.iterdir()) if self._path.is_dir() else []


def file_sizes(checkpoint: Checkpoint) -> list[int]:
    """Bytes of every file that a checkpoint would be kept in."""
    return [len(content) for content in _encode(checkpoint).values()]


def _encode(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The files of a checkpoint by name, the manifest last."""
    step = checkpoint.step
    if not 0 <= step < 10**15:
        raise InputError(f"checkpoint: the step must be from 0 to 10^15, not {step}")
    arrays = {name: _dense(name, array) for name, array in checkpoint.arrays.items()}
    try:
        packed = safetensors_numpy.save(arrays)
    except (SafetensorError, ValueError) as reason:
        raise InputError(f"checkpoint of step {step}: its arrays cannot be stored: {reason}") from None
    files = {_ARRAYS: packed, _STATE: encode_json(checkpoint.state, "checkpoint state")}
    listed = {name: {"bytes": len(content), "sha256": _sha256(content)} for name, content in files.items()}
    facts = {"format": CHECKPOINT_FORMAT, "step": step, "array_names": list(arrays), "files": listed}
    return {**files, _MANIFEST: sealed(facts, _MANIFEST)}


def _dense(name: str, array: np.ndarray) -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise InputError(f"checkpoint: {name!r} is a {type(array).__name__}; arrays are numpy arrays")
    if name == "__metadata__":
        raise InputError("checkpoint: safetensors keeps the name '__metadata__' for itself; name the array otherwise")
    # safetensors copies memory as it lies: a transposed view would come back scrambled. asarray keeps 0-d arrays 0-d.
    return np.asarray(array, order="C")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _load(directory: Path, step: int) -> Checkpoint:
    """Reads a checkpoint and proves it: what is used is what was hashed.

    Raises:
        FileFormatError: anything differs from what was saved; the message names the file.
        RunError: it is from a newer hwnas.
    """
    manifest = directory / _MANIFEST
    facts = unsealed(_read(manifest, _MANIFEST_LIMIT_BYTES), str(manifest))
    if facts.get("format") != CHECKPOINT_FORMAT:
        raise RunError(
            f"{directory} has format {facts.get('format')!r}, this hwnas reads {CHECKPOINT_FORMAT}; update it"
        )
    try:
        contents = {
            name: _proved(directory / name, int(facts["files"][name]["bytes"]), str(facts["files"][name]["sha256"]))
            for name in (_ARRAYS, _STATE)
        }
        names, saved_step = list(facts["array_names"]), int(facts["step"])
        arrays = safetensors_numpy.load(contents[_ARRAYS])
        ordered = {name: arrays[name] for name in names}
    except (KeyError, TypeError, ValueError, SafetensorError) as reason:
        raise FileFormatError(f"checkpoint {directory} does not hold what a checkpoint holds: {reason!r}") from None
    if saved_step != step:
        raise FileFormatError(f"checkpoint {directory} is of step {saved_step}, not of the step in its name")
    state = decode_json(contents[_STATE], str(directory / _STATE))
    return Checkpoint(step, ordered, state)


def _proved(path: Path, size_bytes: int, sha256: str) -> bytes:
    content = _read(path, size_bytes)
    if len(content) != size_bytes or _sha256(content) != sha256:
        raise FileFormatError(f"{path} is damaged: it does not match the sha256 in {_MANIFEST}")
    return content


def _read(path: Path, limit_bytes: int) -> bytes:
    """All of a file; a missing or larger one is damage here, one that may not be read is not."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for
            raise FileFormatError(f"{path} is damaged: it is not a file")
        if facts.st_size > limit_bytes:
            raise FileFormatError(f"{path} is damaged: it is larger than it was when it was written")
        return path.read_bytes()
    except PermissionError as reason:
        raise InputError(f"cannot read {path}: {reason.strerror}") from reason
    except OSError as reason:
        raise FileFormatError(f"{path} cannot be read: {reason.strerror}") from None
