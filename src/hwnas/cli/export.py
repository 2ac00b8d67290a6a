"""`hwnas export`: a network as files that run without hwnas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hwnas.cli import options as o


def export(
    network: o.Network,
    out: Annotated[Path, o.Opt("--out", help="Directory for the files.")],
    weights: Annotated[
        Path | None,
        o.Opt(
            help="A safetensors file, or the checkpoint of a foreign network file.",
            show_default="weights.safetensors beside the network",
        ),
    ] = None,
    random_weights: Annotated[
        bool, o.Opt("--random-weights", help="Random weights, to try a device out before anything is trained.")
    ] = False,
    input_shape: o.InputShape = None,
    resolution: o.Side = None,
    classes: o.Classes = None,
    width: o.NetworkWidth = 1.0,
    as_json: o.AsJson = False,
) -> None:
    """Write a network as model.onnx, network.py (plain PyTorch), weights.safetensors and network.json.

    hwnas export runs/mine --out deploy

    hwnas export architecture.json --random-weights --out try
    """
    from hwnas import api
    from hwnas.cli.terminal import print_json, show_text

    found = api.export(
        network, out=out, weights=weights, random_weights=random_weights, input_shape=o.image_shape(input_shape),
        resolution=resolution, classes=classes, width=width,
    )  # fmt: skip
    origin = str(found.weights) if found.weights else None
    if as_json:
        print_json({"directory": str(found.directory), "weights": origin, "random_weights": origin is None})
        return
    show_text(f"{found.directory}: model.onnx, network.py, weights.safetensors, network.json")
    show_text(f"weights of {origin}" if origin else "The weights are random: this network has learnt nothing.")
