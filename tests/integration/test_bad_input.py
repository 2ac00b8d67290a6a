"""Bad input: one sentence that names it and says what to do, the right exit code, nothing written and nothing lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from refusals import Refused

import hwnas
from hwnas.cli import run as command
from hwnas.compose import open_space
from hwnas.core.errors import HwnasError
from hwnas.runs.files import read_sealed_json, write_sealed_json
from hwnas.runs.store import RunStore

OLD_RUN = Path(__file__).parents[1] / "old_runs" / "format-2"


@pytest.fixture
def old_run(here: Path) -> Path:
    """A finished run."""
    return Path(shutil.copytree(OLD_RUN, here / "run"))


# (option, words of the message): values
VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("--budget", "write for example 1.5ms"): (
        "3", "", "ms", "%", "40 %%", "nanms", "NaN", "inf", "1e999ms", "1.5 parsecs", "１ms", "9" * 500 + "ms",
    ),
    ("--budget", "above zero"): ("0ms", "-1ms", "-0.0%"),
    ("--budget", "no latency of a network"): ("1e300s", "1e308s", "1e-320ms"),
    ("--budget", "is not between"): ("101%", "1e300%", "1e-300%"),
    ("--buget", "--budget"): ("1ms",),
    ("--target", "did you mean 'onnxruntime'"): ("onnxrt",),
    ("--space", "did you mean 'proxyless-small'"): ("proxyles-smal",),
    ("--data", "did you mean 'mnist5k'"): ("mnist5",),
    ("--data", "did you mean 'toy'"): ("tooy",),
    ("--loss", "did you mean 'absolute'"): ("absolut",),
    ("--optimizer", "did you mean 'sgd'"): ("sgdd",),
    ("--effort", "did you mean 'quick'"): ("quik",),
    ("--train-on", "did you mean 'cuda'"): ("cud",),
    ("--augmentation", "did you mean 'shift'"): ("shft",),
    ("--baselines", "did you mean 'full'"): ("ful",),
    ("--seed", "seed"): ("-1", "x", str(2**64), "1" + "0" * 400),
    ("--seeds", "--seeds must be 1 to 1,000"): ("0", "-3", "1001"),
    ("--sessions", "'sessions'"): ("0", "1", "1000000000"),
    ("--search-steps", "'search_steps'"): ("0", "-5", "1" + "0" * 30),
    ("--train-steps", "'train_steps'"): ("0", "9"),
    ("--lr", "'lr'"): ("0", "-1", "nan", "inf", "1e400"),
    ("--batch-size", "'batch_size'"): ("0", "7", "-8"),
    ("--resolution", "'resolution'"): ("0", "4", "99999"),
    ("--width", "'width'"): ("0", "nan", "inf", "99"),
    ("--candidates", "'candidates'"): ("0", "10000000000"),
    ("--held-out", "'held_out'"): ("1", "1000000"),
    ("--loss-weight", "'loss_weight'"): ("nan", "inf", "0"),
    ("--threads", "'threads'"): ("0", "100000000"),
    ("--workers", "'workers'"): ("-1", "10000000"),
    ("--compute", "for example 90s"): ("90", "0s", "nans", "-3h", "9" * 400 + "h"),
    ("--limit", "limit"): ("x", "params=0", "params=nan", "params=infM", "params=" + "9" * 5000, "area=1M", "params=٣"),
    ("--config", "none.yaml"): ("none.yaml",),
    ("--measurements", "none.json"): ("none.json",),
    ("--measurements", "is no run"): (".",),
    ("--data", "expected a folder"): ("./nowhere", "/dev/zero", "~nobody-of-this-name/x", "x" * 300 + "/y"),
    ("--data", "\\x1b[31m"): ("a\x1b[31mb",),
    ("--data", "a\\nb"): ("./a\nb",),
    ("--data", "rename it"): ("a\udcff/b",),
}  # fmt: skip
SETTINGS = [(option, value, words) for (option, words), values in VALUES.items() for value in values]


@pytest.mark.parametrize(("option", "value", "words"), SETTINGS, ids=lambda value: ascii(value)[:30])
def test_a_bad_setting_is_refused_by_name(refused: Refused, option: str, value: str, words: str) -> None:
    budget = [] if option == "--budget" else ["--budget", "40%"]
    refused("fit", *budget, option, value, "--out", "new/run", words=words)


def test_limits_given_twice_and_targets_that_do_not_pair(refused: Refused) -> None:
    refused("fit", "--budget", "1ms", "--limit", "params=1M", "--limit", "params=2M", "--out", "new", words="twice")
    budgets = [word for number in (1, 2, 3) for word in ("--budget", f"{number}ms")]
    pairs = [*budgets, "--target", "onnxruntime", "--target", "onnxruntime"]
    refused("fit", *pairs, "--out", "new", words="do not pair")
    refused("fit", "--out", "new", words="--budget 1.5ms")
    refused("search", "--out", "new", words="--budget 1.5ms")
    refused("fit", "--budget", "1ms", words="'--out'")
    refused("fitt", words="Did you mean 'fit'")
    refused("list", "spaes", words="did you mean 'spaces'")


# words of the message: files
FILES: dict[str, tuple[str, ...]] = {
    "setting 'seed'": ("seed: true", "seed: [1]", "seed: much"),
    "setting 'lr'": ("lr: .nan",),
    "setting 'rounds'": ("rounds: 3.5",),
    "setting 'download'": ("download: maybe",),
    "setting 'limits'": ("limits: {a: 1}",),
    "setting 'compute'": ("compute: 90",),
    "setting 'data'": ("data: 5", "data: null", "data: 2001-01-01", 'data: "a\\0b"'),
    "setting 'target'": ("target: 5", "target: {a: 1}"),
    "limit 'params'": ("limits: params", "limits: [params]"),
    "budget": ("budget: 3", "budget: {a: 1}", "budget: [1ms, [2ms]]", "budget: null"),
    "did you mean 'absolute'": ("loss: absolut",),
    "did you mean 'seed'": ("sead: 1",),
    "unknown setting in c.yaml": ("out: x", "progress: x", "network: x", "stop: 1"),
    "expected settings by name": ("[1, 2]", "5", "", "{1: 2}"),
    "write the values out": ("a: &x 1\nb: *x",),
    "deep": ("x: " + "[" * 60_000, "- " * 10_000),
    "'seed' twice": ("seed: 1\nseed: 2", "{seed: 1, seed: 2}"),
    "is not valid YAML": (
        "a: [", "\0", "seed: " + "9" * 5000, "x: ]",
    ),
    "has YAML tags": ('!!python/object/apply:os.system ["echo hi"]', 'seed: !!int ""'),
}  # fmt: skip
YAML = [(text, words) for words, texts in FILES.items() for text in texts]


@pytest.mark.parametrize(("text", "words"), YAML, ids=lambda value: ascii(value)[:30])
def test_a_file_of_settings_with_a_fault_is_refused(refused: Refused, here: Path, text: str, words: str) -> None:
    (here / "c.yaml").write_text(text)
    for name in ("fit", "search"):
        budget = [] if "budget" in text else ["--budget", "1us"]
        refused(name, *budget, "--config", "c.yaml", "--out", "new", words=words)


def test_a_place_that_cannot_be_written_is_refused_at_once(refused: Refused, here: Path, old_run: Path) -> None:
    (here / "file").write_text("mine")
    (here / "photos").mkdir()
    (here / "photos" / "me.jpg").write_text("mine")
    task = ["--data", "toy", "--budget", "90%", "--out"]
    places = {
        "file": "File exists",
        "file/run": "Not a directory",
        "/proc/run": "/proc/run",
        "x" * 300: "too long",
        "a/" * 3000: "too long",
        "a\udcff": "rename it",
        "photos": "not a run",
        "": "not a run",
    }
    for out, words in places.items():
        refused("fit", *task, out, words=words)
        refused("train", str(old_run), "--data", "toy", "--out", out, words=words)
    refused("fit", *task, "photos", "--fresh", words="not a run")
    refused("export", str(old_run), "--out", "file", words="File exists")
    refused("export", str(old_run), "--out", "run", words="is a run")
    for name in ("profile", "report"):
        network = [str(old_run)] if name == "report" else ["--space", "toy"]
        refused(name, *network, "--out", "/proc/run/x", words="/proc/run")
        refused(name, *network, "--out", "photos", words="is a directory")


def resealed(path: Path, **changes: Any) -> None:
    write_sealed_json(path, {**read_sealed_json(path), **changes})


def test_a_run_that_is_not_this_one_is_left_as_it_is(refused: Refused, here: Path, old_run: Path) -> None:
    again = ["--config", str(OLD_RUN / "config.yaml"), "--out", "run"]
    refused("fit", *again, "--seed", "3", words=("seed: 0 -> 3", "--fresh"))
    refused("train", "run", "--data", "toy", "--out", "run", words="other settings")
    refused("fit", *again, "--seeds", "2", words="single run")
    resealed(old_run / "env.json", format="hwnas-run@9")
    refused("fit", *again, words=("hwnas-run@9", "update hwnas"))
    refused("report", "run", words=("hwnas-run@9", "update hwnas"))
    shutil.copy(OLD_RUN / "env.json", old_run)
    resealed(old_run / "result.json", format="hwnas-result@9")
    for name in ("fit", "report", "describe", "measure", "export"):
        arguments = again if name == "fit" else ["run", *(["--out", "new"] if name == "export" else [])]
        refused(name, *arguments, words=("hwnas-result@9", "update hwnas"))
    (old_run / "result.json").unlink()
    with sqlite3.connect(old_run / "store.sqlite") as store:
        store.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    store.close()
    refused("fit", *again, words=("version 99", "update hwnas"))
    (old_run / "config.yaml").write_text("future: true\n")
    refused("fit", *again, words=("config.yaml is damaged", "--fresh"))


def test_a_report_says_what_an_unfinished_run_needs(refused: Refused, old_run: Path) -> None:
    (old_run / "result.json").unlink()
    refused("report", "run", words="run hwnas fit with the same settings")
    (old_run / "architecture.json").unlink()
    refused("report", "run", words="run the command that started it again")
    refused("report", "run", "run", words="--out FILE")
    refused("report", words="'runs'")


def test_measurements_that_cannot_be_replayed_begin_no_run(refused: Refused, here: Path, old_run: Path) -> None:
    with RunStore(old_run / "store.sqlite", new=False) as store:
        store.export_measurements(here / "good.json")
    good = json.loads((here / "good.json").read_text())
    rows = good["measurements"]
    bad = {
        "hwnas-measurements@1": {**good, "format": "hwnas-measurements@9"},
        "must be a list": {**good, "measurements": None},
        "a second time": {**good, "measurements": [*rows, rows[0]]},
        f"measurement {len(rows)}": {**good, "measurements": [*rows, 3]},
        "measurement 0": {**good, "measurements": [{**rows[0], "content": {}}, *rows[1:]]},
        "measurement 1": {**good, "measurements": [rows[0], {**rows[1], "content": {"samples": [1]}}]},
    }
    for words, data in bad.items():
        (here / "bad.json").write_text(json.dumps(data))
        refused("fit", "--data", "toy", "--budget", "90%", "--measurements", "bad.json", "--out", "new", words=words)


def test_what_is_no_network_is_refused_by_every_command(refused: Refused, here: Path, old_run: Path) -> None:
    (here / "empty").mkdir()
    (here / "list.json").write_text("[1]")
    (here / "half.json").write_text('{"format": ')
    (here / "deep.json").write_text("[" * 100_000)
    shutil.copytree(old_run, here / "several" / "seed-0")
    sources = {
        "nowhere": "there is no network",
        "empty": "there is no network",
        "": "there is no network",
        "/bin/sh": "is no network",
        "list.json": "list.json: arch_def[0] must be a list of block strings",
        "half.json": "not valid JSON",
        "deep.json": "not valid JSON",
        "run/result.json": "result.json: architecture",
        "run/weights.safetensors": "is no network",
        "several": "several/seed-0",
        "run/latency/onnxruntime-f32.json": "expected a network",
        "y" * 400: "too long",
        "a\x1b[31mb": "\\x1b[31m",
        "a\udcff": "rename it",
        "/dev/zero": "is no network",
        "/proc/self/fd": "there is no network",
    }
    for source, words in sources.items():
        refused("describe", source, words=words)
        refused("measure", source, words=words)
        refused("export", source, "--out", "new", words=words)
        refused("train", source, "--data", "toy", "--out", "new", words=words)
    for source in ("nowhere", "empty", "list.json", "/proc/self", "y" * 400, "a\x1b[31mb", "run/result.json"):
        refused("report", source, "--out", "new.html")
    refused("train", "run", "--data", "digits", "--out", "new", words="made for images of 1x4x32")
    refused("describe", "run", "--latency-model", "list.json", words="list.json")
    refused("describe", "run", "--latency-model", "nowhere", words="nowhere")
    refused("export", "run", "--weights", "list.json", "--out", "new", words="list.json is no whole safetensors file")
    refused("export", "run", "--weights", "nowhere", "--out", "new", words="--random-weights")


def test_bad_options_of_single_networks_are_refused(refused: Refused, here: Path) -> None:
    arch = open_space("proxyless-small", (3, 32, 32), 10).uniform_architectures()["k3e3, depth 1"]
    (here / "a.json").write_text(json.dumps(arch.to_json()))
    options = {
        "--sessions": ("0", "1", "x", "100000"),
        "--seed": ("-1", "9" * 30),
        "--target": ("tensorrt",),
        "--budget": ("3", "nanms", "40 %%", "40%"),
        "--classes": ("0", "1", "-1", "9" * 30),
        "--input-shape": ("", "3x64", "3x0x3", "axbxc", "٣x٣x٣", "3x4x4", "65535x65535x65535"),
    }
    for option, values in options.items():
        for value in values:
            refused("measure", "a.json", option, value, words="budget" if option == "--budget" else ())
    options = {
        "--space": ("proxyles",),
        "--resolution": ("0", "-3", "99999"),
        "--channels": ("0", "-1"),
        "--classes": ("0", "1"),
        "--width": ("nan", "0", "1e9"),
        "--held-out": ("0", "1", "99999"),
        "--seed": ("-1",),
        "--target": ("x",),
    }
    for option, values in options.items():
        for value in values:
            refused("profile", option, value)


def test_an_engine_or_device_that_is_not_there_is_exit_code_4(
    refused: Refused, old_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    task = ["--data", "toy", "--budget", "90%", "--out", "new"]
    for arguments in (["fit", *task], ["search", *task], ["measure", "run"], ["profile", "--space", "toy"]):
        refused(*arguments, code=4, words=("onnxruntime-f32", "pip install onnxruntime"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused("train", "run", "--data", "toy", "--train-on", "cuda", "--out", "new", code=4, words="--train-on cpu")


# words of the message: what is given
CALLS: dict[str, dict[str, Any]] = {
    "did you mean 'seed'": {"sead": 1},
    "did you mean 'absolute'": {"loss": "absolut"},
    "did you mean 'onnxruntime'": {"target": "onnxrt"},
    "did you mean 'mnist5k'": {"data": "mnist5"},
    "did you mean 'proxyless": {"space": "proxyles"},
    "did you mean 'sgd'": {"optimizer": "sgdd"},
    "nowhere/x": {"data": Path("nowhere/x")},
    "setting 'seed'": {"seed": True},
    "not a number of thousands of digits": {"seed": 10**6000},
    "budget '3'": {"budget": 3},
    "setting 'budget'": {"budget": None},
    "limit 'params'": {"limits": "params"},
    "setting 'data'": {"data": 3},
    "rename it": {"data": "a\0b"},
}


@pytest.mark.parametrize("words", CALLS)
def test_the_python_calls_refuse_the_same(here: Path, words: str) -> None:
    for function in (hwnas.fit, hwnas.search):
        with pytest.raises(HwnasError) as caught:
            function(out=here / "new", **{"budget": "1ms", **CALLS[words]})
        assert words in str(caught.value) and len(str(caught.value)) < 1000
    assert not (here / "new").exists()


def test_python_calls_for_several_fits_refuse_what_is_no_list(here: Path) -> None:
    for values in ({"budgets": []}, {"budgets": "40%"}, {"budgets": [3]}, {"budgets": ["1ms"], "targets": []},
                   {"budgets": ["1ms"], "targets": "onnxruntime"}, {"budgets": ["1ms"], "seeds": "2"}):  # fmt: skip
        with pytest.raises(HwnasError):
            hwnas.fit_several(out=here / "new", **values)
    with pytest.raises(HwnasError, match="rename it"):
        hwnas.measure("a\0b")
    assert not (here / "new").exists()


PIECES = (
    "; touch fired", "$(touch fired)", "`touch fired`", "| touch fired", "&& touch fired", "-rf", "--out",
    "<script>x</script>", "\"'><img src=x>", "&lt;", "{{7*7}}", "%s%n", "a\nb", "a\r\nb", "\ttab", "\x1b[2J",
    "\x1b]0;title\x07", "\x9b31m", "\x7f", "\u202egnp.exe", "\u200b", "\u2028", "\ufeff", "é", "日本", "😀", "con", "~",
    "*", "?", "[a]", "a b", "\\", "'", '"', "#", "!", "\udcff", "[red]x[/red]", "x" * 200,
)  # fmt: skip
FORMS = ("{}", "a{}", "{}.json", "a/{}", "../{}")


def test_two_hundred_hostile_names_of_networks_and_data_are_only_names(refused: Refused, here: Path) -> None:
    names = [form.replace("{}", piece) for piece in PIECES for form in FORMS]
    assert len(set(names)) >= 200
    for name in names:
        refused("describe", "--", name)
    for name in PIECES:
        refused("fit", "--budget", "1ms", f"--data=./{name}", "--out", "new")
    assert not list(here.parent.rglob("fired"))


def test_results_go_to_places_with_hostile_names(here: Path, old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be kept is refused; nothing that a terminal would obey is printed, or run by a shell."""
    for piece in PIECES:
        code = command(["export", "run", f"--out=out/{piece}"])
        out, err = capsys.readouterr()
        assert code == (2 if "\udcff" in piece or "\x85" in piece else 0), err
        assert (out + err).replace("\n", "").isprintable()
        assert (here / "out" / piece / "model.onnx").exists() == (code == 0)
    assert not list(here.parent.rglob("fired"))
