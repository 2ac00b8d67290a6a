"""From an architecture to the files that ship: trained from scratch and from inherited weights, the better kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Engine, Progress
from hwnas.core.seeds import seed_for
from hwnas.core.trial import Quality
from hwnas.data.images import ImageData, Split
from hwnas.data.stream import training_batches
from hwnas.evaluation.standalone import score
from hwnas.formats.onnx_file import to_onnx
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import refusals
from hwnas.nn.build import arrays_of, build, initialise
from hwnas.runs.directory import RunDirectory
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import Trained, recalibrate, train
from hwnas.training.loop import Setback
from hwnas.training.state import LoopState
from hwnas.workflows.choosing import Chosen
from hwnas.workflows.files import write_network_files
from hwnas.workflows.job import FitJob
from hwnas.workflows.sharing import take_checkpoint

RECALIBRATION_IMAGES = 2000
PARITY_IMAGES = 64
CALIBRATION_IMAGES = 256
SCRATCH = "scratch"  # a training from initial weights
PARITY_TOLERANCE = {"f32": 1e-3}  # of the scores' standard deviation; batch-norm folding alone gives about 1e-5
ROUGH_TOLERANCE = (
    3.0  # in fewer bits: 0.006 to 0.13 were seen; what it costs in accuracy is measured on the file itself
)


@dataclass(frozen=True)
class Parity:
    """How far the scores of a file are from those of the trained network, on images of the search split.

    Args:
        error: the largest difference, in standard deviations of the scores.
        agreement: share of images that both take for the same class, 0 to 1.
        images: how many were looked at.
    """

    error: float
    agreement: float
    images: int


@dataclass(frozen=True)
class Delivery:
    """A trained and exported network.

    Args:
        chosen: what was trained.
        model: content of the file that ships, in the format of the target's engine.
        parity: how far its scores are from those of the trained network.
        weights: "scratch" or "inherited", whichever scored better on the search split.
        scratch: quality on the search split after training from scratch.
        inherited: the same from the supernet's weights; None where there were none to inherit.
        directory: where its files lie.
        setbacks: of its trainings.
    """

    chosen: Chosen
    model: bytes
    parity: Parity
    weights: str
    scratch: Quality
    inherited: Quality | None
    directory: Path
    setbacks: tuple[Setback, ...] = ()

    @property
    def quality(self) -> Quality:
        """On the search split, of the weights that were kept."""
        return self.inherited if self.weights == "inherited" and self.inherited else self.scratch


def deliver(chosen: Chosen, job: FitJob, run: RunDirectory, progress: Progress) -> Delivery:
    """Trains a chosen architecture both ways, keeps the better and writes its files.

    Args:
        chosen: the architecture.
        job: data, recipe, steps, device.
        run: checkpoints and the files: in its root for the searched network, under baselines/ for the others.
        progress: told how far it is.

    Raises:
        EvaluationFailed: the exported file does not compute what the trained network does.
    """
    arch, role = chosen.trial.architecture, chosen.contender.role
    scratch = build(job.space.decode(arch))
    initialise(scratch, seed_for(job.settings.seed, "initial weights", arch.id))
    trained = {SCRATCH: _trained(scratch, SCRATCH, chosen, job, run, progress)}
    supernet = chosen.contender.supernet_name
    if chosen.contender.supernet is not None:
        inherited = chosen.contender.supernet.extract(arch)
        recalibrate(inherited, job.data, images=RECALIBRATION_IMAGES, device=job.device)
        trained["inherited"] = _trained(inherited, f"from-{supernet}", chosen, job, run, progress)
    quality = {way: score(done.network, job.data, job.data.search, job.device).quality for way, done in trained.items()}
    weights = max(quality, key=lambda way: (quality[way].accuracy, -quality[way].loss))
    network = trained[weights].network
    arrays = arrays_of(network)
    engine = open_engine(job.target.name)
    spec = job.space.decode(arch)
    with refusals():
        model = engine.write(spec, arrays, calibration_images(job.data))
    parity = check_parity(network, model, job.data, job.device, engine)
    directory = run.path if role == "searched" else run.path / "baselines" / role
    write_network_files(directory, spec, arrays, {".onnx": to_onnx(spec, arrays), engine.suffix: model}, arch)
    return Delivery(chosen, model, parity, weights, quality[SCRATCH], quality.get("inherited"), directory,
                    tuple(setback for done in trained.values() for setback in done.setbacks))  # fmt: skip


def preprocessing(data: ImageData) -> dict[str, Any]:
    """What an image must go through before the file reads it."""
    return {
        "input_shape": list(data.input_shape),
        "order": "batch, channels, height, width",
        "formula": "(pixel / 255 - mean) / std",
        "mean": list(data.mean),
        "std": list(data.std),
        "class_names": list(data.class_names),
    }


def _trained(
    network: nn.Module, way: str, chosen: Chosen, job: FitJob, run: RunDirectory, progress: Progress
) -> Trained:
    """Trains; of a training that has ended only the network is kept, a sixth of what its checkpoints take."""
    # Named by what is trained, not by who chose it: whoever chooses the same architecture gets the same training.
    name = f"{chosen.trial.architecture.id}/{way}"
    finished, going = run.checkpoints(f"trained/{name}", keep=1), run.checkpoints(f"train/{name}")
    if way == SCRATCH:
        take_checkpoint(job, run, f"trained/{name}", f"train/{name}")
    saved = LoopState({"network": job.device.place(network)}).restore(finished)
    if saved is None:
        done = train(
            network, job.data, job.settings.recipe, steps=job.settings.train_steps, seed=job.settings.seed,
            purpose=f"train/{name}", device=job.device, checkpoints=going, progress=progress,
        )  # fmt: skip
        setbacks = [asdict(setback) for setback in done.setbacks]
        LoopState({"network": done.network}).save(finished, job.settings.train_steps, {"setbacks": setbacks})
    else:
        done = Trained(network.eval(), tuple(Setback(**row) for row in saved.state["setbacks"]))
    going.clear()
    return done


def check_parity(
    network: nn.Module, model: bytes, data: ImageData, device: TrainingDevice, engine: Engine
) -> Parity:  # fmt: skip
    """Refuses a file that does not compute what the trained network does.

    Args:
        network: in eval mode.
        model: content of the file that ships.
        data: some images of its search split are looked at.
        device: where the network is.
        engine: runs the file.

    Raises:
        EvaluationFailed: the scores differ by more than rounding to the engine's precision explains.
    """
    facts = engine.fingerprint()
    images = _drawn(data, data.search, PARITY_IMAGES, "parity images", device.torch)
    with torch.no_grad():
        expected = network(images).float().cpu().numpy()
    found = engine.predict(model, images.cpu().contiguous().numpy())
    error = float(np.abs(found - expected).max() / max(expected.std(), 1e-12))
    agreement = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    allowed = PARITY_TOLERANCE.get(facts["precision"], ROUGH_TOLERANCE)
    if not error <= allowed:
        raise EvaluationFailed(
            f"the exported file's scores differ from the trained network's by {error:.2g} standard deviations on "
            f"{facts['engine']}-{facts['precision']} (allowed: {allowed:g}); it is not delivered"
        )
    return Parity(error, agreement, len(images))


def calibration_images(data: ImageData) -> np.ndarray:
    """Some images of the train split, by which an engine of few bits chooses its ranges; float32, (images, C, H, W)."""
    images = _drawn(data, data.train, CALIBRATION_IMAGES, "calibration images", torch.device("cpu"))
    return images.contiguous().numpy()


def _drawn(data: ImageData, split: Split, count: int, purpose: str, device: torch.device) -> Tensor:
    """Images of a split at random: in its own order the first ones may all be of one class."""
    count = min(count, len(split))
    batches = training_batches(
        data, split, count, seed=0, purpose=purpose, start=0, stop=1, device=device, augmented=False
    )  # fmt: skip
    images, _ = next(iter(batches))
    return images
