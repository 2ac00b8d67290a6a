"""How far a job is and how long it will still take: arithmetic on what its Progress is told, and nothing of looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from hwnas.core.protocols import PlannedPart, Work

Runs = tuple[tuple[int, float], ...]  # (steps, cost of each), as in a Work
Facts = Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Left:
    """A time that is left, as far as it is known.

    Args:
        seconds: of everything, or where that is not known, of what is.
        likened: some of it goes by the speed of similar steps.
        partial: there is more, of which no speed is known yet.
    """

    seconds: float
    likened: bool = False
    partial: bool = False

    def __str__(self) -> str:
        if self.partial and self.seconds < 1:
            return "time left not known yet"
        known = "at least" if self.partial else "roughly" if self.likened else "about"
        return f"{known} {rough(self.seconds)} left"


@dataclass(slots=True)
class Part:
    """A part of the job: planned, under way (`entered`) or over (`seconds`)."""

    name: str
    label: str
    work: list[Work]
    entered: float | None = None
    seconds: float | None = None


@dataclass(slots=True)
class Stage:
    """A stage: what it is called, how far it is, and what its steps have cost in this process."""

    name: str
    total: int
    done: int
    runs: Runs
    like: str | None
    started: float
    facts: Facts = field(default_factory=dict)
    steps: int = 0  # done in this process
    seconds: float = 0.0  # spent on them, stages inside it not counted
    cost: float = 0.0  # of these steps
    pending: float = 0.0  # seconds since its last step

    @property
    def kind(self) -> str:
        """What tells stages of one speed from others."""
        return self.name.partition("/")[0]

    @property
    def cost_left(self) -> float:
        """Of the steps that are still to be done."""
        return cost_of(self.runs) - cost_of(self.runs, self.done)


@final
class Course:
    """Follows a job.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._last = clock()
        self._stack: list[Stage] = []
        self._spent: dict[str, tuple[float, float]] = {}  # kind: (seconds, cost)
        self._each: dict[str, float] = {}  # kind: cost of a step, for stages that were not planned
        self.title = ""
        self.parts: list[Part] = []
        self.part: Part | None = None
        self.stage: Stage | None = None  # the present one, or the last if none is under way
        self.found: dict[str, dict[str, float | str]] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the job began, in this process."""
        return self._clock() - self._began

    @property
    def under_way(self) -> bool:
        """Whether a stage has steps left."""
        return bool(self._stack)

    def begin(self, title: str, parts: Sequence[PlannedPart]) -> None:
        """A job begins."""
        self._began = self._clock()
        self.title, self.part, self.stage = title, None, None
        self.parts = [Part(part.name, part.label, list(part.work)) for part in parts]
        self._stack.clear()
        self.found = {}

    def enter(self, name: str) -> None:
        """A part begins; one that was not planned comes after the present one."""
        now = self._tick()
        self._stack.clear()
        if self.part and self.part.entered is not None:
            self.part.seconds = now - self.part.entered
        known = next((part for part in self.parts if part.name == name), None)
        if known is None:
            stem = name.rpartition("/")[0]
            before = next((part for part in self.parts if stem and part.name.rpartition("/")[0] == stem), None)
            known = Part(name, f"{before.label} again" if before else name.replace("/", " "), [])
            self.parts.insert(self.parts.index(self.part) + 1 if self.part else 0, known)
        self.part, known.entered = known, now

    def learn(self, who: str, facts: Facts) -> None:
        """Something was found."""
        self.found.setdefault(who, {}).update(facts)

    def begin_stage(self, name: str, total: int, done: int) -> None:
        """A stage begins, inside the one that has steps left, if there is one."""
        now = self._tick()
        kind = name.partition("/")[0]
        work = self._planned(kind)
        runs, like = (work.runs, work.like) if work else ((), None)
        steps = sum(count for count, _ in runs)
        if steps:
            self._each[kind] = cost_of(runs) / steps
        if steps != total:
            runs = ((total, self._each.get(kind, 1.0)),)
        self.stage = Stage(name, total, done, runs, like, now)
        if done < total:
            self._stack.append(self.stage)

    def advance(self, done: int, facts: Facts) -> Stage | None:
        """Steps were done; gives the stage that they belong to."""
        if not self._stack:
            return None
        self._tick()
        stage = self._stack[-1]
        cost = cost_of(stage.runs, done) - cost_of(stage.runs, stage.done)
        if cost < 0:  # back to an earlier checkpoint: nobody knows how much of the time since was for these steps
            stage.pending = 0.0
        if cost > 0:
            seconds, before = self._spent.get(stage.kind, (0.0, 0.0))
            self._spent[stage.kind] = (seconds + stage.pending, before + cost)
            stage.steps += done - stage.done
            stage.cost, stage.seconds, stage.pending = stage.cost + cost, stage.seconds + stage.pending, 0.0
        stage.done, stage.facts = done, facts or stage.facts
        self.stage = stage
        if done >= stage.total:
            self._stack.pop()
        return stage

    def stage_left(self) -> Left | None:
        """Of the present stage, None without one; never negative, however long a step takes."""
        if not self._stack:
            return None
        stage = self._stack[-1]
        own = stage.seconds / stage.cost if stage.cost else None
        left = self._time(stage.kind, stage.like, stage.cost_left, own)
        return Left(max(0.0, left.seconds - stage.pending - (self._clock() - self._last)), left.likened, left.partial)

    def left(self) -> Left | None:
        """Of the whole job, None where no plan is known."""
        if not self.parts:
            return None
        present = self.stage_left()
        known = [present] if present else []
        known += [self._time(stage.kind, stage.like, stage.cost_left) for stage in self._stack[:-1]]
        ahead = self.parts[self.parts.index(self.part) :] if self.part else self.parts
        works = [work for part in ahead if part.seconds is None for work in part.work]
        known += [self._time(work.kind, work.like, cost_of(work.runs)) for work in works]
        if any(left.partial for left in known):  # at least what goes by speeds of its own
            return Left(sum(left.seconds for left in known if not left.likened), partial=True)
        return Left(sum(left.seconds for left in known), any(left.likened for left in known))

    def close(self) -> None:
        """The job is over."""
        if self.part and self.part.entered is not None:
            self.part.seconds = self._tick() - self.part.entered

    def _time(self, kind: str, like: str | None, cost: float, own: float | None = None) -> Left:
        """Seconds for so much work by the speed of its own stage, else of its kind, else of the kind it is like."""
        if own is not None or kind in self._spent:
            return Left(cost * (own if own is not None else self._speed(kind)))
        if like in self._spent:
            return Left(cost * self._speed(like), likened=True)
        return Left(0.0, partial=cost > 0)

    def _speed(self, kind: str) -> float:
        seconds, cost = self._spent[kind]
        return seconds / cost

    def _planned(self, kind: str) -> Work | None:
        """The next work of a kind in the present part; what was to come before it has been left out."""
        work = self.part.work if self.part else []
        for index, one in enumerate(work):
            if one.kind == kind:
                del work[: index + 1]
                return one
        return None

    def _tick(self) -> float:
        """Books the time since the last event to the innermost stage."""
        now = self._clock()
        if self._stack:
            self._stack[-1].pending += now - self._last
        self._last = now
        return now


def cost_of(runs: Runs, steps: int | None = None) -> float:
    """The cost of the first `steps` steps, or of all."""
    cost, left = 0.0, sum(count for count, _ in runs) if steps is None else steps
    for count, each in runs:
        cost += min(left, count) * each
        left -= min(left, count)
    return cost


def rough(seconds: float) -> str:
    """A time as well as it is known: "8 s", "45 s", "3 min 20 s", "42 min", "3 h 10 min"."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < 595:
        minutes, rest = divmod(10 * round(seconds / 10), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    hours, minutes = divmod(10 * round(seconds / 600), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
