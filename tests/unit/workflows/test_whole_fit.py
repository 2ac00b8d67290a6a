"""A whole fit on toy: what it delivers, what it says, what it touches, and that it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.architecture import Architecture
from hwnas.core.cost import Cost
from hwnas.core.counting import count
from hwnas.core.network import NetworkSpec
from hwnas.core.trial import Quality, Trial
from hwnas.data.images import Split
from hwnas.hardware.engines import open_engine
from hwnas.nn.gates import Gates
from hwnas.nn.supernet import PathSupernet
from hwnas.runs.directory import RunDirectory
from hwnas.spaces.toy import ToySpace
from hwnas.strategies.proxyless_g import Searched
from hwnas.workflows.full_baselines import ARCHITECTURE_STEP_COST
from hwnas.workflows.gradient_search import searched_contender

ENTRY = {
    "role", "label", "architecture", "architecture_id", "predicted_ms", "latency", "accuracy", "weights",
    "scratch_search_accuracy", "inherited_search_accuracy", "params", "macs", "peak_activation_bytes",
}  # fmt: skip


def test_the_result_says_everything(make_job, run_fit) -> None:
    found = run_fit(make_job("80%"))
    result = found.result
    assert result["format"] == "hwnas-result@2" and result["status"] == "inside-budget" and found.inside_budget
    assert {
        "command", "hwnas", "created", "seed", "data", "space", "target", "budget", "network", "baselines",
        "latency_model", "search", "rounds", "comparison", "candidates", "blocks", "compute", "environment",
    } <= set(result)  # fmt: skip
    budget = result["budget"]
    assert budget["latency_ms"] == pytest.approx(0.8 * budget["largest_ms"])
    assert budget["fastest_ms"] < budget["planned_ms"] == pytest.approx(0.97 * budget["latency_ms"])
    entries = [result["network"], *result["baselines"]]
    assert [entry["role"] for entry in entries] == ["searched", "fixed", "random"]
    for entry in entries:
        assert set(entry) >= ENTRY
        lower, upper = entry["accuracy"]["interval"]
        assert lower < entry["accuracy"]["test"] < upper and entry["accuracy"]["test_images"] == 120
        assert len(entry["latency"]["sessions_ms"]) == 5
    assert [row["against"] for row in result["comparison"]] == ["fixed", "random"]
    assert {row["source"] for row in result["candidates"]} == {"proxyless-g", "fixed", "random"}
    assert len(result["latency_model"]["points"]) == 4
    errors = result["latency_model"]["errors_percent"]
    assert list(errors) == ["layers", "features", "features by weights", "macs"]
    assert result["latency_model"]["kind"] == min(errors, key=lambda kind: errors[kind])
    layers_ms = sum(block["latency_ms"] for block in result["blocks"])
    assert all(block["share"] == pytest.approx(block["latency_ms"] / layers_ms) for block in result["blocks"])
    assert sum(block["params"] for block in result["blocks"]) == result["network"]["params"]
    assert sum(block["macs"] for block in result["blocks"]) == result["network"]["macs"]
    assert {"latency model", "search", "train/searched/0", "measure/0"} <= {row["stage"] for row in result["compute"]}
    assert RunDirectory.read(found.run).result() == json.loads(json.dumps(result))
    page = (found.run / "report.html").read_text()
    assert "<svg" in page and len(page) < 2_000_000


def test_what_ships_is_what_was_measured_and_scored(make_job, run_fit) -> None:
    job = make_job("80%")
    found = run_fit(job)
    entry, model = found.result["network"], (found.run / "model.onnx").read_bytes()
    assert sha256(model).hexdigest() == entry["latency"]["file_sha256"] == found.latency.file_sha256
    arch = Architecture.from_json(json.loads((found.run / "architecture.json").read_text()))
    network = NetworkSpec.from_json(json.loads((found.run / "network.json").read_text()))
    assert arch == found.architecture and network == found.network == job.space.decode(arch)
    counts = count(network)
    assert (entry["params"], entry["macs"]) == (counts.params, counts.macs)
    images = (job.data.test.images.numpy() / 255 - job.data.mean[0]) / job.data.std[0]
    scores = open_engine("onnxruntime-f32").predict(model, images.astype(np.float32))
    assert float((scores.argmax(1) == job.data.test.labels.numpy()).mean()) == found.accuracy
    for role in ("fixed", "random"):
        names = {path.name for path in (found.run / "baselines" / role).iterdir()}
        assert names >= {"architecture.json", "network.json", "weights.safetensors", "model.onnx", "network.py"}


class Watched:
    """A split that notes on a course when it is read."""

    def __init__(self, split: Split, events: list[str]) -> None:
        self.labels = split.labels
        self._split = split
        self._events = events

    def __len__(self) -> int:
        return len(self._split)

    def batches(self, indices: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, labels in self._split.batches(indices):
            self._events.append(f"test images: {len(labels)}")
            yield images, labels


def test_the_test_split_is_read_once_at_the_very_end(make_job, run_fit, course) -> None:
    watched = course()
    job = make_job("80%")
    job = replace(job, data=replace(job.data, test=Watched(job.data.test, watched.events)))
    result = run_fit(job, watched).result
    read = [index for index, event in enumerate(watched.events) if event.startswith("test images")]
    assert len(read) == 1 + len(result["baselines"])  # every delivered file once
    assert read == list(range(len(watched.events) - len(read), len(watched.events)))
    assert all(watched.events[index] == "test images: 120" for index in read)


def test_a_finished_run_measures_and_trains_nothing_again(make_job, run_fit, fake_timer) -> None:
    timer = fake_timer()
    job = make_job("80%", timer)
    first = run_fit(job).result
    sessions = len(timer.sessions)
    timer.delay_ms = 5.0  # would show if anything were timed
    again = run_fit(job).result
    assert len(timer.sessions) == sessions
    volatile = ("created", "compute")
    assert {k: v for k, v in again.items() if k not in volatile} == {
        k: v for k, v in first.items() if k not in volatile
    }


def test_equal_seeds_find_equal_networks_and_others_search_anew(make_job, run_fit) -> None:
    first, again, other = (
        run_fit(make_job("80%", seed=seed), directory=f"run-{number}").result for number, seed in enumerate((0, 0, 1))
    )
    assert first["network"] == again["network"] and first["candidates"] == again["candidates"]
    assert first["search"]["final_entropy"] != other["search"]["final_entropy"]


def test_full_baselines_are_beside_the_others(make_job, run_fit) -> None:
    result = run_fit(make_job("80%", baselines="full", train_steps=40)).result
    roles = [entry["role"] for entry in result["baselines"]]
    assert roles == ["fixed", "random", "random-uniform-supernet", "random-standalone"]
    alone = result["baselines"][-1]
    # Trained for a quarter of the steps each, as many as the search's 40 weight and 20 architecture steps pay for.
    networks = (40 + round(20 * ARCHITECTURE_STEP_COST)) // 10
    assert alone["label"] == f"random search over {networks} networks trained alone"
    assert sum(row["source"] == "random-standalone" for row in result["candidates"]) == networks
    assert alone["inherited_search_accuracy"] is None and alone["weights"] == "scratch"
    assert all(entry["inherited_search_accuracy"] is not None for entry in result["baselines"][:-1])


def test_metrics_tell_the_course_of_every_loop(make_job, run_fit) -> None:
    found = run_fit(make_job("80%", baselines="none"))
    lines = RunDirectory.read(found.run).metrics()
    search = [line for line in lines if line["stage"] == "search"]
    assert [line["step"] for line in search] == [20, 40]
    assert all({"loss", "expected_ms", "entropy"} <= set(line) for line in search)
    trained = {line["stage"] for line in lines} - {"search"}
    arch = found.result["network"]["architecture_id"]
    assert trained == {f"train/{arch}/scratch", f"train/{arch}/from-search"}


# which of the learned networks is taken


@pytest.fixture
def gates() -> Gates:
    gates = Gates(ToySpace().choices, np.random.default_rng(0))
    with torch.no_grad():
        gates.alpha[:, 1] += 1.0  # the argmax is k5, k5, k5
    return gates


def trial(option: str, loss: float, ms: float) -> Trial:
    arch = ToySpace().uniform_architectures()[option]
    return Trial(arch, Quality(loss, 0.5, 100, "shared-weights"), Cost(ms, "ms", "model", "x"), "searched")


@pytest.mark.parametrize(
    ("trials", "taken", "reason"),
    [
        ([trial("k3", 0.1, 0.7), trial("k5", 0.2, 0.95)], "k5", "argmax of the gates, inside the budget"),
        ([trial("k3", 0.1, 0.7), trial("k5", 0.2, 0.5)], "k3", "the argmax uses only 50 % of the budget"),
        ([trial("k5", 0.1, 0.5), trial("k3", 0.2, 0.7)], "k5", "none of 2 feasible samples scores better"),
        ([trial("k3", 0.1, 0.7), trial("k7", 0.2, 0.9)], "k3", "their argmax is over the budget"),
    ],
    ids=["argmax", "argmax too small", "small argmax is best", "argmax over budget"],
)  # fmt: skip
def test_the_argmax_or_the_best_sample_and_why(
    make_job, tmp_path: Path, gates: Gates, trials: list[Trial], taken: str, reason: str
) -> None:
    job = make_job("80%")
    with RunDirectory.open(tmp_path / "run", {"seed": 0}) as opened:
        contender = searched_contender(job, opened, Searched(PathSupernet(job.space, seed=0), gates, images_seen=0))
    chosen, why = contender.prefer(trials, 1.0)
    assert chosen.architecture == ToySpace().uniform_architectures()[taken]
    assert reason in why
