"""What `hwnas measure` says where its figures cannot be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import run
from hwnas.hardware import memory, timing
from hwnas.hardware.traces import TraceTimer
from hwnas.workflows import measure_model
from known_latencies import KnownScale

ASK = ["measure", "mobilenet-v2", "--resolution", "32", "--quiet"]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Measures a made-up machine of some kind instead of this one."""
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path))

    def use(kind: str) -> None:
        def measure(*arguments: Any, **named: Any) -> dict[str, timing.Measurement]:
            return timing.measure(*arguments, **named, timer=TraceTimer(kind, 0))

        monkeypatch.setattr(measure_model, "measure", measure)
        monkeypatch.setattr(measure_model, "weigh", partial(memory.weigh, scale=KnownScale()))

    return use


def test_what_was_seen_and_what_to_do_stand_below_the_figures(
    made_up: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    made_up("steady")
    assert run([*ASK, "--budget", "2ms"]) == 0
    shown = capsys.readouterr().out.replace("\u00a0", " ")
    assert "!" not in shown and "file 14.0 MB; memory at its peak" in shown and "41.9 MB to 41.9 MB in 3 " in shown
    made_up("step")
    assert run(ASK) == 0
    lines = " ".join(capsys.readouterr().out.split())
    assert "! The machine did not keep its speed" in lines and "measure again" in lines


def test_a_doubt_changes_no_verdict_and_no_exit_code(
    made_up: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    made_up("step")
    for budget, code in (("2ms", 0), ("0.1ms", 3)):
        assert run([*ASK, "--budget", budget, "--json"]) == code
        found = json.loads(capsys.readouterr().out)
        assert found["inside_budget"] is (code == 0) and found["latency"]["doubts"][0]["name"] == "throttled"
