"""Checkpoints come back bit for bit, or not at all."""

import errno
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from boundaries import checkpoint, failing, kill_everywhere, same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_st

from hwnas.core.errors import FileFormatError, HwnasError, InputError, RunError
from hwnas.core.protocols import Checkpoint, Checkpoints
from hwnas.runs import checkpoints as module
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.files import sealed

FILES = ("arrays.safetensors", "state.json", "manifest.json")


@pytest.fixture
def two(tmp_path: Path) -> CheckpointDirectory:
    """A directory with the checkpoints of steps 10 and 20."""
    directory = CheckpointDirectory(tmp_path / "checkpoints")
    directory.save(checkpoint(10))
    directory.save(checkpoint(20))
    return directory


def names(directory: CheckpointDirectory) -> list[str]:
    return sorted(entry.name for entry in directory.path.iterdir())


def test_nothing_is_there_at_the_start(tmp_path: Path) -> None:
    directory: Checkpoints = CheckpointDirectory(tmp_path / "none")
    assert directory.latest() is None
    assert CheckpointDirectory(tmp_path / "none").inspect() == []
    assert not (tmp_path / "none").exists()


def test_the_newest_comes_back_and_older_ones_go(two: CheckpointDirectory) -> None:
    two.save(checkpoint(30))
    assert same(two.latest(), checkpoint(30))
    assert names(two) == ["step-00000020", "step-00000030"]
    assert [(status.step, status.problem) for status in two.inspect()] == [(20, None), (30, None)]
    assert sorted(os.listdir(two.path / "step-00000030")) == sorted(FILES)


@settings(max_examples=40, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__"),
        st.sampled_from([np.float32, np.int64, np.uint8, np.bool_, np.float64, np.dtype(">f4")]).flatmap(
            lambda dtype: arrays_st.arrays(
                dtype, arrays_st.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
            )
        ),
        max_size=4,
    ),
    state=st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    ),
)
def test_any_arrays_and_state_come_back(tmp_path_factory: pytest.TempPathFactory, arrays, state) -> None:
    directory = CheckpointDirectory(tmp_path_factory.mktemp("any"))
    directory.save(Checkpoint(7, arrays, state))
    loaded = directory.latest()
    assert loaded is not None and loaded.state == state and list(loaded.arrays) == list(arrays)
    for name, array in arrays.items():
        back = loaded.arrays[name]
        assert back.shape == array.shape and back.dtype == array.dtype.newbyteorder("=")
        assert back.tobytes() == array.astype(back.dtype).tobytes()
        assert back.flags.writeable  # torch.from_numpy warns of anything else


def test_views_are_stored_as_they_read_not_as_they_lie(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {
        "transposed": base.T,
        "strided": base[::2, ::3],
        "reversed": base[::-1],
        "scalar": base[1, 1:2].reshape(()),
    }
    directory = CheckpointDirectory(tmp_path)
    directory.save(Checkpoint(0, views, {}))
    loaded = directory.latest()
    assert loaded is not None
    for name, view in views.items():
        np.testing.assert_array_equal(loaded.arrays[name], view)
        assert loaded.arrays[name].shape == view.shape


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Checkpoint(0, {"x": np.array([object()])}, {}), "object"),
        (Checkpoint(0, {"x": np.array(["text"])}, {}), "cannot be stored"),
        (Checkpoint(0, {"x": np.zeros(2, np.complex128)}, {}), "complex128"),
        (Checkpoint(0, {"x": 1.5}, {}), "'x' is a float"),  # type: ignore[dict-item]
        (Checkpoint(0, {"__metadata__": np.zeros(1)}, {}), "__metadata__"),
        (Checkpoint(0, {"\ud800": np.zeros(1)}, {}), "cannot be stored"),
        (Checkpoint(0, {}, {"loss": float("nan")}), "loss is nan"),
        (Checkpoint(0, {}, {"by_step": {3: "a"}}), "state.by_step: key 3"),
        (Checkpoint(0, {}, {"rng": np.float32(1.0)}), "state.rng is a float32"),
        (Checkpoint(-1, {}, {}), "not -1"),
    ],
)
def test_what_would_not_come_back_is_refused_and_nothing_is_written(tmp_path, bad: Checkpoint, words: str) -> None:
    with pytest.raises(InputError, match=words):
        CheckpointDirectory(tmp_path / "checkpoints").save(bad)
    assert not (tmp_path / "checkpoints").exists()


def test_keep_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1"):
        CheckpointDirectory(tmp_path, keep=0)


def test_saving_an_earlier_step_gives_up_the_later_ones(two: CheckpointDirectory) -> None:
    two.save(checkpoint(15))
    assert same(two.latest(), checkpoint(15))
    assert names(two) == ["step-00000010", "step-00000015"]


def test_saving_the_same_step_again_replaces_it(two: CheckpointDirectory) -> None:
    two.save(checkpoint(20, variant=1))
    assert same(two.latest(), checkpoint(20, variant=1))
    assert names(two) == ["step-00000010", "step-00000020"]


def test_a_broken_one_is_set_aside_named_and_the_one_before_used(two: CheckpointDirectory) -> None:
    path = two.path / "step-00000020" / "state.json"
    path.write_bytes(path.read_bytes().replace(b"variant", b"variand"))
    assert same(two.latest(), checkpoint(10))
    assert names(two) == ["broken-step-00000020", "step-00000010"]
    whole, broken = two.inspect()
    assert whole.problem is None
    assert broken.problem is not None and "state.json is damaged" in broken.problem
    two.save(checkpoint(20))  # the resumed loop comes by again
    assert same(two.latest(), checkpoint(20))


def test_if_all_are_broken_there_is_none_and_inspect_says_why(two: CheckpointDirectory) -> None:
    (two.path / "step-00000010" / "manifest.json").unlink()
    shutil.rmtree(two.path / "step-00000020")
    (two.path / "step-00000020").mkdir()
    assert two.latest() is None
    problems = [status.problem for status in two.inspect()]
    assert len(problems) == 2 and all(problem and "manifest.json cannot be read" in problem for problem in problems)


def test_a_checkpoint_under_another_step_is_not_taken(two: CheckpointDirectory) -> None:
    (two.path / "step-00000020").rename(two.path / "step-00000040")
    assert same(two.latest(), checkpoint(10))


def test_a_newer_format_is_refused_not_thrown_away(two: CheckpointDirectory, monkeypatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_FORMAT", "hwnas-checkpoint@2")
    two.save(checkpoint(30))
    monkeypatch.undo()
    with pytest.raises(RunError, match="hwnas-checkpoint@2"):
        two.latest()
    assert "step-00000030" in names(two)


def lie(path: Path, **changed: object) -> None:
    """Signs a manifest with other contents, as a file from elsewhere could."""
    facts = json.loads((path / "manifest.json").read_bytes())
    facts.pop("sha256")
    (path / "manifest.json").write_bytes(sealed({**facts, **changed}, "manifest"))


@pytest.mark.parametrize(
    "changed",
    [
        {"files": {}},
        {"files": {"arrays.safetensors": 3, "state.json": []}},
        {"files": None},
        {"array_names": ["no such array"]},
        {"array_names": [["a"]]},
        {"array_names": 5},
        {"step": "x"},
        {"step": 21},
        {"files": {name: {"bytes": 10**18, "sha256": "0" * 64} for name in FILES}},
    ],
)
def test_a_manifest_that_lies_is_damage(two: CheckpointDirectory, changed: dict[str, object]) -> None:
    lie(two.path / "step-00000020", **changed)
    assert same(two.latest(), checkpoint(10))


@pytest.mark.parametrize("header", [b"\xff" * 8, (10**9).to_bytes(8, "little"), b"", b"\x02" + bytes(7) + b"[]"])
def test_a_safetensors_header_that_lies_is_damage_even_if_signed(two: CheckpointDirectory, header: bytes) -> None:
    path = two.path / "step-00000020"
    content = header + (path / "arrays.safetensors").read_bytes()[8:] if header else b""
    (path / "arrays.safetensors").write_bytes(content)
    facts = json.loads((path / "manifest.json").read_bytes())["files"]
    facts["arrays.safetensors"] = {"bytes": len(content), "sha256": module._sha256(content)}
    lie(path, files=facts)
    assert same(two.latest(), checkpoint(10))


@pytest.mark.parametrize("file", FILES)
def test_every_truncation_is_found(two: CheckpointDirectory, file: str) -> None:
    path = two.path / "step-00000020" / file
    content = path.read_bytes()
    for length in range(max(0, len(content) - 512), len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=file):
            module._load(path.parent, 20)
    path.write_bytes(content)
    assert same(module._load(path.parent, 20), checkpoint(20))


@pytest.mark.parametrize("file", FILES)
def test_every_bit_flip_is_found(two: CheckpointDirectory, file: str) -> None:
    path = two.path / "step-00000020" / file
    content = path.read_bytes()
    rng = random.Random(file)
    for _ in range(200):
        position, bit = rng.randrange(len(content)), rng.randrange(8)
        flipped = bytearray(content)
        flipped[position] ^= 1 << bit
        path.write_bytes(flipped)
        with pytest.raises(FileFormatError, match=file):
            module._load(path.parent, 20)
    assert same(two.latest(), checkpoint(10))


def test_added_bytes_are_found(two: CheckpointDirectory) -> None:
    for file in FILES:
        path = two.path / "step-00000020" / file
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        with pytest.raises(FileFormatError, match=file):
            module._load(path.parent, 20)
        path.write_bytes(content)


def after_a_fault(path: Path, new: Checkpoint, old: Checkpoint) -> str:
    """Which checkpoint a new process finds; the directory must be clean and usable afterwards."""
    directory = CheckpointDirectory(path)
    found = directory.latest()
    assert same(found, new) or same(found, old), "neither the old nor the new checkpoint"
    assert all(status.problem is None for status in directory.inspect())
    assert not [name for name in os.listdir(path) if name.startswith(".")]
    directory.save(checkpoint(50))
    assert same(directory.latest(), checkpoint(50))
    return "new" if same(found, new) else "old"


CASES = {  # scenario of boundaries.py: (what is saved, what was the newest before)
    "next": (checkpoint(30), checkpoint(20)),
    "replace": (checkpoint(20, variant=1), checkpoint(20)),
    "back": (checkpoint(15), checkpoint(20)),
    "only-one": (checkpoint(20, variant=1), checkpoint(20)),
}


@pytest.mark.parametrize("scenario", CASES)
@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "I/O error"),
                                   KeyboardInterrupt()], ids=["no-space", "io-error", "interrupt"])  # fmt: skip
def test_a_fault_at_every_request_leaves_the_old_or_the_new(two, tmp_path, scenario: str, fault) -> None:
    new, old = CASES[scenario]
    seen = []
    for at in range(2, 200):  # the first makes the directory, which is there
        path = tmp_path / str(at)
        shutil.copytree(two.path, path)

        def fail() -> None:
            raise fault

        failed = False
        with failing(at, fail) as made:
            try:
                CheckpointDirectory(path, keep=1 if scenario == "only-one" else 2).save(new)
            except HwnasError as reason:
                failed = True
                assert str(path) in str(reason)
                if fault.errno == errno.ENOSPC:
                    assert "bytes are needed" in str(reason)
            except KeyboardInterrupt:
                failed = True
        if len(made) < at:
            break
        assert failed, f"the fault at {made[at - 1]} was swallowed"
        seen.append(after_a_fault(path, new, old))
    else:
        pytest.fail("no end of requests")
    assert len(seen) > 15 and seen[0] == "old" and seen[-1] == "new"


@pytest.mark.parametrize("scenario", CASES)
def test_sigkill_at_every_request_leaves_the_old_or_the_new(two, tmp_path: Path, scenario: str) -> None:
    new, old = CASES[scenario]
    seen = [after_a_fault(path, new, old) for path in kill_everywhere(scenario, two.path, tmp_path / "work")]
    assert len(seen) > 15 and seen == sorted(seen, reverse=True) and {"old", "new"} == set(seen)


def test_everything_is_durable_before_it_is_in_place_and_removed_after(two, monkeypatch) -> None:
    """A kill does not lose what the system has buffered, a power cut does: the order of the requests is the proof."""
    opened: dict[int, str] = {}
    events: list[tuple[str, str]] = []
    original = {name: getattr(os, name) for name in ("open", "fsync", "rename")}

    def remember(path, *args, **keywords):  # type: ignore[no-untyped-def]
        descriptor = original["open"](path, *args, **keywords)
        opened[descriptor] = Path(path).name
        return descriptor

    def fsync(descriptor: int) -> None:
        events.append(("fsync", opened[descriptor]))
        original["fsync"](descriptor)

    def rename(source: Path, target: Path) -> None:
        events.append(("rename", Path(target).name))
        original["rename"](source, target)

    monkeypatch.setattr(os, "open", remember)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    two.save(checkpoint(30))
    assert events == [
        ("fsync", "arrays.safetensors"),
        ("fsync", "state.json"),
        ("fsync", "manifest.json"),
        ("fsync", ".step-00000030.part"),
        ("rename", "step-00000030"),
        ("fsync", "checkpoints"),
        ("rename", ".step-00000010.gone"),
    ]


def test_a_place_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        CheckpointDirectory(tmp_path / "file" / "checkpoints").save(checkpoint(1))


def test_clear_removes_checkpoints_and_nothing_else(two: CheckpointDirectory) -> None:
    (two.path / "notes.txt").write_text("mine")
    (two.path / ".step-00000030.part").mkdir()
    two.clear()
    assert names(two) == ["notes.txt"]
    (two.path / "notes.txt").unlink()
    two.clear()
    assert not two.path.exists()
    two.clear()
