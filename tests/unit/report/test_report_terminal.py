"""The result in a terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from hwnas.report import result_lines, result_table


def shown(result: dict[str, Any], width: int = 140, **options: Any) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(result_table(result, **options))
    return console.file.getvalue()


def test_the_table_says_what_the_page_says(result):
    lines = result_lines(result, directory="runs/digits")
    assert lines[0] == (
        "✓ 98.1 % test accuracy, 0.290 ms on ONNX Runtime f32 on this AMD EPYC, inside the budget of 0.312 ms "
        "(uses 93 % of it)"
    )
    rows = {line.split("  ")[0]: line.split() for line in lines[3:8]}
    assert rows["searched"][1:] == ["98.1", "%", "97.3–98.8", "0.290", "0.285–0.296", "yes", "125", "k", "7.90", "M"]
    assert "no" in rows["best of 64 random, uniform supernet"] and "yes" in rows["random architecture"]
    assert "Next, in runs/digits" in lines
    assert any("model.onnx" in line for line in lines) and any("report.html" in line for line in lines)


def test_a_miss_names_a_budget_that_would_do(result):
    result["network"]["latency"] |= {"median_ms": 0.3089, "interval_ms": [0.3036, 0.31441]}
    lines = result_lines(result)
    assert lines[0].startswith("✗ ") and "too close to the budget" in lines[0]
    assert "  a budget of 0.315ms would have been kept by this network" in lines
    result["network"]["latency"]["interval_ms"] = [0.31, 0.315]
    assert "  a budget of 0.315ms would have been kept by this network" in result_lines(result)


def test_the_rich_table_has_the_same_rows(result):
    out = shown(result)
    for line in ("98.1 %", "97.3–98.8", "0.285–0.296", "7.90 M", "MobileNetV2-like, k3e6, depth 2", "Next"):
        assert line in out


def test_hostile_names_bring_neither_markup_nor_escapes(result):
    result["network"]["label"] = "[red]loud[/red][link=x]\x1b[31m\x1b]8;;evil"
    result["target"]["key"]["cpu"] = "[blink]\x1b[2J"
    out = shown(result, directory="[b]\x1b[2J")
    assert "[red]loud[/red]" in out and "[blink]" in out and "[b]" in out
    for sequence in ("\x1b]8", "\x1b[2J", "\x1b[31m\x1b"):
        assert sequence not in out
    assert not any("\x1b" in line for line in result_lines(result, directory="\x1b[2J"))


def test_nothing_is_still_a_sentence():
    assert result_lines({})[0] == "No network was delivered for the budget of – on the target."
    assert "No network was delivered" in shown({})
    assert (
        result_lines({"network": {}, "status": "over-budget"})[0]
        == "No network was delivered for the budget of – on the target."
    )
