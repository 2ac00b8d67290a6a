"""Lays the report and the comparison of several runs out as one self-contained HTML page each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hwnas.report import answer, candidates, charts, comparison, course, incidents, matrix, summary, timing, wording
from hwnas.report.reading import clean, entries, mapping, number, rows, text
from hwnas.report.styles import style_sheet


def render_report(
    result: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], *, title: str | None = None,
    settings: Mapping[str, Any] | None = None, problems: Sequence[str] = (),
) -> str:  # fmt: skip
    """The report of one run: HTML that loads nothing and runs nothing.

    Args:
        result: the content of result.json; any part may be missing and is then left out. It is not trusted.
        metrics: the lines of metrics.jsonl, in order; may be empty.
        title: of the page; by default the data's name and the target's.
        settings: the run's resolved settings, listed where it says how to repeat it.
        problems: what is damaged or missing in the run directory; told at the head of the page.

    Returns:
        The page; equal input gives equal text.
    """
    data, lines = clean(mapping(result)), clean(rows(metrics))
    found = entries(data)
    searched = found[0] if found and mapping(data.get("network")) else None
    budget_ms = number(mapping(data.get("budget")).get("latency_ms"))
    delivered = searched.architecture_id if searched else ""
    plots = [
        charts.accuracy_chart(found, budget_ms),
        candidates.candidates_chart(data, delivered),
    ]
    views = {
        "answer": answer.answer(data, searched),
        "incidents": incidents.incidents(data, clean(list(problems))),
        "earned": answer.earned(data, found),
        "plots": [chart for chart in plots if chart],
        "prediction": timing.prediction(data, searched),
        "gates": course.gates(data, lines, searched),
        "network": course.network(data, searched),
        "compute": course.compute(data, found),
        "provenance": course.provenance(data, clean(mapping(settings))),
    }
    return _page(
        "report.html.j2",
        clean(title) if title else _title(data),
        **views,
        contents=_contents(views),
        subtitle=_subtitle(data),
        command=text(data.get("command")),
        again=course.again(text(data.get("command"))),
        canonical=text(mapping(data.get("repeat")).get("canonical_sha256")),
        version=text(data.get("hwnas")),
    )


def render_summary(
    results: Sequence[Mapping[str, Any]], *, title: str | None = None, findings: Sequence[str] = (),
    names: Sequence[str] = (), settings: Sequence[Mapping[str, Any]] = (), matrices: Sequence[Mapping[str, Any]] = (),
) -> str:  # fmt: skip
    """Several runs side by side: HTML that loads nothing and runs nothing.

    Args:
        results: the contents of their result.json, in the order of the rows. They are not trusted.
        title: of the page.
        findings: further sentences for its head, for example what was computed over the seeds.
        names: of the runs; without them a run is called by its data and seed.
        settings: their resolved settings; what differs is listed.
        matrices: their networks measured on the targets of all, one for each seed. They are not trusted.

    Returns:
        The page; equal input gives equal text.
    """
    known = [clean(mapping(result)) for result in results]
    view = summary.summary(known, clean(list(names)), clean([mapping(one) for one in settings]))
    view["sentences"] = [*view["sentences"], *map(clean, findings)]
    view["matrices"] = matrix.matrices(clean(list(matrices)))
    return _page("summary.html.j2", clean(title) if title else f"{len(results)} runs side by side", **view)


def render_comparison(data: Mapping[str, Any], *, title: str | None = None) -> str:
    """Strategies side by side: HTML that loads nothing and runs nothing.

    Args:
        data: the content of comparison.json. It is not trusted.
        title: of the page.

    Returns:
        The page; equal input gives equal text.
    """
    view = comparison.comparison(clean(mapping(data)))
    return _page("comparison.html.j2", clean(title) if title else "Strategies side by side", **view)


def _title(data: Mapping[str, Any]) -> str:
    name, target = text(mapping(data.get("data")).get("name")), text(mapping(data.get("target")).get("name"))
    return " on ".join(part for part in (name, target) if part) or "A run of hwnas"


def _subtitle(data: Mapping[str, Any]) -> str:
    name, seed = text(mapping(data.get("data")).get("name")), text(data.get("seed"))
    return " · ".join(
        part for part in (name, f"seed {seed}" if seed else "", wording.moment(data.get("created"))) if part
    )


def _contents(views: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = [
        ("earned", "Did it earn its time?", views["earned"]["shown"]),
        ("plots", "Accuracy and latency", views["plots"]),
        ("prediction", views["prediction"]["words"].heading, views["prediction"]["shown"]),
        ("gates", "How the search decided", views["gates"]["shown"]),
        ("network", "The network", views["network"]["blocks"]),
        ("again", "Compute and how to repeat", views["compute"]["table"] or views["provenance"]),
    ]
    return [(anchor, words) for anchor, words, shown in known if shown]


def _page(template: str, title: str, **views: Any) -> str:
    style, digest = _style()
    page = _environment().get_template(template)
    return page.render(title=title, style=Markup(style), style_hash=digest, **views)  # noqa: S704 - our own file


@cache
def _environment() -> Environment:
    loader = PackageLoader("hwnas.report", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and its hash for the content security policy: no other style can take effect."""
    style = style_sheet("palette.css") + style_sheet("style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return style, f"sha256-{digest}"
