"""Training one given network from scratch: no search, no budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.counting import count
from hwnas.core.errors import InputError, fields_of
from hwnas.core.network import NetworkSpec, located_layers
from hwnas.core.protocols import Progress
from hwnas.core.seeds import seed_for
from hwnas.data.images import ImageData
from hwnas.evaluation.standalone import Score, score
from hwnas.formats.onnx_file import to_onnx
from hwnas.hardware.engines import PROOF, open_engine
from hwnas.hardware.layers import network_id
from hwnas.nn.build import arrays_of, build, initialise
from hwnas.runs.canonical import canonical_sha256
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stored import RESULT, RESULT_FORMAT, file_digests
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import train
from hwnas.training.recipe import Recipe
from hwnas.workflows.accounting import RunProgress, accounted
from hwnas.workflows.blocks import blocks
from hwnas.workflows.delivery import check_parity, preprocessing
from hwnas.workflows.disk import check_disk, train_need
from hwnas.workflows.files import write_network_files
from hwnas.workflows.plan import train_plan
from hwnas.workflows.result import data_facts
from hwnas.workflows.statistics import wilson_interval


@dataclass(frozen=True)
class TrainJob:
    """Everything that the training of one network is made of.

    Args:
        data: the images.
        network: what is trained; it reads images of the data's shape.
        architecture: its choices, where they are known.
        recipe: how.
        steps: weight updates.
        seed: of initial weights and of the order of images.
        device: where training runs.
        command: what the user typed.
    """

    data: ImageData
    network: NetworkSpec
    architecture: Architecture | None
    recipe: Recipe
    steps: int
    seed: int
    device: TrainingDevice
    command: str


@dataclass(frozen=True)
class TrainResult:
    """A trained network.

    Args:
        search_accuracy: on the search split, 0 to 1.
        test_accuracy: on the test split, 0 to 1.
        test_interval: its 95 % interval.
        run: where its files lie.
        result: the whole of result.json.
    """

    search_accuracy: float
    test_accuracy: float
    test_interval: tuple[float, float]
    run: Path
    result: dict[str, Any]


def check_classes(network: NetworkSpec, data: ImageData) -> None:
    """Refuses a network that tells another number of classes apart than the images have.

    Raises:
        InputError: it does; says what to do.
    """
    scores, classes = located_layers(network)[-1].output_shape[0], len(data.class_names)
    if scores != classes:
        raise InputError(
            f"the network tells {scores} classes apart, and {data.name} has {classes}: give its architecture.json, "
            "which is fitted to the images"
        )


def train_single(job: TrainJob, run: RunDirectory, shown: Progress) -> TrainResult:
    """Trains a network, writes its files and scores it; a training that was cut off goes on, a finished one is read.

    Args:
        job: everything it works on.
        run: checkpoints and files.
        shown: told how far it is.

    Raises:
        InputError: the network has another number of classes.
        EvaluationFailed: the training diverged, or the exported file does not compute what the network does.
    """
    check_classes(job.network, job.data)
    progress = RunProgress(shown, run)
    if (run.path / RESULT).exists():
        progress.say(f"{run.path} has finished already; --fresh would start over")
        with fields_of(run.path / RESULT):
            return _train_result(run, RunDirectory.read(run.path).result())
    progress.plan(str(run.path), train_plan(job.steps))
    check_disk(train_need(job.network, job.recipe, job.steps), run, progress)
    network = build(job.network)
    initialise(network, seed_for(job.seed, "initial weights", network_id(job.network)))
    with accounted(run, "train", progress):
        done = train(
            network, job.data, job.recipe, steps=job.steps, seed=job.seed, purpose="train", device=job.device,
            checkpoints=run.checkpoints("train"), progress=progress,
        )  # fmt: skip
    trained = done.network
    arrays = arrays_of(trained)
    model = to_onnx(job.network, arrays)
    check_parity(trained, model, job.data, job.device, open_engine(PROOF))
    write_network_files(run.path, job.network, arrays, {".onnx": model}, job.architecture)
    found = {name: score(trained, job.data, split, job.device)
             for name, split in (("search", job.data.search), ("test", job.data.test))}  # fmt: skip
    result = _result(job, run, found)
    result["setbacks"] = [asdict(setback) for setback in done.setbacks]
    result["repeat"] = {"canonical_sha256": canonical_sha256(result, run)}
    run.finish(result)
    return _train_result(run, result)


def _train_result(run: RunDirectory, result: dict[str, Any]) -> TrainResult:
    """The typed form of a finished training's result.json."""
    test = result["network"]["accuracy"]
    return TrainResult(test["search"], test["test"], tuple(test["interval"]), run.path, result)


def _result(job: TrainJob, run: RunDirectory, found: dict[str, Score]) -> dict[str, Any]:
    """result.json of a training: a result's format with the parts that there are."""
    counts, right = count(job.network), found["test"].correct
    return {
        "format": RESULT_FORMAT,
        "command": job.command,
        "hwnas": run.environment["hwnas"],
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seed": job.seed,
        "data": data_facts(job.data),
        "preprocessing": preprocessing(job.data),
        "network": {
            "role": "trained",
            "label": "the trained network",
            "architecture": job.architecture.to_json() if job.architecture else None,
            "architecture_id": job.architecture.id if job.architecture else network_id(job.network),
            "accuracy": {
                "test": found["test"].quality.accuracy, "interval": list(wilson_interval(right)),
                "search": found["search"].quality.accuracy, "test_images": len(right),
            },
            "weights": "scratch",
            "params": counts.params,
            "macs": counts.macs,
            "peak_activation_bytes": counts.peak_activation_bytes,
        },
        "blocks": blocks(job.network, None),
        "compute": [
            {"stage": row.name, "cpu_seconds": row.spent.cpu_seconds, "wall_seconds": row.spent.wall_seconds}
            for row in run.store.stages()
        ],
        "environment": run.environment,
        "files": file_digests(run.path),
    }  # fmt: skip
