"""The page of a comparison."""

from __future__ import annotations

from typing import Any

from page_reader import read

from hwnas.report.html import render_comparison

HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(1)>"


def spread(mean: float) -> dict[str, Any]:
    return {"mean": mean, "interval": [mean - 0.01, mean + 0.01], "median": mean, "quartiles": [mean, mean]}


def made(*names: str) -> dict[str, Any]:
    """A comparison.json."""
    return {
        "format": "hwnas-comparison@2", "command": "hwnas compare --out runs/c", "space": "macro@1", "networks": 3969,
        "evaluations": 20, "figure": "accuracy", "reward": "hard-limit", "limits": {"macs": 40_500_000},
        "seeds": list(range(20)), "optimum": {"accuracy": 0.9175, "score": 0.9175, "architecture_id": "abc"},
        "moments": [10, 20],
        "strategies": [
            {
                "name": name, "course": [spread(0.90), spread(0.91 - index / 1000)],
                "final": {
                    **spread(0.91 - index / 1000), "deviation": 0.00345, "regret": spread(0.005),
                    "found_the_best": 0.35, "found_nothing": index, "evaluations": 20, "proposals": 1445.95,
                },
            }
            for index, name in enumerate(names)
        ],
        "differences": [
            {"a": names[0], "b": names[-1], "mean": 0.002, "interval": [0.001, 0.003], "p": 0.01, "p_holm": 0.02,
             "verdict": f"{names[0]} is better than {names[-1]} by 0.20 points."}
        ],
        "verdicts": [f"{names[0]} is better than {names[-1]} by 0.20 points."],
        "compute": {name: {"cpu_seconds": 0.159, "wall_seconds": 0.2, "controller_cpu_seconds": 0.1} for name in names},
        "environment": {"hwnas": "0.1", "python": "3.13", "cpu": "a processor"},
    }  # fmt: skip


def test_the_page_says_what_was_found() -> None:
    page = read(render_comparison(made("evolution", "random"), title="mine"))
    assert "evolution found the best: accuracy 91.00 % on average over 20 seeds, after 20 evaluations" in page.words
    assert "evolution is better than random by 0.20 points." in page.words
    assert "91.000 ± 0.345" in page.words and "90.000 to 92.000" in page.words
    assert "1 of its searches found nothing" in page.words
    assert "35 %" in page.words and "1,446" in page.words and "controller 0.100 s" in page.words
    assert "macs at most 40.5 M" in page.words and "hwnas compare --out runs/c" in page.words
    assert "p = 0.010 by itself" in page.words
    assert "course-title" in page.ids and "the best there is, 91.75" in page.words
    assert "evaluations evolution random 10 90.000 (89.000 to 91.000) 90.000 (89.000 to 91.000)" in page.words


def test_what_was_trained_and_timed_is_told_as_that() -> None:
    data = made("evolution", "random") | {
        "evaluator": "trained-alone", "optimum": None, "limits": {"latency": 0.1164, "params": 1_000_000},
        "task": {"target": "onnxruntime-f32", "budget": "0.12ms", "training": HOSTILE},
        "compute": {name: {"cpu_seconds": 159.0, "wall_seconds": 200.0} for name in ("evolution", "random")},
    }  # fmt: skip
    source = render_comparison(data)
    words = read(source).words
    assert "latency at most 0.116 ms" in words and "params at most 1.00 M" in words
    assert "costs a measurement" in words and "measures anew" in words and "to the last digit" not in words
    assert "onnxruntime-f32" in words and HOSTILE not in source and "controller’s time" not in words
    table = read(render_comparison(made("evolution", "random"))).words
    assert "to the last digit" in table and "controller’s time" in table and "measurement" not in table


def test_lines_that_share_a_colour_are_told_apart_by_dashes() -> None:
    source = render_comparison(made(*"abcdefg"))
    read(source)
    assert source.count('class="curve k1"') == 3 and source.count('class="curve k1 dashed"') == 3
    assert 'class="curve k3 dashed"' not in source


def test_one_seed_and_a_score_without_a_best() -> None:
    one = made("random")
    one |= {"seeds": [3], "optimum": None, "figure": "score", "differences": [], "verdicts": ["Nothing can be said."]}
    one["strategies"][0]["course"] = [{"mean": -0.1, "interval": None}, {"mean": 0.2, "interval": None}]
    one["strategies"][0]["final"] = {"mean": 0.2, "median": 0.2}
    page = read(render_comparison(one))
    assert "score 0.200 with one seed" in page.words and "found the best: score" in page.words
    assert "regret" not in page.words and "Better, or lucky" not in page.words


def test_hostile_names_are_text() -> None:
    data = made(HOSTILE, "random")
    data |= {"command": HOSTILE, "space": HOSTILE, "reward": HOSTILE, "limits": {HOSTILE: 1}}
    data["environment"] = {"hwnas": HOSTILE, "cpu": HOSTILE}
    source = render_comparison(data, title=HOSTILE)
    page = read(source)
    assert "<script" not in source and "<img" not in source and "<script>alert(1)" in page.words


def test_what_is_no_comparison_is_an_empty_page() -> None:
    for data in ({}, {"strategies": 5, "verdicts": 7, "moments": "x", "differences": [1], "seeds": {}}):
        assert "Nothing was compared." in read(render_comparison(data)).words
    odd = made("a", "b")
    odd |= {"moments": [0, -5], "compute": [], "optimum": 3, "verdicts": [1, {}], "limits": [1]}
    odd["strategies"][0]["course"] = [{"mean": 1e15, "interval": [1, "x"]}, 4]
    odd["strategies"][1]["final"] = {"mean": "x", "interval": [1], "evaluations": True}
    read(render_comparison(odd))


def test_equal_input_gives_equal_text() -> None:
    assert render_comparison(made("a", "b")) == render_comparison(made("a", "b"))
