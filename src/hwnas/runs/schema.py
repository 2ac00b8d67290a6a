"""The tables of the store, by version: 2 added the marks."""

from __future__ import annotations

STORE_VERSION = 2
_MARKS_SINCE = 2
# Every row carries the sha256 of its values, because SQLite notices damage to its pages' structure only.
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE stages (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, cpu_seconds REAL NOT NULL,
    wall_seconds REAL NOT NULL, result TEXT NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE measurements (id INTEGER PRIMARY KEY, target_id TEXT NOT NULL, file_sha256 TEXT NOT NULL,
    purpose TEXT NOT NULL, content TEXT NOT NULL, sha256 TEXT NOT NULL, UNIQUE (target_id, file_sha256, purpose));
CREATE TABLE trials (id INTEGER PRIMARY KEY, source TEXT NOT NULL, architecture_id TEXT NOT NULL, label TEXT NOT NULL,
    seed INTEGER NOT NULL, content TEXT NOT NULL, sha256 TEXT NOT NULL, UNIQUE (source, architecture_id));
CREATE TABLE marks (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, cpu_seconds REAL NOT NULL,
    wall_seconds REAL NOT NULL, metrics_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL);
"""
COLUMNS = {
    "stages": ("name", "cpu_seconds", "wall_seconds", "result"),
    "measurements": ("target_id", "file_sha256", "purpose", "content"),
    "trials": ("source", "architecture_id", "label", "seed", "content"),
    "marks": ("name", "cpu_seconds", "wall_seconds", "metrics_bytes"),
}


def statements(version: int) -> list[str]:
    """What makes the tables of a version; SQLite keeps their text."""
    found = _SCHEMA.strip().rstrip(";").split(";\n")
    return found if version >= _MARKS_SINCE else found[:-1]


def tables(version: int) -> tuple[str, ...]:
    """The tables of a version that hold rows of the run."""
    return tuple(name for name in COLUMNS if version >= _MARKS_SINCE or name != "marks")
