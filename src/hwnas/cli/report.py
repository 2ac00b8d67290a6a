"""`hwnas report`: the page of a run, or several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import options as o


def report(
    runs: Annotated[list[str], typer.Argument(help="Run directories; one that holds several runs stands for all.")],
    out: Annotated[
        Path | None, o.Opt(help="The HTML file.", show_default="report.html in the run; needed for several")
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Write the report of a run again, or set several runs side by side.

    hwnas report runs/mine

    hwnas report runs/a runs/b --out comparison.html
    """
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json, show_text

    with TerminalProgress(quiet=False) as progress:
        page = api.write_report(runs, out=out, progress=progress)
    if as_json:
        print_json({"report": str(page), "runs": runs})
    else:
        show_text(str(page))
