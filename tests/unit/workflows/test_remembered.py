"""A run evaluates an architecture once, keeps refusals too, and its canonical hash sees every bit of what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hwnas.core.architecture import Architecture
from hwnas.core.cost import CostTerms
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Checkpoint, Silence
from hwnas.core.trial import Quality
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.sessions import Plan, Samples, Session
from hwnas.hardware.targets import Target, open_target
from hwnas.runs.canonical import canonical_sha256
from hwnas.runs.directory import RunDirectory
from hwnas.runs.store import RunStore
from hwnas.spaces.toy import ToySpace
from hwnas.strategies.ranking import rank
from hwnas.workflows.measuring import RememberingTimer
from hwnas.workflows.remembered import Remembered, failures

SPACE = ToySpace()
ARCHITECTURES = list(SPACE.uniform_architectures().values())
TERMS = CostTerms(1.0, {choice.name: dict.fromkeys(choice.options, 1.0) for choice in SPACE.choices.choices})


class Counting:
    """An evaluator that counts its calls and refuses what it is told to."""

    def __init__(self, *refused: Architecture) -> None:
        self.calls = 0
        self._refused = refused

    def evaluate(self, arch: Architecture) -> Quality:
        self.calls += 1
        if arch in self._refused:
            raise EvaluationFailed(f"{arch.id} diverged")
        return Quality(0.1 + 1 / 3 * self.calls, 0.7, 100, "table")


class Told(Silence):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_what_was_evaluated_comes_back_bit_for_bit_from_another_process(tmp_path: Path) -> None:
    bad, counting = ARCHITECTURES[1], Counting(ARCHITECTURES[1])
    with RunStore(tmp_path / "store.sqlite") as store:
        first = Remembered(counting, store, "shared-weights/search").evaluate(ARCHITECTURES[0])
        with pytest.raises(EvaluationFailed, match="diverged"):
            Remembered(counting, store, "shared-weights/search").evaluate(bad)
    assert counting.calls == 2
    with RunStore(tmp_path / "store.sqlite", new=False) as store:
        again = Remembered(counting, store, "shared-weights/search")
        assert again.evaluate(ARCHITECTURES[0]) == first
        with pytest.raises(EvaluationFailed, match="diverged"):
            again.evaluate(bad)
        assert counting.calls == 2
        assert failures(store) == [
            {
                "architecture_id": bad.id,
                "source": "shared-weights/search",
                "status": "FAILED",
                "reason": f"{bad.id} diverged",
            }
        ]
        Remembered(counting, store, "shared-weights/uniform").evaluate(ARCHITECTURES[0])
        assert counting.calls == 3


def test_a_ranking_leaves_out_what_cannot_be_scored_and_says_so() -> None:
    told = Told()
    ranked = rank(ARCHITECTURES, Counting(ARCHITECTURES[0]), TERMS, "random", "x", told)
    assert [trial.architecture for trial in ranked] == ARCHITECTURES[1:]
    assert told.said == [
        f"score/random: 1 of {len(ARCHITECTURES)} networks could not be scored and are left out; "
        f"the last one: {ARCHITECTURES[0].id} diverged"
    ]
    with pytest.raises(EvaluationFailed, match=f"none of {len(ARCHITECTURES)} networks could be scored"):
        rank(ARCHITECTURES, Counting(*ARCHITECTURES), TERMS, "random", "x", told)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_no_quality_is_infinite(loss: float) -> None:
    with pytest.raises(EvaluationFailed, match="are no quality"):
        Quality(loss, 0.5, 10, "stand-alone")


RESULT = {
    "format": "hwnas-result@2",
    "seed": 0,
    "network": {"accuracy": 0.9},
    "data": {"name": "a", "fingerprint": "f"},
}
CHECKPOINT = Checkpoint(20, {"gates/alpha": np.array([0.25, 0.5])}, {})


def hashed(path: Path, result: dict = RESULT, loss: float = 0.5, checkpoint: Checkpoint = CHECKPOINT, ms: float = 1.0):
    with RunDirectory.open(path, {"seed": 0}) as run:
        run.store.add_trial("random", "x", {"loss": loss})
        run.store.add_measurement("cpu", "00", "shipped file", {"ms": ms})
        run.checkpoints("search").save(checkpoint)
        return canonical_sha256(result, run)


def test_the_canonical_hash_knows_no_time_and_no_place(tmp_path: Path) -> None:
    other = RESULT | {"created": "2030-01-01", "command": "x", "compute": [1.5], "environment": {"host": "b"}}
    other["data"] = {"name": "b", "fingerprint": "f"}
    assert hashed(tmp_path / "a") == hashed(tmp_path / "b", dict(reversed(other.items())))


def test_the_canonical_hash_sees_every_bit_of_what_was_found(tmp_path: Path) -> None:
    bit = Checkpoint(20, {"gates/alpha": np.nextafter(CHECKPOINT.arrays["gates/alpha"], 1)}, {})
    changed = (
        {"result": RESULT | {"network": {"accuracy": 0.91}}}, {"loss": np.nextafter(0.5, 1).item()},
        {"checkpoint": bit}, {"ms": 2.0}, {"result": RESULT | {"data": {"fingerprint": "g"}}},
    )  # fmt: skip
    hashes = {hashed(tmp_path / str(number), **change) for number, change in enumerate(({}, *changed))}
    assert len(hashes) == 6


@dataclass
class CutOffTimer:
    """Runs sessions of made-up latencies, and is killed before the one of that number."""

    before: int
    taken: int = 0

    def time_session(self, target: Target, models: Mapping[str, ModelFile], plan: Plan) -> Session:
        if self.taken == self.before:
            raise KeyboardInterrupt
        self.taken += 1
        samples = {name: Samples((1 / 3 + plan.seed % 7, 0.2), (0.4, 0.5)) for name in models}
        return Session(samples, unstable=1, repeated=0)


def test_a_measuring_that_was_cut_off_goes_on_with_the_next_session(tmp_path: Path) -> None:
    target = open_target("onnxruntime-f32", (1, 8, 8))
    files = {"a": ModelFile(b"a", (1, 8, 8))}
    plans = [Plan(2, seed) for seed in range(4)]
    whole = [CutOffTimer(9).time_session(target, files, plan) for plan in plans]
    with RunStore(tmp_path / "store.sqlite") as store, pytest.raises(KeyboardInterrupt):
        timer = RememberingTimer(CutOffTimer(3), store, "held-out")
        for plan in plans:
            timer.time_session(target, files, plan)
    with RunStore(tmp_path / "store.sqlite", new=False) as store:
        rest = CutOffTimer(9)
        timer = RememberingTimer(rest, store, "held-out")
        assert [timer.time_session(target, files, plan) for plan in plans] == whole
        assert rest.taken == 1
        timer.time_session(target, {"a": ModelFile(b"b", (1, 8, 8))}, plans[0])  # another file
        timer.time_session(target, files, Plan(2, 9))  # another plan
        RememberingTimer(rest, store, "shipped file").time_session(target, files, plans[0])  # another purpose
        assert rest.taken == 4
