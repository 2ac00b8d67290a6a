"""The specialisation matrix of a summary: a heat map, its figures as rows, and who is the best at home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hwnas.report import wording
from hwnas.report.drawing import heat_class, heat_scale
from hwnas.report.reading import mapping, number, pair, rows, shortened, text
from hwnas.report.svg import figure, tag, words

View = dict[str, Any]
MOST_MATRICES, MOST_SIDE = 20, 24
COLUMNS = ("on", "network of", "latency", "95 %", "test accuracy", "inside")
_WIDTH, _LEFT, _CELL, _CHARACTER = 560.0, 176.0, 44.0, 6.4  # pixels


@dataclass(frozen=True, slots=True)
class Cell:
    """A network on a target.

    Args:
        on: the target's label.
        of: the network's.
        at_home: whether it was found for that.
        latency_ms: median measured; None where it was not.
        latency_interval_ms: 95 %.
        accuracy: of the file there, 0 to 1.
        accuracy_interval: 95 %.
        inside: whether the interval's upper end keeps that target's budget; None where either is unknown.
        used: the median's share of that budget.
        error: why it was not measured.
        doubts: why its latency may not be trusted, and what to do.
    """

    on: str
    of: str
    at_home: bool
    latency_ms: float | None
    latency_interval_ms: tuple[float, float] | None
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    inside: bool | None
    used: float | None
    error: str
    doubts: tuple[str, ...]


def matrices(given: Any) -> list[View]:
    """Everything that the page shows of a summary's matrices, which are not trusted."""
    found = [_view(data, f"matrix{index}") for index, data in enumerate(rows(given)[:MOST_MATRICES], start=1)]
    return [view for view in found if view]


def plain_rows(data: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A matrix as cells of text under `COLUMNS`: what was measured on the same target stands together."""
    return [
        (
            cell.on,
            cell.of + (" (its own)" if cell.at_home else ""),
            wording.milliseconds(cell.latency_ms),
            wording.milliseconds_interval(cell.latency_interval_ms, cell.latency_ms),
            wording.percent(cell.accuracy),
            f"not measured: {shortened(cell.error, 200)}" if cell.error else _inside_words(cell.inside),
        )
        for column in _columns(data)
        for cell in column
    ]


def sentences(data: Mapping[str, Any]) -> list[str]:
    """How every network stands where it was searched for, and which latencies may not be trusted."""
    found = [said for row in rows(data.get("networks")) if (said := text(row.get("says")))]
    doubted: dict[tuple[str, str], list[str]] = {}  # measured side by side, networks share what was wrong
    for column in _columns(data):
        for cell in column:
            for doubt in cell.doubts:
                doubted.setdefault((cell.on, doubt), []).append(cell.of)
    return found + [f"Latency on {on} of {', '.join(of)}: {doubt}" for (on, doubt), of in doubted.items()]


def _view(data: Mapping[str, Any], name: str) -> View | None:
    columns = _columns(data)
    if not columns or not columns[0]:
        return None
    heading = f"Seed {text(data.get('seed'))}"
    return {
        "heading": heading,
        "drawing": _heat_map(columns, name, heading),
        "scale": heat_scale(),
        "sentences": sentences(data),
        "rows": [
            {
                "on": cell.on,
                "of": cell.of,
                "at_home": cell.at_home,
                "latency": wording.milliseconds(cell.latency_ms),
                "latency_interval": wording.milliseconds_interval(cell.latency_interval_ms, cell.latency_ms),
                "accuracy": wording.percent(cell.accuracy),
                "accuracy_interval": wording.percent_interval(cell.accuracy_interval),
                "used": wording.percent(cell.used, 0),
                "inside": cell.inside,
                "error": cell.error,
            }
            for column in columns
            for cell in column
        ],
    }


def _columns(data: Mapping[str, Any]) -> list[list[Cell]]:
    """The cells by target, each with the networks in their order; one that is missing knows nothing."""
    networks, homes = rows(data.get("networks"))[:MOST_SIDE], rows(data.get("homes"))[:MOST_SIDE]
    given = data.get("cells")
    known = {
        (row, column): mapping(cell)
        for row, line in enumerate(given if isinstance(given, list) else [])
        for column, cell in enumerate(line if isinstance(line, list) else [])
    }
    return [
        [_cell(known.get((row, column), {}), network, home) for row, network in enumerate(networks)]
        for column, home in enumerate(homes)
    ]


def _cell(data: Mapping[str, Any], network: Mapping[str, Any], home: Mapping[str, Any]) -> Cell:
    latency_ms, budget_ms = number(data.get("latency_ms")), number(home.get("budget_ms"))
    inside = data.get("inside")
    return Cell(
        on=text(home.get("label")),
        of=text(network.get("label")),
        at_home=text(network.get("directory")) == text(home.get("directory")),
        latency_ms=latency_ms,
        latency_interval_ms=pair(data.get("latency_interval_ms")),
        accuracy=number(data.get("accuracy")),
        accuracy_interval=pair(data.get("accuracy_interval")),
        inside=inside if isinstance(inside, bool) else None,
        used=latency_ms / budget_ms if latency_ms is not None and budget_ms else None,
        error=text(data.get("error")) if latency_ms is None else "",
        doubts=tuple(map(text, doubts)) if isinstance(doubts := data.get("doubts"), list) else (),
    )


def _heat_map(columns: Sequence[Sequence[Cell]], name: str, heading: str) -> Markup:
    """A row for each network, a column for each target; the stronger a colour, the more of the budget is used."""
    width = (_WIDTH - _LEFT) / len(columns)
    names = [column[0].on for column in columns]
    turned = max(map(len, names)) * _CHARACTER > width - 6
    top = 46.0 + (0.62 * _CHARACTER * min(max(map(len, names)), 32) if turned else 0.0)
    parts = [words(0, top - 9, "network of", "axis-title"), words(_WIDTH, 13, "measured on", "axis-title", "end")]
    for index, on in enumerate(names):
        x, y = _LEFT + width * (index + 0.5), top - 9
        turn = f"rotate(38 {x:.1f} {y:.1f})" if turned else None  # towards the left, where there is room
        anchor = "end" if turned else "middle"
        label = tag("text", shortened(on, 32), x=x, y=y, class_="tick-dark", text_anchor=anchor, transform=turn)
        parts.append(label)
    for row, cell in enumerate(columns[0]):
        parts.append(words(0, top + _CELL * (row + 0.5) + 4, shortened(cell.of, 26), "tick-dark"))
    most = max([1.0, *(cell.used for column in columns for cell in column if cell.used is not None)])
    for index, column in enumerate(columns):
        # Where no budget is known, the slowest network of the column takes its place.
        slowest = max((cell.latency_ms or 0.0 for cell in column), default=0.0) or 1.0
        for row, cell in enumerate(column):
            share = cell.used if cell.used is not None else (cell.latency_ms or 0.0) / slowest
            heat = heat_class(share, most)
            parts.append(_drawn(cell, _LEFT + width * index, top + _CELL * row, width, heat))
    height = top + _CELL * len(columns[0]) + 4
    said = "; ".join(_words_of(cell) for column in columns for cell in column)
    return figure(name, f"{heading}: every network on every target", f"{said}."[:4000], _WIDTH, height, *parts)


def _drawn(cell: Cell, x: float, y: float, width: float, heat: str) -> Markup:
    title, box = (
        tag("title", _words_of(cell)),
        {"x": x + 2, "y": y + 2, "width": width - 4, "height": _CELL - 4, "rx": 4},
    )
    middle = x + width / 2
    if cell.latency_ms is None:
        nothing = tag("rect", title, class_="box left-out", **box)
        return tag("g", nothing, words(middle, y + _CELL / 2 + 4, wording.MISSING, "small", "middle"))
    frame = "cell delivered" if cell.at_home else "cell"
    mark = {True: "", False: " ✗"}.get(cell.inside, "") if cell.inside is not None else ""
    used = "" if cell.used is None else wording.percent(cell.used, 0)
    return tag(
        "g", tag("rect", title, class_=f"{frame} {heat}", **box),
        words(middle, y + 18, f"{wording.significant(cell.latency_ms)}{mark}", f"on-{heat}", "middle"),
        words(middle, y + 33, used, f"small on-{heat}", "middle"),
    )  # fmt: skip


def _words_of(cell: Cell) -> str:
    """A cell in words: "the network of a on b: 0.290 ms (0.285–0.296), 93 % of the budget, 98.1 % test accuracy"."""
    whose = "its own network" if cell.at_home else f"the network of {cell.of}"
    if cell.latency_ms is None:
        return f"{cell.on}: {whose} was not measured ({cell.error})"
    parts = [wording.milliseconds(cell.latency_ms)]
    if cell.latency_interval_ms:
        parts[0] += f" ({wording.milliseconds_interval(cell.latency_interval_ms, cell.latency_ms)})"
    if cell.used is not None:
        parts.append(f"{wording.percent(cell.used, 0)} of the budget, {'' if cell.inside else 'not '}inside")
    if cell.accuracy is not None:
        parts.append(f"{wording.percent(cell.accuracy)} test accuracy")
    return f"{cell.on}: {whose} {', '.join(parts)}"


def _inside_words(inside: bool | None) -> str:
    return wording.MISSING if inside is None else "yes" if inside else "no"
