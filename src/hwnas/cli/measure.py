"""`hwnas measure`: the latency of one file, its size, and the memory that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli import options as o

if TYPE_CHECKING:
    from hwnas.workflows.by_layer import ByLayer
    from hwnas.workflows.measure_model import Measured


def measure(
    model: Annotated[
        str,
        typer.Argument(
            help="An .onnx file, a run directory (its shipped file), or a published network's name or a network's "
            "file (with random weights, which run just as long)."
        ),
    ],
    target: o.Target = "onnxruntime-f32",
    budget: o.Budget = None,
    sessions: Annotated[int, o.Opt(help="Measuring processes; a claim about a budget needs 5.")] = 5,
    seed: Annotated[int, o.Opt(help="Of the orders in which files are timed.")] = 0,
    input_shape: o.InputShape = None,
    resolution: o.Side = None,
    classes: o.Classes = None,
    width: o.NetworkWidth = 1.0,
    by_layer: Annotated[bool, o.Opt("--by-layer", help="Also say which layers the time goes to.")] = False,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    """Measure a network's latency and memory on a target, and hold the latency against a budget.

    hwnas measure runs/mine --budget 1.5ms

    hwnas measure mobilenet-v2 --resolution 192

    hwnas measure proxyless-mobile --target openvino --by-layer

    Inside the budget means: the upper end of the 95 % interval over the sessions is within it. Exit code 3 if not.
    Lines that begin with "!" say why the figures may not be trusted, and what to do; they change no exit code.
    """
    from hwnas import api
    from hwnas.cli.progress import TerminalProgress
    from hwnas.cli.terminal import print_json

    with TerminalProgress(quiet) as progress:
        found = api.measure(
            model, target=target, budget=budget, sessions=sessions, seed=seed, input_shape=o.image_shape(input_shape),
            resolution=resolution, classes=classes, width=width, by_layer=by_layer,
            progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(found.to_json())
    else:
        _show(found)
    raise typer.Exit(3 if found.inside_budget is False else 0)


def _show(found: Measured) -> None:
    from hwnas.cli.terminal import show_text
    from hwnas.report import wording

    latency, key = found.latency, found.target.key
    interval = wording.milliseconds_interval(latency.interval_ms, latency.median_ms)
    a_second = f"{found.images_per_s:.4g} images a second, {key.batch} a call\n" if key.batch > 1 else ""
    show_text(
        f"{wording.milliseconds(latency.median_ms)} (95 % {interval}, {len(latency.sessions_ms)} sessions, "
        f"{latency.rounds} rounds, {latency.unstable} of them disturbed)\n{a_second}"
        f"wall time: half below {wording.milliseconds(latency.wall_p50_ms)}, "
        f"nine tenths below {wording.milliseconds(latency.wall_p90_ms)}\n"
        f"{_room(found)}\n"
        f"target {found.target.name} {key.id}: {', '.join(f'{k} {v}' for k, v in key.to_json().items())}\n"
        f"file sha256 {latency.file_sha256}"
    )
    for doubt in latency.doubts:
        show_text(f"! {doubt.says} {doubt.advice}")
    if found.budget_ms is not None:
        verdict = "inside" if found.inside_budget else "not inside"
        show_text(f"{verdict} the budget of {wording.limit(found.budget_ms)}")
    if found.by_layer is not None:
        _show_layers(found.by_layer)


def _room(found: Measured) -> str:
    from hwnas.report.wording import short_count

    size = f"file {short_count(found.size_bytes, 'B')}"
    if found.memory is None:
        return f"{size}; the memory that it needs is measured on Linux alone"
    taken = found.memory.processes_bytes
    between = f"{short_count(min(taken), 'B')} to {short_count(max(taken), 'B')} in {len(taken)} processes"
    return f"{size}; memory at its peak, beside the engine's own: {between}"


def _show_layers(found: ByLayer) -> None:
    from hwnas.cli.terminal import show_table, show_text
    from hwnas.report import wording

    shares = [("MACs", "macs_share"), ("alone", "alone_share"), ("profiled", "profiled_share")]
    there = [(head, name) for head, name in shares if any(getattr(row, name) is not None for row in found.rows)]
    texts = [] if all(not row.text for row in found.rows) else ["what"]
    table = [
        [row.name, *([row.text] if texts else []), *(wording.percent(getattr(row, name), 1) for _, name in there)]
        for row in found.rows
    ]
    show_text("")
    show_table(["layer" if texts else "node", *texts, *(head for head, _ in there)], table)
    sums = [("alone", "layers timed alone", found.alone_ms), ("profiled", "kernels inside a run", found.profiled_ms)]
    for head, what, ms in sums:
        if ms is not None:
            share = wording.percent(ms / found.median_ms, 0)
            show_text(f"{head}: {what}, together {wording.milliseconds(ms)}, {share} of the latency from end to end")
    if found.spread is not None:
        show_text(f"profiled shares differ by up to {100 * found.spread:.1f} points from process to process, typically")
    for note in found.notes:
        show_text(f"{note[0].upper()}{note[1:]}")
