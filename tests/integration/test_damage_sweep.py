"""The files of real runs, damaged everywhere: noticed by name, the older checkpoint used, never a traceback."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from real_runs import ENVIRONMENT, SETTINGS, FirstRun, start

from damage import Subject, cuts, flips, state_files, subject
from hwnas.core.errors import HwnasError
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import open_target
from hwnas.runs import directory as module
from hwnas.runs.directory import RunDirectory

pytestmark = pytest.mark.slow
SEED = 20261124
KILL_AFTER = b'"step": 220'  # of the search: its second checkpoint, of step 200, is there


def command(out: Path, first: FirstRun) -> list[str]:
    return ["fit", *SETTINGS, "--out", str(out), "--measurements", str(first.path)]


@pytest.fixture(scope="module")
def unfinished(first_run: FirstRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same fit, killed in its search."""
    out = tmp_path_factory.mktemp("killed") / "run"
    process = start(*command(out, first_run))
    metrics, deadline = out / "metrics.jsonl", time.monotonic() + 120
    while not (metrics.exists() and KILL_AFTER in metrics.read_bytes()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return out


@pytest.fixture(params=["finished", "unfinished"])
def run(
    request: pytest.FixtureRequest, first_run: FirstRun, unfinished: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Subject:  # fmt: skip
    path = first_run.path if request.param == "finished" else unfinished
    known = RunDirectory.read(path).environment
    monkeypatch.setattr(module, "environment", lambda: known)  # it asks git, ten thousands of times
    return subject(path, tmp_path)


def test_every_kind_of_file_cut_at_every_byte_of_its_last_4_kb(run: Subject) -> None:
    kinds = {Path(file).name if not file.startswith("latency/") else "latency": file for file in state_files(run.whole)}
    for kind, file in kinds.items():
        outcomes = Counter(run.outcome(file, cut) for cut in cuts((run.whole / file).read_bytes()))
        print(f"{kind}: {dict(outcomes)}")


def test_a_thousand_flipped_bits(run: Subject) -> None:
    print(f"seed {SEED}")
    by_kind: dict[str, Counter[str]] = {}
    for file, content in flips(run.whole, 1000, SEED):
        by_kind.setdefault(Path(file).name, Counter())[run.outcome(file, content)] += 1
    print({kind: dict(outcomes) for kind, outcomes in by_kind.items()})


def test_the_latencies_of_a_target_are_measured_anew_or_refused_when_any_bit_is_flipped(first_run: FirstRun) -> None:
    source = next(Path(ENVIRONMENT["HWNAS_CACHE"]).glob("*.json"))
    whole, rng = source.read_bytes(), random.Random(SEED)
    target = open_target("onnxruntime-f32", tuple(json.loads(whole)["content"]["key"]["input_shape"]))
    assert source.stem == target.key.id
    outcomes: Counter[str] = Counter()
    for number in range(1000 + min(len(whole), 4096)):
        content = bytearray(whole)
        if number < 1000:
            content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        else:
            del content[number - 1000 - min(len(whole), 4096) :]
        source.write_bytes(content)
        try:
            record = TargetStore(source.parent).read(target)
        except HwnasError as error:
            assert str(source) in str(error)
            outcomes["refused"] += 1
        else:
            assert record.reference is None and not record.layers and f"{source} was damaged" in record.note
            outcomes["told"] += 1
        source.with_suffix(".damaged").unlink(missing_ok=True)
    source.write_bytes(whole)
    assert TargetStore(source.parent).read(target).note == ""
    print(dict(outcomes))


@pytest.mark.parametrize("number", range(20))
def test_a_command_on_a_damaged_run_names_the_file_and_shows_no_traceback(
    first_run: FirstRun, tmp_path: Path, number: int
) -> None:
    path = Path(shutil.copytree(first_run.path, tmp_path / "run"))
    file, content = list(flips(path, number + 1, SEED + 1))[number]
    (path / file).write_bytes(content)
    print(f"seed {SEED + 1}, case {number}: {file}")
    said = ""
    for arguments in (["report", str(path)], command(path, first_run)):
        process = start(*arguments)
        _, err = process.communicate(timeout=120)
        assert process.returncode in (0, 2, first_run.code) and "Traceback" not in err
        said += err.replace("\n", "")  # a long path may be wrapped
    # A finished run has no more use for its checkpoints, nor for the latencies that it was made with.
    assert file in said or file.startswith(("checkpoints/", "latency/")), said


@pytest.mark.parametrize("file", ["arrays.safetensors", "state.json", "manifest.json", "metrics.jsonl"])
def test_a_killed_run_with_a_damaged_file_goes_on_and_ends_the_same(
    first_run: FirstRun, unfinished: Path, tmp_path: Path, file: str
) -> None:
    path = Path(shutil.copytree(unfinished, tmp_path / "run"))
    damaged = path / file if file == "metrics.jsonl" else path / "checkpoints" / "search" / "step-00000200" / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content)
    process = start(*command(path, first_run), "--json")
    out, said = process.communicate(timeout=300)
    assert process.returncode == first_run.code and "Traceback" not in said
    assert file in said.replace("\n", "")
    assert file == "metrics.jsonl" or "going on from step 0" in said.replace("\n", " ")
    result = json.loads(out)
    for name in ("network", "baselines", "rounds", "candidates"):
        assert result[name] == first_run.result[name]
    assert (path / "weights.safetensors").read_bytes() == (first_run.path / "weights.safetensors").read_bytes()
