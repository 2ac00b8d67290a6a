"""The course of a job as text: a panel for a terminal of any width, and single lines for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import RLock
from typing import final

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hwnas.cli.course import Course, Facts, Part, Stage, rough
from hwnas.cli.terminal import printable
from hwnas.report import wording

LOW = 18  # lines; in a terminal with fewer the panel shows no more than what is under way
_NAMES = {"entropy": "gate entropy", "limit": "at most", "fastest": "fastest possible", "accuracy": "search accuracy"}


@final
class View:
    """Draws a course as it is at that moment.

    Args:
        course: what is drawn.
        lock: held meanwhile, for drawing has a thread of its own.
    """

    def __init__(self, course: Course, lock: RLock) -> None:
        self._course = course
        self._lock = lock

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A panel once a plan is known; for small jobs the stage alone."""
        with self._lock:
            drawn = self._drawn(options.max_width, console.height < LOW, options.ascii_only)
        yield drawn

    def _drawn(self, width: int, low: bool, ascii_only: bool) -> Group | Panel:
        course = self._course
        width -= 4 if course.parts else 0
        stage = list(_stage_lines(course, width))
        if not course.parts:
            return Group(*stage)
        lines: list[Text | Padding | Table] = []
        if not low:
            lines += flow([_part_token(part, ascii_only) for part in course.parts], width)
        elif course.part:
            lines.append(Text(printable(course.part.label), style="bold"))
        lines += [Text(""), *stage] if stage and not low else stage
        if course.found and not low:
            lines += [Text(""), _found_table(course)]
        title, time = Text(printable(course.title), style="bold"), Text(time_words(course))
        return Panel(Group(*lines), title=title, title_align="left", subtitle=time, subtitle_align="right",
                     border_style="dim")  # fmt: skip


def flow(tokens: Sequence[Text], width: int) -> list[Text]:
    """Tokens in lines of at most so many columns, two spaces between them; none is broken unless it is wider."""
    lines: list[Text] = []
    for token in tokens:
        if lines and lines[-1].cell_len + 2 + token.cell_len <= width:
            lines[-1].append("  ").append_text(token)
        else:
            lines.append(token.copy())
    return lines


def fact_words(facts: Facts, course: Course) -> list[str]:
    """Figures in words: "loss 1.23", "expected 0.299 ms (96 % of the budget)"."""
    limit_ms = course.found.get("budget", {}).get("limit_ms")
    words = []
    for name, value in facts.items():
        said = name.removesuffix("_ms")
        if isinstance(value, str):
            shown = value
        elif name.endswith("_ms"):
            shown = wording.milliseconds(value)
            if said == "expected" and isinstance(limit_ms, float) and limit_ms > 0:
                shown += f" ({wording.percent(value / limit_ms, 0)} of the budget)"
        elif name.endswith("accuracy"):
            shown = wording.percent(value)
        else:
            shown = wording.significant(value) if isinstance(value, float) else str(value)
        words.append(printable(f"{_NAMES.get(said, said)} {shown}".replace("\u00a0", " ")))
    return words


def stage_words(stage: Stage) -> str:
    """What a stage is called: "train 1a2b3c scratch"."""
    return printable(stage.name.replace("/", " "))


def time_words(course: Course) -> str:
    """How long the job has taken, and will take: "1 min 20 s so far, about 2 min left"."""
    left = course.left()
    return f"{rough(course.elapsed)} so far, {left or 'time left not known'}"


def summary(course: Course) -> str:
    """What a job has spent its time on, in one line."""
    spent = [part for part in course.parts if part.seconds is not None and part.seconds >= 0.95]
    parts = ", ".join(f"{part.label} {rough(part.seconds or 0.0)}" for part in spent)
    return printable(f"{course.title}: {rough(course.elapsed)}{f' ({parts})' if parts else ''}")


def _stage_lines(course: Course, width: int) -> Iterator[Text | Padding]:
    stage = course.stage
    if stage is None:
        yield Text("starting", style="dim")
        return
    tokens = [Text(stage_words(stage), style="bold"), Text(f"{stage.done}/{stage.total}")]
    if stage.seconds and stage.steps:
        rate = stage.steps / stage.seconds
        tokens.append(Text(f"{wording.significant(rate)}/s" if rate >= 1 else f"{rough(1 / rate)} each"))
    left = course.stage_left()
    if left:
        tokens.append(Text(str(left)))
    yield from flow(tokens, width)
    bar = ProgressBar(total=max(stage.total, 1), completed=stage.done if stage.total else 1, width=width)
    yield Padding(bar, 0)  # which ends its line
    yield from flow([Text(word) for word in fact_words(stage.facts, course)], width)


def _part_token(part: Part, ascii_only: bool) -> Text:
    over, present, ahead = ("x", ">", "-") if ascii_only else ("✓", "▸", "·")
    label = printable(part.label)
    if part.seconds is not None:
        return Text(f"{over} {label}{f' {rough(part.seconds)}' if part.seconds >= 0.95 else ''}", style="green")
    return Text(f"{ahead} {label}", style="dim") if part.entered is None else Text(f"{present} {label}", style="bold")


def _found_table(course: Course) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", max_width=24)
    table.add_column()
    for who, facts in course.found.items():
        table.add_row(Text(printable(who)), Text("  ".join(fact_words(facts, course))))
    return table
