"""A run directory: opened for one process at a time, resumed by default, started over on request."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from hwnas.core.errors import InputError, RunError
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.files import (
    append_line,
    plain_json,
    read_json,
    remove_leftovers,
    sync_directory,
    write_error,
    write_json,
)
from hwnas.runs.lock import RunLock
from hwnas.runs.provenance import environment
from hwnas.runs.settings import changes, write_settings
from hwnas.runs.stop import Stop
from hwnas.runs.store import RunStore
from hwnas.runs.stored import (
    CONFIG,
    ENVIRONMENT,
    METRICS,
    RESULT,
    RESULT_FORMAT,
    RUN_FORMAT,
    StoredRun,
    check_format,
    read_run,
)

LOCK, STORE = "lock.json", "store.sqlite"
CHECKPOINTS, LATENCY, BASELINES = "checkpoints", "latency", "baselines"
# SQLite's side files go before the store: one that outlives it would be replayed into the next store of that name.
_STORE_FILES = (f"{STORE}-wal", f"{STORE}-shm", STORE)
_NETWORK_FILES = ("architecture.json", "network.json", "weights.safetensors", "model.onnx", "network.py")
_OUTPUTS = (METRICS, RESULT, *_NETWORK_FILES, "report.html")
_CHECKPOINT_NAME = re.compile(r"(?!step-|broken-)[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@final
class RunDirectory:
    """A run that this process may write; made by `open`, given back by `close` or at the end of a `with`."""

    def __init__(
        self, stored: StoredRun, store: RunStore, lock: RunLock, stop: Stop, resumed: bool,
        environment_changes: tuple[str, ...],
    ) -> None:  # fmt: skip
        self._stored = stored
        self._store = store
        self._lock = lock
        self._stop = stop
        self._resumed = resumed
        self._environment_changes = environment_changes

    @staticmethod
    def open(
        path: Path, config: Mapping[str, Any], *, fresh: bool = False, stop: Stop | None = None
    ) -> RunDirectory:
        """Resumes the run in a directory, or starts one where there is none.

        Args:
            path: the directory; made if it is not there.
            config: the resolved settings, plain values.
            fresh: removes what hwnas wrote there first, and nothing else.
            stop: asks the run to end; None where nobody will.

        Raises:
            RunError: in use (names the holder), other settings (names each), damaged, or from a newer hwnas.
            InputError: the place cannot be written, or holds something that is not a run.
        """
        settings = plain_json(config, "config")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as reason:
            raise write_error(path, reason) from reason
        lock = RunLock.take(path / LOCK)
        try:
            return _open_locked(path, settings, lock, stop or Stop(), fresh)
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def read(path: Path) -> StoredRun:
        """Opens a run for reading: takes no lock and changes nothing.

        Raises:
            InputError: not a run.
            FileFormatError: its config.yaml or env.json is damaged.
            RunError: from a newer hwnas.
        """
        return read_run(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the store and gives the lock back."""
        try:
            self._store.close()
        finally:
            self._lock.release()

    @property
    def path(self) -> Path:
        """The directory."""
        return self._stored.path

    @property
    def config(self) -> dict[str, Any]:
        """The resolved settings."""
        return self._stored.config

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, processor and threads that the run was started under."""
        return self._stored.environment

    @property
    def resumed(self) -> bool:
        """Whether there was a run before."""
        return self._resumed

    @property
    def environment_changes(self) -> tuple[str, ...]:
        """What differs now from how the run was started; if anything, resuming need not give what one go would."""
        return self._environment_changes

    @property
    def store(self) -> RunStore:
        """Stages, measurements, trials."""
        return self._store

    @property
    def stop(self) -> Stop:
        """Whether the run is asked to end."""
        return self._stop

    def checkpoints(self, name: str, keep: int = 2) -> CheckpointDirectory:
        """The checkpoints of one loop.

        Args:
            name: of the loop, for example "search" or "train/searched/scratch"; each part becomes a directory.
            keep: how many are kept.

        Raises:
            InputError: a name that is no safe path.
        """
        parts = name.split("/")
        if not all(_CHECKPOINT_NAME.fullmatch(part) for part in parts):
            raise InputError(f"checkpoints cannot be named {name!r}: letters, digits, '_', '-', '.', parted by '/'")
        return CheckpointDirectory(self.path.joinpath(CHECKPOINTS, *parts), keep, stop=self._stop)

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl: at most one for each stage and step.

        Raises:
            InputError: a value that JSON cannot hold.
            RunError: no space.
        """
        append_line(self.path / METRICS, line)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes result.json.

        Raises:
            FileFormatError: its field "format" is not the one that this version writes.
            InputError: a value that JSON cannot hold.
            RunError: no space.
        """
        check_format(self.path / RESULT, dict(result), RESULT_FORMAT)
        write_json(self.path / RESULT, result)


def _open_locked(path: Path, settings: dict[str, Any], lock: RunLock, stop: Stop, fresh: bool) -> RunDirectory:
    try:
        if fresh:
            _empty(path)
        resumed = (path / CONFIG).exists()
        if not resumed and not fresh:
            _refuse_foreign(path)
        stored = _read_for_resume(path, settings) if resumed else None
        for directory in (path, path / LATENCY, *_baselines(path)):
            remove_leftovers(directory)
    except OSError as reason:
        raise write_error(path, reason) from reason
    now = environment()
    if stored is None:
        stored, store = _create(path, settings, now)
    else:
        store = RunStore(path / STORE, new=False)
    return RunDirectory(stored, store, lock, stop, resumed, tuple(changes(stored.environment, now)))


def _create(path: Path, settings: dict[str, Any], now: dict[str, Any]) -> tuple[StoredRun, RunStore]:
    """Writes a new run; config.yaml comes last, so that a directory with it is whole."""
    store = RunStore(path / STORE)
    try:
        if not store.is_empty():
            raise RunError(f"{path} has a {STORE} with content but no {CONFIG}; restore it, or start over with --fresh")
        created = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(path / ENVIRONMENT, {"format": RUN_FORMAT, "created": created, "environment": now})
        write_settings(path / CONFIG, settings)
        return read_run(path), store
    except BaseException:
        store.close()
        raise


def _read_for_resume(path: Path, settings: dict[str, Any]) -> StoredRun:
    try:
        stored = read_run(path)
    except InputError as reason:
        raise RunError(f"{path} cannot be resumed: {reason}; restore the file, or start over with --fresh") from None
    changed = changes(stored.config, settings)
    if changed:
        listed = "".join(f"\n  {change}" for change in changed)
        raise RunError(
            f"{path} holds a run with other settings:{listed}\n"
            "use the settings it was started with to resume it, --fresh to start over, or another --out"
        )
    return stored


def _names(path: Path) -> set[str]:
    """What lies in the directory, besides our own lock and hidden files."""
    return {entry.name for entry in path.iterdir() if entry.name != LOCK and not entry.name.startswith(".")}


def _refuse_foreign(path: Path) -> None:
    """Without config.yaml, a run starts where nothing is, or where starting or emptying one was cut off at its end."""
    names = _names(path)
    if _is_run(path):
        left = sorted(names & {*_OUTPUTS, CHECKPOINTS, LATENCY, BASELINES})
        if left:
            raise RunError(f"{path} has no {CONFIG} but {', '.join(left)}; restore it, or start over with --fresh")
    elif names:
        shown = ", ".join(sorted(names)[:5])
        raise InputError(f"{path} is not empty and not a run (it holds {shown}); choose another --out")


def _is_run(path: Path) -> bool:
    """Whether hwnas made this directory.

    Raises:
        RunError: a newer hwnas made it.
    """
    try:
        check_format(path / ENVIRONMENT, read_json(path / ENVIRONMENT), RUN_FORMAT)
    except InputError:  # missing or damaged; the store's name is used by nobody else
        return (path / STORE).is_file()
    return True


def _empty(path: Path) -> None:
    """Removes every file that hwnas writes, by name; what else is there stays.

    config.yaml goes first: without it nothing resumes what is left if this is cut off. env.json stays until it is
    replaced: by it the directory is known as a run.
    """
    if not _names(path):
        return
    if not _is_run(path):
        raise InputError(f"{path} is not a run, so --fresh removes nothing there; choose another --out")
    (path / CONFIG).unlink(missing_ok=True)
    sync_directory(path)
    _clear_checkpoints(path / CHECKPOINTS)
    for table in (path / LATENCY).glob("*.json"):
        table.unlink()
    for directory in _baselines(path):
        for name in _NETWORK_FILES:
            (directory / name).unlink(missing_ok=True)
        remove_leftovers(directory)
    for directory in (path / CHECKPOINTS, path / LATENCY, *_baselines(path), path / BASELINES):
        with contextlib.suppress(OSError):  # not there, or something that is not ours lies in it
            directory.rmdir()
    for name in (*_STORE_FILES, *_OUTPUTS):
        (path / name).unlink(missing_ok=True)
    sync_directory(path)


def _baselines(path: Path) -> list[Path]:
    """The directory of each baseline that was delivered beside the searched network."""
    return [entry for entry in (path / BASELINES).glob("*") if entry.is_dir()]


def _clear_checkpoints(directory: Path) -> None:
    if directory.is_dir():
        for entry in directory.iterdir():
            if _CHECKPOINT_NAME.fullmatch(entry.name):
                _clear_checkpoints(entry)
        CheckpointDirectory(directory).clear()
