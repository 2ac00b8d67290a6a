"""Every network on every target: by hand numbers, cut off, and with targets that fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.errors import EvaluationFailed, FileFormatError
from hwnas.core.protocols import Silence
from hwnas.formats.arrays import random_arrays
from hwnas.hardware.engines import open_engine
from hwnas.hardware.targets import Target, TargetKey
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stored import file_digests
from hwnas.spaces.toy import ToySpace
from hwnas.workflows import specialisation
from hwnas.workflows.files import write_network_files
from hwnas.workflows.several import OneFit, findings
from hwnas.workflows.specialisation import Home, specialised
from hwnas.workflows.verdicts import Cell, Column, verdict

PLAIN, PAIRS, ROUGH = "onnxruntime-f32", "onnxruntime-f32?batch=2", "onnxruntime-int8"
LABELS = {"a": "cpu", "b": "gpu", "c": "phone"}


def cell(ms: float, right: int, sessions: tuple[float, ...] = (), file: str = "") -> Cell:
    """Of 100 test images the first `right` are classified as they should be."""
    correct = tuple(index < right for index in range(100))
    return Cell(ms, (0.9 * ms, 1.1 * ms), sessions or (ms, ms), file or f"{ms} {right}", correct)


@pytest.mark.parametrize(
    ("cells", "kind", "words"),
    [
        ({"a": cell(1, 90), "b": cell(0.5, 80)}, "best", "none is more accurate, or as accurate and faster."),
        # By hand: 4 images to 0, (4 ± 1.96 · √(5 − 16/102)) / 102.
        ({"a": cell(1, 90), "b": cell(1.2, 94)}, "fastest", "that of gpu is slower by 20.0 % (95 % interval 20.0 to "
         "20.0) and more accurate by 4.0 points (95 % interval −0.3 to +8.2)"),
        ({"a": cell(1, 90), "b": cell(2, 99)}, "only-inside", "no other network than its own is inside the budget of"),
        ({"a": cell(1, 90), "b": cell(0.5, 90)}, "beaten", "network of gpu does better than its own: it is faster by "
         "50.0 % (95 % interval 50.0 to 50.0) and as accurate"),
        ({"a": cell(1, 90), "b": cell(0.9, 91), "c": cell(0.5, 90)}, "beaten", "network of gpu"),
        ({"a": cell(1.4, 90), "b": cell(0.5, 90)}, "over-budget", "(1.40 ms, up to 1.54 ms) is not inside the budget "
         "of 1.5 ms; inside: gpu."),
        ({"a": cell(1.4, 90), "b": cell(2, 90)}, "over-budget", "so is every other"),
        ({"a": cell(1, 90, file="x"), "b": cell(1, 90, file="x"), "c": cell(2, 9)}, "only-inside", "found for gpu."),
        ({"a": cell(1, 90)}, "alone", "no other network was measured"),
        ({"b": cell(1, 90)}, "unknown", "was not measured: it hung"),
    ],
)  # fmt: skip
def test_who_is_the_best_at_home(cells: dict[str, Cell], kind: str, words: str) -> None:
    found = verdict("a", Column("onnxruntime-f32", "f32", cells, {"a": "it hung"}), 1.5, LABELS)
    assert found.kind == kind and found.says.startswith("On cpu")
    assert words in found.says.replace("\u00a0", " ")


def test_networks_are_compared_session_by_session() -> None:
    """By hand: ratios 1.1, 1.2 and 1.3, mean 20 %, deviation 0.1, and 4.303 · 0.1 / √3 = 0.2484 around it."""
    slow, fast = cell(1, 90, (1.1, 2.4, 1.3)), cell(1, 90, (1.0, 2.0, 1.0))
    share, interval = fast.slower(slow)
    assert share == pytest.approx(0.2)
    assert interval == pytest.approx((0.2 - 0.2484, 0.2 + 0.2484), abs=1e-4)


@pytest.fixture
def deliver(tmp_path: Path, make_job: Any) -> Callable[..., Home]:
    """A fit that has delivered a network of toy with random weights, or was refused."""

    def home(target: str, budget_ms: float, kernel: str | None, timer: Any, *, error: str = "") -> Home:
        name = target.replace("?", "-")
        place, result = tmp_path / "out" / name, None
        precision, batch = ("int8", 1) if target == ROUGH else ("f32", 2 if target == PAIRS else 1)
        opened = Target(target, TargetKey("onnxruntime", "1", precision, 1, batch, (1, 4, 32), "a processor"))
        if kernel is not None and not place.exists():
            arch = ToySpace().uniform_architectures()[kernel]
            network = ToySpace().decode(arch)
            arrays = random_arrays(network, seed=0)
            engine = open_engine(target)
            with RunDirectory.open(place, {}) as run:
                write_network_files(place, network, arrays, {engine.suffix: engine.write(network, arrays)}, arch)
                facts = {"architecture_id": arch.id, "params": 1, "macs": 1}
                run.finish({"format": "hwnas-result@2", "status": "inside-budget", "network": facts,
                            "budget": {"latency_ms": budget_ms}, "files": file_digests(place)})  # fmt: skip
        if kernel is not None:
            result = RunDirectory.read(place).result()
        job = None if error else make_job("1ms", timer, target=opened)
        return Home(
            OneFit(name, target, f"{budget_ms}ms", 0, result, error or None, 4 if error else 0), place, job, error
        )

    return home


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def call(*homes: Home, progress: Any = None) -> dict[str, Any]:
        with RunDirectory.open(tmp_path / "out" / "specialisation", {}) as run:
            return specialised(homes, run, progress or Silence())

    return call


def test_every_network_is_measured_on_every_target(deliver, measure, fake_timer) -> None:
    """The small network takes 1 ms where it was found and 6 elsewhere, the large one 3 and 4."""
    small, large = "onnxruntime-f32", "onnxruntime-f32-batch=2"
    here = fake_timer(change=lambda name, _: {small: 1.0, large: 3.0}[name])
    there = fake_timer(change=lambda name, _: {small: 6.0, large: 4.0}[name])
    matrix = measure(deliver(PLAIN, 2.0, "k3", here), deliver(PAIRS, 5.0, "k7", there))
    yardsticks = [one["latency_ms"] / ms for row, own in zip(matrix["cells"], ((1, 6), (3, 4)), strict=True)
                  for one, ms in zip(row, own, strict=True)]  # fmt: skip
    assert yardsticks == pytest.approx([1.0] * 4)
    assert [[one["inside"] for one in row] for row in matrix["cells"]] == [[True, False], [False, True]]
    assert [len(one["sessions_ms"]) for row in matrix["cells"] for one in row] == [5] * 4
    assert [row["verdict"] for row in matrix["networks"]] == ["only-inside", "only-inside"]
    assert [home["target"] for home in matrix["homes"]] == [PLAIN, PAIRS] and matrix["seed"] == 0
    assert all(one["test_images"] == 120 for row in matrix["cells"] for one in row)
    assert [set(names) for names in here.sessions if names] == [{small, large}] * 5
    said = findings({"tasks": [], "runs": [], "specialisation": [matrix]})
    assert said[0].startswith("Every network was measured on every target (seed 0): 2 of 2 stand first on their own")


def test_scores_are_taken_anew_in_another_precision_only(deliver, measure, fake_timer, monkeypatch) -> None:
    scored: list[str] = []
    score = specialisation.correct_on_test

    def noted(job: Any, target: str, model: bytes) -> list[bool]:
        scored.append(target)
        return score(job, target, model)

    monkeypatch.setattr(specialisation, "correct_on_test", noted)
    homes = [deliver(target, 9.0, "k3", fake_timer()) for target in (PLAIN, PAIRS, ROUGH)]
    matrix = measure(*homes)
    assert scored == [PLAIN] * 3 + [ROUGH] * 3
    for row in matrix["cells"]:
        plain, pairs, rough = row
        assert plain["accuracy"] == pairs["accuracy"] and plain["file_sha256"] != rough["file_sha256"]
    assert {home["precision"] for home in matrix["homes"]} == {"f32", "int8"}
    assert matrix["networks"][0]["verdict"] == "only-inside" and "The very same one" in matrix["networks"][0]["says"]


def test_what_was_cut_off_goes_on_and_nothing_is_measured_twice(deliver, measure, fake_timer) -> None:
    class Cut(BaseException):
        """As if the process were gone."""

    def homes() -> list[Home]:
        return [deliver(PLAIN, 9.0, "k3", timer), deliver(PAIRS, 9.0, "k7", timer)]

    timer = fake_timer()
    whole, time_session = measure(*homes()), timer.time_session
    sessions = len(timer.sessions)
    assert measure(*homes()) == whole and len(timer.sessions) == sessions
    # Another network beside them: all are measured anew, side by side.
    third = [*homes(), deliver(ROUGH, 9.0, "k5", timer)]

    def cut_in_the_third(*given: Any) -> Any:
        if len(timer.sessions) == sessions + 3:
            raise Cut
        return time_session(*given)

    timer.time_session = cut_in_the_third
    with pytest.raises(Cut):
        measure(*third)
    timer.time_session = time_session
    larger = measure(*third)
    assert len(timer.sessions) == sessions + 3 * 5 + 5  # and the reference on the third target
    assert [row[0] for row in larger["cells"]][:2] != [] and len(larger["cells"]) == 3


def test_a_target_that_is_not_there_keeps_the_others(deliver, measure, fake_timer, course) -> None:
    watched = course()
    gone = deliver(ROUGH, 9.0, None, None, error="needs the package onnxruntime")
    matrix = measure(deliver(PLAIN, 9.0, "k3", fake_timer()), deliver(PAIRS, 9.0, "k7", fake_timer()), gone,
                     progress=watched)  # fmt: skip
    assert [[one["error"] for one in row] for row in matrix["cells"]] == [
        [None, None, "needs the package onnxruntime"]
    ] * 2
    assert all(row["verdict"] in ("best", "fastest", "beaten") for row in matrix["networks"])
    assert len(watched.said) == 2 and "on onnxruntime-int8: needs the package" in watched.said[0]
    back = measure(
        deliver(PLAIN, 9.0, "k3", None), deliver(PAIRS, 9.0, "k7", None), deliver(ROUGH, 9.0, None, fake_timer())
    )
    assert [row[2]["error"] for row in back["cells"]] == [None, None]
    assert [row[:2] for row in back["cells"]] == [row[:2] for row in matrix["cells"]]


def test_a_network_that_a_target_cannot_run_is_told_and_tried_again(deliver, measure, fake_timer, monkeypatch) -> None:
    class Picky:
        """Runs no kernel of 7."""

        def __init__(self) -> None:
            self._engine = open_engine(PAIRS)
            self.suffix = self._engine.suffix

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

        def write(self, network: Any, *rest: Any) -> bytes:
            if "k7" in str(network) or "kernel=7" in str(network):
                raise EvaluationFailed("knows no kernel of 7")
            return self._engine.write(network, *rest)

    monkeypatch.setattr(specialisation, "open_engine", lambda name: Picky() if name == PAIRS else open_engine(name))
    timer = fake_timer()
    homes = deliver(PLAIN, 9.0, "k7", timer), deliver(PAIRS, 9.0, "k3", timer)
    matrix = measure(*homes)
    assert [[one["error"] for one in row] for row in matrix["cells"]] == [[None, "knows no kernel of 7"], [None, None]]
    assert [row["verdict"] for row in matrix["networks"]][1] == "alone"
    monkeypatch.undo()
    sessions = len(timer.sessions)
    assert measure(*homes)["cells"][0][1]["error"] is None and len(timer.sessions) == sessions + 5


def test_a_damaged_network_is_named(deliver, measure, fake_timer) -> None:
    homes = deliver(PLAIN, 9.0, "k3", fake_timer()), deliver(PAIRS, 9.0, "k7", fake_timer())
    (homes[1].place / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match=r"weights.safetensors is damaged"):
        measure(*homes)
