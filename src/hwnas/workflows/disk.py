"""The disk space that a job takes at its fullest, weighed before it starts: its own checkpoints and files, unsaved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from hwnas.core.architecture import Architecture
from hwnas.core.counting import count
from hwnas.core.errors import RunError
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Checkpoint, PathSpace, Progress, UniformSpace
from hwnas.core.seeds import rng_for
from hwnas.formats.arrays import random_arrays
from hwnas.formats.onnx_file import to_onnx
from hwnas.formats.source import to_source
from hwnas.hardware.engines import open_engine
from hwnas.hardware.layers import places
from hwnas.hardware.profiling import LAYER_SESSIONS, NETWORK_SESSIONS
from hwnas.hardware.reference import REFERENCE_SESSIONS
from hwnas.hardware.sessions import default_rounds
from hwnas.hardware.targets import Target
from hwnas.nn.build import build
from hwnas.nn.gates import Gates
from hwnas.nn.supernet import PathSupernet
from hwnas.runs.checkpoints import CHECKPOINT_EVERY, KEPT, file_sizes
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import encode_json
from hwnas.strategies.proxyless_g import ProxylessGSettings
from hwnas.training.loop import REPORT_EVERY
from hwnas.training.recipe import Recipe, Schedule
from hwnas.training.state import LoopState
from hwnas.workflows.full_baselines import equal_steps, trained_alone
from hwnas.workflows.job import ChildrenSettings, FitJob
from hwnas.workflows.plan import ENDS, roles_of

_BLOCK = 4096  # bytes that a file or directory takes at least
_NUMBER = 21  # bytes of a float with 17 digits, comma and space included
_LINE = 160  # bytes of a line of metrics.jsonl without gates
_TRIAL = 300  # bytes of a scored candidate in the store and in result.json
_STORE = 90_000  # bytes of an empty store with SQLite's side files
_REPORT = 120_000  # bytes of report.html and result.json; the plots are thinned out
_DRAWN = 65  # architectures that tell what a network of the space is like


@dataclass(frozen=True)
class DiskNeed:
    """What a run directory holds at its fullest.

    Args:
        parts: bytes by what they are for.
    """

    parts: Mapping[str, int]

    @property
    def peak_bytes(self) -> int:
        """All parts together."""
        return sum(self.parts.values())


def fit_need(job: FitJob) -> DiskNeed:
    """What a fit takes; which networks it will train is not known, so a typical one inside the budget stands for all.

    Trainings that end leave their network only, so the fullest moment is in the search or in the last training.
    """
    if isinstance(job.settings.search, ChildrenSettings):
        return _children_need(job, len(roles_of(job)))
    roles = roles_of(job)
    network = job.space.decode(_typical(job))
    recipe, steps = job.settings.recipe, job.settings.train_steps
    search = _search_checkpoints(job.path_space, job.gradient)
    start = 0 if job.siblings is None else search[-1]  # kept for fits with another target
    first, kept = _most(search) + start, _kept(search) + start
    if "random-uniform-supernet" in roles:
        uniform = _search_checkpoints(job.path_space, job.gradient, equal_steps(job.gradient))
        first, kept = max(first, kept + _most(uniform)), kept + _kept(uniform)
    going, finished = _training_checkpoints(network, recipe, steps)
    trainings = sum(1 if role == "random-standalone" else 2 for role in roles)
    last = (trainings - 1) * finished + _most(going)
    if "random-standalone" in roles:
        last = max(last, _most(_training_checkpoints(network, recipe, trained_alone(job)[1])[0]))
    files = _network_files(network, job.target)
    moments = [
        {"search checkpoints": first},
        {"search checkpoints": kept, "training checkpoints": last, "network files": (len(roles) - 1) * files},
        {
            "search checkpoints": kept,
            "training checkpoints": trainings * finished,
            "network files": len(roles) * files,
            "report": _REPORT,
        },
    ]
    steps = job.gradient.steps + trainings * steps
    records = {"measurements": _measurements(job, 2 * len(roles)), "records": _records(job, steps)}
    return _fullest(*({**moment, **records} for moment in moments))


def search_need(job: FitJob) -> DiskNeed:
    """What a search without trainings takes."""
    if isinstance(job.settings.search, ChildrenSettings):
        return _children_need(job, 0)
    parts = {
        "search checkpoints": _most(_search_checkpoints(job.path_space, job.gradient)),
        "measurements": _measurements(job, 1),
        "records": _records(job, job.gradient.steps),
    }
    return DiskNeed(parts)


def _children_need(job: FitJob, delivered: int) -> DiskNeed:
    """What a search takes that trains its networks alone, and the networks that are delivered after it."""
    settings, network = job.children, job.space.decode(_typical(job))
    child, _ = _training_checkpoints(network, job.settings.recipe, settings.child_steps)
    going, finished = _training_checkpoints(network, job.settings.recipe, job.settings.train_steps)
    searches = max(1, delivered)
    networks = searches * settings.loop.evaluations
    row = len(encode_json([_typical(job).to_json(), 4 * [_NUMBER * "0"]], "row", indent=None)) + _NUMBER * 5
    rounds = default_rounds(job.space.input_shape)
    # Each child's samples and the reference's, with its session and with its own figure; as many again are passed over.
    measured = 2 * networks * settings.sessions * rounds * 2 * 4 * _NUMBER
    final = (delivered + ENDS) * 2 * job.settings.sessions * rounds * 2 * 4 * _NUMBER
    parts = {
        "search checkpoints": searches * (KEPT + 1) * (settings.loop.evaluations * row + 3 * _BLOCK),
        "training checkpoints": max(settings.at_once * _most(child), _most(going)) + delivered * finished,
        "measurements": measured + final,
        "network files": delivered * _network_files(network, job.target),
        "records": 2 * _TRIAL * networks + _LINE * (job.settings.train_steps // REPORT_EVERY) * delivered + _STORE,
        "report": _REPORT if delivered else 0,
    }
    return DiskNeed(parts)


def train_need(network: NetworkSpec, recipe: Recipe, steps: int) -> DiskNeed:
    """What the training of one given network takes."""
    checkpoints, _ = _training_checkpoints(network, recipe, steps)
    records = _LINE * (steps // REPORT_EVERY) + _STORE
    return _fullest(
        {"training checkpoints": _most(checkpoints), "records": records},
        {"training checkpoints": _kept(checkpoints), "network files": _network_files(network), "records": records},
    )


def check_disk(need: DiskNeed, run: RunDirectory, progress: Progress) -> None:
    """Says what a job will take, and refuses it where that much is not free.

    Args:
        need: at its fullest, what the run directory holds already included.
        run: where it will be.
        progress: told.

    Raises:
        RunError: there is not enough space.
    """
    missing = need.peak_bytes - sum(map(_taken, _below(run.path)))
    free = shutil.disk_usage(run.path).free
    if missing > free:
        raise RunError(
            f"about {_said(missing)} are needed in {run.path}, {_said(free)} are free: free some, or choose "
            "another --out"
        )
    progress.say(f"{run.path} will take about {_said(need.peak_bytes)} of disk space")


def _fullest(*moments: Mapping[str, int]) -> DiskNeed:
    return max(map(DiskNeed, moments), key=lambda need: need.peak_bytes)


def _typical(job: FitJob) -> Architecture:
    """The architecture with the median of parameters among some that use the budget, as far as MACs tell.

    A budget in milliseconds says nothing before the target is known; then among all.
    """
    rng = rng_for(0, "disk space")
    uniform = job.space.uniform_architectures().values() if isinstance(job.space, UniformSpace) else ()
    drawn: list[Architecture] = [*uniform, *(job.space.choices.sample(rng) for _ in range(_DRAWN))]
    counts = {arch: count(job.space.decode(arch)) for arch in drawn}
    limit = (job.settings.budget.share_of_largest or 1.0) * max(found.macs for found in counts.values())
    inside = sorted((arch for arch in counts if counts[arch].macs <= limit), key=lambda arch: counts[arch].macs)
    used = sorted(inside[len(inside) // 2 :] or drawn, key=lambda arch: counts[arch].params)
    return used[len(used) // 2]


def _search_checkpoints(space: PathSpace, settings: ProxylessGSettings, steps: int | None = None) -> list[int]:
    """Bytes of every checkpoint of a search; with `steps`, of one on uniform paths, which never moves its gates."""
    supernet, gates = PathSupernet(space, seed=0), Gates(space.choices, rng_for(0, "disk space"))
    optimizers = {
        "weights": Schedule(supernet, settings.recipe, 2).optimizer,
        "alpha": torch.optim.Adam([gates.alpha], betas=(0.0, 0.999)),
    }
    moved = ("weights",) if steps else ("weights", "alpha")
    return _checkpoints(LoopState({"supernet": supernet, "gates": gates}, optimizers), moved, steps or settings.steps)


def _training_checkpoints(network: NetworkSpec, recipe: Recipe, steps: int) -> tuple[list[int], int]:
    """Bytes of every checkpoint of a training, and of what is left when it has ended."""
    built = build(network)
    state = LoopState({"network": built, "average": built}, {"optimizer": Schedule(built, recipe, steps).optimizer})
    finished = _checkpoints(LoopState({"network": built}), (), 0)[0]
    return _checkpoints(state, ("optimizer",), steps), finished


def _checkpoints(state: LoopState, moved: tuple[str, ...], steps: int) -> list[int]:
    """Bytes on disk of the checkpoints in the order in which a loop saves them: optimisers start without momentum."""
    first = _weighed(state)
    for optimizer in (state.optimizers[name] for name in moved):
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    return [first] + -(-steps // CHECKPOINT_EVERY) * [_weighed(state)]


def _weighed(state: LoopState) -> int:
    scale = _Scale()
    state.save(scale, 0, {"setbacks": []})
    return scale.weight


@final
class _Scale:
    """Checkpoints that are weighed instead of kept."""

    weight = 0

    def latest(self) -> Checkpoint | None:
        """None."""
        return None

    def due(self, step: int) -> bool:
        """Never."""
        return False

    def save(self, checkpoint: Checkpoint) -> None:
        """Weighs it."""
        self.weight = _on_disk(file_sizes(checkpoint))


def _most(checkpoints: list[int]) -> int:
    """Bytes while one is written beside those that are kept."""
    return max(sum(checkpoints[start : start + KEPT + 1]) for start in range(len(checkpoints)))


def _kept(checkpoints: list[int]) -> int:
    return sum(checkpoints[-KEPT:])


def _network_files(network: NetworkSpec, target: Target | None = None) -> int:
    """The files of one network; an engine's own format, where it has one, takes about as much as ONNX."""
    model = len(to_onnx(network, random_arrays(network, seed=0)))
    own = 0 if target is None or open_engine(target.name).suffix == ".onnx" else model
    texts = (to_source(network).encode(), encode_json(network.to_json(), "network"), b"architecture")
    return _on_disk([model, own, 4 * count(network).params, *map(len, texts)])


def _measurements(job: FitJob, files: int) -> int:
    """The store and the latency model: samples in milliseconds, processor and wall time of every round.

    Args:
        job: sessions, networks, and what is known about the target already.
        files: measured beside the ends of the space.
    """
    settings, known = job.settings, job.store.read(job.target)
    layers = {layer.key for place in places(job.path_space) for layer in place.priced.values()}
    missing = len(layers - known.layers.keys())
    files += ENDS
    timed = (REFERENCE_SESSIONS if known.reference is None else 0) + LAYER_SESSIONS * missing / 2
    timed += NETWORK_SESSIONS * (settings.calibration + settings.held_out + 2)
    # The reference is timed beside every file; its samples are kept with the sessions and with each file's figure.
    timed += settings.sessions * (files + files / 2) + settings.sessions * 2 * files
    return round(2 * _NUMBER * default_rounds(job.space.input_shape) * timed) + 2 * 4 * len(layers) * _NUMBER


def _records(job: FitJob, steps: int) -> int:
    """metrics.jsonl, the trials, and the store's own bytes."""
    gates = len(str(Gates(job.space.choices, rng_for(0, "disk space")).as_dict()))
    lines = _LINE * (steps // REPORT_EVERY) + gates * (job.gradient.steps // (5 * REPORT_EVERY))
    return lines + _TRIAL * 2 * job.settings.candidates + _STORE


def _on_disk(sizes: Iterable[int]) -> int:
    """Bytes of a directory with files of these sizes, in whole blocks."""
    return _BLOCK + sum(-(-size // _BLOCK) * _BLOCK for size in sizes)


def _below(directory: Path) -> Iterator[Path]:
    return (Path(folder) / name for folder, _, names in os.walk(directory) for name in names)


def _taken(path: Path) -> int:
    """Bytes of a file on disk; of one that has just been removed, none."""
    try:
        return path.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _said(size_bytes: int) -> str:
    """Bytes in words: "480 MB", "1.2 MB"."""
    mb = size_bytes / 1e6
    return f"{mb:.1f} MB" if mb < 10 else f"{mb:,.0f} MB"
