"""The same in Python: `hwnas.fit(...)` and its smaller relatives. The command line calls these and prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import compose
from hwnas.config import FitConfig, fit_config
from hwnas.core.protocols import Progress, Silence
from hwnas.runs.directory import RunDirectory

if TYPE_CHECKING:
    from hwnas.hardware.latency_model import LatencyModel
    from hwnas.hardware.timing import Measurement
    from hwnas.workflows.fit import FitResult


def fit(
    data: str = "mnist5k",
    *,
    budget: str,
    out: str | Path,
    target: str = "onnxruntime-f32",
    fresh: bool = False,
    measurements: str | Path | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> FitResult:
    """Images, a target and a budget in; a trained network that is measured inside the budget out.

    Args:
        data: a known data set, a folder of images or an .npz pack.
        budget: latency limit with its unit, for example "1.5ms", "800us" or "40%" of the space's largest network.
        out: the run directory; the same call on the same directory resumes.
        target: where the network will run.
        fresh: start over in a directory that holds a run.
        measurements: replay the measurements of this file instead of taking them.
        command: what to write into the report under "how to repeat this".
        progress: told how far it is.
        settings: any other field of `hwnas.config.FitConfig`.

    Returns:
        Whether the file is inside the budget, the network, its latency and accuracy, and the whole of result.json.

    Raises:
        BudgetError: no network of the space is inside the budget.
        InputError: a setting or the images cannot be used.
        RunError: the directory holds a run with other settings, or is in use.
        TargetUnavailable: the target's engine is not installed.
    """
    from hwnas.workflows.fit import fit as run_fit

    config = fit_config({"data": data, "budget": budget, "target": target, **settings})
    set_threads(config)
    images = compose.open_data(config)
    config = compose.resolved(config, images)
    job = compose.open_job(config, images, command or f"hwnas.fit({data!r}, budget={budget!r}, out={str(out)!r})")
    with RunDirectory.open(Path(out), config.model_dump(mode="json"), fresh=fresh) as run:
        if measurements is not None:
            run.store.import_measurements(Path(measurements))
        return run_fit(job, run, progress or Silence())


def set_threads(config: FitConfig) -> None:
    """Torch's threads, process-wide: beside another busy process, two threads can be twenty times slower than one."""
    import torch

    torch.set_num_threads(config.threads)


def profile(
    space: str = "auto",
    *,
    target: str = "onnxruntime-f32",
    resolution: int = 32,
    channels: int = 3,
    classes: int = 10,
    width: float = 1.0,
    held_out: int = 12,
    seed: int = 0,
    progress: Progress | None = None,
) -> LatencyModel:
    """Builds the latency model of a space on a target, judged on networks that it never saw.

    Args:
        space: the search space.
        target: where.
        resolution: side of the images in pixels.
        channels: of the images.
        classes: of the task.
        width: multiplies every width of the space.
        held_out: how many networks judge the model.
        seed: draws the networks.
        progress: told how far it is.
    """
    from hwnas.hardware.profiling import profile as build_profile
    from hwnas.hardware.store import TargetStore
    from hwnas.hardware.targets import open_target

    opened = compose.open_space(space, (channels, resolution, resolution), classes, width)
    place = open_target(target, opened.input_shape)
    return build_profile(place, opened, TargetStore(), seed=seed, held_out=held_out, progress=progress)


@dataclass(frozen=True)
class Described:
    """A network in numbers; see `hwnas.core.counting` for how each is counted.

    Args:
        source: what was asked for.
        params: trainable values.
        macs: multiply-accumulates at batch 1.
        peak_activation_bytes: f32, batch 1.
        layers: nodes of the network.
        input_shape: (channels, height, width).
        blocks: one row a layer.
        predicted_ms: by the latency model, or None without one.
    """

    source: str
    params: int
    macs: int
    peak_activation_bytes: int
    layers: int
    input_shape: tuple[int, ...]
    blocks: list[dict[str, Any]]
    predicted_ms: float | None


def measure(
    model: str,
    *,
    target: str = "onnxruntime-f32",
    sessions: int = 5,
    seed: int = 0,
    input_shape: tuple[int, int, int] | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Measures a network on a target: an .onnx file, a run directory's shipped file, or a network with random weights.

    Args:
        model: an .onnx file, a run directory, network.json or architecture.json.
        target: where.
        sessions: measuring processes; a claim about a budget needs 5.
        seed: of the orders in which files are timed.
        input_shape: (channels, height, width) for an architecture.json; None for its space's own.
        progress: told how far it is.
    """
    from hwnas.hardware.store import TargetStore
    from hwnas.hardware.targets import open_target
    from hwnas.hardware.timing import measure as measure_files
    from hwnas.workflows.files import model_file

    file = model_file(model, input_shape)
    place = open_target(target, file.input_shape)
    found = measure_files(
        place, {"model": file.content}, TargetStore(), sessions=sessions, seed=seed, progress=progress
    )
    return found["model"]
