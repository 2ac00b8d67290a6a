"""A run directory resumes, refuses and starts over, and says which."""

import errno
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from boundaries import CONFIG, checkpoint, failing, kill_everywhere, same

from hwnas.core.errors import FileFormatError, InputError, RunError
from hwnas.runs import directory as module
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import read_sealed_json, write_sealed_json
from hwnas.runs.store import RunStore

RESULT = {"format": "hwnas-result@2", "status": "inside-budget", "seed": 0}


@pytest.fixture(autouse=True)
def quick_environment(monkeypatch) -> None:
    monkeypatch.setattr(module, "environment", lambda: {"python": "3.11", "packages": {"numpy": "2.4.6"}})


def used(path: Path) -> Path:
    """A run that got far: every kind of file is there."""
    with RunDirectory.open(path, CONFIG) as run:
        run.store.finish_stage("search", {"architecture": "x"}, 1.0, 1.0)
        run.checkpoints("search").save(checkpoint(10))
        run.checkpoints("train/searched/scratch").save(checkpoint(20))
        run.metrics({"stage": "search", "step": 10, "loss": 1.5})
        run.finish(RESULT)
        for name in ("latency", "baselines/fixed"):
            (path / name).mkdir(parents=True)
        for name in (
            "model.onnx",
            "network.py",
            "weights.safetensors",
            "latency/onnxruntime-f32.json",
            "baselines/fixed/model.onnx",
            "baselines/fixed/.model.onnx.0123abcd.part",
        ):
            (path / name).write_text("written by the run")
    return path


def everything(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_new_run_is_written_and_the_same_command_resumes_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "première run"
    with RunDirectory.open(path, CONFIG) as run:
        assert not run.resumed and run.path == path and run.config == CONFIG
        run.store.add_trial("random", "a", {})
        run.checkpoints("search").save(checkpoint(10))
        written = everything(path)
    assert {"config.yaml", "env.json", "store.sqlite", "lock.json"} <= set(written)
    settings = b"seed: 0\nsearch:\n  steps: 100\n"
    assert written["config.yaml"] == settings + b"# sha256: %s\n" % hashlib.sha256(settings).hexdigest().encode()
    assert json.loads(written["env.json"])["format"] == "hwnas-run@2"
    with RunDirectory.open(path, {"search": {"steps": 100}, "seed": 0}) as run:  # the order of keys says nothing
        assert run.resumed
        assert len(run.store.trials()) == 1
        assert same(run.checkpoints("search").latest(), checkpoint(10))
        assert everything(path)["env.json"] == written["env.json"]
    assert not (path / "lock.json").exists()


def test_other_settings_are_refused_and_each_is_named(tmp_path: Path) -> None:
    used(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(RunError) as refusal:
        RunDirectory.open(tmp_path, {"seed": 1, "search": {"steps": 200}, "limit": "1M"})
    text = str(refusal.value)
    for words in ("seed: 0 -> 1", "search.steps: 100 -> 200", "limit: (not set) -> '1M'", "--fresh", "--out"):
        assert words in text
    assert everything(tmp_path) == before


def test_another_environment_is_said(tmp_path: Path, monkeypatch) -> None:
    RunDirectory.open(tmp_path, CONFIG).close()
    monkeypatch.setattr(module, "environment", lambda: {"python": "3.12", "packages": {"numpy": "2.4.6"}})
    said: list[str] = []
    with RunDirectory.open(tmp_path, CONFIG, say=said.append) as run:
        assert len(said) == 1 and "the last digits may differ" in said[0] and "python: '3.11' -> '3.12'" in said[0]
        assert run.environment["python"] == "3.11"


def test_fresh_removes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    used(tmp_path)
    for name in ("notes.txt", "checkpoints/search/mine.txt", "latency/mine.csv"):
        (tmp_path / name).write_text("mine")
    other = {"seed": 5}
    with RunDirectory.open(tmp_path, other, fresh=True) as run:
        assert not run.resumed and run.config == other
        assert run.store.is_empty()
        assert run.checkpoints("search").latest() is None
        assert run.checkpoints("train/searched/scratch").latest() is None
    left = set(everything(tmp_path))
    assert left == {
        "config.yaml", "env.json", "store.sqlite", "store.sqlite.sha256", "notes.txt", "checkpoints/search/mine.txt",
        "latency/mine.csv",
    }  # fmt: skip
    with RunDirectory.open(tmp_path, other) as run:
        assert run.resumed


def test_fresh_starts_in_a_new_or_empty_directory_too(tmp_path: Path) -> None:
    RunDirectory.open(tmp_path / "a" / "b", CONFIG, fresh=True).close()
    (tmp_path / ".gitkeep").write_text("")
    shutil.rmtree(tmp_path / "a")
    RunDirectory.open(tmp_path, CONFIG, fresh=True).close()
    assert (tmp_path / ".gitkeep").exists()


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("files", [["thesis.tex"], ["config.yaml.bak", "model.onnx"], ["env.json", "model.onnx"]])
def test_a_directory_that_is_no_run_is_left_alone(tmp_path: Path, fresh: bool, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).write_text('{"NODE_ENV": "production"}')
    before = everything(tmp_path)
    with pytest.raises(InputError, match="not a run"):
        RunDirectory.open(tmp_path, CONFIG, fresh=fresh)
    assert everything(tmp_path) == before


def test_someone_elses_config_is_not_removed_by_fresh(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: 1")
    with pytest.raises(InputError, match="not a run, so --fresh removes nothing"):
        RunDirectory.open(tmp_path, CONFIG, fresh=True)
    with pytest.raises(RunError, match="cannot be resumed"):
        RunDirectory.open(tmp_path, CONFIG)
    assert everything(tmp_path) == {"config.yaml": b"a: 1"}


@pytest.mark.parametrize("fresh", [True, False])
def test_a_run_of_a_newer_version_is_refused(tmp_path: Path, fresh: bool) -> None:
    used(tmp_path)
    facts = read_sealed_json(tmp_path / "env.json")
    write_sealed_json(tmp_path / "env.json", {**facts, "format": "hwnas-run@3"})
    before = everything(tmp_path)
    with pytest.raises(RunError, match="hwnas-run@3 from a newer hwnas"):
        RunDirectory.open(tmp_path, CONFIG, fresh=fresh)
    with pytest.raises(RunError, match="hwnas-run@3 from a newer hwnas"):
        RunDirectory.read(tmp_path)
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("env.json", None),
        ("env.json", b"{"),
        ("env.json", b'{"format": "hwnas-run@1"}'),
        ("env.json", b'{"format": 3}'),
        ("config.yaml", b"a: ["),
        ("config.yaml", b""),
        ("store.sqlite", None),
        ("store.sqlite", b""),
        ("store.sqlite", b"garbage" * 999),
    ],
)
def test_a_damaged_run_is_named_and_fresh_starts_over(tmp_path: Path, file: str, content: bytes | None) -> None:
    used(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(RunError, match=file):
        RunDirectory.open(tmp_path, CONFIG)
    with RunDirectory.open(tmp_path, CONFIG, fresh=True) as run:
        assert run.store.is_empty()


def test_a_run_without_its_config_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    used(tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(RunError, match="has no config.yaml but .*result.json"):
        RunDirectory.open(tmp_path, CONFIG)
    for name in everything(tmp_path):
        if name not in ("env.json", "store.sqlite"):
            (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "checkpoints")
    for name in ("latency", "baselines/fixed", "baselines"):
        (tmp_path / name).rmdir()
    with pytest.raises(RunError, match="store.sqlite with content but no config.yaml"):
        RunDirectory.open(tmp_path, CONFIG)


def test_a_place_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="cannot write"):
            RunDirectory.open(path, CONFIG)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_read_only_directory_is_an_input_error(tmp_path: Path, code: int) -> None:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    with failing(2, fail) as made, pytest.raises(InputError, match="cannot write .*lock.json"):
        RunDirectory.open(tmp_path, CONFIG)
    assert made[:2] == ["mkdir", "open"]


def test_settings_that_yaml_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="config.out is a PosixPath"):
        RunDirectory.open(tmp_path / "run", {"out": tmp_path})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", ["", "..", "a/../b", "/a", "a//b", ".hidden", "step-1", "broken-x/a", "a b", "x" * 101, "a\n"]
)
def test_checkpoint_names_that_are_no_safe_path_are_refused(tmp_path: Path, name: str) -> None:
    with RunDirectory.open(tmp_path, CONFIG) as run, pytest.raises(InputError, match="cannot be named"):
        run.checkpoints(name)


def test_reading_takes_no_lock_and_changes_nothing(tmp_path: Path) -> None:
    used(tmp_path)
    with RunDirectory.open(tmp_path, CONFIG):
        before = everything(tmp_path)
        run = RunDirectory.read(tmp_path)
        assert run.config == CONFIG and run.result() == RESULT
        assert run.metrics() == [{"stage": "search", "step": 10, "loss": 1.5}]
        assert run.environment == {"python": "3.11", "packages": {"numpy": "2.4.6"}}
        assert everything(tmp_path) == before


def test_steps_that_a_resumed_run_did_again_count_once(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path, CONFIG) as run:
        for step in (1, 2, 3, 2, 3, 4):
            run.metrics({"stage": "search", "step": step, "loss": 1 / step})
            run.metrics({"stage": "train", "step": step})
        run.metrics({"note": "x"})
        run.metrics({"note": "x"})
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"stage": "sea')
    lines = RunDirectory.read(tmp_path).metrics()
    assert [line["step"] for line in lines if line.get("stage") == "search"] == [1, 2, 3, 4]
    assert len(lines) == 10


def test_reading_what_is_no_finished_run_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run directory"):
        RunDirectory.read(tmp_path / "none")
    with pytest.raises(InputError, match="is not a run"):
        RunDirectory.read(tmp_path)
    RunDirectory.open(tmp_path, CONFIG).close()
    with pytest.raises(RunError, match="has no result.json yet"):
        RunDirectory.read(tmp_path).result()
    for content, error in [
        ("{", FileFormatError),
        ("[]", FileFormatError),
        ('{"format": "hwnas-run@1"}', FileFormatError),
        ('{"format": "hwnas-result@x"}', FileFormatError),
        ('{"format": "hwnas-result@7"}', RunError),
    ]:
        (tmp_path / "result.json").write_text(content)
        with pytest.raises(error, match="result.json"):
            RunDirectory.read(tmp_path).result()


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_what_a_stage_had_used_when_its_loop_last_saved_is_counted_after_a_kill(tmp_path: Path) -> None:
    template = tmp_path / "run"
    with RunDirectory.open(template, CONFIG) as run:
        with run.accounted("latency model"):
            pass
        with run.accounted("search"):
            burn(0.2)
            run.metrics({"stage": "search", "step": 10})
            run.checkpoints("search").save(checkpoint(10))
            shutil.copytree(template, tmp_path / "killed")  # what a kill now would leave
        run.checkpoints("train").save(checkpoint(10))  # outside every stage: nothing to count
        whole = {stage.name: stage.spent for stage in run.store.stages()}
    with RunDirectory.open(tmp_path / "killed", CONFIG) as run:
        (mark,) = run.store.marks()
        assert mark.name == "search" and mark.spent.cpu_seconds >= 0.2
        assert mark.metrics_bytes == (tmp_path / "killed" / "metrics.jsonl").stat().st_size
        with run.accounted("search"):
            burn(0.1)
        with run.accounted("search"):  # replayed: not counted again
            burn(0.1)
        found = {stage.name: stage.spent for stage in run.store.stages()}
    assert found["latency model"] == whole["latency model"]
    assert found["search"].cpu_seconds >= mark.spent.cpu_seconds + 0.1
    assert found["search"].wall_seconds >= mark.spent.wall_seconds + 0.1


def test_what_a_stage_had_used_when_an_error_ended_it_is_counted(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path, CONFIG) as run, pytest.raises(ZeroDivisionError), run.accounted("measure"):
        burn(0.1)
        raise ZeroDivisionError
    with RunDirectory.open(tmp_path, CONFIG) as run:
        with run.accounted("measure"):
            burn(0.1)
        assert run.store.stages()[0].spent.cpu_seconds >= 0.2


def test_a_result_says_its_format(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path, CONFIG) as run:
        with pytest.raises(FileFormatError, match="hwnas-result@2"):
            run.finish({"status": "inside-budget"})
        assert not (tmp_path / "result.json").exists()


# Killed at every request to the file system.


def test_a_start_that_is_killed_anywhere_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / "template").mkdir()
    copies = kill_everywhere("create", tmp_path / "template", tmp_path / "work")
    for path in copies:
        with RunDirectory.open(path, CONFIG) as run:
            assert run.store.is_empty()
        assert sorted(os.listdir(path)) == ["config.yaml", "env.json", "store.sqlite", "store.sqlite.sha256"]
    assert len(copies) > 10


def test_a_fresh_that_is_killed_anywhere_leaves_the_old_run_or_none(tmp_path: Path) -> None:
    outcomes = []
    for path in kill_everywhere("fresh", used(tmp_path / "template"), tmp_path / "work"):
        try:
            with RunDirectory.open(path, CONFIG) as run:
                outcomes.append("old" if run.store.stages() else "new")
                whole = run.checkpoints("search").latest() is not None and (path / "model.onnx").exists()
                assert whole == (outcomes[-1] == "old")
        except RunError as reason:
            assert "--fresh" in str(reason)
            outcomes.append("refused")
        with RunDirectory.open(path, CONFIG, fresh=True) as run:
            assert run.store.is_empty() and run.checkpoints("search").latest() is None
        assert sorted(os.listdir(path)) == ["config.yaml", "env.json", "store.sqlite", "store.sqlite.sha256"]
    assert outcomes == sorted(outcomes, key=["old", "refused", "new"].index)
    assert set(outcomes) == {"old", "refused", "new"}


def test_a_result_whose_writing_is_killed_anywhere_is_the_old_one_or_the_new(tmp_path: Path) -> None:
    new = {"format": "hwnas-result@2", "seed": 1}
    found = []
    for path in kill_everywhere("finish", used(tmp_path / "template"), tmp_path / "work"):
        result = RunDirectory.read(path).result()
        assert result in (RESULT, new)
        found.append(result == new)
        with RunDirectory.open(path, CONFIG) as run:
            assert isinstance(run.store, RunStore)
        assert not [name for name in os.listdir(path) if name.endswith(".part")]
    assert found == sorted(found) and len(set(found)) == 2
