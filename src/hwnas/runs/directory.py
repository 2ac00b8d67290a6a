"""A run directory: opened for one process at a time, resumed by default, started over on request."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from hwnas.core.errors import FileFormatError, HwnasError, InputError, RunError
from hwnas.core.protocols import Silence
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.clock import NOTHING, Stopwatch
from hwnas.runs.files import (
    append_line,
    make_directory,
    plain_json,
    remove_leftovers,
    sync_directory,
    sync_file,
    write_error,
    write_sealed_json,
)
from hwnas.runs.foreign import refuse_links
from hwnas.runs.lock import RunLock
from hwnas.runs.provenance import environment
from hwnas.runs.seal import SEAL_ENDING, set_seal
from hwnas.runs.settings import changes, write_settings
from hwnas.runs.stop import Stop
from hwnas.runs.store import RunStore
from hwnas.runs.stored import (
    BASELINES,
    CONFIG,
    ENVIRONMENT,
    LATENCY,
    METRICS,
    METRICS_END,
    NETWORK_FILES,
    OUTPUTS,
    RESULT,
    RESULT_FORMAT,
    RUN_FORMAT,
    StoredRun,
    read_run,
    read_stored,
)

LOCK, STORE, CHECKPOINTS = "lock.json", "store.sqlite", "checkpoints"
# SQLite's side files go before the store: one that outlives it would be replayed into the next store of that name.
_STORE_FILES = (f"{STORE}-wal", f"{STORE}-shm", f"{STORE}{SEAL_ENDING}", STORE)
_RESUMED_SINCE = 2  # version of the run's format
_CHECKPOINT_NAME = re.compile(r"(?!step-|broken-)[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@final
class RunDirectory:
    """A run that this process may write; made by `open`, given back by `close` or at the end of a `with`."""

    def __init__(
        self, stored: StoredRun, store: RunStore, lock: RunLock, stop: Stop, say: Callable[[str], None], resumed: bool
    ) -> None:  # fmt: skip
        self._stored = stored
        self._store = store
        self._lock = lock
        self._stop = stop
        self._say = say
        self._resumed = resumed
        self._stage: tuple[str, Stopwatch] | None = None

    @staticmethod
    def open(
        path: Path, config: Mapping[str, Any], *, fresh: bool = False, stop: Stop | None = None,
        say: Callable[[str], None] | None = None, lock: RunLock | None = None,
    ) -> RunDirectory:  # fmt: skip
        """Resumes the run in a directory, or starts one where there is none.

        Args:
            path: the directory; made if it is not there.
            config: the resolved settings, plain values.
            fresh: removes what hwnas wrote there first, and nothing else.
            stop: asks the run to end; None where nobody will.
            say: told what is damaged and left out, and what has changed since the run was started; None for nobody.
            lock: of this directory, taken before; None takes it now. It is given back with the run.

        Raises:
            RunError: in use (names the holder), other settings (names each), damaged, from a newer hwnas, or begun by
                an older one and not finished.
            InputError: the place cannot be written, holds something that is not a run, or links that lead out of it.
        """
        settings = plain_json(config, "config")
        lock = lock or RunDirectory.reserve(path)
        try:
            return _open_locked(path, settings, lock, stop or Stop(), say or Silence().say, fresh)
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def reserve(path: Path) -> RunLock:
        """Takes the lock of a directory, if it holds nothing else, for a run that is opened later; raises as `open`."""
        make_directory(path)
        refuse_links(path, (LOCK, CONFIG, ENVIRONMENT, *_STORE_FILES, *OUTPUTS), (CHECKPOINTS, LATENCY, BASELINES))
        try:
            _refuse_foreign(path)
        except OSError as reason:
            raise write_error(path, reason) from reason
        return RunLock.take(path / LOCK)

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
        """Closes and seals the store, and gives the lock back."""
        try:
            self._store.close()
            if self._stored.version >= _RESUMED_SINCE:
                set_seal(self.path / STORE)
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
    def store(self) -> RunStore:
        """Stages, measurements, trials."""
        return self._store

    @property
    def stop(self) -> Stop:
        """Whether the run is asked to end."""
        return self._stop

    def checkpoints(self, name: str, keep: int = 2, *, own_thread: bool = False) -> CheckpointDirectory:
        """The checkpoints of one loop.

        Args:
            name: of the loop, for example "search" or "train/searched/scratch"; each part becomes a directory.
            keep: how many are kept.
            own_thread: for a loop beside that of its stage; what the stage has used is then not noted with them.

        Raises:
            InputError: a name that is no safe path.
            RunError: the run is an older hwnas's, to be read only.
        """
        parts = name.split("/")
        if not all(_CHECKPOINT_NAME.fullmatch(part) for part in parts):
            raise InputError(f"checkpoints cannot be named {name!r}: letters, digits, '_', '-', '.', parted by '/'")
        if self._stored.version < _RESUMED_SINCE:
            raise _too_old(self.path)
        path = self.path.joinpath(CHECKPOINTS, *parts)
        saving = None if own_thread else self._mark
        return CheckpointDirectory(path, keep, stop=self._stop, saving=saving, say=self._say)

    @contextlib.contextmanager
    def accounted(self, stage: str) -> Iterator[None]:
        """Stores what a block costs as a stage's, once: one that is replayed from checkpoints is not counted again.

        What a run that was cut off had used until its loop last saved, or until it left the block, is counted too.

        Args:
            stage: unique in the run, and not within another.
        """
        before = {mark.name: mark.spent for mark in self._store.marks()}
        self._stage = (stage, watch := Stopwatch(before.get(stage, NOTHING)))
        try:
            yield
        except BaseException:
            with contextlib.suppress(HwnasError):  # a full disk, say, has ended the block already
                self._mark()
            raise
        finally:
            self._stage = None
        if self._store.stage(stage) is None:
            spent = watch.spent()
            self._store.finish_stage(stage, {}, spent.cpu_seconds, spent.wall_seconds)

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl: at most one for each stage and step.

        Raises:
            InputError: a value that JSON cannot hold.
            RunError: no space.
        """
        append_line(self.path / METRICS, line)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes result.json, after the last line of metrics.jsonl, which says how long that file is.

        Raises:
            FileFormatError: its field "format" is not the one that this version writes.
            InputError: a value that JSON cannot hold.
            RunError: no space.
        """
        if result.get("format") != RESULT_FORMAT:
            raise FileFormatError(f"a result has format {RESULT_FORMAT!r}, not {result.get('format')!r}")
        append_line(self.path / METRICS, {METRICS_END: _size(self.path / METRICS)})
        write_sealed_json(self.path / RESULT, result)

    def _mark(self) -> None:
        """Keeps what the present stage has used, and how long metrics.jsonl is; both durable when this returns."""
        if self._stage is None:
            return
        name, watch = self._stage
        spent, metrics = watch.spent(), self.path / METRICS
        try:
            if metrics.exists():
                sync_file(metrics)
        except OSError as reason:
            raise write_error(metrics, reason) from reason
        self._store.mark(name, spent.cpu_seconds, spent.wall_seconds, _size(metrics))


def _open_locked(
    path: Path, settings: dict[str, Any], lock: RunLock, stop: Stop, say: Callable[[str], None], fresh: bool
) -> RunDirectory:
    try:
        if fresh:
            _empty(path)
        resumed = (path / CONFIG).exists()
        if not resumed and not fresh:
            _refuse_remains(path)
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
    changed = changes(stored.environment, now)
    try:
        for text in [*stored.problems(), *_lost_lines(path, store), *_not_as_started(stored, changed)]:
            say(text)
    except BaseException:
        store.close()
        raise
    return RunDirectory(stored, store, lock, stop, say, resumed)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _lost_lines(path: Path, store: RunStore) -> Iterator[str]:
    """Says so if metrics.jsonl is shorter than it was when a loop last saved: those steps are not done again."""
    found, kept = _size(path / METRICS), max((mark.metrics_bytes for mark in store.marks()), default=0)
    if found < kept:
        yield f"{path / METRICS} has lost lines: it has {found:,} bytes, and had {kept:,} when the run last saved"


def _not_as_started(stored: StoredRun, changed: Sequence[str]) -> Iterator[str]:
    """Says so if what is left of a run will be done under other versions or on another machine."""
    if changed and not stored.finished:
        listed = "; ".join(changed)
        yield f"{stored.path} goes on, but the last digits may differ, because since its start: {listed}"


def _create(path: Path, settings: dict[str, Any], now: dict[str, Any]) -> tuple[StoredRun, RunStore]:
    """Writes a new run; config.yaml comes last, so that a directory with it is whole."""
    store = RunStore(path / STORE)
    try:
        if not store.is_empty():
            raise RunError(f"{path} has a {STORE} with content but no {CONFIG}; restore it, or start over with --fresh")
        created = datetime.now(UTC).isoformat(timespec="seconds")
        write_sealed_json(path / ENVIRONMENT, {"format": RUN_FORMAT, "created": created, "environment": now})
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
    if stored.version < _RESUMED_SINCE and not stored.finished:
        raise _too_old(path)
    changed = changes(stored.config, settings)
    if changed:
        raise RunError(
            f"{path} holds a run with other settings ({'; '.join(changed)}): use those it was started with to resume "
            "it, --fresh to start over, or another --out"
        )
    return stored


def _too_old(path: Path) -> RunError:
    return RunError(f"{path} was begun by an older hwnas and can only be read; use --fresh or another --out")


def _names(path: Path) -> set[str]:
    """What lies in the directory, besides our own lock and hidden files."""
    return {entry.name for entry in path.iterdir() if entry.name != LOCK and not entry.name.startswith(".")}


def _refuse_foreign(path: Path) -> None:
    names = sorted(_names(path))
    if names and CONFIG not in names and not _is_run(path):
        raise InputError(f"{path} is not empty and not a run (it holds {', '.join(names[:5])}); choose another --out")


def _refuse_remains(path: Path) -> None:
    """Without config.yaml, a run starts where nothing is, or where starting or emptying one was cut off at its end."""
    left = sorted(_names(path) & {*OUTPUTS, CHECKPOINTS, LATENCY, BASELINES})
    if left:
        raise RunError(f"{path} has no {CONFIG} but {', '.join(left)}; restore it, or start over with --fresh")


def _is_run(path: Path) -> bool:
    """Whether hwnas made this directory.

    Raises:
        RunError: a newer hwnas made it.
    """
    try:
        read_stored(path / ENVIRONMENT, RUN_FORMAT)
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
        for name in NETWORK_FILES:
            (directory / name).unlink(missing_ok=True)
        remove_leftovers(directory)
    for directory in (path / CHECKPOINTS, path / LATENCY, *_baselines(path), path / BASELINES):
        with contextlib.suppress(OSError):  # not there, or something that is not ours lies in it
            directory.rmdir()
    for name in (*_STORE_FILES, *OUTPUTS):
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
