"""Figures, phrases, reading of untrusted data, SVG primitives and drawings."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.report import charts, drawing, reading, svg, wording
from hwnas.report.candidates import candidates_chart
from hwnas.report.html import render_report
from hwnas.report.incidents import incidents


def plain(said: str) -> str:
    return said.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.29, "0.290 ms"), (0.2955, "0.296 ms"), (0.28449, "0.284 ms"), (1.005, "1.01 ms"), (12.345, "12.3 ms"),
     (0.9996, "1.00 ms"), (99.96, "100 ms"), (412.4, "412 ms"), (0.01234, "0.0123 ms"), (0, "0.00 ms"), (None, "–"),
     (1234.5, "1235 ms")],
)  # fmt: skip
def test_milliseconds_have_three_digits(value, said):
    assert plain(wording.milliseconds(value)) == said


@pytest.mark.parametrize(
    ("share", "places", "said"),
    [(0.981, 1, "98.1 %"), (0.9805, 1, "98.1 %"), (0.96949, 1, "96.9 %"), (1.0, 1, "100 %"), (0.9999, 1, "99.99 %"),
     (0.9968, 0, "99.7 %"), (1.003, 0, "100.3 %"), (0.0, 1, "0.0 %"), (0.0002, 1, "0.02 %"), (0.93, 0, "93 %")],
)  # fmt: skip
def test_a_share_never_rounds_onto_a_limit(share, places, said):
    assert plain(wording.percent(share, places)) == said


def test_other_figures():
    assert (
        wording.limit(0.31) == "0.31\u00a0ms"
        and wording.limit(10) == "10\u00a0ms"
        and wording.limit(400.0) == "400\u00a0ms"
    )
    assert wording.points(0.012) == "+1.2" and wording.points(-0.0031) == "−0.3" and wording.points(0.0) == "0.0"
    assert wording.points(-0.0004) == "0.0"
    assert [plain(wording.short_count(value)) for value in (831, 999, 999.6, 124_999, 999_600, 7_903_104, 3e9)] == [
        "831", "999", "1.00 k", "125 k", "1.00 M", "7.90 M", "3.00 G"
    ]  # fmt: skip
    assert (
        plain(wording.short_count(831, "MACs")) == "831 MACs"
        and plain(wording.short_count(8310, "MACs")) == "8.31 kMACs"
    )
    assert [plain(wording.seconds(value)) for value in (8.44, 59.96, 3599, 3600, 4320)] == [
        "8.4 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "1 h 12 min"
    ]  # fmt: skip
    assert wording.milliseconds_interval((0.28512, 0.29588), 0.2904) == "0.285–0.296"
    assert wording.moment("2026-11-22T10:00:00Z") == "22 November 2026, 10:00 UTC"
    assert wording.moment("yesterday") == "yesterday" and wording.moment(None) == ""
    assert plain(wording.excess(0.31245, 0.3124)) == "0.000050 ms (less than 0.1 %)"


def test_targets_in_words():
    key = {"engine": "openvino", "precision": "bf16", "cpu": "Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz"}
    assert wording.target_words({"key": key}) == "OpenVINO bf16 on this Intel Xeon Platinum 8488C"
    assert wording.target_words({"name": "onnxruntime-int8"}) == "ONNX Runtime int8"
    assert wording.target_words({"name": "pixel1"}) == "pixel1"
    assert wording.target_words({}) == "the target"


@pytest.mark.parametrize("value", [None, True, "1", math.nan, math.inf, -math.inf, 10**400, [1], {}])
def test_what_is_no_number_is_none(value):
    assert reading.number(value) is None


def test_reading_is_lenient_and_harmless():
    assert reading.pair([2, 1]) == (1.0, 2.0) and reading.pair([1, None]) is None and reading.pair("12") is None
    assert reading.clean({"a\x00": ["\x1b[1m", 5, None, ("\ud800",)]}) == {
        "a\ufffd": ["\ufffd[1m", 5, None, ["\ufffd"]]
    }
    assert len(reading.clean("x" * 10_000)) == reading.LONGEST_TEXT + 1
    assert reading.entries({"network": "no", "baselines": [1, {"role": "fixed"}]})[0].role == "fixed"


@given(st.floats(-1e15, 1e15), st.floats(0, 1e15))
def test_ticks_are_few_round_and_inside(low, width):
    low, high = svg.spread([low, low + width])
    assert low < high
    values = svg.ticks(low, high)
    assert 2 <= len(values) <= 12
    room = 1e-9 * max(abs(low), abs(high))
    assert all(low - room <= value <= high + room for value in values)
    assert values == sorted(values)


def test_ticks_by_hand():
    assert svg.tick_labels(svg.ticks(0.262, 0.317)) == ["0.27", "0.28", "0.29", "0.30", "0.31"]
    assert svg.tick_labels(svg.ticks(0, 1190)) == ["0", "200", "400", "600", "800", "1,000"]
    assert svg.tick_labels([-0.5, 0.0, 0.5]) == ["−0.5", "0.0", "0.5"]


def test_elements_escape_text_and_attributes():
    made = svg.tag("text", "<b>&", x=1.26, class_='a"><script>', text_anchor=None)
    assert made == '<text x="1.3" class="a&#34;&gt;&lt;script&gt;">&lt;b&gt;&amp;</text>'
    assert "<title>a\nb</title>" in svg.marker("diamond", 1, 2, 3, "k1", "a\nb")


def test_blocks_are_read_from_their_words():
    said = "MBConv 5x5, expansion 6, 24 channels, 14x14"
    block, odd, last = drawing.blocks_of({"blocks": [
        {"name": "stage1.block0", "text": said, "share": 0.25, "latency_ms": 0.1},
        {"name": "odd", "text": "Shuffle"}, {"name": "classifier", "text": "Linear, 10 classes"}, "no block",
    ]})  # fmt: skip
    assert (block.short, block.channels, block.map_size) == ("5×5 · e6 · 24", 24, "14×14")
    assert block.says == "MBConv 5×5, expansion 6, 24 channels, 14×14"
    assert (odd.short, odd.channels, odd.share) == ("Shuffle", None, None)
    assert (last.short, last.channels, last.map_size) == ("10 classes", None, "")
    assert drawing.network_drawing([]) is None


def test_a_wider_box_has_more_channels_and_a_stronger_colour_more_latency():
    rows = [{"name": f"b{width}", "text": f"Conv 3x3, {width} channels, 8x8", "share": share}
            for width, share in ((8, 0.1), (16, 0.3), (64, 0.6))]  # fmt: skip
    source = str(drawing.network_drawing(drawing.blocks_of({"blocks": rows})))
    widths = [float(part.split('"')[0]) for part in source.split(' width="')[1:]]
    assert len(widths) == 3 and widths == sorted(widths) and widths[0] < widths[2]
    assert [name for name in ("heat1", "heat3", "heat6") if f"box {name}" in source] == ["heat1", "heat3", "heat6"]


def test_gates_show_the_last_line_the_delivered_option_and_since_when_it_led():
    def line(step: int, first: float) -> dict:
        return {"stage": "search", "step": step, "gates": {"c": {"a": first, "b": 1 - first}}}

    lines = [line(0, 0.7), line(100, 0.4), line(200, 0.6), line(300, 0.91)]
    source = str(drawing.gate_strip(lines, {"c": "b"}))
    assert "c: a 91.0\u00a0%</title>" in source and "c: b 9.0\u00a0%, delivered</title>" in source
    assert source.count("cell delivered") == 1
    assert ">200</text>" in source and ">100</text>" not in source
    assert drawing.gate_strip([], {}) is None and drawing.gate_strip([{"gates": {"c": {"a": "?"}}}], {}) is None


def test_an_extreme_loss_does_not_press_the_others_flat():
    rows = [{"predicted_ms": 0.1 + index / 100, "loss": 0.2 + index / 1000, "source": "random"} for index in range(20)]
    rows.append({"predicted_ms": 0.2, "loss": 900.0, "source": "x"})
    chart = candidates_chart({"candidates": rows, "budget": {"latency_ms": 0.15}}, "")
    assert chart is not None and "1 with a loss above" in chart.note and ">800</text>" not in chart.drawing
    assert candidates_chart({"candidates": [{"predicted_ms": 0.1}]}, "") is None


def test_each_of_5000_trials_is_a_point_that_names_itself():
    rows = [
        {"architecture_id": f"{index:012x}", "predicted_ms": 0.1 + index % 71 / 100, "loss": 0.2 + index % 97 / 500}
        for index in range(5000)
    ]
    chart = candidates_chart({"candidates": rows}, "")
    assert chart is not None and "are drawn" not in chart.note
    named = re.findall(r"(?:<title>|aria-label=\")([0-9a-f]{12})", str(chart.drawing))
    assert len(named) == 5000 and len(set(named)) == 5000
    assert "point faintest" in chart.drawing


def test_layers_left_out_are_drawn_where_they_would_have_been():
    rows = [{"name": name, "text": "Conv 3x3, 8 channels, 8x8"} for name in ("stem", "a", "d", "head")]
    choices = {"a": "k3", "b": "zero", "c": "zero", "d": "k5", "e": "zero"}
    source = str(drawing.network_drawing(drawing.blocks_of({"blocks": rows}), choices))
    names = re.findall(r'<text x="0" [^>]+>(\w+)</text>', source)
    assert names == ["block", "stem", "a", "b", "c", "d", "e", "head"] and source.count("left out</text>") == 3


@given(st.lists(st.tuples(st.floats(60, 440), st.floats(40, 270)), min_size=1, max_size=12))
def test_labels_beside_marks_stay_inside(marks):
    area = svg.panel((0, 1), (0, 1))
    for x, y in svg.places_beside(marks, area):
        assert area.x.start - 40 < x < area.x.stop + 40 and area.y.stop - 40 < y < area.y.start + 40
    few = [(100.0, 100.0), (300.0, 200.0)]
    assert all(abs(x - px) > 8 or abs(y - 4 - py) > 8 for x, y in svg.places_beside(few, area) for px, py in few)


def test_stages_in_words():
    labels = {"fixed": "the best fixed network"}
    assert wording.stage_words("train/fixed/1", labels) == "training the best fixed network, round 2"
    assert wording.stage_words("measure/0", labels) == "measuring the files"
    assert wording.stage_words("choose/other/0", labels) == "choosing other"
    assert [wording.stage_words(stage, labels) for stage in ("search", "train", "")] == ["search", "train", ""]


def test_known_roles_look_the_same_everywhere():
    looks = [
        charts.look(role) for role in ("searched", "fixed", "random", "random-standalone", "random-uniform-supernet")
    ]
    assert len({look.shape for look in looks}) == 5 and len({look.class_ for look in looks}) == 5
    assert charts.look("unheard-of") in looks[3:]


def test_a_search_that_collapsed_says_so_and_what_to_do() -> None:
    warning = {"name": "latency-off", "step": 400, "figures": {}, "says": "It is <far> off.", "advice": "Try more."}
    result = {"warnings": [warning, {"says": 7}, "x", {}]}
    assert incidents(result, [])[0] == "It is <far> off. Try more."
    assert "It is &lt;far&gt; off. Try more." in render_report(result, [])
    assert len(incidents({"warnings": [warning] * 50}, [])) == 10


def test_doubts_about_latencies_are_said_once_with_the_networks_that_they_concern() -> None:
    heat = {"name": "throttled", "figures": {"change": 1.4}, "says": "It <slowed> down.", "advice": "Cool it."}
    uneven = {"name": "uneven", "figures": {"change": 1.2}, "says": "It was uneven.", "advice": "Again."}
    latency = {"median_ms": 1.0, "rounds": 60, "unstable": 2}
    result = {
        "network": {"label": "searched", "latency": {**latency, "doubts": [heat]}},
        "baselines": [{"label": "fixed", "latency": {**latency, "doubts": [heat, uneven, "x", {}]}}, {"latency": {}}],
    }
    assert incidents(result, []) == [
        "Latency of searched, fixed: It <slowed> down. Cool it.", "Latency of fixed: It was uneven. Again."
    ]  # fmt: skip
    page = render_report(result, [])
    assert "in doubt" in page and page.count("It &lt;slowed&gt; down.") == 2 and page.count("It was uneven.") == 1


def test_the_share_of_removed_layers_is_drawn_where_it_was_recorded() -> None:
    def lines(removed: float | None) -> list[dict[str, object]]:
        shares = {"entropy": 0.5, "latency": 1.0, "removed": removed}
        return [{"stage": "search", "step": 20 * n, "entropy": 1.0, "shares": shares} for n in range(1, 5)]

    heading = "Mean probability of leaving a layer out"
    assert heading in render_report({}, lines(0.25))
    assert heading not in render_report({}, lines(None))


def test_what_went_wrong_on_the_way_stands_at_the_head() -> None:
    result = {
        "data": {"skipped": 1200},
        "setbacks": [
            {"stage": "search", "step": 640, "loss": "nan", "back_to": 600},
            {"stage": "train/a/scratch", "step": 200, "loss": "weights", "back_to": 0},
        ],
        "failed_candidates": [{"architecture_id": "a", "source": "random", "reason": "the loss is <inf>"}],
    }
    assert incidents(result, ["metrics.jsonl, line 17 is damaged"]) == [
        "metrics.jsonl, line 17 is damaged",
        "1,200 of the images could not be read and were left out.",
        "search: the loss was nan at step 640; the training went back to step 600 and on with half the learning rate.",
        "train/a/scratch: a weight was not finite at step 200; the training went back to step 0 and on with half the "
        "learning rate.",
        "1 architecture could not be scored and was left out of every ranking; the last reason: the loss is <inf>.",
    ]
    page = render_report(result | {"repeat": {"canonical_sha256": "ab" * 32}, "command": "hwnas fit"}, [])
    assert "Worth knowing" in page and "&lt;inf&gt;" in page and "ab" * 32 in page
    assert len(incidents({}, ["x"] * 50)) == 11 and incidents({}, []) == []
    assert "Worth knowing" not in render_report({}, [])
