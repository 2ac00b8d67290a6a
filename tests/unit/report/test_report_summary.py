"""Several runs side by side."""

from __future__ import annotations

from example_run import make_result
from page_reader import read

from hwnas.report.html import render_summary


def test_seeds_are_summed_up_and_every_run_has_a_row():
    runs = [make_result(0, 0.981), make_result(1, 0.984, 0.3001), make_result(2, 0.976, 0.279)]
    page = read(render_summary(runs))
    assert "3 of 3 delivered a network inside the budget." in page.words
    assert "3 seeds: mean accuracy 98.0 %, standard deviation from run to run 0.40 points." in page.words
    assert "Against the best fixed network: +1.1 points on average (+0.7 to +1.5)." in page.words
    for seed in range(3):
        assert f"mnist-5k, seed {seed}" in page.words
    assert "runs1-title" in page.ids and "different targets" not in page.words
    assert sum(attributes.get("class") == "number" for attributes in page.named("text")) == 3


def test_one_seed_and_unlike_runs_are_called_so():
    other = make_result(0)
    other["target"] = {"name": "openvino-f32"}
    other["data"] = {"name": "another", "fingerprint": "else"}
    words = read(render_summary([make_result(0), other])).words
    assert "different targets" in words and "different data" in words and "same seed" in words


def test_only_runs_with_the_same_data_and_target_share_a_chart_and_each_has_its_budget():
    other = make_result(1)
    other["data"] = {"name": "another", "fingerprint": "else"}
    runs = [make_result(0), make_result(1, 0.984, 0.3001), other]
    source = render_summary(runs, names=["one", "two", "three"])
    page = read(source)
    assert {"runs1-title", "runs2-title"} <= set(page.ids) and "runs3-title" not in page.ids
    assert source.count('class="limit whole"') == 3
    assert "1 one: 98.1 % in 0.290 ms, budget 0.312 ms; 2 two: 98.4 % in 0.300 ms, budget 0.312 ms." in page.words
    assert "another on onnxruntime-f32: accuracy against latency" in page.words


def test_runs_without_parts_and_hostile_names():
    hostile = make_result(1)
    hostile["data"]["name"] = "<script>alert(1)</script>"
    hostile["target"]["name"] = "'><img src=x onerror=alert(1)>"
    source = render_summary([{}, {"status": "over-budget", "network": None}, hostile], title="<script>x</script>")
    page = read(source)
    assert "<script" not in source and "<img" not in source
    assert "1 of 3 delivered" in page.words
    read(render_summary([]))


def test_equal_input_gives_equal_text():
    runs = [make_result(seed) for seed in range(2)]
    assert render_summary(runs) == render_summary(runs)


def test_settings_that_differ_are_listed_and_others_are_not():
    other = make_result(1)
    other["budget"] = other["budget"] | {"text": "33%"}
    words = read(render_summary([make_result(0), other])).words
    table = words[words.index("What was asked for, where it differs") :]
    assert "33%" in table and "seed" in table and "strategy" not in table
    assert words.index("The commands") < words.rindex(make_result(0)["command"])
    by_settings = read(
        render_summary(
            [make_result(0)] * 2, names=["a", "b"], settings=[{"lr": 0.1, "width": 1.0}, {"lr": 0.2, "width": 1.0}]
        )
    ).words
    table = by_settings[by_settings.index("What was asked for, where it differs") :]
    assert "run lr 1 a 0.1 2 b 0.2" in table
    alike = read(render_summary([make_result(0), make_result(0)])).words
    assert "What was asked for" not in alike
