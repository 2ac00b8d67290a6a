"""How far a job is and how long it will still take, by a clock that the test turns."""

from __future__ import annotations

import pytest

from hwnas.cli.course import Course, Left, cost_of, rough
from hwnas.core.protocols import PlannedPart, Work

PLAN = (
    PlannedPart("search", "search", (Work("search", ((100, 1.0), (100, 2.0))),)),
    PlannedPart("train/searched/0", "train searched", 2 * (Work("train", ((60, 1.0),), "search"),)),
    PlannedPart("measure/0", "measure", (Work("measure", ((5, 3.0),)),)),
    PlannedPart("report", "report"),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def course(clock: Clock) -> Course:
    started = Course(clock)
    started.begin("run", PLAN)
    return started


def go(course: Course, clock: Clock, done: int, seconds: float) -> None:
    """Steps up to `done`, `seconds` after the event before."""
    clock.now += seconds
    course.advance(done, {})


def test_the_cost_of_steps_in_order() -> None:
    runs = ((100, 1.0), (100, 2.0))
    assert [cost_of(runs, steps) for steps in (0, 40, 100, 150, 200, 999)] == [0, 40, 100, 200, 300, 300]
    assert cost_of(runs) == 300 and cost_of(()) == 0


def test_dearer_steps_ahead_are_counted_as_dearer(course: Course, clock: Clock) -> None:
    course.enter("search")
    course.begin_stage("search", 200, 0)
    go(course, clock, 100, 10.0)
    assert course.stage_left() == Left(20.0)
    go(course, clock, 150, 10.0)
    assert course.stage_left() == Left(10.0)


def test_a_step_under_way_is_waited_for_and_never_makes_less_than_nothing(course: Course, clock: Clock) -> None:
    course.enter("search")
    course.begin_stage("search", 200, 0)
    go(course, clock, 100, 10.0)
    clock.now += 4.0
    assert course.stage_left() == Left(16.0)
    clock.now += 100.0
    assert course.stage_left() == Left(0.0)


def test_what_is_not_known_is_said(course: Course, clock: Clock) -> None:
    assert str(course.left()) == "time left not known yet"
    course.enter("search")
    course.begin_stage("search", 200, 0)
    go(course, clock, 100, 10.0)
    # 20 s of search; trainings whose steps are only like those of the search, and sessions that nobody knows.
    assert course.left() == Left(20.0, partial=True)
    assert str(course.left()) == "at least 20 s left"
    go(course, clock, 200, 20.0)
    course.enter("train/searched/0")
    course.begin_stage("train/1a/scratch", 60, 0)
    go(course, clock, 30, 9.0)
    assert course.left() == Left(27.0, partial=True)  # by its own speed, and that of its kind for the second


def test_speeds_of_a_kind_serve_later_parts(clock: Clock) -> None:
    course = Course(clock)
    course.begin("run", (*PLAN[1:3], PlannedPart("train/fixed/0", "train fixed", PLAN[1].work[:1])))
    course.enter("train/searched/0")
    for way, seconds in (("scratch", 6.0), ("inherited", 18.0)):
        course.begin_stage(f"train/1a/{way}", 60, 0)
        go(course, clock, 60, seconds)
    course.enter("measure/0")
    course.begin_stage("measure", 5, 0)
    go(course, clock, 1, 2.0)
    assert course.stage_left() == Left(8.0)
    assert course.left() == Left(8.0 + 12.0)
    assert str(course.left()) == "about 20 s left"


def test_a_kind_that_is_like_another_goes_by_its_speed_until_it_has_one(clock: Clock) -> None:
    course = Course(clock)
    course.begin("run", PLAN[:2])
    course.enter("search")
    course.begin_stage("search", 200, 0)
    go(course, clock, 200, 30.0)
    assert course.left() == Left(12.0, likened=True)
    assert str(course.left()) == "roughly 10 s left"


def test_steps_of_an_earlier_process_give_no_speed(course: Course, clock: Clock) -> None:
    course.enter("search")
    course.begin_stage("search", 200, 150)
    assert course.stage_left() == Left(0.0, partial=True)
    go(course, clock, 160, 5.0)
    assert course.stage_left() == Left(20.0)
    course.begin_stage("train/1a/scratch", 60, 60)
    assert course.stage is not None and course.stage.done == 60


def test_a_setback_is_no_progress(course: Course, clock: Clock) -> None:
    course.enter("search")
    course.begin_stage("search", 200, 0)
    go(course, clock, 50, 5.0)
    go(course, clock, 20, 5.0)
    go(course, clock, 40, 2.0)
    assert course.stage is not None and (course.stage.steps, course.stage.seconds) == (70, 7.0)


def test_a_stage_inside_another_takes_its_own_time(clock: Clock) -> None:
    course = Course(clock)
    course.begin_stage("score/alone", 2, 0)
    clock.now += 1.0
    course.begin_stage("alone/1a", 10, 0)
    go(course, clock, 10, 20.0)
    go(course, clock, 1, 1.0)
    assert course.stage is not None and course.stage.name == "score/alone"
    assert course.stage_left() == Left(2.0)


def test_parts_have_their_times_and_one_that_was_not_planned_comes_next(course: Course, clock: Clock) -> None:
    course.enter("search")
    clock.now += 7.0
    course.enter("train/searched/0")
    clock.now += 3.0
    course.enter("train/searched/1")
    clock.now += 2.0
    course.enter("something/else")
    clock.now += 1.0
    course.close()
    assert [(part.label, part.seconds) for part in course.parts] == [
        ("search", 7.0), ("train searched", 3.0), ("train searched again", 2.0), ("something else", 1.0),
        ("measure", None), ("report", None),
    ]  # fmt: skip
    assert course.elapsed == 13.0


def test_work_that_was_left_out_is_not_waited_for(clock: Clock) -> None:
    course = Course(clock)
    course.begin("run", (PlannedPart("p", "p", (Work("layers", ((2, 1.0),)), Work("networks", ((3, 1.0),)))),))
    course.enter("p")
    course.begin_stage("networks", 6, 0)  # in two groups
    go(course, clock, 3, 3.0)
    assert course.left() == Left(3.0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "1 s"), (8.4, "8 s"), (12.4, "10 s"), (57, "55 s"), (58, "1 min"), (123, "2 min"), (199, "3 min 20 s"),
     (594, "9 min 50 s"), (596, "10 min"), (2500, "42 min"), (3569, "59 min"), (3600, "1 h"), (11_390, "3 h 10 min")],
)  # fmt: skip
def test_times_are_said_as_well_as_they_are_known(seconds: float, said: str) -> None:
    assert rough(seconds) == said
