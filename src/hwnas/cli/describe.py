"""`hwnas describe`: a network in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hwnas.cli import options as o


def describe(
    network: o.Network,
    latency_model: Annotated[
        Path | None, o.Opt(help="A file of `hwnas profile`.", show_default="that of the run which the network lies in")
    ] = None,
    input_shape: o.InputShape = None,
    classes: o.Classes = None,
    as_json: o.AsJson = False,
) -> None:
    """Parameters, multiply-accumulates, memory, layers, and latency where a model is at hand. Nothing is run.

    hwnas describe runs/mine

    hwnas describe architecture.json --input-shape 3x64x64 --classes 5 --latency-model model.json
    """
    from hwnas import api
    from hwnas.cli.terminal import print_json, show_table, show_text
    from hwnas.report import wording

    found = api.describe(
        network, latency_model=latency_model, input_shape=o.image_shape(input_shape), classes=classes
    )  # fmt: skip
    if as_json:
        print_json(found.to_json())
        return
    rows = []
    for row in found.blocks:
        counted = (wording.short_count(row["params"]), wording.short_count(row["macs"]))
        priced = (wording.milliseconds(row["latency_ms"]), wording.percent(row["share"], 0))
        rows.append((row["name"], row["text"], *counted, *(priced if found.predicted_ms is not None else ())))
    columns = ("layer", "what", "params", "MACs", "predicted", "share")
    show_table(columns if found.predicted_ms is not None else columns[:4], rows)
    show_text(
        f"\n{'x'.join(map(str, found.input_shape))} in, {found.layers} layers: {wording.short_count(found.params)} "
        f"parameters, {wording.short_count(found.macs, 'MACs')}, "
        f"{wording.short_count(found.peak_activation_bytes, 'B')} of activations at most"
    )
    if found.predicted_ms is not None:
        show_text(f"{wording.milliseconds(found.predicted_ms)} on {found.target}, predicted")
    else:
        show_text("no latency model here: hwnas measure times the network, hwnas profile makes a model")
