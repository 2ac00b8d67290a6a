"""Marks came with version 2 of the store; stores of version 1 are read for ever."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from hwnas.core.errors import InputError, RunError
from hwnas.runs.clock import Spent
from hwnas.runs.store import MarkRecord, RunStore

OLD_STORE = Path(__file__).parents[2] / "old_runs" / "format-1" / "store.sqlite"


def test_a_mark_replaces_the_one_before_of_its_stage(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with RunStore(path) as store:
        assert store.marks() == []
        store.mark("search", 1.0, 2.0, 100)
        store.mark("train", 0.5, 0.5, 150)
        store.mark("search", 3.0, 4.0, 200)
    with RunStore(path, new=False) as store:
        assert not store.is_empty()
        assert store.marks() == [MarkRecord("train", Spent(0.5, 0.5), 150), MarkRecord("search", Spent(3.0, 4.0), 200)]
        with pytest.raises(InputError, match="cpu_seconds must be at least 0"):
            store.mark("search", -1.0, 0.0, 0)


def test_a_store_of_version_1_is_read_and_has_no_marks(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD_STORE, tmp_path))
    with RunStore(path, new=False) as store:
        assert len(store.stages()) > 5 and len(store.measurements()) > 5 and store.marks() == []
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '2'")
    connection.close()
    with pytest.raises(RunError, match="its tables are not those that hwnas made"):
        RunStore(path, new=False)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE meta SET value = '0'",
        "UPDATE meta SET value = 'two'",
        "DELETE FROM meta",
        "DROP TABLE marks",
        "CREATE TABLE more (id)",
        "ALTER TABLE trials RENAME COLUMN label TO labels",
    ],
)
def test_other_tables_or_an_unknown_version_are_damage(tmp_path: Path, change: str) -> None:
    path = tmp_path / "store.sqlite"
    RunStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(RunError, match="store.sqlite is damaged"):
        RunStore(path, new=False)
