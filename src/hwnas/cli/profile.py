"""`hwnas profile`: the latency model of a space on a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hwnas.cli import options as o


def profile(
    space: Annotated[str, o.Opt(help="Search space (`hwnas list spaces`); auto goes by the resolution.")] = "auto",
    resolution: Annotated[
        int | None, o.Opt(help="Side of the images in pixels.", show_default="the space's own, or 32")
    ] = None,
    channels: Annotated[int | None, o.Opt(help="Of the images.", show_default="the space's own")] = None,
    classes: Annotated[int | None, o.Opt(help="Of the task.", show_default="the space's own")] = None,
    width: Annotated[float, o.Opt(help="Multiplies every width of the space.")] = 1.0,
    target: o.Target = "onnxruntime-f32",
    held_out: Annotated[int, o.Opt(help="Networks that judge the model, at least 2.")] = 12,
    seed: Annotated[int, o.Opt(help="Draws the networks.")] = 0,
    out: Annotated[Path | None, o.Opt(help="JSON file for the model.")] = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Build the latency model of a space on a target, and judge it on networks that it never saw.

    hwnas profile --space proxyless-small --resolution 28 --channels 1 --out model.json

    hwnas profile --space ofa-mobilenet-v3 --target openvino-f32 --resolution 224

    The kind of model is the one that errs least on calibration networks, each left out in turn.

    Layers that were timed before on the same target are taken from the cache ($HWNAS_CACHE, or ~/.cache/hwnas).
    """
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json, show_table, show_text
    from hwnas.report import wording

    with TerminalProgress(quiet) as progress:
        model = api.profile(
            space, target=target, resolution=resolution, channels=channels, classes=classes, width=width,
            held_out=held_out, seed=seed, out=out, progress=progress,
        )  # fmt: skip
    quality = model.quality
    if as_json:
        chosen = {"kind": model.kind, "errors_percent": dict(model.errors_percent), "layers": len(model.table)}
        figures = {"quality": quality.to_json() if quality else None, "out": str(out) if out else None}
        print_json({"target": model.target, "target_id": model.target_id, **chosen, **figures})
        return
    show_text(f"{model.target}: {wording.latency_model_kind(model.kind, model.errors_percent)}")
    if quality is not None:
        rows = [
            ("bias", wording.signed(quality.bias_percent, 2, " %"), "", ""),
            ("mean absolute error", *(f"{wording.decimals(value, 2)} %" for value in
                                      (quality.mape_percent, quality.macs_mape_percent, quality.retest_cv_percent))),
            ("R²", wording.decimals(quality.r2, 4), "", ""),
            ("Kendall's tau", *(wording.decimals(value, 3) for value in
                                (quality.kendall_tau, quality.macs_kendall_tau, quality.retest_tau))),
        ]  # fmt: skip
        show_text(
            f"{len(model.table)} layers timed, calibrated on {quality.calibration_networks} networks, judged on "
            f"{len(quality.points)} others\n"
        )
        show_table(("", "the model", "counting MACs", "measuring again"), rows)
    if out is not None:
        show_text(f"\nNext: hwnas describe NETWORK --latency-model {out}")
