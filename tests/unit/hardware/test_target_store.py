"""Stored latencies are reused, and never silently when damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from hwnas.core.errors import FileFormatError, InputError, RunError
from hwnas.hardware.store import LayerLatency, Record, Reference, TargetStore
from hwnas.hardware.timing import measure

REFERENCE = Reference(0.5, 5, 50)


def fill(store, target):
    store.keep_reference(target, REFERENCE)
    store.add_layers(target, {"a": LayerLatency(0.1, (0.09, 0.11))})
    return store.directory / f"{target.key.id}.json"


def test_what_is_stored_is_read(store, target):
    fill(store, target)
    record = TargetStore(store.directory).read(target)
    assert record == Record(REFERENCE, {"a": LayerLatency(0.1, (0.09, 0.11))})


def test_an_empty_store_says_nothing(store, target):
    assert store.read(target) == Record()


def test_the_first_reference_stays(store, target):
    assert store.keep_reference(target, REFERENCE) == REFERENCE
    assert store.keep_reference(target, Reference(0.7, 5, 50)) == REFERENCE


def test_layers_are_added_to_those_that_are_there(store, target):
    fill(store, target)
    assert set(store.add_layers(target, {"b": LayerLatency(0.2, (0.2,))})) == {"a", "b"}
    assert store.read(target).reference == REFERENCE


def test_another_key_has_a_file_of_its_own_and_says_what_differs(store, target, target_of):
    fill(store, target)
    record = store.read(target_of(version="2.0"))
    assert (record.reference, dict(record.layers)) == (None, {})
    assert "version 1.0 instead of 2.0" in record.note
    assert store.read(target_of(shape=(3, 99, 99))).note == ""


def test_every_damage_is_noticed_and_set_aside(store, target):
    path = fill(store, target)
    whole = path.read_bytes()
    positions = range(whole.index(b'"sha256"'), len(whole), 7)
    damages = [whole[:cut] for cut in range(0, len(whole) - 1, 50)]
    damages += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in positions]
    for damage in damages:
        if json_or_none(damage) == json.loads(whole):
            continue  # a blank became another blank
        path.write_bytes(damage)
        record = store.read(target)
        assert (record.reference, dict(record.layers)) == (None, {})
        assert "was damaged" in record.note
        assert not path.exists()
        assert path.with_suffix(".damaged").read_bytes() == damage


def json_or_none(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def test_a_file_under_the_wrong_name_is_not_used(store, target, target_of):
    path = fill(store, target)
    other = target_of(version="2.0")
    path.rename(store.directory / f"{other.key.id}.json")
    record = store.read(other)
    assert record.reference is None
    assert "belongs to another target" in record.note


def test_a_newer_format_is_left_alone(store, target):
    path = fill(store, target)
    newer = path.read_text().replace("hwnas-target@1", "hwnas-target@2")
    path.write_text(newer)
    with pytest.raises(FileFormatError, match="hwnas-target@2"):
        store.read(target)
    assert path.read_text() == newer


def test_a_damaged_file_is_said_when_measuring(store, target, space, fake_timer, listener):
    fill(store, target).write_text("{")
    measure(target, {}, store, timer=fake_timer(), progress=listener)
    assert len(listener.said) == 1
    assert "was damaged" in listener.said[0]
    assert store.read(target).reference is not None


def test_nothing_is_left_beside_the_file(store, target):
    fill(store, target)
    assert sorted(path.name for path in store.directory.iterdir()) == sorted([f"{target.key.id}.json", "lock"])


def test_a_place_that_cannot_be_written_is_said(tmp_path, target):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="HWNAS_CACHE"):
        TargetStore(tmp_path / "file" / "cache").keep_reference(target, REFERENCE)


def test_the_directory_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "here"))
    assert TargetStore().directory == tmp_path / "here"
    monkeypatch.delenv("HWNAS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TargetStore().directory == tmp_path / ".cache" / "hwnas"


def _add(directory: Path, target, names):
    for name in names:
        TargetStore(directory).add_layers(target, {name: LayerLatency(0.1, (0.1,))})


def test_two_processes_lose_nothing(store, target):
    context = get_context("fork")
    names = [[f"{worker}-{n}" for n in range(15)] for worker in range(2)]
    workers = [context.Process(target=_add, args=(store.directory, target, part)) for part in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(store.read(target).layers) == {*names[0], *names[1]}


def test_a_crash_while_writing_leaves_the_old_file(store, target, monkeypatch):
    fill(store, target)

    def crash(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(RunError, match="no space left .* bytes are needed"):
        store.add_layers(target, {"b": LayerLatency(0.2, (0.2,))})
    monkeypatch.undo()
    assert set(store.read(target).layers) == {"a"}
    assert not list(store.directory.glob("*.part"))


def test_keys_differ_in_every_field(target):
    changes = {"engine": "x", "version": "x", "precision": "x", "threads": 2, "batch": 2, "input_shape": (1, 1, 1)}
    ids = {replace(target.key, **{name: value}).id for name, value in {**changes, "cpu": "x"}.items()}
    assert len(ids | {target.key.id}) == 8
