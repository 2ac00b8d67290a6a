"""Reports of runs that are on disk, written again; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas.core.errors import InputError
from hwnas.core.protocols import Progress, Silence
from hwnas.report.html import render_comparison, render_report, render_summary
from hwnas.runs.files import write_atomically
from hwnas.workflows.compare import is_comparison, read_comparison
from hwnas.workflows.several import REPORT, findings, is_summary, read_summary, runs_of


def report_runs(runs: Sequence[Path], out: Path | None, progress: Progress | None = None) -> Path:
    """The report of one run, or several side by side.

    Args:
        runs: run directories, or directories that hold several fits.
        out: the file; None for report.html in the one directory that is given.
        progress: told what is damaged in a run and left out.

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
    compared = next((run for run in runs if is_comparison(run)), None)
    if compared is not None and len(runs) > 1:
        raise InputError(f"{compared} is a comparison, which has a report of its own: give it alone")
    if compared is not None:
        page = render_comparison(read_comparison(compared), title=compared.resolve().name)
        write_atomically(page_path, page.encode())
        return page_path
    stored = [one for run in runs for one in runs_of(run)]
    results = [one.result() for one in stored]
    problems = [problem for one in stored for problem in one.problems()]
    for problem in problems:
        (progress or Silence()).say(problem)
    places, settings = [one.path for one in stored], [one.config for one in stored]
    name = runs[0].resolve().name
    if len(runs) > 1:
        page = render_summary(results, title=page_path.stem, names=_names(places), settings=settings)
    elif is_summary(runs[0]):
        kept, names = read_summary(runs[0]), [str(place.relative_to(runs[0])) for place in places]
        matrices = kept.get("specialisation", ())
        page = render_summary(
            results, title=name, findings=findings(kept), names=names, settings=settings, matrices=matrices
        )
    else:
        only = stored[0]
        page = render_report(results[0], only.metrics(), title=name, settings=only.config, problems=problems)
    write_atomically(page_path, page.encode())
    return page_path


def _names(runs: Sequence[Path]) -> list[str]:
    """What to call each run: its directory's name, with as many of those above it as tell all of them apart."""
    parts = [run.resolve().parts for run in runs]
    longest = max(map(len, parts), default=1)
    for depth in range(1, longest + 1):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            break
    return names
