"""The store of a run: finished stages, measurements and trials in SQLite, each written once and proved when read.

Beside them the marks of stages that go on, each replaced by the next; stores of version 1 have none.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from hwnas.core.errors import InputError, RunError
from hwnas.runs.clock import Spent
from hwnas.runs.files import decode_json, encode_json, write_error
from hwnas.runs.foreign import strange_files, strange_schema
from hwnas.runs.measurements import MeasurementRecord, read_measurements, write_measurements
from hwnas.runs.schema import COLUMNS, STORE_VERSION, statements, tables
from hwnas.runs.seal import break_seal, broken

_BUSY_SECONDS = 30.0
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A finished stage: what came out, and what it cost."""

    name: str
    result: dict[str, Any]
    spent: Spent


@dataclass(frozen=True, slots=True)
class MarkRecord:
    """How far a stage had come when its loop last saved: what it had cost, and how long metrics.jsonl was."""

    name: str
    spent: Spent
    metrics_bytes: int


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as stored: an architecture that a source proposed, with the seed it was evaluated with."""

    id: int
    source: str
    architecture_id: str
    label: str
    seed: int
    content: dict[str, Any]


@final
class RunStore:
    """What a run knows for certain: a row is durable when the call that adds it returns, and never changes after.

    Args:
        path: the SQLite file.
        new: True makes the store if there is none; False refuses a missing or empty file, which once held rows.

    Raises:
        RunError: the file is damaged, no store, or from a newer hwnas; the message names it.
        InputError: the place cannot be written.
    """

    def __init__(self, path: Path, *, new: bool = True) -> None:
        self._path = path
        self._tables = tables(STORE_VERSION)
        self._row_bytes = 0  # of the last row that was added, for the message on a full disk
        if not new and not path.exists():
            raise RunError(f"{path} is missing; restore it, or start over with --fresh")
        if strange := strange_files(path):
            raise self._damaged(strange)
        with self._typed_errors():
            # Autocommit: every transaction of the store is one visible `_transaction`.
            self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            with self._typed_errors():
                self._prepare(new)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; SQLite folds its write-ahead log into it."""
        self._connection.close()

    def is_empty(self) -> bool:
        """Whether no stage, measurement, trial or mark is stored."""
        return not any(self._rows(table) for table in self._tables)

    def stage(self, name: str) -> dict[str, Any] | None:
        """The result of a finished stage, or None if it has not finished."""
        rows = self._rows("stages", name=name)
        return self._json(rows[0], "result") if rows else None

    def finish_stage(self, name: str, result: Mapping[str, Any], cpu_seconds: float, wall_seconds: float) -> None:
        """Stores that a stage is finished.

        Args:
            name: for example "search".
            result: plain JSON values that the later stages need.
            cpu_seconds: processor time that it used, at least 0.
            wall_seconds: time that it took, at least 0.

        Raises:
            RunError: the stage is already finished, or the store cannot be written.
            InputError: a value that JSON cannot hold, or a time below 0.
        """
        _check_times(name, cpu_seconds, wall_seconds)
        text = _text(result, f"result of stage {name!r}")
        with self._transaction():
            self._insert("stages", name, float(cpu_seconds), float(wall_seconds), text)

    def stages(self) -> list[StageRecord]:
        """Every finished stage in the order in which they finished."""
        return [
            StageRecord(row["name"], self._json(row, "result"), Spent(row["cpu_seconds"], row["wall_seconds"]))
            for row in self._rows("stages")
        ]

    def mark(self, name: str, cpu_seconds: float, wall_seconds: float, metrics_bytes: int) -> None:
        """Stores how far a stage has come, in the place of its mark before.

        Args:
            name: for example "search".
            cpu_seconds: processor time that it used so far, at least 0.
            wall_seconds: time that it took so far, at least 0.
            metrics_bytes: length of metrics.jsonl.

        Raises:
            RunError: the store cannot be written.
            InputError: a time below 0.
        """
        _check_times(name, cpu_seconds, wall_seconds)
        with self._transaction():
            self._connection.execute("DELETE FROM marks WHERE name = ?", (name,))
            self._insert("marks", name, float(cpu_seconds), float(wall_seconds), int(metrics_bytes))

    def marks(self) -> list[MarkRecord]:
        """The mark of every stage that has one."""
        rows = self._rows("marks") if "marks" in self._tables else []
        return [
            MarkRecord(row["name"], Spent(row["cpu_seconds"], row["wall_seconds"]), row["metrics_bytes"])
            for row in rows
        ]

    def measurement(self, target_id: str, file_sha256: str, purpose: str) -> dict[str, Any] | None:
        """What was measured for this file, target and purpose, or None if nothing was yet."""
        rows = self._rows("measurements", target_id=target_id, file_sha256=file_sha256, purpose=purpose)
        return self._json(rows[0], "content") if rows else None

    def add_measurement(self, target_id: str, file_sha256: str, purpose: str, content: Mapping[str, Any]) -> None:
        """Stores a measurement; in one run, the same is never taken twice.

        Raises:
            RunError: there is one already, or the store cannot be written.
            InputError: a value that JSON cannot hold.
        """
        self.add_measurements(target_id, purpose, {file_sha256: content})

    def add_measurements(self, target_id: str, purpose: str, contents: Mapping[str, Mapping[str, Any]]) -> None:
        """Stores what was measured side by side, by the sha256 of each file: all or none, raises as one alone."""
        texts = {file: _text(content, f"measurement for {purpose!r}") for file, content in contents.items()}
        with self._transaction():
            for file_sha256, text in texts.items():
                self._insert("measurements", target_id, file_sha256, purpose, text)

    def measurements(self) -> list[MeasurementRecord]:
        """Every measurement in the order in which they were taken."""
        return [
            MeasurementRecord(row["target_id"], row["file_sha256"], row["purpose"], self._json(row, "content"))
            for row in self._rows("measurements")
        ]

    def export_measurements(self, path: Path) -> int:
        """Writes every measurement to a JSON file that `import_measurements` reads; returns how many."""
        records = self.measurements()
        write_measurements(path, records)
        return len(records)

    def import_measurements(self, path: Path) -> int:
        """Adds the measurements of a file, all or none; returns how many were new.

        Raises:
            InputError: there is no such file.
            FileFormatError: it is not a measurements file, or from a newer version.
            RunError: one of them was taken here already with another outcome.
        """
        added = 0
        records = read_measurements(path)
        with self._transaction():
            for record in records:
                stored = self.measurement(record.target_id, record.file_sha256, record.purpose)
                if stored is None:
                    text = _text(record.content, f"{path}: measurement for {record.purpose!r}")
                    self._insert("measurements", record.target_id, record.file_sha256, record.purpose, text)
                    added += 1
                elif stored != record.content:
                    raise RunError(
                        f"{path} holds another outcome for the measurement of file {record.file_sha256[:12]}… on "
                        f"target {record.target_id} for {record.purpose!r} than {self._path}; import it into a new run"
                    )
        return added

    def add_trial(
        self, source: str, architecture_id: str, content: Mapping[str, Any], *, label: str = "", seed: int = 0
    ) -> int:
        """Stores a trial.

        Args:
            source: who proposed the architecture, for example "random".
            architecture_id: unique for its source.
            content: plain JSON values.
            label: for readers.
            seed: what it was evaluated with.

        Returns:
            Its number, counted from 1.

        Raises:
            RunError: this source already has a trial of this architecture, or the store cannot be written.
            InputError: a value that JSON cannot hold.
        """
        text = _text(content, f"trial {architecture_id} of {source!r}")
        with self._transaction():
            return self._insert("trials", source, architecture_id, label, int(seed), text)

    def trial(self, source: str, architecture_id: str) -> TrialRecord | None:
        """The trial of this architecture by this source, or None if there was none yet."""
        rows = self._rows("trials", source=source, architecture_id=architecture_id)
        return self._trial(rows[0]) if rows else None

    def trials(self, source: str | None = None) -> list[TrialRecord]:
        """Every trial, or those of one source, in the order in which they were added."""
        rows = self._rows("trials") if source is None else self._rows("trials", source=source)
        return [self._trial(row) for row in rows]

    def _trial(self, row: sqlite3.Row) -> TrialRecord:
        content = self._json(row, "content")
        return TrialRecord(row["id"], row["source"], row["architecture_id"], row["label"], row["seed"], content)

    def _prepare(self, new: bool) -> None:
        self._connection.row_factory = sqlite3.Row
        mode = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise RunError(
                f"{self._path}: this file system lacks what SQLite's WAL needs; choose --out on a local disk"
            )
        self._connection.execute("PRAGMA synchronous=FULL")
        # Every commit goes into the file itself at once: a log that is damaged later then takes no row with it.
        self._connection.execute("PRAGMA wal_autocheckpoint=1")
        with self._transaction():
            is_empty = self._connection.execute("SELECT name FROM sqlite_master").fetchone() is None
            if is_empty and new:
                break_seal(self._path)
                for statement in statements(STORE_VERSION):
                    self._connection.execute(statement)
                self._connection.execute("INSERT INTO meta VALUES ('version', ?)", (str(STORE_VERSION),))
        if is_empty and new:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # from now on an empty file means damage
            return
        self._check()

    def _check(self) -> None:
        """Proves the whole file before anything is built on it."""
        if strange := strange_schema(self._connection):
            raise self._damaged(strange)
        verdict = self._connection.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise self._damaged(verdict)
        if self._is_cut_off():
            raise self._damaged("its end is missing")
        version = self._connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
        if version is None or not re.fullmatch("[1-9][0-9]{0,8}", str(version[0])):
            raise self._damaged("it does not say which version it is")
        if int(version[0]) > STORE_VERSION:
            raise RunError(
                f"{self._path} has version {version[0]} and was written by a newer hwnas; this one reads up to "
                f"{STORE_VERSION}: update hwnas, or choose another --out"
            )
        schema = self._connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
        if [row["sql"] for row in schema] != statements(int(version[0])):
            raise self._damaged("its tables are not those that hwnas made")
        self._tables = tables(int(version[0]))
        for table in self._tables:
            self._rows(table)
        if reason := broken(self._path):
            raise self._damaged(reason)

    def _is_cut_off(self) -> bool:
        """Whether the file is shorter than its pages, which SQLite overlooks where the rest of a page is unused."""
        count, size = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        _, in_log, folded = self._connection.execute("PRAGMA wal_checkpoint").fetchone()
        return bool(in_log == folded and self._path.stat().st_size < count * size)

    def _rows(self, table: str, **where: str) -> list[sqlite3.Row]:
        """Rows in the order in which they were added, each proved by its sha256."""
        columns = ", ".join(("id", *COLUMNS[table], "sha256"))
        condition = " AND ".join(f"{column} = ?" for column in where) or "1"
        with self._typed_errors():
            query = f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY id"
            rows: list[sqlite3.Row] = self._connection.execute(query, tuple(where.values())).fetchall()
        for row in rows:
            if row["sha256"] != _row_sha256(table, *tuple(row)[:-1]):
                raise self._damaged(f"row {row['id']} of its table {table} does not match its sha256")
        return rows

    def _insert(self, table: str, *values: str | int | float) -> int:
        """Adds a row within a transaction and returns its number."""
        break_seal(self._path)
        number = int(self._connection.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table}").fetchone()[0])
        row = (number, *values, _row_sha256(table, number, *values))
        self._row_bytes = sum(len(str(value)) for value in row)
        try:
            self._connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        except sqlite3.IntegrityError:
            key = ", ".join(str(value) for value in values[: {"measurements": 3, "trials": 2}.get(table, 1)])
            raise RunError(
                f"{self._path} already holds {key} in {table}; what is stored is never taken again"
            ) from None
        return number

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, and durable when it ends."""
        with self._typed_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as reason:  # raised by the sqlite3 module itself over damaged names
            raise self._damaged(str(reason)) from reason
        except sqlite3.Error as reason:
            match getattr(reason, "sqlite_errorname", "").split("_")[1:2]:
                case ["FULL"]:
                    no_space = OSError(errno.ENOSPC, "No space left on device")
                    raise write_error(self._path, no_space, self._row_bytes + _PAGE_BYTES) from reason
                case ["CANTOPEN" | "READONLY" | "PERM"]:
                    raise InputError(
                        f"cannot write {self._path}: {reason}; choose a place you may write to"
                    ) from reason
                case ["BUSY" | "LOCKED"]:
                    raise RunError(f"{self._path} is in use by another process; wait for it or stop it") from reason
                case _:
                    raise self._damaged(str(reason)) from reason

    def _damaged(self, reason: str) -> RunError:
        return RunError(f"{self._path} is damaged: {reason}; restore it from a copy, or start over with --fresh")

    def _json(self, row: sqlite3.Row, column: str) -> dict[str, Any]:
        value = decode_json(row[column].encode("utf-8"), f"{self._path}, {column}")
        if not isinstance(value, dict):
            raise self._damaged(f"{column} is no object")
        return value


def _check_times(stage: str, cpu_seconds: float, wall_seconds: float) -> None:
    for what, seconds in (("cpu_seconds", cpu_seconds), ("wall_seconds", wall_seconds)):
        if not math.isfinite(seconds) or seconds < 0:
            raise InputError(f"stage {stage!r}: {what} must be at least 0, not {seconds}")


def _text(content: Mapping[str, Any], where: str) -> str:
    if not isinstance(content, Mapping):
        raise InputError(f"{where} must be an object, not {type(content).__name__}")
    return encode_json(content, where, indent=None).decode("ascii")


def _row_sha256(table: str, *values: Any) -> str:
    # A damaged value may have any type that SQLite knows, bytes included.
    return hashlib.sha256(json.dumps([table, *values], default=repr).encode("ascii")).hexdigest()
