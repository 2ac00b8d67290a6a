"""Targets that cannot be had: one sentence with what to do, before any work, exit code 4 or 2, and nothing lost."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from onnx import TensorProto, helper
from refusals import Refused, files_of

import hwnas
from hwnas.api import several
from hwnas.cli import run as command
from hwnas.config import FitConfig
from hwnas.core.errors import BudgetError, InputError, OutOfMemory
from hwnas.hardware import worker
from hwnas.hardware.engines import ENGINES, open_engine
from hwnas.hardware.engines.libraries import Library

OLD_RUN = Path(__file__).parents[1] / "old_runs" / "format-2"
TASK = ("--data", "toy", "--budget", "90%", "--out", "new")
COMMANDS = (
    ("fit", *TASK), ("fit", *TASK, "--seeds", "2"), ("search", *TASK), ("compare", *TASK),
    ("profile", "--space", "toy"), ("measure", "mobilenet-v2"), ("measure", "mobilenet-v2", "--by-layer"),
)  # fmt: skip
OPTIONS = {
    "an option is empty": ("onnxruntime?", "onnxruntime?threads=2&", "onnxruntime?=3"),
    "must be a whole number from 1 to 1024": (
        "onnxruntime?threads", "onnxruntime?threads=0", "openvino?batch=-1", "openvino?threads=1.5",
        "onnxruntime?batch=1025", "onnxruntime?threads=２", "openvino?threads=2;batch=3", "openvino?batch=2?threads=2",
    ),
    "given twice": ("onnxruntime?threads=1&threads=1",),
    "did you mean 'threads'": ("openvino?thread=2",),
    "did you mean 'onnxruntime'": ("ONNXRUNTIME?threads=2",),
    "unknown target": ("", " ", "?threads=2", "openvino\x1b[31m", "x" * 300),
}  # fmt: skip


def test_what_is_wrong_behind_the_question_mark_is_named(refused: Refused) -> None:
    for words, targets in OPTIONS.items():
        for target in targets:
            refused("measure", "mobilenet-v2", "--target", target, words=words)
    for arguments in COMMANDS:
        refused(*arguments, "--target", "openvino?thread=1", words="did you mean 'threads'")


@pytest.mark.parametrize("target", [3, None, ["onnxruntime"], b"onnxruntime"])
def test_what_is_no_name_is_refused_by_the_python_calls(target: Any) -> None:
    for call in (lambda: hwnas.measure("mobilenet-v2", target=target), lambda: hwnas.profile("toy", target=target)):
        with pytest.raises(InputError, match="a target is a name such as 'onnxruntime-f32'"):
            call()


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that lacks what the engine asks of it."""
    module = ModuleType("openvino")
    module.__spec__ = ModuleSpec("openvino", None)
    monkeypatch.setitem(sys.modules, "openvino", module)


FAULTS = {
    "more threads than cores": (lambda patch: None, "?threads=1024", ("needs 1024 cores", "fewer threads")),
    "missing": (lambda patch: patch.setitem(sys.modules, "openvino", None), "", ("not installed", "hwnas[openvino]")),
    "too old": (
        lambda patch: patch.setattr(Library, "installed", lambda self: "2022.3.0"), "",
        ("openvino 2025.0 or newer, and 2022.3.0 is installed", "pip install --upgrade openvino"),
    ),
    "broken": (broken, "", ("does not work", "--force-reinstall openvino")),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_that_cannot_be_used_is_refused_before_any_work(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    breaking, options, words = FAULTS[fault]
    pytest.importorskip("openvino")
    breaking(monkeypatch)
    for arguments in COMMANDS:
        refused(*arguments, "--target", f"openvino{options}", code=4, words=(f"openvino-f32{options}", *words))
    for first, second in (("openvino", "openvino-bf16"), ("openvino-bf16", "openvino")):
        targets = [f"{name}{options}" for name in (first, second)]
        refused("fit", *TASK, "--target", targets[0], "--target", targets[1], code=4, words=words)


def test_training_needs_the_engine_that_proves_its_file(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    train = ("train", "mobilenet-v2", "--data", "digits", "--out", "new")
    refused(*train, code=4, words="pip install onnxruntime")


def test_of_several_targets_one_that_is_away_is_said_at_once_and_the_others_are_served(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path, config: FitConfig, *others: object) -> None:
        open_engine(config.target)
        raise BudgetError("the fastest one takes longer")

    monkeypatch.setattr(several, "fit_in", refuse)
    monkeypatch.setitem(sys.modules, "openvino", None)
    for more in ([], ["--compute", "60s"]):  # steps for a compute limit need the target, too
        code = command(["fit", *TASK, "--target", "openvino", "--target", "onnxruntime", "--effort", "quick", *more])
        said = capsys.readouterr().err
        assert code == 4 and said.index("the other targets are served") < said.index("[1/2]"), said
        assert "takes longer" in said.partition("[2/2]")[2] and "Traceback" not in said
        refused = json.loads((here / "new" / "result.json").read_text())["runs"]
        assert ["not installed" in row["error"] for row in refused] == [True, False]
        shutil.rmtree(here / "new")


def test_a_target_that_disappears_between_two_runs_costs_nothing(
    refused: Refused, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(OLD_RUN, here / "run"))
    (run / "result.json").unlink()
    again = ["fit", "--config", str(OLD_RUN / "config.yaml"), "--out", "run"]
    before = files_of(run)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for more in ([], ["--fresh"], ["--seeds", "1"]):
        refused(*again, *more, code=4, words="pip install onnxruntime")
    refused("measure", "run", code=4, words="pip install onnxruntime")
    assert files_of(run) == before


def written(path: Path, operation: str, domain: str = "") -> str:
    """A network of one node."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operation, ["x"], ["y"], domain=domain)], "g", ends[:1], ends[1:])
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())
    return path.name


WITHOUT_ONNX = ("ncnn-f32", "litert-f32", "executorch-f32", "torch-f32")  # these have no way in from it, and say so


@pytest.mark.parametrize("target", ENGINES)
def test_an_operation_that_an_engine_lacks_is_named(refused: Refused, here: Path, target: str) -> None:
    pytest.importorskip(ENGINES[target].library.module)
    model = written(here / "strange.onnx", "Strange", "elsewhere")
    word = "ONNX" if target in WITHOUT_ONNX else "Strange"
    said = refused("measure", model, "--target", target, "--sessions", "2", "--quiet", words=(model, word))
    assert len(said) < 400


def test_a_network_that_no_memory_holds_is_refused_before_it_is_made(refused: Refused, here: Path) -> None:
    for arguments in (["measure"], ["export", "--random-weights", "--out", "new"]):
        name, *options = arguments
        large = (name, "mobilenet-v2", *options)
        refused(
            *large, "--width", "4", "--classes", "1000000", words=("classifier.linear", "fewer channels or classes")
        )
        refused(*large, "--resolution", "4096", words=("stem.conv", "smaller images"))


def test_memory_that_runs_out_is_one_sentence(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def write(self, *_: object) -> bytes:
            raise MemoryError

        def load(self, *_: object) -> None:
            raise MemoryError

    monkeypatch.setattr("hwnas.hardware.engines.open_engine", lambda name: Engine())
    refused("measure", "mobilenet-v2", "--resolution", "32", words="memory ran out")
    monkeypatch.setattr(worker, "open_engine", lambda name: Engine())
    model = {"name": "large", "path": __file__, "input_shape": [1, 8, 8]}
    with pytest.raises(OutOfMemory, match="large: memory ran out"):
        worker._load({"target": "any", "models": [model]})
    assert OutOfMemory.exit_code == 2
