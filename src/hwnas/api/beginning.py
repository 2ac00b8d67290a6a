"""What is checked before a fit, a search or a training begins, so that a refused one is refused at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import compose
from hwnas.api.arguments import checked_path, place_for
from hwnas.config import FitConfig, TrainConfig
from hwnas.core.errors import InputError, TargetUnavailable, UnknownName, said_of
from hwnas.core.protocols import Progress
from hwnas.data.sources import check_source
from hwnas.hardware.engines import canonical_name, open_engine
from hwnas.runs.directory import STORE, RunDirectory
from hwnas.runs.lock import RunLock
from hwnas.runs.measurements import read_measurements
from hwnas.runs.store import RunStore

if TYPE_CHECKING:
    from hwnas.data.images import ImageData


def check_names(config: TrainConfig) -> None:
    """Looks up everything that a config names; loads nothing.

    Raises:
        InputError: a name is unknown, and the nearest is offered; or a setting is not read by the strategy.
        TargetUnavailable: the training device is not there.
    """
    if isinstance(config, FitConfig):
        if config.space not in (*compose.SPACES, "auto"):
            raise UnknownName("space", config.space, [*compose.SPACES, "auto"])
        canonical_name(config.target)
        config.check_read()
    check_source(config.data, others=["toy"])
    if config.data == "toy" and (config.resolution, config.augmentation) != (None, None):
        raise InputError("data 'toy' has its own images: leave --resolution and --augmentation out")
    from hwnas.training.device import training_device
    from hwnas.training.recipe import check_optimizer

    recipe = compose.open_recipe(config.model_copy(update={"batch_size": 8}))
    check_optimizer(recipe, training_device(config.train_on))


def check_targets(names: Sequence[str], progress: Progress) -> None:
    """Says which of several targets cannot be used here, before anything is done for the others.

    Raises:
        TargetUnavailable: none of them can; the message is that of the first.
    """
    refused: list[TargetUnavailable] = []
    targets = list(dict.fromkeys(names))
    for name in targets:
        try:
            open_engine(name)
        except TargetUnavailable as reason:
            refused.append(reason)
    if len(refused) == len(targets):
        raise refused[0]
    for one in refused:
        progress.say(f"{one} (the other targets are served)")


def open_images(config: TrainConfig, progress: Progress) -> ImageData:
    """The images of a config, after torch got its threads: beside a busy process two can be far slower than one."""
    import torch

    torch.set_num_threads(config.threads)
    images = compose.open_data(config)
    if images.skipped:
        progress.say(f"{images.skipped:,} of the images in {config.data} could not be read and are left out")
    return images


@contextmanager
def reserved(out: str | Path) -> Iterator[RunLock]:
    """The lock of a run directory, taken before anything is loaded, so that a second process is refused at once.

    The directory is made, and taken away again where nothing was begun in it.

    Raises:
        RunError: names the holder of its lock.
        InputError: the place cannot be written or is no run's, or its name cannot be kept.
    """
    with place_for(Path(out)):
        lock = RunDirectory.reserve(Path(out))
        try:
            yield lock
        finally:
            lock.release()


@contextmanager
def replayed(measurements: str | Path | None) -> Iterator[Path | None]:
    """A checked file of the measurements that are to be replayed, from such a file or from a run directory.

    Raises:
        InputError: neither, or it cannot be read.
        RunError: the run's store is damaged, or from a newer version.
    """
    if measurements is None:
        yield None
        return
    source = checked_path("--measurements", measurements)
    with tempfile.TemporaryDirectory() as folder:
        if source.is_dir():
            if not (source / STORE).is_file():
                raise InputError(f"{source} is no run: --measurements takes a run directory or an exported file")
            exported = Path(folder) / "measurements.json"
            with RunStore(source / STORE, new=False) as other:
                other.export_measurements(exported)
            source = exported
        from hwnas.workflows.measuring import check_record

        for number, record in enumerate(read_measurements(source)):
            with said_of(f"{measurements}, measurement {number}"):
                check_record(record)
        yield source
