"""The seal of a closed store: any bit of the file counts, and no process that is killed leaves a wrong one."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest
from boundaries import CONFIG, failing, flipped

from hwnas.core.errors import RunError
from hwnas.runs.directory import RunDirectory
from hwnas.runs.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Of a run that was closed; most of its last page holds nothing."""
    with RunDirectory.open(tmp_path, CONFIG) as run:
        run.store.add_trial("random", "a", {"loss": 0.5})
    return tmp_path / "store.sqlite"


def seal_of(store: Path) -> Path:
    return store.with_name("store.sqlite.sha256")


def test_a_seal_is_what_sha256sum_writes(store: Path) -> None:
    assert seal_of(store).read_text() == f"{hashlib.sha256(store.read_bytes()).hexdigest()}  store.sqlite\n"


def test_every_flipped_bit_of_a_store_and_of_its_seal_is_refused(store: Path) -> None:
    rng = random.Random(0)
    for path in (store, seal_of(store)):
        whole = path.read_bytes()
        for _ in range(200):
            path.write_bytes(flipped(whole, rng.randrange(len(whole)), rng.randrange(8)))
            with pytest.raises(RunError, match="store.sqlite is damaged"):
                RunStore(store, new=False)
        path.write_bytes(whole)
    for more in (b"\0", b"\0" * 4096):
        store.write_bytes(store.read_bytes() + more)
        with pytest.raises(RunError, match="does not match"):
            RunStore(store, new=False)


def test_a_seal_is_gone_before_a_row_is_there_and_set_when_the_run_is_closed(store: Path) -> None:
    before = seal_of(store).read_bytes()
    with RunDirectory.open(store.parent, CONFIG) as run:
        assert seal_of(store).exists()
        with pytest.raises(RunError, match="never taken again"):
            run.store.add_trial("random", "a", {"loss": 0.5})
        assert not seal_of(store).exists()
        run.store.add_trial("random", "b", {"loss": 0.25})
    assert seal_of(store).read_bytes() != before
    RunDirectory.open(store.parent, CONFIG).close()


def test_a_store_without_a_seal_is_read_and_gets_one(store: Path) -> None:
    seal_of(store).unlink()  # as after a kill
    with RunStore(store, new=False) as opened:
        assert len(opened.trials()) == 1
    assert not seal_of(store).exists()  # who reads a run leaves it as it is
    RunDirectory.open(store.parent, CONFIG).close()
    assert seal_of(store).exists()


def test_a_store_that_somebody_has_open_is_not_sealed(store: Path) -> None:
    with RunStore(store, new=False) as other:
        with RunDirectory.open(store.parent, CONFIG) as run:
            run.store.add_trial("random", "b", {})
        assert not seal_of(store).exists() and len(other.trials()) == 2


def test_a_disk_that_is_full_at_the_end_leaves_a_store_without_a_seal(store: Path) -> None:
    run = RunDirectory.open(store.parent, CONFIG)
    run.store.add_trial("random", "b", {})

    def full() -> None:
        raise OSError(28, "No space left on device")

    with failing(1, full):
        run.close()
    assert sorted(os.listdir(store.parent)) == ["config.yaml", "env.json", "store.sqlite"]
    RunDirectory.open(store.parent, CONFIG).close()


def test_a_seal_that_is_no_plain_file_is_refused(store: Path, tmp_path: Path) -> None:
    seal_of(store).unlink()
    seal_of(store).symlink_to(tmp_path / "config.yaml")
    with pytest.raises(RunError, match="sha256 is not a plain file"):
        RunStore(store, new=False)
