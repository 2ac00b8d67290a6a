"""The result in a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

from rich.console import Console

from hwnas.report.terminal import result_lines, result_table


def shown(result: dict[str, Any], width: int = 140, **options: Any) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(result_table(result, **options))
    return console.file.getvalue()


def test_the_table_says_what_the_page_says(result):
    result["comparison"] = result["comparison"][:1]
    lines = result_lines(result, directory="runs/digits")
    assert lines[0] == (
        "✓ 98.1 % test accuracy, 0.290 ms on ONNX Runtime f32 on this AMD EPYC, inside the budget of 0.312 ms "
        "(uses 93 % of it)"
    )
    rows = {line.split("  ")[0]: line.split() for line in lines[3:8]}
    assert rows["searched"][1:] == ["98.1", "%", "97.3–98.8", "0.290", "0.285–0.296", "yes", "125", "k", "7.90", "M"]
    assert "no" in rows["best of 64 random, uniform supernet"] and "yes" in rows["random architecture"]
    steps = lines[lines.index("Next") + 1 :: 2]
    assert steps == [
        "  runs/digits/report.html",
        "  runs/digits/model.onnx",
        "  hwnas measure runs/digits --budget 0.3124ms",
    ]


def test_a_miss_names_a_budget_that_would_do(result):
    result["network"]["latency"] |= {"median_ms": 0.3089, "interval_ms": [0.3036, 0.31441]}
    lines = result_lines(result)
    assert lines[0].startswith("✗ ") and "too close to the budget" in lines[0]
    assert lines[lines.index("Next") + 1] == "  hwnas fit … --budget 0.315ms --out ANOTHER"
    result["network"]["latency"]["interval_ms"] = [0.31, 0.315]
    assert "  hwnas fit … --budget 0.315ms --out ANOTHER" in result_lines(result)


def test_what_to_do_next_goes_by_how_it_went(result):
    assert "  hwnas fit … --effort long --seeds 3 --out ANOTHER" in result_lines(result)
    result["comparison"] = result["comparison"][:1]
    assert not any("--effort long" in line for line in result_lines(result))
    result["setbacks"] = [{"stage": "search", "step": 7, "loss": "nan", "back_to": 0}]
    result["failed_candidates"] = [{"architecture_id": "a", "source": "random", "reason": "oom"}] * 2
    assert "  1 setback in training and 2 candidates that failed" in result_lines(result)
    result["repeat"] = {"canonical_sha256": "ab" * 32}
    lines = result_lines(result, directory="my runs/a")
    assert lines[-2] == "  hwnas fit … --measurements 'my runs/a' --out ANOTHER"
    assert lines[-1].endswith("sha256 abababababababab…")
    assert "  hwnas measure 'my runs/a' --budget 0.3124ms" in lines


def test_what_is_wrong_with_the_search_follows_who_won(result):
    result["warnings"] = [{"says": "The gates\x1b[2J were decided.", "advice": "Search longer."}, "x"]
    said = result_lines(result)[result_lines(result).index("Next") - 2]
    assert said.startswith("! The gates") and said.endswith("were decided. Search longer.") and "\x1b" not in said
    assert "! The gates" in shown(result)


def test_hostile_parts_are_no_next_steps(result):
    result |= {
        "setbacks": "x",
        "failed_candidates": [1],
        "repeat": ["y"],
        "comparison": {"interval": "z"},
        "warnings": 1,
    }
    lines = result_lines(result, directory="runs/a")
    assert lines[lines.index("Next") + 1] == "  runs/a/report.html"


def test_a_narrow_terminal_gets_lines_for_each_network(result):
    out = shown(result, width=50, narrow=True)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines()) <= 50
    for line in ("98.1 %", "97.3–98.8", "0.285–0.296", "over the budget", "MobileNetV2-like, k3e6, depth 2", "Next"):
        assert line in out


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
