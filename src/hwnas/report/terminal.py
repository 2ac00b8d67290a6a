"""The result in a terminal: the answer, a table of the measured networks, and what to do next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hwnas.report import wording
from hwnas.report.answer import is_inside, verdict
from hwnas.report.incidents import warnings
from hwnas.report.reading import Entry, clean, entries, mapping, number, pair, rows, shortened

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_DEFAULT = "onnxruntime-f32"  # what `hwnas measure` takes unless told otherwise
COLUMNS = ("network", "test accuracy", "95 %", "latency, ms", "95 %", "inside", "params", "MACs")


def result_table(result: Mapping[str, Any], *, directory: str = "", narrow: bool = False) -> Group:
    """The result as a rich renderable: the answer, every measured network, who won, and the next steps.

    Args:
        result: the content of result.json; not trusted.
        directory: where the run's files lie, for the next steps.
        narrow: a few lines for each network instead of a table, for which a terminal is not wide enough.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    data = clean(mapping(result))
    inside = _inside(data)
    colour = {True: "bold green", False: "bold red"}.get(inside, "bold") if inside is not None else "bold"
    steps: list[Text | Padding] = [Text("Next")]
    for what, why in _next(data, clean(directory)):
        # Never broken into lines, so that it can be copied; a terminal wraps it by itself.
        steps.append(Text(f"  {what}", style="bold", no_wrap=True, overflow="ignore"))
        steps.append(Padding(Text(why, style="dim"), (0, 0, 0, 4)))
    verdicts = [Text(said) for said in _verdicts(data)]
    networks = _cards(data) if narrow else _table(data)
    return Group(Text(_budget_line(data), style=colour), Text(""), networks, Text(""), *verdicts, *steps)


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
    steps = [line for what, why in _next(data, clean(directory)) for line in (f"  {what}", f"    {why}")]
    return [_budget_line(data), "", *lines, "", *_verdicts(data), "Next", *steps]


def _table(data: Mapping[str, Any]) -> Table:
    """A row for every measured network."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(COLUMNS[0], min_width=20)
    # An interval stands below its figure: side by side they would take a very wide terminal.
    for heading in ("test accuracy", "latency, ms", "inside", "params", "MACs"):
        table.add_column(heading, justify="left" if heading == "inside" else "right", no_wrap=True)
    for cells, inside, searched in _rows(data):
        label, accuracy, accuracy_interval, latency, latency_interval, kept, params, macs = cells
        figures = [Text.assemble(value, "\n", (interval, "dim")) for value, interval in
                   ((accuracy, accuracy_interval), (latency, latency_interval))]  # fmt: skip
        table.add_row(
            Text(label), *figures, Text(kept, style=_mark(inside)), Text(params), Text(macs),
            style="bold" if searched else "",
        )  # fmt: skip
    return table


def _cards(data: Mapping[str, Any]) -> Group:
    """A few lines for every measured network."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    lines: list[Text | Padding] = []
    for cells, inside, searched in _rows(data):
        label, accuracy, accuracy_interval, latency, latency_interval, kept, params, macs = cells
        verdict = {"yes": "inside the budget", "no": "over the budget"}.get(kept, "budget not held against it")
        lines.append(Text(label, style="bold" if searched else ""))
        lines.append(Padding(Text(f"{accuracy} test accuracy ({accuracy_interval})"), (0, 0, 0, 2)))
        figures = Text.assemble(f"{latency} ms ({latency_interval}), ", (verdict, _mark(inside)))
        lines += [Padding(figures, (0, 0, 0, 2)), Padding(Text(f"{params} params, {macs} MACs"), (0, 0, 0, 2))]
    return Group(*lines)


def _mark(inside: bool | None) -> str:
    return {True: "green", False: "red"}[inside] if inside is not None else ""


def _searched(data: Mapping[str, Any]) -> Entry | None:
    found = entries(data)
    return found[0] if found and mapping(data.get("network")) else None


def _inside(data: Mapping[str, Any]) -> bool | None:
    return is_inside(data, _searched(data))


def _budget_line(data: Mapping[str, Any]) -> str:
    searched, inside = _searched(data), _inside(data)
    where = wording.target_words(mapping(data.get("target")))
    budget = mapping(data.get("budget"))
    if searched is None:
        limit = wording.limit(number(budget.get("latency_ms")))
        return _plain(f"No network was delivered for the budget of {limit} on {where}.")
    figures = []
    if searched.accuracy is not None:
        figures.append(f"{wording.percent(searched.accuracy)} test accuracy")
    if searched.latency_ms is not None:
        figures.append(f"{wording.milliseconds(searched.latency_ms)} on {where}")
    mark = {True: "✓ ", False: "✗ "}[inside] if inside is not None else ""
    said = verdict(searched, budget, inside)
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
    """Who won, and whether that is more than noise, one sentence a baseline; what rounding cost; what is wrong."""
    rows = data.get("comparison")
    said = [mapping(row).get("verdict") for row in (rows if isinstance(rows, list) else [])]
    said.append(mapping(mapping(data.get("network")).get("rounding")).get("says"))
    told = [_plain(shortened(text, 300)) for text in said if isinstance(text, str)]
    told += [f"! {_plain(shortened(text, 500))}" for text in warnings(data)]
    return [*told, ""] if told else []


def _next(data: Mapping[str, Any], directory: str) -> list[tuple[str, str]]:
    """What to open, to type or to change, and why; what depends on how it went comes first."""
    place = shlex.quote(directory) if directory else "RUN"
    budget_ms, target = number(mapping(data.get("budget")).get("latency_ms")), mapping(data.get("target"))
    steps = [*_remedies(data, budget_ms)]
    if directory:
        steps.append((f"{place}/report.html", "open it in a browser: comparison, plots, the network block by block"))
        file = target.get("file", "model.onnx")
        steps.append((f"{place}/{file}", "the trained network, the very file that was timed; network.py is the same"
                      " in plain PyTorch, with weights.safetensors"))  # fmt: skip
    if budget_ms:
        where = f" --target {shlex.quote(str(target['name']))}" if target.get("name", _DEFAULT) != _DEFAULT else ""
        steps.append((f"hwnas measure {place}{where} --budget {budget_ms:.4g}ms", "measures the file again"))
    digest = mapping(data.get("repeat")).get("canonical_sha256")
    if isinstance(digest, str):
        why = f"repeats this run on its measurements, to the last bit: canonical sha256 {shortened(digest, 17)}"
        steps.append((f"hwnas fit … --measurements {place} --out ANOTHER", why))
    return [(_plain(what), _plain(why)) for what, why in steps]


def _remedies(data: Mapping[str, Any], budget_ms: float | None) -> Iterator[tuple[str, str]]:
    """What to change where the budget was missed, the search has not beaten everybody, or something went wrong."""
    searched, inside = _searched(data), _inside(data)
    if inside is False and searched and searched.latency_interval_ms and budget_ms:
        reachable = _reachable(searched.latency_interval_ms[1])
        why = "a budget that this network would have kept; for the one you gave, search longer: --effort long"
        yield f"hwnas fit … --budget {reachable}ms --out ANOTHER", why
    beaten = [pair(row.get("interval")) for row in rows(data.get("comparison"))]
    if any(interval is not None and interval[0] <= 0 for interval in beaten):
        why = "not better than every baseline beyond noise: search longer, and see with three seeds what is luck"
        yield "hwnas fit … --effort long --seeds 3 --out ANOTHER", why
    troubles = [
        f"{len(found)} {one if len(found) == 1 else many}"
        for name, one, many in (("setbacks", "setback in training", "setbacks in training"),
                                ("failed_candidates", "candidate that failed", "candidates that failed"))
        if (found := rows(data.get(name)))
    ]  # fmt: skip
    if troubles:
        yield " and ".join(troubles), "the report says what happened and what was done about it"


def _reachable(upper_ms: float) -> str:
    """The upper end rounded up to three significant digits, so that it really is enough."""
    if upper_ms <= 0:
        return "0"
    places = 2 - math.floor(math.log10(upper_ms))
    return f"{math.ceil(upper_ms * 10.0**places - 1e-9) / 10.0**places:g}"


def _plain(said: str) -> str:
    """Ordinary spaces, so that what is copied or searched for is what was typed."""
    return said.replace("\u00a0", " ")
