"""The specialisation matrix on the page of several runs, and in a terminal."""

from __future__ import annotations

from typing import Any

from example_run import make_result
from page_reader import read

from hwnas.report.html import render_summary
from hwnas.report.matrix import COLUMNS, plain_rows, sentences

HOSTILE = "<script>alert(1)</script>"


def cell(ms: float, inside: bool, accuracy: float) -> dict[str, Any]:
    return {"error": None, "latency_ms": ms, "latency_interval_ms": [ms - 0.01, ms + 0.01], "accuracy": accuracy,
            "accuracy_interval": [accuracy - 0.01, accuracy + 0.01], "inside": inside}  # fmt: skip


def matrix(**changed: Any) -> dict[str, Any]:
    """Two networks at home in "a" and "b", and a third target that is not there."""
    names = ("a", "b", "c")
    return {
        "seed": 3,
        "networks": [{"directory": name, "label": name, "verdict": "best", "says": f"On {name} …"} for name in "ab"],
        "homes": [{"directory": name, "label": name, "budget_ms": 0.3} for name in names],
        "cells": [
            [cell(0.29, True, 0.981), cell(0.45, False, 0.981), {"error": "needs the package c"}],
            [cell(0.4, False, 0.979), cell(0.27, True, 0.975), {"error": "needs the package c"}],
        ],
        **changed,
    }


def test_the_heat_map_and_the_table_say_the_same() -> None:
    source = render_summary([make_result(0), make_result(1)], matrices=[matrix()])
    page = read(source)
    assert "matrix1-title" in page.ids and "Every network on every target" in page.words and "Seed 3" in page.words
    assert "a: its own network 0.290 ms (0.280–0.300), 97 % of the budget, inside, 98.1 % test accuracy" in page.words
    assert "b: the network of a 0.450 ms (0.440–0.460), 150 % of the budget, not inside" in page.words
    assert "c: the network of b was not measured (needs the package c)" in page.words
    assert "On a …" in page.words and source.count('class="cell delivered') == 2
    # The colours run from no time to the most that is used: 0.97 of 1.5 is the fourth of six steps.
    fills = [str(shape["class"]) for shape in page.named("rect") if "cell" in str(shape.get("class"))]
    assert fills == ["cell delivered heat4", "cell heat5", "cell heat6", "cell delivered heat4"]
    assert "0.450 ✗" in page.words and page.words.count("✗ no") == 2


def test_the_rows_of_a_terminal() -> None:
    doubted = matrix()
    for row in doubted["cells"]:
        row[1]["doubts"] = ["It was throttled. Wait."]
    assert sentences(doubted)[-1] == "Latency on b of a, b: It was throttled. Wait."
    rows = [[text.replace("\u00a0", " ") for text in row] for row in plain_rows(matrix())]
    assert len(COLUMNS) == 6 and len(rows) == 6
    assert rows[0] == ["a", "a (its own)", "0.290 ms", "0.280–0.300", "98.1 %", "yes"]
    assert rows[1] == ["a", "b", "0.400 ms", "0.390–0.410", "97.9 %", "no"]
    assert rows[5] == ["c", "b", "–", "", "–", "not measured: needs the package c"]


def test_matrices_without_parts_and_with_hostile_names() -> None:
    homes = [{"directory": HOSTILE, "label": HOSTILE * 9, "budget_ms": "much"}] * 30
    hostile = [matrix(homes=homes), matrix(cells=[[1, None], "x"]), matrix(cells=None), {}, matrix(networks=[]), "none",
               matrix(homes=[]), matrix(cells=[[cell(0.0, True, 2.0)] * 3, [cell(1e14, True, -1.0)]])]  # fmt: skip
    source = render_summary([make_result(0)], matrices=hostile)
    read(source)
    assert "<script" not in source
    assert "matrix1-title" not in render_summary([make_result(0)])
