"""Whole fits, searches and trainings: each opens its images, settles its settings and works in a run directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import compose
from hwnas.api.arguments import call_in_words, check_number, checked_path
from hwnas.api.beginning import check_names, open_images, replayed, reserved
from hwnas.config import FitConfig, TrainConfig, checked_settings, parse_compute
from hwnas.core.protocols import Progress, Silence
from hwnas.hardware.engines import PROOF, open_engine
from hwnas.runs.directory import RunDirectory
from hwnas.runs.lock import RunLock
from hwnas.runs.settings import read_settings
from hwnas.runs.stop import Stop
from hwnas.runs.stored import CONFIG

if TYPE_CHECKING:
    from hwnas.data.images import ImageData
    from hwnas.workflows.fit import FitResult
    from hwnas.workflows.search_only import SearchResult
    from hwnas.workflows.single import TrainResult


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
    stop: Stop | None = None,
    **settings: Any,
) -> FitResult:
    """Images, a target and a budget in; a trained network that is measured inside the budget out.

    Args:
        data: a known data set, a folder of images or an .npz pack.
        budget: latency limit with its unit, for example "1.5ms", "800us" or "40%" of the space's largest network.
        out: the run directory; the same call on the same directory resumes.
        target: where the network will run.
        fresh: start over in a directory that holds a run.
        measurements: replay those of this run directory or exported file instead of taking them.
        command: what to write into the report under "how to repeat this".
        progress: told how far it is.
        stop: asks it to end as soon as everything is saved.
        settings: any other field of `hwnas.config.FitConfig`.

    Returns:
        Whether the file is inside the budget, the network, its latency and accuracy, and the whole of result.json.

    Raises:
        BudgetError: no network of the space is inside the budget.
        InputError: a setting or the images cannot be used.
        RunError: the directory holds a run with other settings, or is in use.
        TargetUnavailable: the target's engine is not installed.
    """
    values = {"data": data, "budget": budget, "target": target, **settings}
    config = checked_settings(FitConfig, values)
    place, shown = Path(out), progress or Silence()
    command = command or call_in_words("fit", {**values, "out": str(out)})
    with reserved(out) as lock:
        check_names(config)
        open_engine(config.target)
        with replayed(measurements) as records:
            images = open_images(config, shown)
            config = settled(config, images, place, fresh, shown)
            return fit_in(place, config, images, fresh, records, command, shown, stop, lock)


def search(
    data: str = "mnist5k",
    *,
    budget: str,
    out: str | Path,
    target: str = "onnxruntime-f32",
    fresh: bool = False,
    measurements: str | Path | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    **settings: Any,
) -> SearchResult:
    """The search alone: the chosen architecture with its predicted and measured latency, and nothing trained out.

    `fit` with the same settings on the same directory goes on from there.

    Args:
        data: a known data set, a folder of images or an .npz pack.
        budget: latency limit with its unit.
        out: the run directory; the same call on the same directory resumes.
        target: where the network will run.
        fresh: start over in a directory that holds a run.
        measurements: replay those of this run directory or exported file instead of taking them.
        command: what the user typed.
        progress: told how far it is.
        stop: asks it to end as soon as everything is saved.
        settings: any other field of `hwnas.config.FitConfig`.

    Raises:
        BudgetError: no network of the space is inside the budget.
        InputError: a setting or the images cannot be used.
        RunError: the directory holds a run with other settings, or is in use.
    """
    values = {"data": data, "budget": budget, "target": target, **settings}
    config = checked_settings(FitConfig, values)
    place, shown = Path(out), progress or Silence()
    command = command or call_in_words("search", {**values, "out": str(out)})
    with reserved(out) as lock:
        check_names(config)
        open_engine(config.target)
        with replayed(measurements) as records:
            images = open_images(config, shown)
            config = settled(config, images, place, fresh, shown)
            job = compose.open_job(config, images, command)
            from hwnas.workflows.search_only import search_only

            with opened_run(place, config, fresh, records, stop, shown, lock) as run:
                return search_only(job, run, shown)


def train(
    network: str,
    data: str = "mnist5k",
    *,
    out: str | Path,
    width: float = 1.0,
    fresh: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    **settings: Any,
) -> TrainResult:
    """Trains one given network from scratch; writes weights.safetensors, model.onnx, network.py and network.json.

    Args:
        network: a published network's name, a run directory, or a network's file; what leaves it open is fitted to
            the images.
        data: a known data set, a folder of images or an .npz pack.
        out: the run directory; the same call on the same directory resumes.
        width: multiplies the widths of a published network.
        fresh: start over in a directory that holds a run.
        command: what the user typed.
        progress: told how far it is.
        stop: asks it to end as soon as everything is saved.
        settings: any other field of `hwnas.config.TrainConfig`.

    Raises:
        InputError: the network cannot be read, or does not fit the images.
        RunError: the directory holds a run with other settings, or is in use.
        TargetUnavailable: the training device is not there, or onnxruntime, which proves the exported file.
    """
    from hwnas.hardware.layers import network_id

    config = checked_settings(TrainConfig, {"data": data, **settings})
    check_number("--width", width, 0.1, 4)
    shown = progress or Silence()
    asked = {"network": network, "data": data, "out": str(out), **({"width": width} if width != 1.0 else {})}
    command = command or call_in_words("train", {**asked, **settings})
    with reserved(out) as lock:
        check_names(config)
        open_engine(PROOF)
        checked_path("network", network)
        compose.open_network(network, compose.Fitting(width=width))
        images = open_images(config, shown)
        fitting = compose.Fitting(images.input_shape, classes=len(images.class_names), width=width)
        found = compose.open_network(network, fitting)
        config = compose.resolved_training(config, images)
        job = compose.open_training(config, found, images, command)
        kept = {"network": network_id(found.network), **config.model_dump(mode="json")}
        from hwnas.workflows.single import train_single

        with RunDirectory.open(Path(out), kept, fresh=fresh, stop=stop, say=shown.say, lock=lock) as run:
            return train_single(job, run, shown)


def fit_in(
    out: Path, config: FitConfig, images: ImageData, fresh: bool, measurements: Path | None, command: str,
    progress: Progress, stop: Stop | None, lock: RunLock, siblings: tuple[Path, ...] | None = None,
) -> FitResult:  # fmt: skip
    """A fit with settled settings in a directory that is locked.

    Args:
        out: the run directory.
        config: settled.
        images: of its data.
        fresh: start over.
        measurements: a checked file of those that are to be replayed.
        command: what the user typed.
        progress: told how far it is.
        stop: asks it to end.
        lock: of the directory.
        siblings: finished fits whose work may be taken over; None for a fit that stands by itself.
    """
    from hwnas.workflows.fit import fit as run_fit

    job = replace(compose.open_job(config, images, command), siblings=siblings)
    with opened_run(out, config, fresh, measurements, stop, progress, lock) as run:
        return run_fit(job, run, progress)


@contextmanager
def opened_run(
    out: Path, config: FitConfig, fresh: bool, measurements: Path | None, stop: Stop | None, progress: Progress,
    lock: RunLock,
) -> Iterator[RunDirectory]:  # fmt: skip
    """The run directory, with the measurements that are to be replayed."""
    settings = config.kept()
    with RunDirectory.open(out, settings, fresh=fresh, stop=stop, say=progress.say, lock=lock) as run:
        if measurements is not None:
            run.store.import_measurements(measurements)
        yield run


def settled(config: FitConfig, images: ImageData, out: Path, fresh: bool, progress: Progress) -> FitConfig:
    """Every open setting settled; a compute limit becomes steps once, and on resume those that are stored."""
    if config.compute is not None and None in (config.search_steps, config.train_steps):
        stored = read_settings(out / CONFIG) if (out / CONFIG).is_file() and not fresh else {}
        if stored.get("compute") is None:
            from hwnas.workflows.compute import affordable_steps

            job = compose.open_job(compose.resolved(config, images), images, "")
            steps = affordable_steps(job, parse_compute(config.compute), progress)
            stored = {"search_steps": steps.search, "train_steps": steps.train}
        names = [name for name in ("search_steps", "train_steps") if getattr(config, name) is None]
        config = config.model_copy(update={name: stored.get(name) for name in names})
    return compose.resolved(config, images)
