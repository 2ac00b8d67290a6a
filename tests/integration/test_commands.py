"""Every command for real, in seconds, on small data."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_runs import ENVIRONMENT, SETTINGS, SHORT, TASK, FirstRun, start

from hwnas.cli import run
from hwnas.compose import open_space
from hwnas.runs.store import RunStore
from hwnas.runs.stored import read_run

Said = Callable[[list[str]], tuple[int, str, str]]


@pytest.fixture
def hwnas(capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command in this process: exit code, stdout, stderr."""

    def call(arguments: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(arguments)
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    """The smallest uniform network of proxyless-small."""
    space = open_space("proxyless-small", (3, 32, 32), 10)
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(space.uniform_architectures()["k3e3, depth 1"].to_json()))
    return path


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what may differ between an uninterrupted run and a resumed one."""
    return {name: value for name, value in result.items() if name not in ("created", "compute", "command")}


def wait_for(path: Path, reached: Callable[[dict[str, Any]], bool], process: subprocess.Popen[str]) -> None:
    """Waits until a line of metrics.jsonl says that the run is far enough."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        text = (path / "metrics.jsonl").read_text() if (path / "metrics.jsonl").exists() else ""
        if any(reached(json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    pytest.fail("the run did not get that far")


def test_fit_delivers_a_measured_network(first_run: FirstRun, hwnas: Said) -> None:
    result = first_run.result
    assert (first_run.code == 0) == (result["status"] == "inside-budget")
    assert [entry["role"] for entry in result["baselines"]] == ["fixed", "random"]
    assert {path.name for path in first_run.path.iterdir()} >= {
        "architecture.json", "network.json", "weights.safetensors", "model.onnx", "network.py", "result.json",
        "report.html", "config.yaml", "env.json", "store.sqlite", "metrics.jsonl", "latency", "baselines",
    }  # fmt: skip
    assert read_run(first_run.path).result() == result
    assert "search: 240 steps" in first_run.said
    code, out, err = hwnas(["fit", *SETTINGS, "--out", str(first_run.path), "--seed", "1", "--quiet"])
    assert code == 2 and out == "" and "seed: 0 -> 1" in err and "--fresh" in err


def test_fit_resumes_after_every_kind_of_end(first_run: FirstRun, tmp_path: Path, hwnas: Said) -> None:
    out = tmp_path / "again"
    command = ["fit", *SETTINGS, "--out", str(out), "--measurements", str(first_run.path)]
    ends: tuple[tuple[signal.Signals, int, Callable[[dict[str, Any]], bool]], ...] = (
        (signal.SIGTERM, 143, lambda line: True),
        (signal.SIGINT, 130, lambda line: line["step"] > 200),  # there is a checkpoint
        (signal.SIGKILL, -9, lambda line: line["stage"].startswith("train/")),
    )
    for number, code, reached in ends:
        process = start(*command)
        wait_for(out, reached, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == code, said
        if number != signal.SIGKILL:
            assert "interrupted. To go on: hwnas fit" in said and "Traceback" not in said
    finished = hwnas([*command, "--json"])
    assert finished[0] == first_run.code
    assert comparable(json.loads(finished[1])) == comparable(first_run.result)
    for name in ("model.onnx", "weights.safetensors", "network.json"):
        assert (out / name).read_bytes() == (first_run.path / name).read_bytes()


def test_measurements_are_replayed_from_a_file(first_run: FirstRun, tmp_path: Path, hwnas: Said) -> None:
    """And a budget that nothing can meet is refused before anything is trained, with the latency that can be had."""
    with RunStore(first_run.path / "store.sqlite", new=False) as store:
        store.export_measurements(tmp_path / "measured.json")
    command = ["fit", *TASK, "--budget", "0.01us", "--out", str(tmp_path / "run")]
    code, out, err = hwnas([*command, "--measurements", str(tmp_path / "measured.json"), "--quiet"])
    fastest = first_run.result["budget"]["fastest_ms"]
    assert code == 3 and out == "" and f"{fastest:.4g} ms" in err and "at least" in err
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "model.onnx").exists()


def test_a_search_is_gone_on_with_by_fit(first_run: FirstRun, tmp_path: Path, hwnas: Said) -> None:
    options = [*SETTINGS, *SHORT, "--baselines", "none", "--out", str(tmp_path), "--measurements", str(first_run.path)]
    code, out, _ = hwnas(["search", *options, "--json"])
    found = json.loads(out)
    assert code in (0, 3) and found["format"] == "hwnas-search@1" and found["measured_ms"] > 0
    assert json.loads((tmp_path / "architecture.json").read_text()) == found["architecture"]
    assert not (tmp_path / "model.onnx").exists()
    again = hwnas(["search", *options])
    assert again[0] == code and "predicted" in again[1] and "with random weights" in again[1]
    with RunStore(tmp_path / "store.sqlite", new=False) as store:
        searched = store.stage("search")
    code, out, err = hwnas(["fit", *options, "--json"])
    assert code in (0, 3) and "train/" in err
    with RunStore(tmp_path / "store.sqlite", new=False) as store:
        assert store.stage("search") == searched
    assert found["architecture_id"] in [row["architecture_id"] for row in json.loads(out)["rounds"]]


def test_several_seeds_and_budgets(first_run: FirstRun, tmp_path: Path, hwnas: Said) -> None:
    options = [*SETTINGS, *SHORT, "--out", str(tmp_path / "seeds"), "--measurements", str(first_run.path)]
    code, out, _ = hwnas(["fit", *options, "--seeds", "2", "--json"])
    summary = json.loads(out)
    assert code in (0, 3) and summary["format"] == "hwnas-summary@2"
    assert [row["directory"] for row in summary["runs"]] == ["seed-0", "seed-1"]
    assert {row["against"] for row in summary["tasks"][0]["comparison"]} == {"fixed", "random"}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "seeds").glob("seed-*/result.json")}
    again, out, err = hwnas(["fit", *options, "--seeds", "2"])
    assert again == code and "seed-1" in out and "Over 2 seeds" in out
    assert before == {path: path.stat().st_mtime_ns for path in before} and "search:" not in err
    options = [*options[:-4], "--baselines", "none", "--out", str(tmp_path / "two"), *options[-2:]]
    code, out, _ = hwnas(["fit", *options, "--budget", "0.01us", "--quiet"])
    assert code == 3 and "onnxruntime-f32-90pct" in out and "refused" in out and "fastest one takes" in out
    assert (tmp_path / "two" / "onnxruntime-f32-90pct" / "model.onnx").exists()
    assert hwnas(["report", str(tmp_path / "two")])[0] == 0
    code, _, err = hwnas(["fit", *options[:-4], "--out", str(first_run.path), "--seeds", "2"])
    assert code == 2 and "single run" in err


def test_train_a_given_network(architecture: Path, tmp_path: Path, hwnas: Said) -> None:
    out = tmp_path / "trained"
    command = ["train", str(architecture), "--data", "digits", "--train-steps", "30", "--out", str(out)]
    code, said, err = hwnas(command)
    assert code == 0 and "test accuracy" in said and "search split" in said and "train: 30 steps" in err
    first = {name: (out / name).read_bytes() for name in ("weights.safetensors", "model.onnx", "network.json")}
    code, said, _ = hwnas([*command, "--json"])
    assert code == 0 and json.loads(said)["network"]["accuracy"]["test_images"] > 300
    assert first == {name: (out / name).read_bytes() for name in first}
    code, _, err = hwnas([*command, "--lr", "0.5"])
    assert code == 2 and "lr: 0.1 -> 0.5" in err
    code, _, err = hwnas(["train", str(out / "network.json"), "--data", "mnist5k", "--out", str(tmp_path / "x")])
    assert code == 2 and "made for images of 1x16x16" in err
    code, _, err = hwnas(["train", str(out / "network.json"), "--data", "toy", "--out", str(tmp_path / "x")])
    assert code == 2 and "architecture.json" in err
    code, said, _ = hwnas(["train", str(out / "architecture.json"), "--data", "mnist5k", "--train-steps", "10",
                           "--out", str(tmp_path / "mnist"), "--quiet"])  # fmt: skip
    assert code == 0 and (tmp_path / "mnist" / "model.onnx").exists()
    assert hwnas(["report", str(out)])[0] == 0 and "digits" in (out / "report.html").read_text()


def test_measure_files_and_hold_them_against_a_budget(first_run: FirstRun, architecture: Path, hwnas: Said) -> None:
    model = str(first_run.path / "model.onnx")
    code, out, _ = hwnas(["measure", model, "--sessions", "2", "--budget", "1s", "--json"])
    found = json.loads(out)
    assert code == 0 and found["inside_budget"] and len(found["latency"]["sessions_ms"]) == 2
    assert found["latency"]["file_sha256"] == first_run.result["network"]["latency"]["file_sha256"]
    assert found["target"]["id"] == first_run.result["target"]["id"]
    code, out, _ = hwnas(["measure", str(first_run.path), "--sessions", "2", "--budget", "0.01%"])
    assert code == 3 and "not inside the budget" in out and first_run.result["target"]["id"] in out
    code, out, err = hwnas(["measure", str(architecture), "--input-shape", "1x16x16", "--sessions", "2"])
    assert code == 0 and "wall time" in out and "measure: 2 steps" in err
    code, _, err = hwnas(["measure", str(first_run.path / "weights.safetensors")])
    assert code == 2 and "no network" in err


def test_measure_by_layer(first_run: FirstRun, tmp_path: Path, hwnas: Said) -> None:
    code, out, err = hwnas(["measure", str(first_run.path), "--sessions", "2", "--by-layer", "--json"])
    found = json.loads(out)["by_layer"]
    names = [node["name"] for node in json.loads((first_run.path / "network.json").read_text())["nodes"]]
    assert code == 0 and "profile: 5 steps" in err and [row["name"] for row in found["rows"]] == names
    assert found["median_ms"] == json.loads(out)["latency"]["median_ms"] and 0 <= found["spread"] < 1
    for name in ("macs_share", "alone_share", "profiled_share"):
        assert sum(row[name] for row in found["rows"]) == pytest.approx(1.0)
    shutil.copy(first_run.path / "model.onnx", tmp_path / "of-others.onnx")
    code, out, _ = hwnas(["measure", str(tmp_path / "of-others.onnx"), "--sessions", "2", "--by-layer"])
    assert code == 0 and "classifier.linear" in out and "not of hwnas" in out and "Shares are to be believed" in out


def test_profile_and_describe_by_its_model(first_run: FirstRun, tmp_path: Path, hwnas: Said) -> None:
    model = tmp_path / "model.json"
    code, out, _ = hwnas(["profile", "--space", "toy", "--held-out", "2", "--out", str(model)])
    assert code == 0 and "Kendall's tau" in out and "counting MACs" in out
    assert f": kind {json.loads(model.read_text())['kind']}, a price" in out and "left out: layers " in out
    own = json.loads(hwnas(["describe", str(first_run.path), "--json"])[1])
    other = json.loads(hwnas(["describe", str(first_run.path), "--latency-model", str(model), "--json"])[1])
    assert own["params"] == other["params"] == first_run.result["network"]["params"]
    assert own["macs"] == sum(row["macs"] for row in own["blocks"])
    assert own["latency_ms"] == pytest.approx(first_run.result["network"]["predicted_ms"], rel=0.5)
    assert other["latency_ms"] == pytest.approx(own["latency_ms"], rel=0.5)
    code, out, _ = hwnas(["describe", str(first_run.path / "baselines" / "fixed")])
    assert code == 0 and "conv1" in out and "predicted" in out
    code, _, err = hwnas(["describe", str(first_run.path), "--latency-model", str(first_run.path / "result.json")])
    assert code == 2 and "hwnas-latency-model" in err


def test_export_with_and_without_weights(first_run: FirstRun, architecture: Path, tmp_path: Path, hwnas: Said) -> None:
    code, out, _ = hwnas(["export", str(first_run.path), "--out", str(tmp_path / "a")])
    assert code == 0 and "weights of" in out
    assert (tmp_path / "a" / "model.onnx").read_bytes() == (first_run.path / "model.onnx").read_bytes()
    code, _, err = hwnas(["export", str(architecture), "--out", str(tmp_path / "b")])
    assert code == 2 and "--random-weights" in err
    code, out, _ = hwnas(["export", str(architecture), "--out", str(tmp_path / "b"), "--random-weights", "--json"])
    assert code == 0 and json.loads(out)["random_weights"] is True
    weights = str(first_run.path / "weights.safetensors")
    code, _, err = hwnas(["export", str(architecture), "--weights", weights, "--out", str(tmp_path / "c")])
    assert code == 2 and "arrays" in err
    code, _, err = hwnas(["export", str(architecture), "--random-weights", "--out", str(first_run.path)])
    assert code == 2 and "is a run" in err


def test_reports_again_and_side_by_side(first_run: FirstRun, tmp_path: Path, hwnas: Said) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first_run.path, copy)
    (copy / "report.html").unlink()
    code, out, _ = hwnas(["report", str(copy)])
    assert (
        code == 0 and out.strip() == str(copy / "report.html") and "Proxyless-G" in (copy / "report.html").read_text()
    )
    both = tmp_path / "both.html"
    code, out, _ = hwnas(["report", str(copy), str(first_run.path), "--out", str(both), "--json"])
    assert code == 0 and json.loads(out)["report"] == str(both) and both.read_text().count("rowheader") == 2
    (copy / "result.json").unlink()
    assert hwnas(["report", str(copy)])[0] == 2
    assert hwnas(["report", str(copy), str(first_run.path)])[0] == 2


def test_list_and_doctor(hwnas: Said) -> None:
    code, out, _ = hwnas(["list", "--json"])
    kinds = {"networks", "spaces", "data", "targets", "tables", "losses", "strategies", "rewards"}
    assert code == 0 and json.loads(out).keys() == kinds
    assert "proxyless-small" in hwnas(["list", "spaces"])[1]
    code, out, _ = hwnas(["doctor", "--json"])
    found = json.loads(out)
    names = {row["name"] for row in found["findings"]}
    assert code == 0 and found["ok"] and {"onnxruntime-f32", "latency cache"} <= names


def test_targets_are_listed_without_loading_their_engines(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from hwnas.cli import run; run(['list', 'targets']); run(['list', 'targets', '--json'])\n"
        "print(sorted({'onnxruntime', 'onnx', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]" and lines[0].split() == ["target", "short", "runs", "precision", "ships", "library"]
    rows = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])["targets"]
    assert len(rows) == len(lines[1 : lines.index("{") - 1])
    assert (rows["openvino-f32"]["installed"], rows["openvino-f32"]["short"]) == (None, "openvino")
    assert any("openvino-bf16" in line and "missing: pip install 'hwnas[openvino]'" in line for line in lines)
    assert rows["onnxruntime-int8"]["file"] == "model.int8.onnx" and rows["onnxruntime-int8"]["installed"]


def test_what_needs_no_tensors_loads_no_torch(first_run: FirstRun, tmp_path: Path) -> None:
    commands = [
        ["describe", str(first_run.path)], ["list"], ["export", str(first_run.path), "--out", str(tmp_path / "e")],
        ["report", str(first_run.path), "--out", str(tmp_path / "r.html")],
        ["measure", str(first_run.path), "--sessions", "2", "--budget", "1s"],
    ]  # fmt: skip
    code = (
        "import sys; from hwnas.cli import run\n"
        f"for command in {commands!r}: print('>', run(command), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert [line for line in done.stdout.splitlines() if line.startswith(">")] == ["> 0 False"] * len(commands)
