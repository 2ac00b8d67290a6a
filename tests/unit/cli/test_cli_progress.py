"""What a job looks like while it runs: a panel of any width, plain lines elsewhere, unbroken by any name."""

from __future__ import annotations

import io
from threading import RLock

import pytest
from rich.console import Console

from hwnas.cli.course import Course
from hwnas.cli.live import View
from hwnas.cli.progress import TerminalProgress
from hwnas.core.protocols import PlannedPart, Work

ROLES = ("searched", "fixed", "random")
PLAN = (
    PlannedPart("latency model", "latency model", (Work("measure", ((5, 3.0),)),)),
    PlannedPart("search", "search", (Work("search", ((400, 1.0),)),)),
    *(PlannedPart(f"train/{role}/0", f"train {role}", (Work("train", ((60, 1.0),), "search"),)) for role in ROLES),
    PlannedPart("report", "report"),
)
HOSTILE = "[red]\x1b[2J\x1b]8;;evil\x07\nname\u202e"


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def searching(clock: Clock) -> Course:
    """A job in the middle of its search."""
    course = Course(clock)
    course.begin("runs/mine: 40% on onnxruntime-f32", PLAN)
    course.enter("latency model")
    course.begin_stage("measure", 5, 0)
    clock.now += 10.0
    course.advance(5, {"files": 2})
    course.learn("budget", {"limit_ms": 0.3, "fastest_ms": 0.1})
    course.enter("search")
    course.begin_stage("search", 400, 0)
    clock.now += 20.0
    course.advance(100, {"loss": 1.234, "expected_ms": 0.27, "entropy": 0.5})
    return course


def drawn(course: Course, width: int, height: int = 30, file: io.StringIO | None = None) -> list[str]:
    console = Console(width=width, height=height, file=file or io.StringIO())
    console.print(View(course, RLock()))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_the_panel_has_everything_at_every_width(width: int) -> None:
    course = searching(Clock())
    course.learn("Proxyless-G", {"loss": 0.43, "predicted_ms": 0.29, "measured_ms": 0.284, "accuracy": 0.981})
    lines = drawn(course, width)
    assert {len(line) for line in lines} == {width}
    said = " ".join(" ".join(line.strip("│╭╮╰╯─ ") for line in lines).split())
    for part in (
        "runs/mine: 40% on", "✓ latency model 10 s", "▸ search", "· train searched", "· report",
        "search 100/400 5.00/s", "about 1 min left", "loss 1.23", "expected 0.270 ms (90 % of the budget)",
        "gate entropy 0.500",
    ):  # fmt: skip
        assert part in said
    if width >= 60:  # so that no cell is broken
        assert "at most 0.300 ms fastest possible 0.100 ms" in said and "search accuracy 98.1 %" in said
        assert "30 s so far, roughly 1 min 40 s left" in said


def test_a_low_terminal_shows_what_is_under_way() -> None:
    lines = drawn(searching(Clock()), 80, height=12)
    assert len(lines) <= 6 and "search" in lines[1] and "100/400" in lines[2] and "left" in lines[-1]


def test_a_small_job_without_a_plan_is_its_stage_alone() -> None:
    course = Course(Clock())
    assert drawn(course, 60) == ["starting"]
    course.begin_stage("measure", 5, 0)
    assert "measure  0/5  time left not known yet" in drawn(course, 60)[0]


def test_a_terminal_without_these_signs_gets_plain_ones() -> None:
    file = io.TextIOWrapper(io.BytesIO(), "ascii")
    console = Console(width=80, height=30, file=file)
    console.print(View(searching(Clock()), RLock()))
    file.flush()
    said = file.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "x latency model" in said and "> search" in said


def test_names_cannot_break_the_panel() -> None:
    course = Course(Clock())
    course.begin(HOSTILE, [PlannedPart(HOSTILE, HOSTILE)])
    course.enter(HOSTILE)
    course.begin_stage(HOSTILE, 3, 0)
    course.advance(1, {HOSTILE: HOSTILE})
    course.learn(HOSTILE, {HOSTILE: 1.0})
    lines = drawn(course, 120)
    assert {len(line) for line in lines} == {120}
    assert not any("\x1b" in line or "\x07" in line or "\u202e" in line for line in lines)
    assert "[red]\\x1b[2J" in lines[0]


def test_without_a_terminal_there_are_lines() -> None:
    clock, file = Clock(), io.StringIO()
    console = Console(file=file, width=60)
    with TerminalProgress(console=console, clock=clock) as progress:
        progress.plan("runs/mine: 40% on onnxruntime-f32", PLAN[1:])
        progress.enter("search")
        progress.stage("search", 400, 100)
        for done in range(120, 401, 20):
            clock.now += 4.0
            progress.advance(done, {"loss": 1.5})
        progress.found("Proxyless-G", {"loss": 0.4, "measured_ms": 0.25})
        progress.enter("train/searched/0")
        progress.say("a sentence with " + HOSTILE)
    assert file.getvalue().splitlines() == [
        "runs/mine: 40% on onnxruntime-f32. In order: search, train searched, train fixed, train random, report",
        "[1/5] search",
        "search: 400 steps, 100 of them done before",
        "search: 180/400, stage about 45 s left, job roughly 1 min 20 s left: loss 1.50",
        "search: 260/400, stage about 30 s left, job roughly 1 min left: loss 1.50",
        "search: 340/400, stage about 10 s left, job roughly 50 s left: loss 1.50",
        "search: done in 1 min: loss 1.50",
        "Proxyless-G: loss 0.400, measured 0.250 ms",
        "[2/5] train searched",
        "a sentence with [red]\\x1b[2J\\x1b]8;;evil\\x07\\nname\\u202e",
        "runs/mine: 40% on onnxruntime-f32: 1 min (search 1 min)",
    ]


def test_on_a_terminal_sentences_stay_and_the_panel_goes() -> None:
    file = Terminal()
    console = Console(file=file, width=80, height=30, force_terminal=True, _environ={})
    with TerminalProgress(console=console) as progress:
        progress.plan("runs/mine", PLAN)
        progress.enter("latency model")
        progress.stage("measure", 5)
        progress.say("a sentence")
        progress.advance(5, {})
    said = file.getvalue()
    assert "a sentence" in said and "latency model" in said and "[1/6]" not in said
    assert said.rstrip().endswith("runs/mine: 1 s") and said.rfind("\x1b[?25h") > said.rfind("\x1b[?25l")


def test_a_dumb_terminal_is_none() -> None:
    file = Terminal()
    with TerminalProgress(console=Console(file=file, width=80, _environ={"TERM": "dumb"})) as progress:
        progress.stage("measure", 5)
    assert file.getvalue() == "measure: 5 steps\n"


def test_quiet_says_nothing_and_stdout_belongs_to_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with TerminalProgress(quiet) as progress:
            progress.plan("runs/mine", PLAN)
            progress.enter("search")
            progress.stage("search", 10)
            progress.advance(10, {"loss": 1.0})
            progress.found("x", {})
            progress.say("a sentence")
        out, err = capsys.readouterr()
        assert out == "" and (err == "") is quiet
