"""The report of a search whose networks were trained alone: nothing was predicted, and no weights were shared."""

from __future__ import annotations

import re
from typing import Any

import pytest
from example_run import make_alone_result, make_result
from page_reader import read
from test_report_html import HOSTILE, poisoned

from hwnas.report.candidates import candidates_chart
from hwnas.report.evaluations import courses, search_charts, search_table
from hwnas.report.html import render_report, render_summary
from hwnas.report.terminal import result_lines


@pytest.fixture
def alone() -> dict[str, Any]:
    return make_alone_result()


def row(source: str, number: int | None, ms: float, accuracy: float, name: str = "") -> dict[str, Any]:
    numbered = {} if number is None else {"number": number}
    known = {"architecture_id": name or f"{source}-{number}", "predicted_ms": ms, "accuracy": accuracy, "loss": 1.0}
    return {"source": source, **known, **numbered}


def by_hand() -> dict[str, Any]:
    """Aim 0.97 ms: of the search's six, the first is over it, the third failed, the sixth was later found over."""
    return {
        "search": {"strategy": "mnasnet", "child_steps": 50},
        "budget": {"latency_ms": 1.0, "planned_ms": 0.97},
        "rounds": [{"architecture_id": "late", "inside": False}, {"architecture_id": "mnasnet-5", "inside": True}],
        "candidates": [
            row("random", 2, 0.6, 0.70), row("random", 1, 0.5, 0.60),
            row("mnasnet", 1, 1.2, 0.95), row("mnasnet", 2, 0.9, 0.80), row("mnasnet", 4, 0.7, 0.75),
            row("mnasnet", 5, 0.97, 0.85), row("mnasnet", 6, 0.8, 0.90, "late"),
            row("fixed", 1, 0.3, 0.5),
        ],
    }  # fmt: skip


def test_nothing_is_said_that_is_true_only_of_shared_weights_and_predictions(alone):
    page = read(render_report(alone, []))
    for said in ("predicted", "Predicted", "shared weights", "teaches the latency model"):
        assert said not in page.words
    for said in (
        "Networks that were trained alone", "Measured briefly, and for good",
        "measured briefly before training 0.294 ms",
        "and the next best is taken; the last word has the file that ships", "8 failed and are not drawn",
    ):  # fmt: skip
        assert said in page.words
    assert {"candidates-title", "best-title", "looked-title"} <= set(page.ids)


def test_a_search_on_shared_weights_is_told_as_before():
    words = read(render_report(make_result(), [])).words
    for said in ("Predicted against measured", "Candidates scored on the shared weights", "teaches the latency model"):
        assert said in words
    assert "trained alone" not in words and search_charts(make_result()) == [] and search_table(make_result()) is None


def test_the_best_so_far_counts_failures_and_only_what_was_allowed():
    search, random = courses(by_hand())
    assert (search.source, random.source) == ("mnasnet", "random")
    assert [one.number for one in search.evaluated] == [1, 2, 4, 5, 6]
    assert search.best_so_far == [(2, 80.0), (4, 80.0), (5, 85.0), (6, 85.0)]
    assert random.best_so_far == [(1, 60.0), (2, 70.0)]
    assert [one.number for one in search.improvements] == [2, 5]
    best, looked = search_charts(by_hand())
    assert best.heading.replace("\u00a0", " ") == "The best so far of those inside the aim of 0.97 ms"
    assert "mnasnet 85.0\u00a0% after 6 networks; random 70.0\u00a0% after 2 networks." in best.note
    assert looked.note == "4 of 5 are inside the aim." and str(looked.drawing).count("<circle") == 5
    assert "mnasnet 1, mnasnet-1: 95.0\u00a0% in 1.20\u00a0ms</title>" in looked.drawing
    table = search_table(by_hand())
    assert table is not None and table.rows[0][0] == "networks evaluated"
    assert table.rows[1:3] == (("1", "", "60.0"), ("2", "80.0", "70.0"))


def test_a_line_is_steps_from_the_first_best_to_the_last_network():
    best = search_charts(by_hand())[0]
    (search,) = re.findall(r'points="([^"]+)" class="curve k1"', str(best.drawing))
    places = [tuple(map(float, place.split(","))) for place in search.split()]
    assert len(places) == 4 and all(a[0] == b[0] or a[1] == b[1] for a, b in zip(places, places[1:], strict=False))
    assert places[0][0] == pytest.approx(50 + 2 / 6 * 398, abs=0.1) and places[-1][0] == 448


def test_a_source_without_numbers_or_without_a_network_inside_has_no_line():
    result = by_hand()
    for one in result["candidates"]:
        if one["source"] == "random":
            one["predicted_ms"] = 0.99
    assert search_charts(result)[0].note.endswith(" None by random was inside.")
    result["candidates"] = [one for one in result["candidates"] if one["source"] != "random"]
    assert search_charts(result)[0].note.endswith(" No random search stands beside it.")
    result["candidates"] = [row("mnasnet", None, 0.5, 0.5), row("mnasnet", 0, 0.5, 0.5), row("fixed", 1, 0.5, 0.5)]
    assert search_charts(result) == []


def test_random_search_alone_has_one_line():
    result = by_hand() | {"search": {"strategy": "random", "child_steps": 50}}
    result["candidates"] = [one for one in result["candidates"] if one["source"] == "random"]
    best, looked = search_charts(result)
    assert "No random search" not in best.note and looked.heading == "Latency of every network that random evaluated"


def test_the_front_is_a_line_and_its_networks_come_first():
    result = by_hand() | {"failed_candidates": [{}]}
    chart = candidates_chart(result, "mnasnet-5")
    assert chart is not None and chart.heading == "Networks that were trained alone"
    assert chart.note.endswith(" 1 failed and is not drawn.") and "equally accurate" not in chart.note
    assert chart.table is not None and chart.table.rows[0][2] == "measured"
    listed = [(cells[0], cells[-1]) for cells in chart.table.rows[1:]]
    on_the_line = ["mnasnet-1", "late", "mnasnet-4", "random-2", "random-1", "fixed-1"]
    assert listed == [(name, "yes") for name in on_the_line] + [("mnasnet-5", ""), ("mnasnet-2", "")]
    assert chart.table.summary == "All 8 as a table, those on the line first"
    (line,) = re.findall(r'<polyline points="([^"]+)" class="chain"/>', str(chart.drawing))
    assert len(line.split()) == 2 * len(on_the_line)
    assert str(chart.drawing).count('class="ring"') == 1 and str(chart.drawing).count('class="since"') == 1
    assert [said.replace("\u00a0", " ") for _, said in chart.legend][-1] == "aim 0.97 ms"
    assert "the most accurate, 95.0\u00a0% at 1.20\u00a0ms, was proposed by mnasnet." in chart.drawing


def test_networks_that_cannot_be_told_apart_are_called_so():
    result = by_hand()
    for one in result["candidates"]:
        one["accuracy"] = 0.1
    chart = candidates_chart(result, "")
    assert chart is not None and "All are equally accurate" in chart.note


def test_how_the_search_decided_in_figures(alone):
    words = read(render_report(alone, [])).words
    facts = words[words.index("The search in figures") :]
    assert "strategy mnasnet reward mnasnet-soft why this one the best of" in facts
    assert (
        "networks evaluated 40 of them failed 4 proposals 120, repeats and refused ones among them training steps of "
        "each 120 images seen 307,200"
    ) in facts


def test_what_a_baseline_cost_that_delivered_nothing_is_counted(alone):
    alone["compute"] = [
        {"stage": "search", "cpu_seconds": 50.0, "wall_seconds": 50.0},
        {"stage": "baseline/random", "cpu_seconds": 50.0, "wall_seconds": 50.0},
    ]
    alone["baselines"] = []
    assert "50 % of it for the baselines" in read(render_report(alone, [])).words


def test_hostile_text_stays_text(alone):
    source = render_report(poisoned(alone | {"rounds": []}), [], title=HOSTILE)
    page = read(source)
    assert "<script" not in source and "<img" not in source and "<!--" not in source
    assert {"best-title", "looked-title", "candidates-title"} <= set(page.ids)


@pytest.mark.parametrize(
    "key", ["search", "budget", "rounds", "candidates", "failed_candidates", "baselines", "network"]
)
@pytest.mark.parametrize("value", [None, "x", [7, {}], {"strategy": 3, "child_steps": 10, "latency_ms": -1}])
def test_any_part_may_be_something_else(key, value, alone):
    page = read(render_report(alone | {key: value}, []))
    assert "None" not in page.words and "nan" not in page.words.lower().split()


def test_many_networks_stay_a_small_page(alone):
    alone["candidates"] = make_alone_result(0, 2900)["candidates"]
    source = render_report(alone, [])
    assert len(source.encode()) < 2_000_000
    assert "5,000 of 5,162 are drawn, evenly taken by rising accuracy" in read(source).words


def test_the_terminal_and_several_runs_name_the_strategy(alone):
    assert any(line.startswith("mnasnet over 40 networks trained alone") for line in result_lines(alone))
    runs = [make_alone_result(0), make_alone_result(1), make_result(2), make_result(3)]
    words = read(render_summary(runs)).words
    assert "mnist-5k · onnxruntime-f32 · proxyless-28@1 · mnasnet · seed 1" in words
    assert "budget 40%, by mnasnet, 2 seeds" in words and "budget 40%, by proxyless-g, 2 seeds" in words
    table = words[words.index("What was asked for, where it differs") :]
    assert "reward" in table and "evaluations" in table and "child steps" in table
