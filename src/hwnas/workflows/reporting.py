"""Reports of runs that are on disk, written again; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas.core.errors import InputError
from hwnas.report.html import render_report, render_summary
from hwnas.runs.files import write_atomically
from hwnas.runs.stored import read_run
from hwnas.workflows.several import REPORT, findings, is_summary, read_summary, results_of


def report_runs(runs: Sequence[Path], out: Path | None) -> Path:
    """The report of one run, or several side by side.

    Args:
        runs: run directories, or directories that hold several fits.
        out: the file; None for report.html in the one directory that is given.

    Returns:
        The file.

    Raises:
        InputError: nothing to report, or several directories and no file.
        RunError: a run has not finished.
    """
    if not runs:
        raise InputError("give at least one run directory")
    if len(runs) > 1 and out is None:
        raise InputError("several runs go into one file: name it with --out FILE")
    page_path = out or runs[0] / REPORT
    if len(runs) > 1:
        page = render_summary([result for run in runs for result in results_of(run)], title=page_path.stem)
    elif is_summary(runs[0]):
        said = findings(read_summary(runs[0]))
        page = render_summary(results_of(runs[0]), title=runs[0].resolve().name, findings=said)
    else:
        stored = read_run(runs[0])
        page = render_report(stored.result(), stored.metrics(), title=runs[0].resolve().name)
    write_atomically(page_path, page.encode())
    return page_path
