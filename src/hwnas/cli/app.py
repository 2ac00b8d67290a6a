"""The commands together."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hwnas.cli.compare import compare
from hwnas.cli.describe import describe
from hwnas.cli.doctor import doctor
from hwnas.cli.export import export
from hwnas.cli.fit import fit
from hwnas.cli.import_table import import_table
from hwnas.cli.list_names import list_names
from hwnas.cli.measure import measure
from hwnas.cli.profile import profile
from hwnas.cli.report import report
from hwnas.cli.search import search
from hwnas.cli.search_table import search_table
from hwnas.cli.train import train

app = typer.Typer(
    name="hwnas",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Networks made to measure for the hardware they run on.\n\n"
    "Start with: [bold]hwnas fit --budget 40% --out runs/first[/bold] (real handwritten digits, a few minutes), then "
    "your own images: [bold]hwnas fit --data PATH --budget 1.5ms --out runs/mine[/bold].",
    epilog="Exit codes: 0 done, 2 wrong input, 3 budget infeasible or missed, 4 target not available, 130 interrupted "
    "(the same command resumes).",
)
for command in (
    fit, search, train, compare, measure, profile, export, report, describe, import_table, search_table, doctor
):  # fmt: skip
    app.command()(command)
app.command("list")(list_names)

# Typer has its own copy of click or uses click's, by version; either way this is what its public name stands for.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def usage_in_one_line(error: Any) -> str:
    """What is wrong with a command line, and where its options are listed; nothing where help was printed already."""
    said = " ".join(error.format_message().split()).rstrip(".")
    return f"{said}; {error.ctx.command_path} --help lists what there is" if said and error.ctx else said


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("hwnas"))
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of hwnas itself."""
