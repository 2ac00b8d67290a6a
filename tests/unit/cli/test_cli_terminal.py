"""What is printed: tables that a pipe gets whole, plain progress lines on stderr, options as settings."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hwnas.cli.options import given, image_shape, listed
from hwnas.cli.progress import TerminalProgress
from hwnas.cli.terminal import complain, print_json, printable, show_result, show_table
from hwnas.config import FitConfig
from hwnas.core.errors import InputError


class Context:
    """Stands for typer's."""

    def __init__(self, **params: Any) -> None:
        self.params = params


def settings(**params: Any) -> dict[str, Any]:
    context: Any = Context(**params)
    return given(context, FitConfig.model_fields)


def test_only_given_settings_count_and_typed_ones_win(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("budget: 40%\nlr: 0.3\nseed: 4\n")
    found = settings(config=tmp_path / "c.yaml", seed=0, lr=None, limits=["params=1M"], budget=(), out=Path("x"),
                     data_root=Path("d"), download=False, as_json=True)  # fmt: skip
    assert found == {"budget": "40%", "lr": 0.3, "seed": 0, "limits": ("params=1M",), "data_root": "d",
                     "download": False}  # fmt: skip
    assert settings(config=None) == {}


def test_one_text_or_several() -> None:
    assert listed("40%") == ["40%"] and listed(("1ms", "2ms")) == ["1ms", "2ms"] and listed(()) == []


def test_image_shapes() -> None:
    assert image_shape("3x64x48") == (3, 64, 48) and image_shape("1X8X8") == (1, 8, 8) and image_shape(None) is None
    for text in ("", "3x64", "3x64x64x1", "3x0x64", "axbxc", "3x-1x4", "3x99999x4"):
        with pytest.raises(InputError, match="3x64x64"):
            image_shape(text)


def test_tables_keep_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("name", "value"), [("a" * 100, "1\u00a0ms"), ("b", "")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "name" + " " * 98 + "value" and lines[1].endswith("a  1 ms") and lines[2] == "b"
    show_table(None, [])
    assert capsys.readouterr().out == ""


def test_progress_and_errors_go_to_stderr_and_json_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress:
        progress.stage("search", 100)
        progress.advance(50, {"loss": 1.25})
        progress.say("[1/2] a sentence that is longer than eighty columns, and must come out of a pipe in one piece")
    complain("[no markup] here")
    print_json({"a": [1, "ü"]})
    out, err = capsys.readouterr()
    assert out == '{\n  "a": [\n    1,\n    "ü"\n  ]\n}\n'
    assert err.splitlines() == [
        "search: 100 steps",
        "[1/2] a sentence that is longer than eighty columns, and must come out of a pipe in one piece",
        "error: [no markup] here",
    ]
    with pytest.raises(ValueError, match="nan"):
        print_json({"a": float("nan")})


def test_what_a_terminal_would_obey_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("\x1b[2J\r\n\t\x00\x9b\u202e\u2028\ud800") == "\\x1b[2J\\r\\n\\t\\x00\\x9b\\u202e\\u2028\\ud800"
    assert printable("ünïcode 漢字 😀 a\\b [bold]") == "ünïcode 漢字 😀 a\\b [bold]"
    complain("no file 'a\x1b[31m\nb'")
    show_table(None, [("\x1b]0;title\x07", "[red]")])
    out, err = capsys.readouterr()
    assert (out, err) == ("\\x1b]0;title\\x07  [red]\n", "error: no file 'a\\x1b[31m\\nb'\n")


RESULT = {
    "network": {"label": "Proxyless-G", "role": "searched", "accuracy": {"test": 0.98, "interval": [0.97, 0.99]},
                "latency": {"median_ms": 0.29, "interval_ms": [0.28, 0.3]}, "params": 1000, "macs": 2000},
    "budget": {"latency_ms": 0.31},
}  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_result_fits_its_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    show_result(RESULT, "runs/mine", console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    said = "\n".join(lines)
    for part in ("98.0 %", "97.0–99.0", "0.290", "0.280–0.300", "1.00 k", "Next\n  runs/mine/report.html"):
        assert part in said


def test_a_result_in_a_pipe_is_plain_lines_in_any_encoding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_result(RESULT, "runs/mine")
    assert capsys.readouterr().out.startswith("✓ 98.0 % test accuracy, 0.290 ms")
    file = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", file)
    show_result(RESULT, "runs/mine")
    file.flush()
    assert file.buffer.getvalue().startswith(b"\\u2713 98.0 % test accuracy")  # type: ignore[attr-defined]
