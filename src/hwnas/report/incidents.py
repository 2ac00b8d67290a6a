"""What went wrong on the way and was mended, or is damaged now: sentences for the head of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.report import wording
from hwnas.report.reading import entries, mapping, number, rows, text

MOST = 10


def incidents(result: Mapping[str, Any], problems: Sequence[str]) -> list[str]:
    """One sentence each, the gravest first.

    Args:
        result: the content of result.json.
        problems: what is damaged or missing in the run directory.
    """
    said = list(problems[:MOST])
    if len(problems) > MOST:
        said.append(f"{len(problems) - MOST} other parts of the run directory are damaged or missing.")
    skipped = number(mapping(result.get("data")).get("skipped"))
    if skipped:
        said.append(f"{wording.count(skipped)} of the images could not be read and were left out.")
    said += warnings(result)
    said += [_setback(row) for row in rows(result.get("setbacks"))[:MOST]]
    failed = rows(result.get("failed_candidates"))
    if failed:
        reason = text(failed[-1].get("reason"))
        said.append(
            f"{len(failed)} architecture{'s' if len(failed) > 1 else ''} could not be scored and "
            f"{'were' if len(failed) > 1 else 'was'} left out of every ranking; the last reason: {reason}."
        )
    remarks = rows(result.get("remarks"))[:MOST]
    said += [f"{text(row.get('architecture_id'))}: {text(row.get('remark'))}." for row in remarks]
    return said


def warnings(result: Mapping[str, Any]) -> list[str]:
    """What is wrong with the course of the search or the latencies, and what to do about it; one entry each."""
    found = [_finding(row) for row in rows(result.get("warnings"))]
    doubted: dict[str, list[str]] = {}  # measured side by side, networks share what was wrong with the machine
    for item in entries(result):
        for row in rows(mapping(item.data.get("latency")).get("doubts")):
            doubted.setdefault(_finding(row), []).append(item.label)
    found += [f"Latency of {', '.join(labels)}: {said}" for said, labels in doubted.items() if said]
    return [said for said in found if said][:MOST]


def _finding(row: Mapping[str, Any]) -> str:
    return f"{text(row.get('says'))} {text(row.get('advice'))}".strip()


def _setback(row: Mapping[str, Any]) -> str:
    loss = text(row.get("loss"))
    what = "a weight was not finite" if loss == "weights" else f"the loss was {loss}"
    return (
        f"{text(row.get('stage'))}: {what} at step {text(row.get('step'))}; the training went back to step "
        f"{text(row.get('back_to'))} and on with half the learning rate."
    )
