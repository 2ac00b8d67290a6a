"""Whatever is cut off or flipped in a run's files is noticed by name; nothing else is lost with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from boundaries import CONFIG, checkpoint, flipped

from damage import Subject, cuts, flips, state_files, subject
from hwnas.core.errors import FileFormatError, HwnasError
from hwnas.runs import directory as module
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import write_sealed_json
from hwnas.runs.stored import NETWORK_FILES, check_delivered, file_digests


@pytest.fixture(autouse=True)
def quick_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "environment", lambda: {"python": "3.11", "packages": {"numpy": "2.4.6"}})


def filled(path: Path, *, finished: bool) -> Path:
    """A run with every kind of file."""
    with RunDirectory.open(path, CONFIG) as run:
        with run.accounted("search"):
            for step in (10, 20):
                run.metrics({"stage": "search", "step": step, "loss": 1 / step})
                run.checkpoints("search").save(checkpoint(step))
            run.store.add_measurement("t", "ab" * 32, "p", {"samples_ms": [0.1, 0.2]})
            run.store.add_trial("random", "arch", {"loss": 0.5}, label="one", seed=3)
        (path / "latency").mkdir()
        write_sealed_json(path / "latency" / "onnxruntime-f32.json", {"format": "hwnas-latency-model@2", "layers": {}})
        for place in (path, path / "baselines" / "fixed"):
            place.mkdir(parents=True, exist_ok=True)
            for name in NETWORK_FILES if finished else ():
                (place / name).write_bytes(name.encode() * 3)
        if finished:
            run.finish({"format": "hwnas-result@2", "seed": 0, "files": file_digests(path)})
    return path


@pytest.fixture(params=[True, False], ids=["finished", "unfinished"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return subject(filled(tmp_path / "run", finished=request.param), tmp_path)


def test_every_cut_is_noticed_by_name_and_costs_nothing_else(run: Subject) -> None:
    outcomes: Counter[str] = Counter()
    for file in state_files(run.whole):
        whole = (run.whole / file).read_bytes()
        outcomes.update(run.outcome(file, cut) for cut in (*cuts(whole, every=61), whole[:-1]))
    assert min(outcomes["refused"], outcomes["told"]) > 20, outcomes


@pytest.mark.parametrize("seed", [0])
def test_every_flipped_bit_is_noticed_by_name_and_costs_nothing_else(run: Subject, seed: int) -> None:
    outcomes = Counter(run.outcome(*flip) for flip in flips(run.whole, 150, seed))
    assert min(outcomes["refused"], outcomes["told"]) > 20, outcomes


def test_what_is_damaged_is_told_when_the_run_goes_on(run: Subject) -> None:
    path, said = run.copy, []
    for file in ("checkpoints/search/step-00000020/state.json", "metrics.jsonl"):
        content = (path / file).read_bytes()
        (path / file).write_bytes(flipped(content, 3, 0))
    with RunDirectory.open(path, CONFIG, say=said.append) as opened:
        found = opened.checkpoints("search").latest()
    assert found is not None and found.step == 10
    assert said == [
        f"{path}/metrics.jsonl, line 1 is damaged and left out",
        f"checkpoint {path}/checkpoints/search/step-00000020 is damaged and set aside as broken-step-00000020 "
        f"({path}/checkpoints/search/step-00000020/state.json is damaged: it does not match the sha256 in "
        "manifest.json): going on from step 10",
    ]


def test_where_no_checkpoint_is_left_it_is_told_that_the_loop_starts_anew(tmp_path: Path) -> None:
    said: list[str] = []
    filled(tmp_path, finished=False)
    for manifest in tmp_path.rglob("manifest.json"):
        manifest.unlink()
    with RunDirectory.open(tmp_path, CONFIG, say=said.append) as opened:
        assert opened.checkpoints("search").latest() is None
    assert len(said) == 2 and all("none is left, so its loop starts anew" in text for text in said)


def test_lines_that_are_lost_whole_are_told_by_the_mark_of_the_last_checkpoint(tmp_path: Path) -> None:
    said: list[str] = []
    filled(tmp_path, finished=False)
    metrics = tmp_path / "metrics.jsonl"
    whole = metrics.read_bytes()
    metrics.write_bytes(whole[: whole.index(b"\n") + 1])
    RunDirectory.open(tmp_path, CONFIG, say=said.append).close()
    first, every = whole.index(b"\n") + 1, len(whole)
    assert said == [f"{metrics} has lost lines: it has {first} bytes, and had {every} when the run last saved"]


def test_a_finished_run_names_every_delivered_file_that_is_missing_or_differs(tmp_path: Path) -> None:
    filled(tmp_path, finished=True)
    stored = RunDirectory.read(tmp_path)
    assert stored.damaged_files() == [] and stored.problems() == []
    (tmp_path / "model.onnx").unlink()
    source = tmp_path / "baselines" / "fixed" / "network.py"
    source.write_bytes(source.read_bytes() + b"#")
    assert stored.damaged_files() == ["model.onnx", "baselines/fixed/network.py"]
    assert stored.problems() == [
        f"{tmp_path}/model.onnx is damaged or missing", f"{source} is damaged or missing",
    ]  # fmt: skip
    for path in (tmp_path / "model.onnx", source):
        with pytest.raises(FileFormatError, match=f"{path.name} is damaged or missing"):
            check_delivered(path)
    check_delivered(tmp_path / "network.json")
    check_delivered(tmp_path / "notes.txt")
    check_delivered(tmp_path / "elsewhere" / "model.onnx")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "baselines/../model.onnx", "notes.txt", "a/b/model.onnx"])
def test_a_result_that_names_files_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    filled(tmp_path, finished=True)
    digests = {name: {"bytes": 1, "sha256": "0" * 64}}
    write_sealed_json(tmp_path / "result.json", {"format": "hwnas-result@2", "files": digests})
    for refused in (RunDirectory.read(tmp_path).damaged_files, lambda: check_delivered(tmp_path / "model.onnx")):
        with pytest.raises(FileFormatError, match="'files' names other files than those of a run"):
            refused()


@pytest.mark.parametrize("kind", ["env.json", "result.json"])
@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_a_seal_belongs_to_every_version_but_the_first(tmp_path: Path, kind: str, version: int) -> None:
    """A file that says it is of format 1 has no seal, one of format 2 has; either the other way round is damage."""
    from hwnas.runs.files import read_sealed_json, write_json

    filled(tmp_path, finished=True)
    whole = read_sealed_json(tmp_path / kind)
    changed = {**whole, "format": f"{whole['format'].partition('@')[0]}@{version}"}
    for write in (write_json, write_sealed_json):
        write(tmp_path / kind, changed)
        readable = (version, write) in [(2, write_sealed_json), *([(1, write_json)] if kind == "result.json" else [])]
        if readable:
            assert RunDirectory.read(tmp_path).result()
        else:
            with pytest.raises(HwnasError, match=kind if version != 1 else "env.json|config.yaml|result.json"):
                RunDirectory.read(tmp_path).result()
