"""Whatever a file, a setting or a text holds, it is read, or refused by an error of our own."""

from __future__ import annotations

import hashlib
import json
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from foreign_files import arch_def_file, mobilenet_v3_file, proxyless_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import ODD_VALUES, mutated

from hwnas import compose
from hwnas.api.arguments import check_shape
from hwnas.cli.options import image_shape
from hwnas.config import FitConfig, TrainConfig, checked_settings, parse_compute, parse_limits
from hwnas.controllers.categorical import CategoricalController
from hwnas.controllers.evolution import EvolutionController
from hwnas.controllers.random import RandomController
from hwnas.controllers.recurrent import RecurrentController, RecurrentSettings
from hwnas.core.architecture import Architecture
from hwnas.core.cost import Budget
from hwnas.core.counting import count
from hwnas.core.errors import HwnasError
from hwnas.core.network import NetworkSpec
from hwnas.evaluation.nas_bench_macro import benchmark_rows
from hwnas.hardware.kinds import KINDS
from hwnas.hardware.latency_model import FORMAT as MODEL_FORMAT
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.store import LayerLatency, Reference, TargetStore
from hwnas.hardware.targets import Target, TargetKey
from hwnas.networks.foreign import is_foreign, read_foreign
from hwnas.report.html import render_report, render_summary
from hwnas.report.terminal import result_lines
from hwnas.runs.measurements import read_measurements
from hwnas.runs.settings import read_settings
from hwnas.runs.store import RunStore
from hwnas.spaces.toy import ToySpace
from hwnas.workflows.blocks import blocks
from hwnas.workflows.measuring import check_record

OLD_RUN = Path(__file__).parents[1] / "old_runs" / "format-2"
EXAMPLES, MANY = 300, 100_000
Check = Callable[[Any], None]

TOY = ToySpace()
TARGET = Target("onnxruntime-f32", TargetKey("onnxruntime", "1.26.0", "f32", 1, 1, (1, 4, 32), "a processor"))
NETWORKS = [json.loads((OLD_RUN / "network.json").read_text())]
ARCHITECTURES = [
    json.loads((OLD_RUN / "architecture.json").read_text()),
    next(iter(compose.open_space("proxyless-small", (3, 32, 32), 10, 0.5).uniform_architectures().values())).to_json(),
]
OLD_MODEL = json.loads((OLD_RUN / "latency" / "onnxruntime-f32.json").read_text())
MODELS = [OLD_MODEL] + [
    {**OLD_MODEL, "format": MODEL_FORMAT, "kind": kind, "errors_percent": {"layers": 1.5, "macs": 4.0}}
    for kind in KINDS
]
RESULTS = [json.loads((OLD_RUN / "result.json").read_text())]
ACCURACIES = {"02012100": {"test_acc": [89.5, 88.5, 89.0], "mean_acc": 89.0, "flops": 47_327_744}}
METRICS = [json.loads(line) for line in (OLD_RUN / "metrics.jsonl").read_text().splitlines()]
CONFIG = yaml.safe_load((OLD_RUN / "config.yaml").read_text())


def spec(space: str, shape: tuple[int, ...]) -> dict[str, Any]:
    opened = compose.open_space(space, shape, 10)
    return opened.decode(next(iter(opened.uniform_architectures().values()))).to_json()


def as_text(value: Any) -> st.SearchStrategy[str]:
    """Texts near a valid one: a few characters changed, or something else."""
    odd = st.sampled_from([one for one in ODD_VALUES if isinstance(one, str)])
    near = st.text(alphabet="0123456789.eE+-%µumshinparcky=GMKkBx ,_∞٣１\t\n\0", max_size=12)
    valid = st.sampled_from(value)
    return st.one_of(valid, near, st.text(max_size=8), odd, st.builds(str.__add__, valid, near), near_text(value))


@st.composite
def near_text(draw: st.DrawFn, texts: list[str]) -> str:
    """A valid text with one to three characters cut out or put in."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(["", "0", "9", ".", "e", "-", "%", "m", " ", "x", "=", "99", "e9", "µ", "é"]))
        text = text[:at] + piece + text[at + draw(st.integers(0, 1)) :]
    return text


def check_budget(text: str) -> None:
    budget = Budget.parse(text)
    assert 0 < budget.resolve(2.0) < 1e10
    assert str(Budget.parse(str(budget))) == str(budget)


def check_limits(text: str) -> None:
    assert all(0 < limit <= 10**15 for limit in parse_limits((text,)).values())


def check_compute(text: str) -> None:
    assert 0 < parse_compute(text) <= 1e9


def check_image_shape(text: str) -> None:
    check_shape(image_shape(text))


def check_settings(values: Any) -> None:
    """Settings are checked, and come back from their file as they are."""
    if isinstance(values, dict) and all(isinstance(name, str) for name in values):
        for kind in (FitConfig, TrainConfig):
            known = {name: value for name, value in values.items() if name in kind.model_fields}
            config = checked_settings(kind, known)
            kept = config.model_dump(mode="json")
            assert yaml.safe_load(yaml.safe_dump(kept, allow_unicode=True)) == kept
        checked_settings(FitConfig, values)


def check_yaml(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(content)
        file.flush()
        check_settings(read_settings(Path(file.name)))


def check_architecture(data: Any) -> None:
    arch = Architecture.from_json(data)
    network = compose.space_of(arch, None, None).decode(arch)
    assert len(arch.id) == 12 and NetworkSpec.from_json(network.to_json()) == network


def check_network(data: Any) -> None:
    network = NetworkSpec.from_json(data)
    assert NetworkSpec.from_json(network.to_json()) == network
    assert count(network).macs >= 0 and blocks(network, None)


def check_foreign(data: Any) -> None:
    """Somebody else's network file."""
    is_foreign(data)
    network = read_foreign(data).network
    assert NetworkSpec.from_json(network.to_json()) == network


def check_latency_model(data: Any) -> None:
    model = LatencyModel.from_json(data)
    model.cost(TOY.decode(TOY.choices.architecture(dict.fromkeys(("conv1", "conv2", "conv3"), "k3"))))
    model.terms(TOY)
    LatencyModel.from_json(model.to_json())


def check_latency_table(data: Any) -> None:
    """A file of the latency cache: what is damaged is set aside, whether or not its checksum is right."""
    if isinstance(data, dict) and "content" in data and data.get("sha256") == TABLE["sha256"]:
        content = json.dumps(data["content"], sort_keys=True, separators=(",", ":"))
        data = {**data, "sha256": hashlib.sha256(content.encode()).hexdigest()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{TARGET.key.id}.json"
        path.write_text(json.dumps(data, indent=1))
        record = TargetStore(Path(folder)).read(TARGET)
        assert record.note or json.loads(path.read_text()) == data


def check_measurements(data: Any) -> None:
    """A file of measurements, as a run imports it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measurements.json"
        path.write_text(json.dumps(data))
        for record in read_measurements(path):
            check_record(record)
        with RunStore(Path(folder) / "store.sqlite") as store:
            assert store.import_measurements(path) == len(store.measurements())


def check_report(result: Any) -> None:
    if isinstance(result, dict):
        assert render_report(result, METRICS, title="fuzz").encode()
        assert render_summary([result, RESULTS[0]], title="fuzz").encode()
        assert result_lines(result, directory="fuzz")


def check_metrics(metrics: Any) -> None:
    if isinstance(metrics, list) and all(isinstance(line, dict) for line in metrics):
        assert render_report(RESULTS[0], metrics, title="fuzz").encode()


CONTROLLERS = {
    "random": RandomController(TOY.choices, 0), "evolution": EvolutionController(TOY.choices, 0),
    "reinforce": CategoricalController(TOY.choices, 0),
    "recurrent": RecurrentController(TOY.choices, 0, RecurrentSettings(batch=2, hidden=3)),
}  # fmt: skip


def controller_states() -> list[Any]:
    for controller in CONTROLLERS.values():
        controller.observe([(arch, 0.5) for arch in controller.propose(3)])
    return [json.loads(json.dumps(controller.state_dict())) for controller in CONTROLLERS.values()]


def check_controller_state(state: Any) -> None:
    """What a controller takes, it gives again; and it goes on from there."""
    if isinstance(state, dict) and isinstance(name := state.get("controller"), str) and name in CONTROLLERS:
        controller = CONTROLLERS[name]
        controller.load_state_dict(state)
        again = json.loads(json.dumps(controller.state_dict(), allow_nan=False))
        controller.observe([(arch, 0.5) for arch in controller.propose(1)])
        controller.load_state_dict(again)


def yaml_texts() -> st.SearchStrategy[bytes]:
    """Settings written as YAML, with some characters replaced."""

    def damaged(values: Any, at: int, piece: str) -> bytes:
        try:
            text = yaml.safe_dump(values, allow_unicode=True)
        except RecursionError:
            text = f"data: {'[' * 2000}"
        at %= len(text) + 1
        return (text[:at] + piece + text[at + len(piece) :]).encode("utf-8", "surrogatepass")

    odd = st.sampled_from(("&a ", "*a", "!!python/name:os", "\x85", "\0", "- ", "? ", "{", "<<: ", "\ud800"))
    pieces = st.one_of(st.text(alphabet=string.printable, max_size=6), odd)
    return st.one_of(st.builds(damaged, mutated([CONFIG]), st.integers(0, 10**4), pieces), st.binary(max_size=60))


def latency_table() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        store = TargetStore(Path(folder))
        store.keep_reference(TARGET, Reference(0.02, 5, 50))
        store.add_layers(TARGET, {"a": LayerLatency(0.5, (0.4, 0.6)), "b": LayerLatency(0.25, (0.2, 0.3))})
        return dict(json.loads(next(Path(folder).glob("*.json")).read_text()))


TABLE = latency_table()


def measurement_documents() -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        copy, path = Path(folder) / "store.sqlite", Path(folder) / "measurements.json"
        copy.write_bytes((OLD_RUN / "store.sqlite").read_bytes())
        with RunStore(copy, new=False) as store:
            store.export_measurements(path)
        whole = json.loads(path.read_text())
    rows = whole["measurements"]
    kinds = {str(row["purpose"]).split(" of ")[0]: row for row in rows}
    return [{**whole, "measurements": [row, rows[0]]} for row in kinds.values() if row is not rows[0]]


CHECKS: dict[str, tuple[Check, st.SearchStrategy[Any]]] = {
    "budget": (check_budget, as_text(["1.5ms", "800us", "40%", "0.01s", "1e-3µs"])),
    "limit": (check_limits, as_text(["params=1M", "macs=30M", "activations=512kB", "size=4MB", "memory=16MB"])),
    "compute": (check_compute, as_text(["90s", "30min", "2h"])),
    "image shape": (check_image_shape, as_text(["3x64x64", "1x28x28"])),
    "settings": (check_settings, mutated([CONFIG])),
    "settings as YAML": (check_yaml, yaml_texts()),
    "architecture": (check_architecture, mutated(ARCHITECTURES)),
    "network": (check_network, mutated([*NETWORKS, spec("proxyless-small", (3, 32, 32))])),
    "foreign network": (check_foreign, mutated([proxyless_file(), mobilenet_v3_file(), arch_def_file()])),
    "arch_def block": (
        lambda text: check_foreign([[text]]),
        as_text([row for stage in arch_def_file()["arch_def"] for row in stage]),
    ),
    "latency model": (check_latency_model, mutated(MODELS)),
    "latency table": (check_latency_table, mutated([TABLE])),
    "accuracy table": (benchmark_rows, mutated([ACCURACIES])),
    "controller state": (check_controller_state, mutated(controller_states())),
    "measurements": (check_measurements, mutated(measurement_documents())),
    "result": (check_report, mutated(RESULTS)),
    "metrics": (check_metrics, mutated([METRICS])),
}  # fmt: skip
# Where an example takes longer than a few milliseconds: pages are drawn, a database is written.
FEWER = {"result": (60, 10_000), "metrics": (60, 10_000), "measurements": (150, 30_000)}


def fuzz(name: str, examples: int) -> None:
    check, documents = CHECKS[name]

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(documents)
    def run(document: Any) -> None:
        try:
            check(document)
        except HwnasError as reason:
            said = str(reason)
            assert said and len(said) < 2_000

    run()


@pytest.mark.parametrize("name", CHECKS)
def test_damaged_input_is_read_or_refused(name: str) -> None:
    fuzz(name, FEWER.get(name, (EXAMPLES, MANY))[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_a_hundred_thousand_damaged_inputs_are_read_or_refused(name: str) -> None:
    fuzz(name, FEWER.get(name, (EXAMPLES, MANY))[1])
