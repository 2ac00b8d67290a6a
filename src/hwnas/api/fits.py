"""Whole fits, searches and trainings: each opens its images, settles its settings and works in a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import compose
from hwnas.api.arguments import call_in_words, check_number, checked_path
from hwnas.api.beginning import check_names, check_targets, open_images, replayed, reserved
from hwnas.config import FitConfig, TrainConfig, checked_settings, parse_compute
from hwnas.core.errors import BudgetError, EvaluationFailed, HwnasError, TargetUnavailable
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
    from hwnas.workflows.several import OneFit, SeveralResult
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
            config = _resolved(config, images, place, fresh, shown)
            return _fit(config, images, place, fresh, records, command, shown, stop, lock)


def fit_several(
    data: str = "mnist5k",
    *,
    budgets: Sequence[str],
    out: str | Path,
    targets: Sequence[str] = ("onnxruntime-f32",),
    seeds: int = 1,
    fresh: bool = False,
    measurements: str | Path | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    **settings: Any,
) -> SeveralResult:
    """Several fits below one directory, each a complete run, and a summary that sets them side by side.

    The same call resumes; what has finished is not done again. A fit that is refused (infeasible budget, target not
    available) does not keep the others from being done.

    Args:
        data: a known data set, a folder of images or an .npz pack.
        budgets: k-th with the k-th target; one serves all targets.
        out: gets result.json and report.html of the summary, and a directory for every fit.
        targets: one serves all budgets.
        seeds: how often each is done; the first seed is the setting `seed`.
        fresh: start every one over.
        measurements: replay those of this run directory or exported file instead of taking them.
        command: what to write into the reports under "how to repeat this".
        progress: told how far it is.
        stop: asks it to end as soon as everything is saved.
        settings: any other field of `hwnas.config.FitConfig`.

    Raises:
        InputError: a setting or the images cannot be used, or targets and budgets do not pair.
        RunError: a directory holds a run with other settings, or is in use.
    """
    place, shown = Path(out), progress or Silence()
    first = checked_settings(FitConfig, {"data": data, "budget": (*budgets, "")[0], **settings})
    plans = compose.plan_fits(first, targets, budgets, seeds)
    from hwnas.workflows.several import check_free, summarise

    check_free(place)
    values = {"data": data, "budgets": list(budgets), "targets": list(targets), "seeds": seeds, **settings}
    command = command or call_in_words("fit_several", {**values, "out": str(out)})
    fits = []
    steps: dict[tuple[str, str], dict[str, Any]] = {}  # the seeds of one task have the same settings
    with ExitStack() as held:
        locks = {name: held.enter_context(reserved(place / name)) for name in plans}
        check_names(first)
        check_targets([plan.target for plan in plans.values()], shown)
        records, images = held.enter_context(replayed(measurements)), open_images(first, shown)
        for number, (name, plan) in enumerate(plans.items(), start=1):
            shown.say(f"[{number}/{len(plans)}] {place / name}")
            task = (plan.target, plan.budget)
            config = plan.model_copy(update=steps.get(task, {}))
            fit, steps[task] = _one(config, images, place, name, fresh, records, command, shown, stop, locks[name])
            fits.append(fit)
        return summarise(fits, place, command)


def fit_seeds(
    data: str = "mnist5k", *, seeds: int, budget: str, out: str | Path, target: str = "onnxruntime-f32", **others: Any
) -> SeveralResult:
    """The same fit with several seeds, each a complete run in out/seed-K, and what they say together.

    Args:
        data: a known data set, a folder of images or an .npz pack.
        seeds: how many, counted from the setting `seed`.
        budget: latency limit with its unit.
        out: gets the summary, and a directory for every seed.
        target: where the network will run.
        others: whatever else `fit_several` takes.
    """
    return fit_several(data, seeds=seeds, budgets=[budget], targets=[target], out=out, **others)


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
            config = _resolved(config, images, place, fresh, shown)
            job = compose.open_job(config, images, command)
            from hwnas.workflows.search_only import search_only

            with _run(place, config, fresh, records, stop, shown, lock) as run:
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


def _one(
    config: FitConfig, images: ImageData, out: Path, name: str, fresh: bool, measurements: Path | None,
    command: str, progress: Progress, stop: Stop | None, lock: RunLock,
) -> tuple[OneFit, dict[str, Any]]:  # fmt: skip
    """One of several fits, and its numbers of steps; what ends it alone is told in its row."""
    from hwnas.workflows.several import OneFit, finished

    try:
        config = _resolved(config, images, out / name, fresh, progress)
    except TargetUnavailable as reason:
        return _refused(config, out, name, reason, progress), {}
    steps = {"search_steps": config.search_steps, "train_steps": config.train_steps}
    result = None if fresh else finished(out / name, config.kept())
    if result is None:
        try:
            result = _fit(config, images, out / name, fresh, measurements, command, progress, stop, lock).result
        except (BudgetError, EvaluationFailed, TargetUnavailable) as reason:
            return _refused(config, out, name, reason, progress), steps
    code = 0 if result["status"] == "inside-budget" else BudgetError.exit_code
    return OneFit(name, config.target, config.budget, config.seed, result, None, code), steps


def _refused(config: FitConfig, out: Path, name: str, reason: HwnasError, progress: Progress) -> OneFit:
    from hwnas.workflows.several import OneFit

    progress.say(f"{out / name}: {reason}")
    return OneFit(name, config.target, config.budget, config.seed, None, str(reason), reason.exit_code)


def _fit(
    config: FitConfig, images: ImageData, out: Path, fresh: bool, measurements: Path | None, command: str,
    progress: Progress, stop: Stop | None, lock: RunLock,
) -> FitResult:  # fmt: skip
    from hwnas.workflows.fit import fit as run_fit

    job = compose.open_job(config, images, command)
    with _run(out, config, fresh, measurements, stop, progress, lock) as run:
        return run_fit(job, run, progress)


@contextmanager
def _run(
    out: Path, config: FitConfig, fresh: bool, measurements: Path | None, stop: Stop | None, progress: Progress,
    lock: RunLock,
) -> Iterator[RunDirectory]:  # fmt: skip
    """The run directory, with the measurements that are to be replayed."""
    settings = config.kept()
    with RunDirectory.open(out, settings, fresh=fresh, stop=stop, say=progress.say, lock=lock) as run:
        if measurements is not None:
            run.store.import_measurements(measurements)
        yield run


def _resolved(config: FitConfig, images: ImageData, out: Path, fresh: bool, progress: Progress) -> FitConfig:
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
