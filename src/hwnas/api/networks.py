"""What can be done with one network, one space or finished runs: measured, profiled, described, exported, reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import compose
from hwnas.api.arguments import check_number, check_shape, checked_path, place_for, place_for_file
from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Progress, Silence
from hwnas.core.seeds import LARGEST_SEED
from hwnas.hardware.engines import canonical_name

if TYPE_CHECKING:
    from torch import nn

    from hwnas.core.protocols import LayerCostModel
    from hwnas.hardware.latency_model import LatencyModel
    from hwnas.workflows.describing import Described
    from hwnas.workflows.doctor import Finding
    from hwnas.workflows.exporting import Exported
    from hwnas.workflows.measure_model import Measured

MOST_CLASSES = 10**6
MOST_PIXELS = 4096  # of a side


def measure(
    model: str,
    *,
    target: str = "onnxruntime-f32",
    budget: str | None = None,
    sessions: int = 5,
    seed: int = 0,
    input_shape: Shape | None = None,
    resolution: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
    by_layer: bool = False,
    progress: Progress | None = None,
) -> Measured:
    """Measures a network on a target: an .onnx file, a run directory's shipped file, or a network with random weights.

    Args:
        model: an .onnx file, a published network's name, a run directory, or a network's file.
        target: where.
        budget: what the latency is held against, for example "1.5ms"; for a run also "40%" of its largest network.
        sessions: measuring processes; a claim about a budget needs 5.
        seed: of the orders in which files are timed.
        input_shape: (channels, height, width) of the images, where the network leaves that open; None for its own.
        resolution: the same as the side of square images in pixels; give one of the two.
        classes: where the network leaves that open; None for its own.
        width: multiplies the widths of a published network.
        by_layer: whether to say where the time goes, too.
        progress: told how far it is.
    """
    from hwnas.hardware.targets import open_target
    from hwnas.workflows.measure_model import budget_in_ms, measure_model

    checked_path("model", model)
    check_number("--sessions", sessions, 2, 1000)
    check_number("--seed", seed, 0, LARGEST_SEED)
    fitting = _fitting(input_shape, resolution, classes, width)
    target = canonical_name(target)
    budget_ms = None if budget is None else budget_in_ms(budget, model)
    found = compose.open_model(model, target, fitting)
    return measure_model(
        model, found.file, open_target(target, found.file.input_shape), sessions=sessions, seed=seed,
        budget_ms=budget_ms, progress=progress or Silence(), network=found.network, layers=by_layer,
    )  # fmt: skip


def profile(
    space: str = "auto",
    *,
    target: str = "onnxruntime-f32",
    resolution: int | None = None,
    channels: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
    held_out: int = 12,
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> LatencyModel:
    """Builds the latency model of a space on a target, judged on networks that it never saw.

    Its kind is the one that errs least on calibration networks, each left out in turn (`hwnas.hardware.kinds`).

    Args:
        space: the search space.
        target: where.
        resolution: side of the images in pixels; None for the space's own, or 32.
        channels: of the images; None for the space's own.
        classes: of the task; None for the space's own.
        width: multiplies every width of the space.
        held_out: how many networks judge the model; they decide nothing.
        seed: draws the networks.
        out: a JSON file that the model is written to; None to write none.
        progress: told how far it is.
    """
    from hwnas.hardware.profiling import profile as build_profile
    from hwnas.hardware.store import TargetStore
    from hwnas.hardware.targets import open_target
    from hwnas.runs.files import write_sealed_json

    check_number("--resolution", resolution, 8, 1024)
    check_number("--channels", channels, 1, 1024)
    check_number("--classes", classes, 2, MOST_CLASSES)
    check_number("--held-out", held_out, 2, 1000)
    check_number("--seed", seed, 0, LARGEST_SEED)
    opened = compose.own_space(space, resolution, channels, classes, width)
    place = open_target(target, opened.input_shape)
    file = None if out is None else Path(out)
    with place_for_file(file):
        model = build_profile(place, opened, TargetStore(), seed=seed, held_out=held_out, progress=progress)
        if file is not None:
            write_sealed_json(file, model.to_json())
    return model


def describe(
    network: str,
    *,
    target: str | None = None,
    latency_model: str | Path | None = None,
    within: str | None = None,
    input_shape: Shape | None = None,
    resolution: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
) -> Described:
    """A network in numbers: parameters, multiply-accumulates, memory, layers, and latency by a model or a table.

    Needs no torch.

    Args:
        network: a published network's name, a run directory, or a network's file.
        target: a published latency table, for example "pixel1-tunas".
        latency_model: a file of `hwnas profile`; by default the one of the run that the network lies in.
        within: a search space in which the network is looked for.
        input_shape: (channels, height, width) of the images, where the network leaves that open; None for its own.
        resolution: the same as the side of square images in pixels; give one of the two.
        classes: where the network leaves that open; None for its own.
        width: multiplies the widths of a published network.

    Raises:
        UnknownLayer: the model or table knows no such layer; names it and the nearest.
        TargetUnavailable: the table has to be imported first; the message says how.
        InputError: there is no such network, or it does not lie in the space; names the layer.
    """
    from hwnas.workflows.describing import describe as describe_network

    if target is not None and latency_model is not None:
        raise InputError("give either --target, a published table, or --latency-model, a file of `hwnas profile`")
    checked_path("network", network)
    found = compose.open_network(network, _fitting(input_shape, resolution, classes, width))
    model, name = _priced_by(target, latency_model, found)
    found_in = None if within is None else compose.find_in_space(found.network, within)
    return describe_network(network, found.network, model, name, found.published, found_in)


def draw(described: Described, file: str | Path) -> Path:
    """Writes a drawing of a described network: an SVG file that holds its own style, for light and dark pages.

    Args:
        described: what `describe` returned.
        file: written whole or not at all.

    Returns:
        The file.

    Raises:
        InputError: the place cannot be written.
    """
    from hwnas.runs.files import write_atomically
    from hwnas.workflows.describing import drawing

    path = checked_path("--drawing", file)
    with place_for_file(path, "--drawing"):
        write_atomically(path, drawing(described).encode())
    return path


def export(
    network: str,
    *,
    out: str | Path,
    weights: str | Path | None = None,
    random_weights: bool = False,
    input_shape: Shape | None = None,
    resolution: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
) -> Exported:
    """Writes a network as model.onnx, network.py, weights.safetensors and network.json. Needs no torch.

    Args:
        network: a published network's name, a run directory, or a network's file.
        out: directory for the files.
        weights: a safetensors file, or the checkpoint (.pth) that belongs to a foreign network file; by default the
            weights.safetensors beside the network.
        random_weights: use random weights, for trying out a device before anything is trained.
        input_shape: (channels, height, width) of the images, where the network leaves that open; None for its own.
        resolution: the same as the side of square images in pixels; give one of the two.
        classes: where the network leaves that open; None for its own.
        width: multiplies the widths of a published network.

    Raises:
        InputError: there are no weights, or they belong to another network.
    """
    from hwnas.runs.stored import check_delivered
    from hwnas.workflows.exporting import export_network
    from hwnas.workflows.files import WEIGHTS

    if weights is not None and random_weights:
        raise InputError("give either weights or random weights, not both")
    checked_path("network", network)
    found = compose.open_network(network, _fitting(input_shape, resolution, classes, width))
    beside = None if found.directory is None else found.directory / WEIGHTS
    given = beside if weights is None else checked_path("--weights", weights)
    path = None if random_weights else given
    if not random_weights and (path is None or not path.exists()):
        where = "with a published network" if path is None else f"at {path}"
        raise InputError(f"there are no weights {where}: give --weights FILE, or --random-weights")
    if path is not None:
        check_delivered(path)
    with place_for(Path(out)):
        return export_network(found.network, found.architecture, path, Path(out), found.weight_names)


def to_timm(
    network: NetworkSpec | str,
    *,
    weights: str | Path | None = None,
    features_only: bool = False,
    input_shape: Shape | None = None,
    resolution: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
) -> nn.Module:
    """A network as a timm model, for detectors and whatever else is built on timm's interfaces.

    Args:
        network: as data, or a published network's name, a run directory, or a network's file.
        weights: a safetensors file, or the checkpoint (.pth) that belongs to a foreign network file; by default the
            weights.safetensors beside a network that lies on disk, and random ones for any other.
        features_only: whether to make timm's feature extractor, which has `feature_info` and returns a list of maps.
        input_shape: (channels, height, width) of the images, where the network leaves that open; None for its own.
        resolution: the same as the side of square images in pixels; give one of the two.
        classes: where the network leaves that open; None for its own.
        width: multiplies the widths of a published network.

    Raises:
        InputError: timm has no such block, and the node is named; or the weights belong to another network.
    """
    from hwnas.nn.timm_model import to_timm as as_timm_model
    from hwnas.runs.stored import check_delivered
    from hwnas.workflows.files import WEIGHTS, read_weights

    if isinstance(network, NetworkSpec):
        found = compose.FoundNetwork(network)
    else:
        checked_path("network", network)
        found = compose.open_network(network, _fitting(input_shape, resolution, classes, width))
    path = None if weights is None else checked_path("weights", weights)
    if path is None and found.directory is not None and (found.directory / WEIGHTS).exists():
        path = found.directory / WEIGHTS
    if path is None:
        return as_timm_model(found.network, None, features_only)
    check_delivered(path)
    return as_timm_model(found.network, read_weights(path, found.network, found.weight_names), features_only)


def write_report(
    runs: Sequence[str | Path], *, out: str | Path | None = None, progress: Progress | None = None
) -> Path:
    """Writes the report of a run again, or sets several runs side by side. Needs no torch.

    Args:
        runs: run directories; one that holds several fits stands for all of them.
        out: the HTML file; by default report.html in the one directory that is given.
        progress: told what is damaged in a run and left out.

    Returns:
        The file.

    Raises:
        InputError: no run directory, or several and no `out`.
        RunError: a run has not finished.
    """
    from hwnas.workflows.reporting import report_runs

    places = [checked_path("run", run) for run in runs]
    file = None if out is None else Path(out)
    with place_for_file(file):
        return report_runs(places, file, progress)


def doctor() -> list[Finding]:
    """What this machine has of all that hwnas can use, and how to get the rest."""
    from hwnas.workflows.doctor import examine

    return examine()


def _priced_by(
    target: str | None, file: str | Path | None, found: compose.FoundNetwork
) -> tuple[LayerCostModel | None, str | None]:
    """What says the latency of a network, and of which target; both None without one."""
    from hwnas.hardware.tables.store import open_table
    from hwnas.workflows.describing import nearby_latency_model, read_latency_model

    if target is not None:
        return open_table(target).prices(found.network), target
    if file is not None:
        profiled: LatencyModel | None = read_latency_model(checked_path("--latency-model", file))
    else:
        profiled = None if found.directory is None else nearby_latency_model(found.directory)
    return profiled, profiled.target if profiled else None


def _fitting(input_shape: Shape | None, resolution: int | None, classes: int | None, width: float) -> compose.Fitting:
    """What a network is to be made for, checked."""
    check_shape(input_shape)
    check_number("--resolution", resolution, 8, MOST_PIXELS)
    check_number("--classes", classes, 2, MOST_CLASSES)
    check_number("--width", width, 0.1, 4)
    if input_shape is not None and resolution is not None:
        raise InputError("give either --input-shape or --resolution, not both")
    return compose.Fitting(input_shape, resolution, classes, width)
