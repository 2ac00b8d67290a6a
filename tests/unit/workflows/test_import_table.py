"""Tables from users' files: read as a whole, or refused by one sentence that names file and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from mutations import mutated
from table_networks import SMALL_MS, SMALL_ONCE_FOR_ALL, SMALL_PROXYLESSNAS, small_once_for_all, small_proxylessnas

import hwnas
from hwnas.core.errors import FileFormatError, HwnasError, InputError
from hwnas.hardware.tables.foreign import ForeignFile, open_foreign
from hwnas.hardware.tables.layer_table import LayerTable
from hwnas.hardware.tables.store import TableStore, open_table
from hwnas.workflows.tables import import_table


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(tmp_path / "cache")


def written(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / f"{number}.yaml" for number, _ in enumerate(texts)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_a_table_becomes_a_target(tmp_path: Path, store: TableStore) -> None:
    found = import_table(written(tmp_path, SMALL_PROXYLESSNAS), "phone", device="a phone", store=store)
    assert found.new and found.path.is_file() and found.table == open_table("phone", store)
    assert found.table.cost(small_proxylessnas()).value == SMALL_MS["proxylessnas"]
    assert found.table.device == "a phone" and "0.yaml (sha256 " in found.table.source
    again = import_table(
        written(tmp_path, SMALL_PROXYLESSNAS + "# a comment\n"), "phone", device="a phone", store=store
    )
    assert not again.new and again.table.id == found.table.id


def test_files_for_several_sizes_are_one_table(tmp_path: Path, store: TableStore) -> None:
    found = import_table(written(tmp_path, *SMALL_ONCE_FOR_ALL.values()), "phone", store=store)
    for side in SMALL_ONCE_FOR_ALL:
        assert found.table.cost(small_once_for_all(side)).value == SMALL_MS[side]
    assert found.to_json() | {"path": "", "source": ""} == {
        "format": "hwnas-imported-table@1", "name": "phone", "id": found.table.id, "device": "", "source": "",
        "keys": "once-for-all", "rows": {"30x30": 7, "32x32": 7}, "path": "", "new": True,
    }  # fmt: skip


def test_files_that_do_not_belong_together(tmp_path: Path, store: TableStore) -> None:
    same = written(tmp_path, SMALL_ONCE_FOR_ALL[32], SMALL_ONCE_FOR_ALL[32].replace("1.5", "1.6"))
    with pytest.raises(InputError, match="1.yaml and a file before it are both for images of 32x32"):
        import_table(same, "phone", store=store)
    with pytest.raises(InputError, match=r"0.yaml is in proxylessnas's, .*1.yaml is in once-for-all's"):
        import_table(written(tmp_path, SMALL_PROXYLESSNAS, SMALL_ONCE_FOR_ALL[30]), "phone", store=store)
    assert store.names() == ()


BLOCK = "expanded_conv-input:8x8x16-output:8x8x16-expand:6-kernel:3-stride:1-idskip:1"
LINE = f"{BLOCK}: {{mean: 0.5}}"
LAUGHS = "a: &a [1]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdef", "bcdefg", strict=True))
# what is wrong: (the text that stands for LINE, words of the message)
WRONG: dict[str, tuple[str, str]] = {
    "another form": (f"{BLOCK}-se:0-hs:0: {{mean: 0.5}}", "proxylessnas's, such as"),
    "unknown kind": ("Conv_3-input:8x8x16-output:8x8x16: {mean: 0.5}", "row 'Conv_3-input"),
    "no table": ("settings: {mean: 0.5}", "row 'settings': it is no key"),
    "unknown part": (f"{BLOCK}-dilation:2: {{mean: 0.5}}", "dilation:2"),
    "a leading zero": (LINE.replace("8x8x16-out", "08x8x16-out"), "08x8x16"),
    "other digits": (LINE.replace("kernel:3", "kernel:٣"), "no key"),
    "two sizes": (f"{LINE}\nConv-input:64x64x3-output:32x32x8: {{mean: 1.0}}", "images of one size, found"),
    "negative": (f"{BLOCK}: {{mean: -0.5}}", f"row '{BLOCK}': -0.5 is not above zero"),
    "zero": (f"{BLOCK}: {{mean: 0}}", "0 is not above zero"),
    "not a number": (f"{BLOCK}: {{mean: .nan}}", "nan is no number"),
    "infinite": (f"{BLOCK}: {{mean: .inf}}", "inf is no number"),
    "too large": (f"{BLOCK}: {{mean: 1.0e+300}}", "no number from"),
    "text": (f"{BLOCK}: {{mean: fast}}", "'fast' is no number"),
    "truth": (f"{BLOCK}: {{mean: true}}", "True is no number"),
    "no mean": (f"{BLOCK}: {{count: 3}}", "expected mean, count and std or var"),
    "a bare number": (f"{BLOCK}: 0.5", "expected mean, count and std or var, found 0.5"),
    "unknown field": (f"{BLOCK}: {{mean: 0.5, median: 0.5}}", "'median'"),
    "two spreads": (f"{BLOCK}: {{mean: 0.5, std: 0.1, var: 0.01}}", "expected mean, count and std or var"),
    "negative spread": (f"{BLOCK}: {{mean: 0.5, var: -0.1}}", "-0.1 is below zero"),
    "broken count": (f"{BLOCK}: {{mean: 0.5, count: 1.5}}", "1.5 is no whole number"),
    "row twice": (f"{LINE}\n{BLOCK}: {{mean: 0.6}}", f"has the row '{BLOCK}' twice"),
    "field twice": (f"{BLOCK}: {{mean: 0.5, mean: 0.6}}", "has the name 'mean' twice"),
    "a tag": (f"{BLOCK}: !!python/object/apply:os.system ['true']", "YAML tags"),
    "a billion laughs": (LAUGHS, "anchors or aliases"),
    "nested": (f"{BLOCK}: " + "[" * 1000, "nested more than"),
    "not YAML": (f"{BLOCK}: {{mean: ", "is not valid YAML: line"),
    "a number for a key": ("7: {mean: 0.5}", "expected rows by name"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_understood_is_refused_by_file_and_row(name: str, tmp_path: Path, store: TableStore) -> None:
    text, words = WRONG[name]
    assert LINE in SMALL_PROXYLESSNAS
    with pytest.raises(FileFormatError) as raised:
        import_table(written(tmp_path, SMALL_PROXYLESSNAS.replace(LINE, text)), "phone", store=store)
    said = str(raised.value)
    assert said.startswith(str(tmp_path / "0.yaml")) and words in said and len(said) < 2_000
    assert not store.directory.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected rows by name"),
        ("{}", "expected rows 'expanded_conv"),
        ("- 1", "expected rows by name, not list"),
        ("\x00", "not valid YAML"),
        (SMALL_PROXYLESSNAS.replace("Conv-input:32x32x3-output:16x16x8", "Conv_1-input:32x32x3-output:16x16x8"),
         "expected rows 'Conv-input:…' for images of one size, found none"),
        ("x: 1\n" * 300_000, "at most 131,072 are read"),
    ],
)  # fmt: skip
def test_other_files_are_refused(text: str, words: str, tmp_path: Path, store: TableStore) -> None:
    with pytest.raises(FileFormatError) as raised:
        import_table(written(tmp_path, text), "phone", store=store)
    assert words in str(raised.value) and "0.yaml" in str(raised.value)


def test_the_function_checks_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    files = written(tmp_path, SMALL_PROXYLESSNAS)
    for call, words in (
        (lambda: hwnas.import_table([], name="phone"), "a list of 1 to 100 files"),
        (lambda: hwnas.import_table(str(files[0]), name="phone"), "a list of 1 to 100 files"),
        (lambda: hwnas.import_table(files, name="phone", device="x" * 201), "--device is a few words"),
        (lambda: hwnas.import_table(files, name="phone", device="a\udcff"), "--device: .* cannot hold"),
        (lambda: hwnas.import_table([tmp_path / "none.yaml"], name="phone"), "there is no file"),
        (lambda: hwnas.import_table([tmp_path], name="phone"), "is not a file"),
        (lambda: hwnas.import_table(files, name="Phone"), "is no name of a table"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    assert not (tmp_path / "cache").exists()
    assert hwnas.import_table(files, name="phone").new


DOCUMENTS = [yaml.safe_load(text) for text in (SMALL_PROXYLESSNAS, *SMALL_ONCE_FOR_ALL.values())]


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(document=mutated(DOCUMENTS))
def test_any_content_is_a_table_or_a_typed_error(document: Any) -> None:
    if not isinstance(document, dict):
        return
    try:
        table = open_foreign("phone", [ForeignFile("fuzz.yaml", "fuzz.yaml", document)])
    except HwnasError as reason:
        assert str(reason).startswith("fuzz.yaml: ") and len(str(reason)) < 2_000
    else:
        assert LayerTable.from_json(table.to_json()) == table


STORED = [open_foreign("phone", [ForeignFile("a", "a", one)], "a phone").to_json() for one in DOCUMENTS]


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(document=mutated(STORED))
def test_any_stored_table_is_read_or_a_typed_error(document: Any) -> None:
    try:
        table = LayerTable.from_json(document)
        table.cost(small_proxylessnas())
    except HwnasError as reason:
        assert str(reason) and len(str(reason)) < 2_000
