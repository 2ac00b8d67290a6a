"""`hwnas list`: what can be asked for by name."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnas.cli import options as o


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="networks, spaces, data, targets, tables, losses, strategies or rewards.", show_default="all of them"
        ),
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """What can be asked for by name.

    hwnas list networks
    """
    from hwnas.cli.terminal import print_json, show_table, show_text
    from hwnas.compose import known_names
    from hwnas.core.errors import UnknownName

    known = known_names()
    if kind is not None and kind not in known:
        raise UnknownName("kind of name", kind, known)
    shown = known if kind is None else {kind: known[kind]}
    if as_json:
        print_json(shown)
        return
    for heading, names in shown.items():
        if len(shown) > 1:
            show_text(f"{heading}:")
        show_table(None, list(names.items()))
        if heading == "data":
            show_text("and any folder of images (a folder for each class) or .npz pack")
