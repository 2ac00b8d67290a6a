"""The result in a terminal: the answer, a table of the measured networks, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hwnas.report import wording
from hwnas.report.answer import is_inside, verdict
from hwnas.report.reading import Entry, clean, entries, mapping, number, shortened

if TYPE_CHECKING:
    from rich.console import Group

FILES = (
    ("model.onnx", "the trained network, the very file that was timed"),
    ("network.py", "the same in plain PyTorch, with weights.safetensors"),
    ("report.html", "comparison, plots, the network block by block"),
)
COLUMNS = ("network", "test accuracy", "95 %", "latency, ms", "95 %", "inside", "params", "MACs")


def result_table(result: Mapping[str, Any], *, directory: str = "") -> Group:
    """The result as a rich renderable: the budget line, a row for every measured network, and the next steps.

    Args:
        result: the content of result.json; not trusted.
        directory: where the run's files lie, for the next steps.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    data = clean(mapping(result))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(COLUMNS[0], min_width=20)
    # An interval stands below its figure: side by side they would not fit 80 columns.
    for heading in ("test accuracy", "latency, ms", "inside", "params", "MACs"):
        table.add_column(heading, justify="left" if heading == "inside" else "right", no_wrap=True)
    for cells, inside, searched in _rows(data):
        label, accuracy, accuracy_interval, latency, latency_interval, kept, params, macs = cells
        mark = {True: "green", False: "red"}[inside] if inside is not None else ""
        figures = [Text.assemble(value, "\n", (interval, "dim")) for value, interval in
                   ((accuracy, accuracy_interval), (latency, latency_interval))]  # fmt: skip
        table.add_row(
            Text(label), *figures, Text(kept, style=mark), Text(params), Text(macs), style="bold" if searched else ""
        )
    inside = _inside(data)
    colour = {True: "bold green", False: "bold red"}.get(inside, "bold") if inside is not None else "bold"
    steps = [Text(said, style="" if index == 0 else "dim") for index, said in enumerate(_next(data, clean(directory)))]
    verdicts = [Text(said) for said in _verdicts(data)]
    return Group(Text(_budget_line(data), style=colour), Text(""), table, Text(""), *verdicts, *steps)


def result_lines(result: Mapping[str, Any], *, directory: str = "") -> list[str]:
    """The same as plain lines, for a log or a pipe.

    Args:
        result: the content of result.json; not trusted.
        directory: where the run's files lie, for the next steps.
    """
    data = clean(mapping(result))
    table = [list(COLUMNS)] + [cells for cells, _, _ in _rows(data)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines = []
    for row in table:
        cells = [cell.ljust(width) if column in (0, 5) else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    return [_budget_line(data), "", *lines, "", *_verdicts(data), *_next(data, clean(directory))]


def _searched(data: Mapping[str, Any]) -> Entry | None:
    found = entries(data)
    return found[0] if found and mapping(data.get("network")) else None


def _inside(data: Mapping[str, Any]) -> bool | None:
    return is_inside(data, _searched(data))


def _budget_line(data: Mapping[str, Any]) -> str:
    searched, inside = _searched(data), _inside(data)
    where = wording.target_words(mapping(data.get("target")))
    budget_ms = number(mapping(data.get("budget")).get("latency_ms"))
    if searched is None:
        return _plain(f"No network was delivered for the budget of {wording.limit(budget_ms)} on {where}.")
    figures = []
    if searched.accuracy is not None:
        figures.append(f"{wording.percent(searched.accuracy)} test accuracy")
    if searched.latency_ms is not None:
        figures.append(f"{wording.milliseconds(searched.latency_ms)} on {where}")
    mark = {True: "✓ ", False: "✗ "}[inside] if inside is not None else ""
    said = verdict(searched, budget_ms, inside)
    return _plain(f"{mark}{', '.join(figures) or 'A network'}, {said or 'budget unknown'}")


def _rows(data: Mapping[str, Any]) -> list[tuple[list[str], bool | None, bool]]:
    budget_ms = number(mapping(data.get("budget")).get("latency_ms"))
    found = []
    for item in entries(data):
        inside = item.inside(budget_ms)
        cells = [
            shortened(item.label, 60),
            wording.percent(item.accuracy),
            wording.percent_interval(item.accuracy_interval),
            wording.MISSING if item.latency_ms is None else wording.significant(item.latency_ms),
            wording.milliseconds_interval(item.latency_interval_ms, item.latency_ms),
            {True: "yes", False: "no"}[inside] if inside is not None else wording.MISSING,
            wording.short_count(item.params),
            wording.short_count(item.macs),
        ]
        found.append(([_plain(cell) for cell in cells], inside, item.role == "searched"))
    return found


def _verdicts(data: Mapping[str, Any]) -> list[str]:
    """Who won, and whether that is more than noise, one sentence a baseline; then an empty line."""
    rows = data.get("comparison")
    said = [mapping(row).get("verdict") for row in (rows if isinstance(rows, list) else [])]
    told = [_plain(shortened(text, 300)) for text in said if isinstance(text, str)]
    return [*told, ""] if told else []


def _next(data: Mapping[str, Any], directory: str) -> list[str]:
    lines = [f"Next, in {directory}" if directory else "Next"]
    searched, budget_ms = _searched(data), number(mapping(data.get("budget")).get("latency_ms"))
    if _inside(data) is False and searched and searched.latency_interval_ms and budget_ms:
        lines.append(
            f"  a budget of {_reachable(searched.latency_interval_ms[1])}ms would have been kept by this network"
        )
    width = max(len(name) for name, _ in FILES)
    return lines + [f"  {name.ljust(width)}  {says}" for name, says in FILES]


def _reachable(upper_ms: float) -> str:
    """The upper end rounded up to three significant digits, so that it really is enough."""
    if upper_ms <= 0:
        return "0"
    places = 2 - math.floor(math.log10(upper_ms))
    return f"{math.ceil(upper_ms * 10.0**places - 1e-9) / 10.0**places:g}"


def _plain(said: str) -> str:
    """Ordinary spaces, so that what is copied or searched for is what was typed."""
    return said.replace("\u00a0", " ")
