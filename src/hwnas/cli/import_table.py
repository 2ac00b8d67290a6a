"""`hwnas import-table`: a published latency table becomes a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import options as o


def import_table(
    files: Annotated[
        list[Path],
        typer.Argument(help="YAML files of ProxylessNAS's or Once-for-All's form, one for each size of images."),
    ],
    name: Annotated[str, o.Opt(help="What the target will be called, for example note10.")],
    device: Annotated[
        str, o.Opt(help="What it was measured on, in words.", show_default="what is known of a published table")
    ] = "",
    replace: Annotated[bool, o.Opt("--replace", help="Put it in the place of another table of that name.")] = False,
    as_json: o.AsJson = False,
) -> None:
    """Make a target of a latency table that somebody has published. Nothing is measured.

    hwnas import-table 160_lookup_table.yaml 224_lookup_table.yaml --name note10

    It is kept in the cache ($HWNAS_CACHE, or ~/.cache/hwnas).
    """
    from hwnas import api
    from hwnas.cli.terminal import print_json, show_text

    found = api.import_table(files, name=name, device=device, replace=replace)
    if as_json:
        print_json(found.to_json())
        return
    kept = "kept in" if found.new else "this very table was there already, in"
    show_text(f"{name}: {found.table.text}\n{kept} {found.path}\n\nNext: hwnas describe NETWORK --target {name}")
