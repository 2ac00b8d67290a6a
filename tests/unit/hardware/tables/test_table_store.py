"""Imported tables are kept whole, under names of their own, and never used when damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.core.errors import FileFormatError, InputError, UnknownName
from hwnas.hardware.tables.keys import KeyForm
from hwnas.hardware.tables.layer_table import LayerTable, Row
from hwnas.hardware.tables.position_table import shipped_table
from hwnas.hardware.tables.store import TableStore, check_name, known_tables, open_table

ROWS = {"Conv-input:32x32x3-output:16x16x8": Row(1.5), "Logits-input:8x8x32-output:10": Row(0.5)}
TABLE = LayerTable("phone", KeyForm.PROXYLESSNAS, "a phone", "phone.yaml", "", {"32x32": ROWS})


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(tmp_path)


def test_what_is_kept_is_read(store: TableStore, tmp_path: Path) -> None:
    assert store.names() == () and store.keep(TABLE)
    assert store.names() == ("phone",)
    assert open_table("phone", TableStore(tmp_path)) == TABLE
    assert store.path("phone") == tmp_path / "tables" / "phone.json"


def test_the_same_table_again_changes_nothing(store: TableStore) -> None:
    store.keep(TABLE)
    before = store.path("phone").stat()
    assert not store.keep(replace(TABLE, source="a copy"))
    assert store.path("phone").stat() == before


@pytest.mark.parametrize(
    "other", [{"device": "another phone"}, {"rows": {"32x32": {**ROWS, "Logits-input:8x8x32-output:9": Row(1)}}}]
)
def test_another_table_of_the_name_needs_to_be_asked_for(store: TableStore, other: dict[str, object]) -> None:
    store.keep(TABLE)
    table = replace(TABLE, **other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="another table 'phone' .*phone.yaml.*--replace"):
        store.keep(table)
    assert store.read("phone") == TABLE
    assert store.keep(table, replace=True)
    assert store.read("phone") == table


def test_every_damage_is_a_typed_error_that_says_how_to_heal_it(store: TableStore) -> None:
    store.keep(TABLE)
    path = store.path("phone")
    whole = path.read_bytes()
    damages = [whole[:cut] for cut in range(0, len(whole), 25)]
    damages += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for damage in damages:
        path.write_bytes(damage)
        with pytest.raises(FileFormatError, match=r"phone.json.*(--name phone --replace|HWNAS_CACHE)"):
            store.read("phone")
    assert "is damaged" in known_tables(store)["phone"]
    with pytest.raises(FileFormatError, match="--replace"):
        store.keep(TABLE)
    assert store.keep(TABLE, replace=True) and store.read("phone") == TABLE


def test_a_table_under_another_name_is_not_used(store: TableStore) -> None:
    store.keep(TABLE)
    store.path("phone").rename(store.path("tablet"))
    with pytest.raises(FileFormatError, match="tablet.json is damaged .*it is table 'phone'"):
        store.read("tablet")


def test_nothing_is_left_beside_the_files(store: TableStore) -> None:
    store.keep(TABLE)
    assert sorted(path.name for path in store.directory.iterdir()) == ["lock", "phone.json"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "Phone", "-x", ".x", "x" * 65, "a b", "é", "x\n", "ssh://x", "x\x00"]
)
def test_names_that_cannot_be(store: TableStore, name: str) -> None:
    with pytest.raises(InputError, match="--name .* is no name of a table"):
        store.keep(replace(TABLE, name=name))
    assert not store.directory.exists()


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-f32", "pixel1-tunas"])
def test_names_that_are_taken(name: str) -> None:
    with pytest.raises(InputError, match=f"--name {name} is taken by a target of hwnas itself"):
        check_name(name)


def test_tables_by_name(store: TableStore) -> None:
    store.keep(TABLE)
    assert open_table("pixel1-tunas", store) == shipped_table("pixel1-tunas")
    assert known_tables(store) == {
        "pixel1-tunas": shipped_table("pixel1-tunas").text,
        "pixel1": "Google Pixel 1, TF-Lite, batch 1: not here, hwnas import-table reads it",
        "note10": "Samsung Galaxy Note10: not here, hwnas import-table reads it",
        "phone": "a phone: imported table, 2 layers, images of 32x32",
    }
    with pytest.raises(UnknownName, match="unknown latency table 'phon': did you mean 'phone'"):
        open_table("phon", store)


def test_a_file_of_a_shipped_tables_name_does_not_stand_in_for_it(store: TableStore) -> None:
    store.keep(TABLE)
    store.path("phone").rename(store.path("pixel1-tunas"))
    assert open_table("pixel1-tunas", store) == shipped_table("pixel1-tunas")
    assert store.names() == ()
