"""What the course of a run's search says of its result, out of the figures that were recorded on the way."""

from __future__ import annotations

from hwnas.core.collapse import Finding, Shares, findings
from hwnas.runs.directory import RunDirectory
from hwnas.strategies.proxyless_g import ProxylessGSettings, Searched

SEARCH = "search"  # the stage of the search itself; that of a baseline's supernet has another name


def search_findings(run: RunDirectory, searched: Searched, settings: ProxylessGSettings) -> list[Finding]:
    """What is wrong with a run's search; rows that are lost, or of versions that recorded no shares, tell nothing.

    Args:
        run: its metrics tell the course.
        searched: how it ended.
        settings: of the search.

    Raises:
        InputError: metrics.jsonl cannot be read.
        FileFormatError: a row with damaged shares.
    """
    if searched.ended is None:
        return []
    lines = [line for line in RunDirectory.read(run.path).metrics() if line.get("stage") == SEARCH]
    course = [Shares.from_json(line.get("step"), line["shares"]) for line in lines if "shares" in line]
    course = sorted((shares for shares in course if shares.step < settings.steps), key=lambda shares: shares.step)
    return findings([*course, searched.ended], settings.warmup_steps, settings.steps)
