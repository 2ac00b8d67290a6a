"""Atomic files, JSON that comes back as it went in, and lines that survive a torn end."""

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from boundaries import failing, flipped
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import FileFormatError, HwnasError, InputError, RunError
from hwnas.runs import files
from hwnas.runs.files import (
    Lines,
    append_line,
    plain_json,
    read_json,
    read_lines,
    read_sealed_json,
    write_atomically,
    write_json,
    write_sealed_json,
)
from hwnas.runs.settings import changes, read_settings, write_settings

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "I/O error")])
def test_a_fault_at_every_request_leaves_the_old_file_or_the_new(tmp_path: Path, fault: OSError) -> None:
    path = tmp_path / "result.json"
    new, old = b"new" * 100, b"old"
    found = []
    for at in range(1, 50):
        path.write_bytes(old)

        def fail() -> None:
            raise fault

        with failing(at, fail) as made:
            try:
                write_atomically(path, new)
            except RunError as reason:
                assert str(path) in str(reason)
        if len(made) < at:
            break
        assert path.read_bytes() in (old, new)
        found.append(path.read_bytes())
        files.remove_leftovers(tmp_path)
        assert os.listdir(tmp_path) == ["result.json"]
    assert old in found and new in found


def test_the_content_is_durable_before_its_name_and_the_name_before_it_returns(tmp_path: Path, monkeypatch) -> None:
    events = []
    original = {name: getattr(os, name) for name in ("fsync", "replace")}

    def fsync(descriptor: int) -> None:
        events.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        original["fsync"](descriptor)

    def replace(source: Path, target: Path) -> None:
        events.append("name")
        original["replace"](source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_json(tmp_path / "result.json", {})
    assert events == ["content", "name", "directory"]


def test_no_space_says_how_many_bytes_are_needed(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with failing(2, fail), pytest.raises(RunError, match="1,234 bytes are needed, [0-9,]+ are free"):
        write_atomically(tmp_path / "model.onnx", bytes(1234))
    assert os.listdir(tmp_path) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: original(descriptor, bytes(data)[:7]))
    write_atomically(tmp_path / "file", bytes(range(100)))
    assert (tmp_path / "file").read_bytes() == bytes(range(100))


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_place_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_json(tmp_path / "no such directory" / "x.json", {})
    with pytest.raises(InputError, match="cannot write"):
        append_line(tmp_path, {})


def test_only_leftovers_of_ours_are_removed(tmp_path: Path) -> None:
    for name in (".result.json.0123abcd.part", ".hidden", "x.part", ".x.part"):
        (tmp_path / name).write_text("")
    files.remove_leftovers(tmp_path)
    files.remove_leftovers(tmp_path / "none")
    assert sorted(os.listdir(tmp_path)) == [".hidden", ".x.part", "x.part"]


@settings(max_examples=60, deadline=None)
@given(data=PLAIN)
def test_json_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    path = tmp_path_factory.mktemp("json") / "data.json"
    write_json(path, data)
    assert read_json(path) == data


def test_plain_json_keeps_what_json_keeps_and_names_what_it_does_not() -> None:
    assert plain_json({"a": (1, np.float64(0.5))}, "x") == {"a": [1, 0.5]}
    assert type(plain_json(np.float64(0.5), "x")) is float
    for bad, words in [
        ({"a": [0.0, float("inf")]}, r"x\.a\[1\] is inf"),
        ({"a": {1: 2}}, r"x\.a: key 1 is not text"),
        ({"a": {2}}, r"x\.a is a set"),
        ({"a": 10**5000}, r"x\.a is a whole number of 16,610 bits"),
        ({"a": np.zeros(2)}, r"x\.a is a ndarray"),
    ]:
        with pytest.raises(InputError, match=words):
            plain_json(bad, "x")
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(InputError, match="contains itself"):
        plain_json(loop, "x")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"NaN", b'{"a": Infinity}', b"[1e999]", b"\xff", b"[" * 100_000, b"1" * 5000, b'{"a": 1} x'],
    ids=["empty", "cut", "nan", "infinity", "overflow", "no-utf8", "deep", "digits", "more"],
)
def test_damaged_json_is_a_typed_error_naming_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="result.json is not valid JSON"):
        read_json(path)


def test_files_that_are_missing_too_large_or_no_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "large.json").write_bytes(b"[" + b" " * 100 + b"]")
    with pytest.raises(FileFormatError, match="102 bytes; at most 100"):
        read_json(tmp_path / "large.json", limit_bytes=100)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(FileFormatError, match="is not a file"):
        read_json(tmp_path / "pipe.json")


def read(path: Path, *, signed: bool = True) -> list[dict[str, object]]:
    return [line for _, line in read_lines(path, signed=signed).whole]


def test_lines_come_back_and_a_torn_last_one_is_named_and_then_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_lines(path) == Lines((), ())
    lines = [{"stage": "search", "step": step, "loss": 1 / (step + 1)} for step in range(5)]
    starts = []
    for line in lines:
        starts.append(path.stat().st_size if path.exists() else 0)
        append_line(path, line)
    assert read_lines(path) == Lines(tuple(zip(starts, lines, strict=True)), ())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = whole[:length].count(b"\n")
        torn = length not in (0, *starts)
        assert read(path) == lines[:kept]
        assert read_lines(path).problems == ((f"{path}, line {kept + 1} is cut off and left out",) if torn else ())
        if length >= starts[-1]:
            append_line(path, {"after": length})
            assert read_lines(path).problems == () and read(path) == [*lines[:kept], {"after": length}]


def test_every_flipped_bit_of_a_line_leaves_out_that_line_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [{"stage": "search", "step": step, "loss": 0.5, "note": "é J*"} for step in range(3)]
    for line in lines:
        append_line(path, line)
    whole = path.read_bytes()
    start, end = (whole.index(b"\n") + 1, whole.rindex(b"\n", 0, -1))
    for position in range(start, end):
        for bit in range(8):
            path.write_bytes(flipped(whole, position, bit))
            assert read(path) == [lines[0], lines[2]]
            assert read_lines(path).problems[0] == f"{path}, line 2 is damaged and left out"
    path.write_bytes(flipped(whole, end, 0))  # two lines became one
    assert read(path) == lines[:1] and read_lines(path).problems == (f"{path}, line 2 is damaged and left out",)


def test_lines_without_checksums_are_read_as_they_were_written_before(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n[3]\n{"a": 3}\n{"a": 4')
    assert read(path, signed=False) == [{"a": 1}, {"a": 3}]
    said = [problem.removeprefix(f"{path}, ") for problem in read_lines(path, signed=False).problems]
    assert said == [
        "line 2 is damaged and left out", "line 3 is damaged and left out", "line 5 is cut off and left out",
    ]  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(data=st.dictionaries(st.text(), PLAIN, max_size=3))
def test_sealed_json_comes_back_equal_and_no_changed_bit_does(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    path = tmp_path_factory.mktemp("sealed") / "data.json"
    write_sealed_json(path, data)
    assert read_sealed_json(path) == data
    whole = path.read_bytes()
    positions = range(0, len(whole), 1 + len(whole) // 50)
    changed = [flipped(whole, position, position % 8) for position in positions]
    for content in (*changed, *(whole[:length] for length in positions), whole[:-1], whole + b"\n", b" " + whole):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="data.json"):
            read_sealed_json(path)


def test_the_name_of_a_checksum_is_refused_as_content(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'sha256' is kept for the checksum"):
        write_sealed_json(tmp_path / "a.json", {"sha256": 1})
    with pytest.raises(InputError, match="'sum' is kept for the checksum"):
        append_line(tmp_path / "metrics.jsonl", {"sum": 1})
    assert os.listdir(tmp_path) == []


def test_a_line_that_json_cannot_hold_is_refused_and_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="loss is nan"):
        append_line(tmp_path / "metrics.jsonl", {"loss": float("nan")})
    assert read_lines(tmp_path / "metrics.jsonl") == Lines((), ())


@settings(max_examples=80, deadline=None)
@given(config=st.dictionaries(st.text(max_size=5), PLAIN, max_size=4))
def test_settings_come_back_equal_or_are_refused(tmp_path_factory: pytest.TempPathFactory, config) -> None:
    path = tmp_path_factory.mktemp("settings") / "config.yaml"
    try:
        write_settings(path, config)
    except InputError:
        assert not path.exists()
    else:
        assert read_settings(path) == config


def test_settings_that_were_written_are_sealed_and_a_users_are_not_asked_to_be(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_settings(path, {"seed": 0, "name": "é"})
    whole = path.read_bytes()
    assert read_settings(path, sealed=True) == read_settings(path) == {"seed": 0, "name": "é"}
    with pytest.raises(FileFormatError, match="its run's format has none"):
        read_settings(path, sealed=False)
    changed = [flipped(whole, position, position % 8) for position in range(len(whole))]
    for content in (*changed, *(whole[:length] for length in range(len(whole))), whole + b"\n"):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="config.yaml is damaged"):
            read_settings(path, sealed=True)
    path.write_bytes(whole.replace(b"seed: 0", b"seed: 7"))
    assert read_settings(path) == {"seed": 7, "name": "é"}
    path.write_bytes(b"seed: 1\n")
    assert read_settings(path, sealed=False) == {"seed": 1}


def test_settings_that_yaml_would_change_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="YAML would change name"):
        write_settings(tmp_path / "config.yaml", {"name": "\x85", "ok": 1})
    assert os.listdir(tmp_path) == []


def test_common_settings_are_not_refused(tmp_path: Path) -> None:
    config = {"budget": "40%", "lr": 1e-5, "data": {"path": "C:\\x y\n", "names": ["no", "1", "~", "é", "2026-11-22"]},
              "limits": {}, "seeds": [0, 1], "warm": None, "fast": False, "1e3": "1e3", "<<": "="}  # fmt: skip
    write_settings(tmp_path / "config.yaml", config)
    assert read_settings(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    "text",
    ["a: [", "- 1", "", "1: x", "a: !!python/object/apply:os.system ['true']", "a: &a [1]\nb: [*a, *a]", "\x00",
     "a: " + "[" * 1200],
    ids=["cut", "list", "empty", "number", "code", "alias", "control", "deep"],
)  # fmt: skip
def test_damaged_or_hostile_settings_are_typed_errors(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(HwnasError, match="config.yaml"):
        read_settings(tmp_path / "config.yaml")


def test_changes_name_each_key_with_both_values() -> None:
    old = {"seed": 0, "search": {"steps": 100, "lr": 0.1}, "gone": [1]}
    new = {"seed": 0, "search": {"steps": 200, "lr": 0.1, "warm_up": True}}
    assert changes(old, new) == [
        "search.steps: 100 -> 200",
        "search.warm_up: (not set) -> True",
        "gone: [1] -> (not set)",
    ]
    assert changes({"a": 1}, {"a": True}) == ["a: 1 -> True"]
    assert changes({"a": 1, "b": {}}, {"a": 1.0, "b": {}}) == []
