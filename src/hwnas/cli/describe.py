"""`hwnas describe`: a network in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwnas.cli import options as o

if TYPE_CHECKING:
    from hwnas.workflows.describing import Described


def describe(
    network: o.Network,
    target: Annotated[
        str | None, o.Opt(help="Latency by a published table (`hwnas list tables`).", show_default="none")
    ] = None,
    latency_model: Annotated[
        Path | None, o.Opt(help="A file of `hwnas profile`.", show_default="that of the run which the network lies in")
    ] = None,
    within: Annotated[
        str | None, o.Opt("--as", help="Find the network in a search space (`hwnas list spaces`).", show_default="no")
    ] = None,
    drawing: Annotated[Path | None, o.Opt(help="Write a drawing of the network, an SVG file.")] = None,
    input_shape: o.InputShape = None,
    resolution: o.Side = None,
    classes: o.Classes = None,
    width: o.NetworkWidth = 1.0,
    as_json: o.AsJson = False,
) -> None:
    """Parameters, multiply-accumulates, memory, layers, and latency by a model or a table. Nothing is run.

    hwnas describe mobilenet-v2 --resolution 192 --width 0.75

    hwnas describe proxyless-mobile --target pixel1-tunas --as tunas-proxyless

    hwnas describe runs/mine
    """
    from hwnas import api
    from hwnas.cli.terminal import print_json

    found = api.describe(
        network, target=target, latency_model=latency_model, within=within, input_shape=o.image_shape(input_shape),
        resolution=resolution, classes=classes, width=width,
    )  # fmt: skip
    if drawing is not None:
        api.draw(found, drawing)
    if as_json:
        print_json(found.to_json())
        return
    _show_layers(found)
    _show_sums(found)


def _show_layers(found: Described) -> None:
    from hwnas.cli.terminal import show_table, show_text
    from hwnas.report import wording

    columns = ["layer", "what", "params", "MACs"]
    rows = [
        [row["name"], row["text"], wording.short_count(row["params"]), wording.short_count(row["macs"])]
        for row in found.blocks
    ]
    if all(row["share"] is not None for row in found.blocks):
        columns += ["latency", "share"]
        for shown, row in zip(rows, found.blocks, strict=True):
            shown += [wording.milliseconds(row["latency_ms"]), wording.percent(row["share"], 0)]
    show_table(columns, rows)
    if found.latency_ms is not None and len(columns) == 4:
        show_text(f"what {found.target} adds for one layer means something in sums only, so it is not shown")


def _show_sums(found: Described) -> None:
    from hwnas.cli.terminal import show_text
    from hwnas.report import wording

    show_text(
        f"\n{'x'.join(map(str, found.input_shape))} in, {found.layers} layers: {wording.short_count(found.params)} "
        f"parameters, {wording.short_count(found.macs, 'MACs')}, "
        f"{wording.short_count(found.peak_activation_bytes, 'B')} of activations at most"
    )
    if found.latency_ms is not None:
        origin = "by the published table" if found.kind == "table" else "predicted"
        show_text(f"{wording.milliseconds(found.latency_ms)} on {found.target}, {origin}")
    else:
        show_text("no latency here: hwnas measure times the network, --target takes a published table")
    if found.published is not None:
        facts = found.published
        top1 = f"; {facts.reported_top1:g} % top-1 on {facts.data} as reported" if facts.reported_top1 else ""
        show_text(f"{facts.title}: {facts.paper}{top1}")
        show_text(f"layers: {facts.origin}{'; ' + facts.note if facts.note else ''}")
    if found.found_in is not None:
        place = found.found_in
        choices = ", ".join(f"{choice} {option}" for choice, option in place.architecture.choices)
        show_text(f"\nin {place.architecture.space}: {place.encoding or choices}")
        show_text("differs: " + ("; ".join(place.differences) or "in nothing"))
