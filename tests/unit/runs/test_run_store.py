"""The store: what was stored comes back, once, or damage is named."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from boundaries import ENVIRONMENT

from hwnas.core.errors import FileFormatError, HwnasError, InputError, RunError
from hwnas.runs.clock import Spent
from hwnas.runs.measurements import MeasurementRecord
from hwnas.runs.store import RunStore, StageRecord, TrialRecord

SHA = "ab" * 32


def fill(store: RunStore, count: int = 3) -> None:
    for index in range(count):
        store.finish_stage(
            f"stage {index}", {"index": index, "name": "é", "values": [0.1, None, True]}, index + 0.5, 2.0
        )
        store.add_measurement("0123456789abcdef", SHA, f"session {index}", {"samples_ms": [0.1 * index, 1e-9, 1 / 3]})
        store.add_trial("random", f"arch{index}", {"loss": 1 / (index + 1)}, label=f"number {index}", seed=index)


def content(store: RunStore) -> tuple[list[StageRecord], list[MeasurementRecord], list[TrialRecord]]:
    return store.stages(), store.measurements(), store.trials()


def test_what_was_stored_comes_back_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with RunStore(path) as store:
        assert store.is_empty()
        fill(store)
        before = content(store)
    with RunStore(path, new=False) as store:
        assert content(store) == before
        assert not store.is_empty()
        assert store.stage("stage 1") == {"index": 1, "name": "é", "values": [0.1, None, True]}
        assert store.stages()[1] == StageRecord("stage 1", store.stage("stage 1") or {}, Spent(1.5, 2.0))
        assert store.measurement("0123456789abcdef", SHA, "session 2") == {"samples_ms": [0.2, 1e-9, 1 / 3]}
        assert store.trial("random", "arch1") == TrialRecord(2, "random", "arch1", "number 1", 1, {"loss": 0.5})
        assert [trial.id for trial in store.trials("random")] == [1, 2, 3]
    assert os.listdir(tmp_path) == ["store.sqlite"]


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    with RunStore(tmp_path / "store.sqlite") as store:
        assert store.stage("search") is None
        assert store.measurement("t", SHA, "p") is None
        assert store.trial("random", "x") is None
        assert store.trials("random") == []


def test_it_writes_ahead_and_waits_for_the_disk(tmp_path: Path) -> None:
    with RunStore(tmp_path / "store.sqlite") as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert store._connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_what_was_measured_side_by_side_is_stored_together_or_not_at_all(tmp_path: Path) -> None:
    with RunStore(tmp_path / "store.sqlite") as store:
        store.add_measurement("t", "b", "p", {})
        with pytest.raises(RunError, match="already holds t, b, p"):
            store.add_measurements("t", "p", {"a": {}, "b": {}})
        assert store.measurement("t", "a", "p") is None
        store.add_measurements("t", "p", {"a": {"ms": 1.0}, "c": {}})
        assert store.measurement("t", "a", "p") == {"ms": 1.0} and store.measurement("t", "c", "p") == {}


def test_nothing_is_stored_twice(tmp_path: Path) -> None:
    with RunStore(tmp_path / "store.sqlite") as store:
        fill(store)
        before = content(store)
        with pytest.raises(RunError, match="already holds stage 0 in stages"):
            store.finish_stage("stage 0", {}, 0.0, 0.0)
        with pytest.raises(RunError, match="session 0 in measurements; what is stored is never taken again"):
            store.add_measurement("0123456789abcdef", SHA, "session 0", {"samples_ms": [9.0]})
        with pytest.raises(RunError, match="already holds random, arch0 in trials"):
            store.add_trial("random", "arch0", {"loss": 0.0})
        assert content(store) == before
        # Another target, file, purpose or source is another thing.
        store.add_measurement("fedcba9876543210", SHA, "session 0", {})
        store.add_measurement("0123456789abcdef", "cd" * 32, "session 0", {})
        assert store.add_trial("proxyless-g", "arch0", {}) == 4


@pytest.mark.parametrize("bad", [{"x": float("nan")}, {"x": {1: 2}}, {"x": object()}, [1]])
def test_what_would_not_come_back_is_refused(tmp_path: Path, bad) -> None:
    with RunStore(tmp_path / "store.sqlite") as store:
        for add in (
            lambda: store.finish_stage("s", bad, 0.0, 0.0),
            lambda: store.add_measurement("t", SHA, "p", bad),
            lambda: store.add_trial("random", "a", bad),
        ):
            with pytest.raises(InputError):
                add()
        assert store.is_empty()


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_times_are_finite_and_not_negative(tmp_path: Path, seconds: float) -> None:
    with RunStore(tmp_path / "store.sqlite") as store:
        with pytest.raises(InputError, match="cpu_seconds"):
            store.finish_stage("s", {}, seconds, 0.0)
        with pytest.raises(InputError, match="wall_seconds"):
            store.finish_stage("s", {}, 0.0, seconds)


def test_measurements_are_replayed_in_another_run(tmp_path: Path) -> None:
    exported = tmp_path / "measurements.json"
    with RunStore(tmp_path / "a.sqlite") as first:
        fill(first, 5)
        assert first.export_measurements(exported) == 5
        before = first.measurements()
    with RunStore(tmp_path / "b.sqlite") as second:
        assert second.import_measurements(exported) == 5
        assert second.measurements() == before
        assert second.import_measurements(exported) == 0
        assert second.measurements() == before


def test_an_import_that_contradicts_adds_nothing(tmp_path: Path) -> None:
    exported = tmp_path / "measurements.json"
    with RunStore(tmp_path / "a.sqlite") as first:
        fill(first, 3)
        first.export_measurements(exported)
    with RunStore(tmp_path / "b.sqlite") as second:
        second.add_measurement("0123456789abcdef", SHA, "session 2", {"samples_ms": [7.0]})
        with pytest.raises(RunError, match="another outcome .* 'session 2'"):
            second.import_measurements(exported)
        assert len(second.measurements()) == 1


ROW = {"target_id": "t", "file_sha256": SHA, "purpose": "p", "content": {}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "no measurements file"),
        ({"format": "hwnas-measurements@2", "measurements": []}, "hwnas-measurements@2"),
        ({"format": "hwnas-measurements@1"}, "must be a list"),
        ({"format": "hwnas-measurements@1", "measurements": [ROW, 3]}, "measurement 1 needs"),
        ({"format": "hwnas-measurements@1", "measurements": [{**ROW, "purpose": 5}]}, "measurement 0 needs"),
        ({"format": "hwnas-measurements@1", "measurements": [{**ROW, "content": []}]}, "measurement 0 needs"),
        ({"format": "hwnas-measurements@1", "measurements": [ROW, ROW]}, "second time"),
    ],
)
def test_a_file_that_holds_no_measurements_is_refused(tmp_path: Path, data, words: str) -> None:
    (tmp_path / "m.json").write_text(json.dumps(data))
    with RunStore(tmp_path / "store.sqlite") as store:
        with pytest.raises(FileFormatError, match=words):
            store.import_measurements(tmp_path / "m.json")
        with pytest.raises(InputError, match="there is no file"):
            store.import_measurements(tmp_path / "none.json")
        assert store.is_empty()


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    RunStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '3'")
    connection.close()
    with pytest.raises(RunError, match="version 3 and was written by a newer hwnas"):
        RunStore(path)


def test_a_store_that_is_missing_empty_or_foreign_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with pytest.raises(RunError, match="is missing"):
        RunStore(path, new=False)
    assert not path.exists()
    path.write_bytes(b"")
    with pytest.raises(RunError, match="store.sqlite is damaged"):
        RunStore(path, new=False)
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(RunError, match="store.sqlite is damaged"):
        RunStore(path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (id)")
    connection.close()
    with pytest.raises(RunError, match="store.sqlite is damaged"):
        RunStore(path)


def test_a_place_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        RunStore(tmp_path / "none" / "store.sqlite")


def damage_outcomes(path: Path, before, changes) -> list[str]:
    """For each changed file content: refused by name ("named"), or everything is still there ("whole")."""
    outcomes = []
    for data in changes:
        for side in ("-wal", "-shm"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        path.write_bytes(data)
        try:
            with RunStore(path, new=False) as store:
                assert content(store) == before, "damage was taken for content"
            outcomes.append("whole")
        except HwnasError as reason:
            assert path.name in str(reason)
            outcomes.append("named")
    return outcomes


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "store.sqlite"
    with RunStore(path) as store:
        fill(store, 12)
    return path


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path / "store.sqlite"))


def test_every_bit_flip_is_named_or_harmless(filled: Path) -> None:
    with RunStore(filled) as store:
        before = content(store)
    whole, rng = filled.read_bytes(), random.Random(0)

    def flips():
        for _ in range(300):
            data = bytearray(whole)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            yield bytes(data)
        for row in (b"arch7", b"session 3", b"number 5", b"stage 2", b"samples_ms"):
            data = bytearray(whole)
            data[whole.rindex(row) + 4] ^= 1
            yield bytes(data)

    outcomes = damage_outcomes(filled, before, flips())
    assert outcomes.count("named") > 50 and outcomes[-5:] == ["named"] * 5


def test_every_truncation_is_named(filled: Path) -> None:
    with RunStore(filled) as store:
        before = content(store)
    whole = filled.read_bytes()
    lengths = [*range(len(whole) - 512, len(whole), 3), *range(0, len(whole) - 512, 997)]
    outcomes = damage_outcomes(filled, before, (whole[:length] for length in lengths))
    assert set(outcomes) == {"named"}


def test_damage_to_the_log_of_a_killed_run_loses_nothing(tmp_path: Path) -> None:
    live, path = tmp_path / "live.sqlite", tmp_path / "store.sqlite"
    rng = random.Random(1)
    with RunStore(live) as store:
        fill(store, 4)
        before = content(store)
        main, log = live.read_bytes(), Path(f"{live}-wal").read_bytes()  # what a kill now would leave
    assert log
    for trial in range(40):
        for side in ("-wal", "-shm"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        path.write_bytes(main)
        data = bytearray(log)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        Path(f"{path}-wal").write_bytes(data if trial % 2 else data[: rng.randrange(len(data))])
        with RunStore(path, new=False) as store:
            assert content(store) == before


VICTIM = """
import sys
from pathlib import Path
from hwnas.runs.store import RunStore
with RunStore(Path(sys.argv[1])) as store:
    for index in range(len(store.trials()), 10_000):
        store.add_trial("random", str(index), {"value": index / 3})
        store.add_measurement("t", str(index), "p", {"samples_ms": [index / 7] * 50})
        print(index, flush=True)
"""


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    acknowledged = -1
    for kill in range(3):
        command = [sys.executable, "-c", VICTIM, str(path)]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            for _ in range(3 + 4 * kill):
                acknowledged = int(victim.stdout.readline())
            victim.send_signal(signal.SIGKILL)
            rest = victim.stdout.read().split()
            acknowledged = max([acknowledged, *map(int, rest[:-1])])
        with RunStore(path, new=False) as store:
            trials, measurements = store.trials(), store.measurements()
            assert len(trials) >= acknowledged + 1 and len(trials) - 1 <= len(measurements) <= len(trials)
            assert [trial.content["value"] for trial in trials] == [index / 3 for index in range(len(trials))]
            if len(measurements) < len(trials):  # killed between the two: the second is taken up again
                store.add_measurement("t", str(len(trials) - 1), "p", {"samples_ms": [0.0]})


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    RunStore(path).close()
    errors: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            with RunStore(path) as store:
                for index in range(10):
                    store.add_trial(f"writer {writer}", str(index), {"index": index})
        except BaseException as reason:  # noqa: BLE001 - handed to the test
            errors.append(reason)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with RunStore(path) as store:
        assert [trial.id for trial in store.trials()] == list(range(1, 41))


def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with RunStore(path) as store:
        fill(store)
        before = content(store)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(RunError, match="no space left for .*store.sqlite"):
            store.add_trial("random", "large", {"text": "x" * 100_000})
        assert content(store) == before
    with RunStore(path) as store:
        store.add_trial("random", "large", {"text": "x" * 100_000})


def test_a_damaged_row_is_named_at_once_not_when_it_is_needed(filled: Path) -> None:
    with sqlite3.connect(filled) as other:
        other.execute("UPDATE trials SET seed = 99 WHERE id = 7")
    other.close()
    with pytest.raises(RunError, match="row 7 of its table trials does not match"):
        RunStore(filled, new=False)


def test_damage_found_while_running_is_named(filled: Path) -> None:
    with RunStore(filled) as store:
        with sqlite3.connect(filled) as other:
            other.execute("UPDATE measurements SET content = '{}' WHERE id = 3")
        other.close()
        with pytest.raises(RunError, match="row 3 of its table measurements"):
            store.measurement("0123456789abcdef", SHA, "session 2")
