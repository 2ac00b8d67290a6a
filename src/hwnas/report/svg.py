"""SVG by small functions: elements, scales, ticks, axes, markers. Text is escaped; colours are the page's classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from markupsafe import Markup, escape

from hwnas.report.wording import decimals

_TIP_CHARACTERS, _TIP_CHARACTER, _TIP_LINE = 36, 6.9, 15  # the width of one and the height are in pixels
MARKERS = ("circle", "square", "triangle", "diamond", "cross")


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from values to positions: `low` stands at `start`, `high` at `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The position of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart's drawing area, in units that are one pixel at full size.

    Args:
        width: of the whole chart.
        height: of the whole chart.
        x: horizontal scale; its ends are the area's left and right edge.
        y: vertical scale; it starts at the bottom edge.
    """

    width: float
    height: float
    x: Scale
    y: Scale


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """One element; `class_` is class, other underscores are hyphens, None is left out, children are escaped."""
    parts = [Markup("<%s") % name]
    for key, value in attributes.items():
        if value is not None:
            shown = value if isinstance(value, str) else coordinate(value)
            parts.append(Markup(' %s="%s"') % (key.rstrip("_").replace("_", "-"), shown))
    inside = Markup("").join(escape(child) for child in children)
    parts.append(Markup(">%s</%s>") % (inside, name) if inside else Markup("/>"))
    return Markup("").join(parts)


def coordinate(value: float) -> str:
    """A position with at most one decimal."""
    shown = f"{value:.1f}".removesuffix(".0")
    return "0" if shown == "-0" else shown


def figure(
    name: str, title: str, description: str, width: float, height: float, *content: str, role: str = "img"
) -> Markup:
    """A drawing that scales with its place, with a title and a description for those who do not see it.

    One that holds `spot`s has the role "group": what is inside an "img" is not read out.
    """
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        *content,
        viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
        role=role,
        aria_labelledby=f"{name}-title {name}-desc",
        class_=f"figure w{round(width)}",
    )


def words(x: float, y: float, content: str, class_: str | None = None, anchor: str | None = None) -> Markup:
    """One line of text."""
    return tag("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def polyline(positions: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through positions."""
    joined = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in positions)
    return tag("polyline", points=joined, class_=class_)


def marker(kind: str, x: float, y: float, size: float, class_: str | None, title: str = "") -> Markup:
    """A mark of about `size` radius; its title shows when pointed at."""
    hint = (tag("title", title),) if title else ()
    match kind:
        case "square":
            side = 1.8 * size
            return tag("rect", *hint, x=x - side / 2, y=y - side / 2, width=side, height=side, class_=class_)
        case "triangle":
            path = _path([(x, y - 1.2 * size), (x + 1.15 * size, y + 0.85 * size), (x - 1.15 * size, y + 0.85 * size)])
            return tag("path", *hint, d=path, class_=class_)
        case "diamond":
            reach = 1.3 * size
            path = _path([(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)])
            return tag("path", *hint, d=path, class_=class_)
        case "cross":
            a, b = 0.4 * size, 1.2 * size
            corners = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a)]
            return tag("path", *hint, d=_path([(x + dx, y + dy) for dx, dy in [*corners, (-a, -a)]]), class_=class_)
        case _:
            return tag("circle", *hint, cx=x, cy=y, r=size, class_=class_)


def spot(x: float, y: float, lines: Sequence[str], area: Panel) -> Markup:
    """What a mark says while it is pointed at or focused; the keyboard reaches it.

    It stands apart from the mark, and after all marks, so that none is drawn over its words.
    """
    left = x > (area.x.start + area.x.stop) / 2
    wrapped = [part for one in lines for part in wrap(one, _TIP_CHARACTERS)]
    width, height = _TIP_CHARACTER * max(map(len, wrapped), default=1) + 16, _TIP_LINE * len(wrapped) + 11
    beside = x - 12 - width if left else x + 12
    start = min(max(beside, 0), area.width - width)
    top = max(min(y - 12, area.y.start - height), 0)
    if start != beside:  # too wide for that side: over the mark, or under it
        top = y - 14 - height if y - 14 - height >= 0 else y + 14
    parts = [tag("tspan", part, x=start + 8, y=top + _TIP_LINE * (index + 1)) for index, part in enumerate(wrapped)]
    tip = tag("g", tag("rect", x=start, y=top, width=width, height=height, rx=4), tag("text", *parts), class_="tip")
    hit = tag("circle", cx=x, cy=y, r=9, class_="hit")
    return tag("g", hit, tip, class_="spot", tabindex="0", role="img", aria_label="; ".join(lines))


def places_beside(marks: Sequence[tuple[float, float]], area: Panel) -> list[tuple[float, float]]:
    """Where a short label stands beside each mark: the nearest place that is free of marks and of other labels."""
    taken = list(marks)
    found = []
    for x, y in marks:
        around = [
            (x + reach * dx, y + reach * dy + 4)
            for reach in (13, 20, 28, 38)
            for dx, dy in ((0.8, -0.8), (-0.8, -0.8), (0.8, 0.8), (-0.8, 0.8), (1, 0), (-1, 0), (0, -1), (0, 1))
        ]
        inside = [
            place
            for place in around
            if area.x.start + 6 < place[0] < area.x.stop - 6 and area.y.stop + 8 < place[1] < area.y.start - 4
        ]
        free = [(px, py) for px, py in inside if all(abs(px - tx) >= 10 or abs(py - 4 - ty) >= 10 for tx, ty in taken)]
        best = (free or inside or around)[0]
        found.append(best)
        taken.append((best[0], best[1] - 4))
    return found


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values inside [low, high], about as many as wanted, in steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / wanted))
    choices = []
    for step in (power, 2 * power, 5 * power, 10 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        choices.append([index * step for index in range(first, last + 1)])
    return min(choices, key=lambda values: abs(len(values) - wanted))


def tick_labels(values: Sequence[float], unit: str = "") -> list[str]:
    """Ticks as text, all with the decimals that their step needs."""
    step = values[1] - values[0] if len(values) > 1 else abs(values[0]) if values and values[0] else 1.0
    places = min(max(-math.floor(math.log10(step) + 1e-9), 0), 6)
    if places == 0:
        return [f"{round(value):,}{unit}".replace("-", "−") for value in values]
    return [f"{decimals(value, places)}{unit}" for value in values]


def spread(values: Sequence[float], margin: float = 0.07) -> tuple[float, float]:
    """The range of values with a margin on both sides; never empty."""
    low, high = min(values), max(values)
    room = max(margin * (high - low), 1e-3 * max(abs(low), abs(high))) or 1.0
    return low - room, high + room


def panel(
    x: tuple[float, float], y: tuple[float, float], *, width: float = 460, height: float = 320, top: float = 30,
) -> Panel:  # fmt: skip
    """A drawing area with room for axes: titles above, ticks left and below."""
    return Panel(width, height, Scale(*x, 50 if width < 500 else 62, width - 12), Scale(*y, height - 44, top))


def axes(area: Panel, x_title: str, y_title: str, x_unit: str = "", y_unit: str = "") -> Markup:
    """Fine horizontal rules, ticks and both titles; the upright axis is named above its top end."""
    x, y = area.x, area.y
    y_ticks, x_ticks = ticks(y.low, y.high), ticks(x.low, x.high, max(3, round(area.width / 85)))
    parts = [line(x.start, y(value), x.stop, y(value), "rule") for value in y_ticks]
    labels = zip(y_ticks, tick_labels(y_ticks, y_unit), strict=True)
    parts += [words(x.start - 8, y(value) + 4, label, "tick", "end") for value, label in labels]
    parts.append(line(x.start, y.start, x.stop, y.start, "axis"))
    for value, label in zip(x_ticks, tick_labels(x_ticks, x_unit), strict=True):
        parts.append(line(x(value), y.start, x(value), y.start + 4, "axis"))
        parts.append(words(x(value), y.start + 18, label, "tick", "middle"))
    parts.append(words(0, 13, y_title, "axis-title"))
    parts.append(words(x.stop, area.height - 6, x_title, "axis-title", "end"))
    return tag("g", *parts)


def _path(corners: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in corners) + " Z"
