"""The command line's frame: exit codes, one sentence for every error, signals, and no torch where none is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from hwnas.cli import Stopped, _resuming, run, signals
from hwnas.cli import app as app_module
from hwnas.cli.signals import ending
from hwnas.core.errors import BudgetError, EvaluationFailed, HwnasError, InputError, TargetUnavailable
from hwnas.runs.stop import Stop

COMMANDS = (
    "fit", "search", "train", "compare", "measure", "profile", "export", "report", "describe", "import-table",
    "search-table", "list", "doctor",
)  # fmt: skip


def test_every_command_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        assert run([command, "--help"]) == 0
        assert f"hwnas {command}" in capsys.readouterr().out.split("Options")[0].partition("Usage:")[2][20:]


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        ([], ""), (["fitt"], "'fit'"), (["fit", "--bugdet", "1ms"], "--budget"), (["fit", "--budget", "1ms"], "--out"),
        (["measure", "x", "--sessions", "many"], "--sessions"), (["describe"], "network"),
    ):  # fmt: skip
        assert run(arguments) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "--out", "x"], "--budget 40%"),
        (["fit", "--out", "x", "--budget", "3"], "not a number with a unit"),
        (["fit", "--out", "x", "--budget", "3ms", "--loss", "absolut"], "did you mean 'absolute'"),
        (["fit", "--out", "x", "--budget", "3ms", "--limit", "area=1"], "params=1M"),
        (["fit", "--out", "x", "--budget", "3ms", "--budget", "4ms", "--target", "onnxrt"], "unknown target"),
        (["fit", "--out", "x", "--budget", "3ms", "--data", "mnist5"], "did you mean 'mnist5k'"),
        (["fit", "--out", "x", "--budget", "3ms", "--data", "toy", "--space", "proxyles"], "unknown space"),
        (["fit", "--out", "x", "--budget", "3ms", "--data", "toy", "--target", "onnx"], "did you mean 'onnxruntime'"),
        (["fit", "--out", "x", "--budget", "3ms", "--data", "toy", "--optimizer", "sgdd"], "unknown optimizer"),
        (["fit", "--out", "x", "--budget", "3ms", "--config", "none.yaml"], "no file none.yaml"),
        (["fit", "--out", "x", "--budget", "3ms", "--seeds", "0"], "--seeds"),
        (["search", "--out", "x"], "--budget 40%"),
        (["train", "none.json", "--data", "toy", "--out", "x"], "no network at 'none.json'"),
        (["measure", "none.onnx"], "no network at 'none.onnx'"),
        (["measure", "x", "--budget", "40%"], "a share of the largest network"),
        (["measure", "x", "--input-shape", "32"], "3x64x64"),
        (["describe", "none"], "no network at 'none'"),
        (["export", "none", "--out", "x"], "no network at 'none'"),
        (["report", "none"], "no run directory none"),
        (["profile", "--space", "toy", "--resolution", "9"], "its own images"),
        (["profile", "--space", "proxyless-smal"], "did you mean 'proxyless-small'"),
        (["list", "spces"], "did you mean 'spaces'"),
        (["compare", "--evaluator", "table:none.json", "--out", "x"], "no file none.json"),
        (["compare", "--evaluator", "none", "--out", "x"], "known: table:PATH"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and said in err and "Traceback" not in err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("a"), 2), (BudgetError("a"), 3), (TargetUnavailable("a"), 4), (EvaluationFailed("a"), 1)],
)
def test_typed_errors_have_their_codes(
    error: HwnasError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raising(**_: object) -> None:
        raise error

    monkeypatch.setattr(app_module, "app", raising)
    assert run([]) == code
    assert capsys.readouterr().err == "error: a\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_with_the_way_to_resume(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the real library, which would make "Aborted!" of a KeyboardInterrupt."""
    small = typer.Typer(pretty_exceptions_enable=False)

    @small.command()
    def fit(out: str, fresh: bool = False) -> None:
        os.kill(os.getpid(), number)

    @small.command()
    def other() -> None:
        pass

    monkeypatch.setattr(app_module, "app", small)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert run(["fit", "runs/my mine", "--fresh"]) == code
    assert capsys.readouterr().err == "error: interrupted. To go on: hwnas fit 'runs/my mine'\n"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_only_runs_are_resumed_and_ignored_signals_stay_ignored() -> None:
    assert _resuming(["measure", "x"]) == "" and _resuming([]) == ""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending(Stop(), "interrupted"):
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_loop_that_polls_is_given_time_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """And when it takes too long, the alarm ends it where it is."""
    monkeypatch.setattr(signals, "SAVE_WITHIN_SECONDS", 0.2)
    stop = Stop()
    with ending(stop, "interrupted"):
        assert not stop.poll()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.poll()  # still here: now it would save
        with pytest.raises(Stopped) as raised:
            stop.check()
    assert raised.value.exit_code == 143
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    stop = Stop()
    with ending(stop, "interrupted"), pytest.raises(Stopped):
        stop.poll()
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()


def test_help_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pydantic", "onnx", "onnxruntime", "scipy", "sklearn", "matplotlib", "yaml")
    code = (
        "import sys; from hwnas.cli import run; run(['--help']); "
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_the_package_loads_nothing_heavy_and_has_what_it_names() -> None:
    code = (
        "import sys, hwnas; print('numpy' in sys.modules); "
        "print(all(callable(getattr(hwnas, name)) for name in hwnas.__all__), 'torch' in sys.modules); "
        "print(set(hwnas.__all__) <= set(dir(hwnas)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False", "True"]
    import hwnas

    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        hwnas.fitt  # noqa: B018
