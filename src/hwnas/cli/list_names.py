"""`hwnas list`: what can be asked for by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli import options as o

if TYPE_CHECKING:
    from hwnas.compose.names import ListedTarget


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

    hwnas list targets
    """
    from hwnas.cli.terminal import print_json, show_table, show_text
    from hwnas.compose import known_names, targets
    from hwnas.core.errors import UnknownName

    known = known_names()
    if kind is not None and kind not in known:
        raise UnknownName("kind of name", kind, known)
    shown = known if kind is None else {kind: known[kind]}
    if as_json:
        rows = {"targets": {target.name: target.to_json() for target in targets()}}
        print_json({heading: rows.get(heading, names) for heading, names in shown.items()})
        return
    if kind == "targets":
        show_table(("target", "short", "runs", "precision", "ships", "library"), [_row(target) for target in targets()])
        show_text("one image and one thread a call, or as in onnxruntime?threads=2&batch=8; `hwnas doctor` tries them")
        return
    for heading, names in shown.items():
        if len(shown) > 1:
            show_text(f"{heading}:")
        show_table(None, list(names.items()))
        if heading == "data":
            show_text("and any folder of images (a folder for each class) or .npz pack")


def _row(target: ListedTarget) -> tuple[str, ...]:
    has = (
        f"{target.package} {target.installed}".rstrip()
        if target.installed is not None
        else f"missing: {target.install}"
    )
    return target.name, target.short or "", target.title, target.precision, target.file, has
