"""The HTML report: what it says, that it is inert and well formed, and that missing or hostile parts do no harm."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from example_run import make_result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_reader import read

from hwnas.report import course
from hwnas.report.html import render_report

SECTIONS = ("answer", "earned", "plots", "prediction", "gates", "network", "again")
HOSTILE = (
    "</style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><!-- {{7*7}} {% raw %} &lt; "
    "\x1b[31m\x00\u202e\ud800"
)


def test_every_section_is_there(result, metrics):
    page = read(render_report(result, metrics))
    assert set(SECTIONS) <= set(page.ids)
    roles = [attributes.get("role") for attributes in page.named("svg")]
    assert (roles.count("img"), roles.count("group")) == (7, 2)  # a group holds marks that the keyboard reaches
    assert [href["href"] for href in page.named("a")] == [f"#{anchor}" for anchor in SECTIONS[1:]]


def test_the_answer_in_words(result, metrics):
    words = read(render_report(result, metrics)).words
    assert (
        "A network with 98.1 % accuracy (97.3–98.8) on 1,000 test images runs in 0.290 ms (0.285–0.296) "
        "on ONNX Runtime f32 on this AMD EPYC, inside the budget of 0.312 ms (uses 93 % of it)."
    ) in words
    assert (
        "In accuracy it is more accurate than the best fixed network (+1.2 points, +0.2 to +2.2) and level with random "
        "search (+0.6 points, −0.3 to +1.5)."
    ) in words
    assert "Inside the budget" in words and "Over the budget" not in words
    assert "of 0.312 ms (40 % of the largest network’s 0.781 ms)" in words
    assert "7.90 MMACs, 151 kB of activations" in words


def test_a_budget_missed_says_by_how_much(result):
    result["network"]["latency"] |= {"median_ms": 0.3437, "interval_ms": [0.3401, 0.3475]}
    result["status"] = "over-budget"
    words = read(render_report(result, [])).words
    assert "runs in 0.344 ms (0.340–0.348)" in words
    assert "over the budget of 0.312 ms by 0.031 ms (10.0 %)." in words
    assert "✗ Over the budget" in words


def test_a_median_inside_with_its_interval_outside_is_no_success(result):
    result["network"]["latency"] |= {"median_ms": 0.3089, "interval_ms": [0.3036, 0.3144]}
    words = read(render_report(result, [])).words
    assert "too close to the budget of 0.312 ms to be called inside" in words
    assert "over it by 0.0020 ms (0.6 %)" in words and "✗ Over the budget" in words


def test_whether_the_search_earned_its_time(result, metrics):
    words = read(render_report(result, metrics)).words
    for row in result["comparison"]:
        assert row["verdict"] in words
    assert "+1.2 points (+0.2 to +2.2)" in words and "+0.6 points (−0.3 to +1.5)" in words
    for entry in [result["network"], *result["baselines"]]:
        assert entry["label"] in words
    assert "how much the result varies from seed to seed is unknown" in words
    assert "inherited 97.8 % scratch, 98.0 % inherited" in words.replace("inherited97", "inherited 97")


def test_every_candidate_names_its_architecture(result, metrics):
    source = render_report(result, metrics)
    for row in result["candidates"]:
        who, options = f"{row['source']} {row['architecture_id']}", " ".join(row["architecture"].values())
        pattern = f'(<title>{who}\n|aria-label="{who}; )[^<>]+{options}'
        assert re.search(pattern, source), row


def test_the_best_candidates_are_reached_with_the_keyboard_and_all_stand_in_a_table(result, metrics):
    result["candidates"] = [
        {"architecture_id": f"{index:012x}", "source": "random", "predicted_ms": ms, "loss": loss}
        for index, (ms, loss) in enumerate([(1.0, 2.0), (1.1, 2.5), (1.2, 1.5), (1.3, 1.6)])
    ]
    source = render_report(result, metrics)
    assert re.findall(r'tabindex="0" role="img" aria-label="random (0\w+);', source) == [f"{0:012x}", f"{2:012x}"]
    table = source[source.index("<summary>All 4 as a table, the lowest loss first") :]
    rows = re.findall(r'scope="row">(\w+)</th>', table[: table.index("</table>")])
    assert rows == [f"{index:012x}" for index in (2, 3, 0, 1)]


def test_words_that_show_on_focus_stand_above_every_mark(result, metrics):
    source = render_report(result, metrics)
    for name in ("accuracy", "candidates"):
        drawing = source[source.index(f'id="{name}-title"') :]
        drawing = drawing[: drawing.index("</svg>")]
        assert drawing.rindex('class="point') < drawing.index('class="spot"')
        assert drawing.count('tabindex="0"') == drawing.count('class="tip"') > 0


def test_every_curve_says_its_values_and_when_the_gates_begin_to_learn(result, metrics):
    for line in metrics[:30]:
        line["entropy"] = 1.7
    source = render_report(result, metrics)
    words = read(source).words
    assert source.count(">gates learn</text>") == 3 and "From step 290 on: gates learn." in words
    assert "step 5: 1.70" in words
    table = words[words.index("The curves as a table") :]
    assert "step Mean entropy of the gates, nats Expected latency, ms" in table and "1,190" in table
    flat = [line | {"entropy": 1.7} for line in metrics]
    assert "gates learn" not in render_report(result, flat)


def test_headings_are_in_order_and_every_region_has_a_name(result, metrics):
    page = read(render_report(result, metrics))
    levels = [int(name[1]) for name, _ in page.tags if name in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert page.named("html") == [{"lang": "en"}]
    assert all(attributes.get("aria-label") for _, attributes in page.tags if attributes.get("role") == "region")


def test_a_network_that_was_only_trained_stands_alone(result):
    kept = {key: result[key] for key in ("data", "network", "blocks", "compute", "command")}
    del kept["network"]["latency"]
    for block in kept["blocks"]:
        del block["latency_ms"], block["share"]
    page = read(render_report(kept, []))
    assert "Did the search earn its time?" not in page.words and "less latency" not in page.words
    assert "latency, ms" not in page.words and "network" in page.ids


def test_prediction_beside_measurement(result, metrics):
    words = read(render_report(result, metrics)).words
    assert (
        "On 20 networks that it never saw, the latency model was off by 3.9 % on average, against the 5.3 % of" in words
    )
    assert "latency model 3.9 % 0.93 +0.4 % 0.97" in words
    assert "searched 77aa01c9b2d4 0.302 ms 0.312 ms 0.317 ms ✗ no" in words
    assert "uses only" not in words


def test_the_kind_of_model_is_named_with_the_errors_of_all(result):
    words = read(render_report(result, [])).words
    assert (
        "It is of kind layers, a price for every layer (error on calibration networks that were left out: layers 3.2 "
        "%, features 4.4 %, macs 6.1 %)." in words
    )
    del result["latency_model"]["errors_percent"]
    assert "It is of kind layers, a price for every layer." in read(render_report(result, [])).words
    del result["latency_model"]["kind"]  # as results of earlier versions
    assert "It is of kind" not in read(render_report(result, [])).words


def test_a_model_worse_than_macs_is_called_so(result):
    result["latency_model"]["mape_percent"] = 6.1
    assert "off by 6.1 % on average, worse than the 5.3 % of counting MACs" in read(render_report(result, [])).words


def test_little_use_of_the_budget_is_explained(result):
    result["network"]["latency"] |= {"median_ms": 0.2004, "interval_ms": [0.195, 0.206]}
    words = read(render_report(result, [])).words
    assert f"The delivered network uses only 64 % of the budget. Why this one: {result['search']['reason']}" in words


def test_the_run_can_be_repeated_from_the_page(result, metrics):
    words = read(render_report(result, metrics)).words
    for said in (
        result["command"],
        "The seed was 0",
        "4f0c2be97a11d3c8",
        "1.31.1",
        "2.13.0+cpu",
        "sha256:5e1b9c0f44aa71d2",
    ):
        assert said in words
    assert "together 21 min 07 s 22 min 22 s" in words


def test_settings_and_the_replay_are_told(result):
    result["command"] = "hwnas fit --out 'runs/my digits' --budget 40%"
    result["repeat"] = {"canonical_sha256": "ab" * 32}
    words = read(render_report(result, [], settings={"batch_size": 64, "skip_bad": False, "<b>": "<i>"})).words
    assert "batch size 64" in words and "skip bad no" in words and "<b> <i>" in words
    assert "hwnas fit --out 'runs/my digits-again' --budget 40% --measurements 'runs/my digits'" in words
    assert course.again("hwnas fit --out 'unclosed") == "" and course.again("hwnas.fit(out='a')") == ""


@pytest.mark.parametrize("key", sorted(make_result()))
@pytest.mark.parametrize("absent", [True, False])
def test_a_missing_part_is_left_out(key, absent, result, metrics):
    if absent:
        del result[key]
    else:
        result[key] = None
    page = read(render_report(result, metrics))
    assert "None" not in page.words and "nan" not in page.words.lower().split()


@pytest.mark.parametrize("path", ["latency", "accuracy", "architecture", "predicted_ms", "params", "macs", "weights"])
def test_an_entry_may_lack_anything(path, result, metrics):
    del result["network"][path]
    del result["baselines"][0][path]
    assert "None" not in read(render_report(result, metrics)).words


def test_nothing_at_all_is_still_a_page():
    page = read(render_report({}, []))
    assert "No network was delivered." in page.words
    assert set(SECTIONS[1:]).isdisjoint(page.ids)


def test_metrics_without_gates_leave_the_strip_out(result, metrics):
    lines = [{key: value for key, value in line.items() if key != "gates"} for line in metrics]
    page = read(render_report(result, lines))
    assert "gates-title" not in page.ids and "entropy-title" in page.ids


def poisoned(value: Any, path: tuple[str, ...] = ()) -> Any:
    """The same data with every text replaced by a hostile one, and hostile names where names are free."""
    free = ("choices", "gates", "environment", "key")
    if isinstance(value, dict):
        hostile_names = bool(path) and (path[-1] in free or "gates" in path)
        return {
            (f"{HOSTILE}{key}" if hostile_names else key): poisoned(item, (*path, key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [poisoned(item, path) for item in value]
    return HOSTILE if isinstance(value, str) and (not path or path[-1] != "stage") else value


def test_hostile_text_stays_text(result, metrics):
    source = render_report(poisoned(result), poisoned(metrics), title=HOSTILE)
    page = read(source)
    assert "<script" not in source and "<img" not in source and "<!--" not in source
    assert "alert(1)" in page.words and "{{7*7}}" in page.words
    assert not {"\x1b", "\x00", "\u202e", "\ud800"} & set(source)
    source.encode()
    assert set(SECTIONS) <= set(page.ids)


def test_the_style_is_the_only_one_that_the_policy_admits(result, metrics):
    page = read(render_report(result, metrics))
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    policies = [meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere_does_no_harm(data, result, metrics):
    broken = copy.deepcopy(result)
    for _ in range(3):
        node: Any = broken
        while isinstance(node, dict | list) and node:
            keys = sorted(node) if isinstance(node, dict) else list(range(min(len(node), 4)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.integers(0, 3)) == 0:
                node[key] = data.draw(json_values)
                break
            node = node[key]
    read(render_report(broken, metrics[:40] + [{"stage": "search", "step": 5, "gates": data.draw(json_values)}]))


def test_equal_input_gives_equal_bytes_in_every_process(result, metrics):
    before = copy.deepcopy((result, metrics))
    source = render_report(result, metrics)
    assert (result, metrics) == before
    program = (
        "import hashlib, json, sys\nfrom hwnas.report.html import render_report\n"
        "page = render_report(*json.load(sys.stdin))\nloaded = {'torch', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "print(hashlib.sha256(page.encode()).hexdigest(), sorted(loaded))"
    )
    source_root = Path(sys.modules["hwnas"].__path__[0]).parent
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps([result, metrics]),
            capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(source_root)},
        )  # fmt: skip
        assert done.stdout.split() == [hashlib.sha256(source.encode()).hexdigest(), "[]"]


def test_a_report_stays_small(result, metrics):
    assert len(render_report(result, metrics).encode()) < 200_000
    result["candidates"] = [
        row | {"architecture_id": f"{index:012x}"} for index, row in enumerate(result["candidates"] * 80)
    ]
    result["latency_model"]["points"] = result["latency_model"]["points"] * 100
    result["blocks"] = result["blocks"] * 12
    result["data"]["class_names"] = [f"class {index}" for index in range(1000)]
    many = [line | {"step": index} for index, line in enumerate(metrics * 60)]
    source = render_report(result, many)
    assert len(source.encode()) < 2_000_000
    words = read(source).words
    assert (
        "5,000 of 11,200 are drawn, evenly taken by rising loss" in words
        and "The best 300 of 11,200 as a table" in words
    )
    assert "1000 classes" in words and "and 960 more" in words


def test_templates_travel_with_the_package():
    names = {item.name for item in resources.files("hwnas.report").joinpath("templates").iterdir()}
    assert {"page.html.j2", "parts.html.j2", "report.html.j2", "summary.html.j2", "style.css", "palette.css"} <= names
