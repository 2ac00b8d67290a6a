"""What is checked before a fit, a search or a training begins, so that a refused one is refused at once."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

from hwnas import compose
from hwnas.config import FitConfig, TrainConfig, check_text
from hwnas.core.errors import InputError, UnknownName, quoted, said_of
from hwnas.core.primitives import LARGEST_VALUE, Shape
from hwnas.data.sources import check_source
from hwnas.hardware.engines import canonical_name
from hwnas.runs.directory import STORE, RunDirectory
from hwnas.runs.files import write_error
from hwnas.runs.lock import RunLock
from hwnas.runs.measurements import read_measurements
from hwnas.runs.store import RunStore


def check_names(config: TrainConfig) -> None:
    """Looks up everything that a config names; loads nothing.

    Raises:
        InputError: a name is unknown; offers the nearest.
        TargetUnavailable: the training device is not there.
    """
    if isinstance(config, FitConfig):
        if config.space not in (*compose.SPACES, "auto"):
            raise UnknownName("space", config.space, [*compose.SPACES, "auto"])
        canonical_name(config.target)
    check_source(config.data, others=["toy"])
    if config.data == "toy" and (config.resolution, config.augmentation) != (None, None):
        raise InputError("data 'toy' has its own images: leave --resolution and --augmentation out")
    from hwnas.training.device import training_device
    from hwnas.training.recipe import check_optimizer

    recipe = compose.open_recipe(config.model_copy(update={"batch_size": 8}))
    check_optimizer(recipe, training_device(config.train_on))


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


def checked_path(what: str, path: str | Path) -> Path:
    """A path that can be looked at and kept in our files, whether or not something is there.

    Raises:
        InputError: its name is too long, or not in UTF-8; says what the path is for.
    """
    check_text(what, str(path))
    try:
        os.stat(path)
    except OSError as reason:
        if reason.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise InputError(f"{what}: {quoted(str(path))} cannot be used: {reason.strerror}") from None
    return Path(path)


def check_number(what: str, number: float | None, least: float, most: float) -> None:
    """Refuses a number that is out of its range; None is none.

    Raises:
        InputError: says the range.
    """
    if number is not None and not least <= number <= most:  # NaN is in no range
        raise InputError(f"{what} must be from {least:,} to {most:,}, not {quoted(number)}")


def check_shape(shape: Shape | None) -> None:
    """Refuses images that no network reads; None is none.

    Raises:
        InputError: not (channels, height, width), or too large for memory.
    """
    if shape is None:
        return
    sides = tuple(shape)
    if len(sides) != 3 or not all(type(side) is int and 0 < side < 2**16 for side in sides):
        raise InputError(f"--input-shape must be channels x height x width, for example 3x64x64, not {quoted(sides)}")
    if prod(sides) > LARGEST_VALUE:
        raise InputError(f"--input-shape {'x'.join(map(str, sides))} has more than {LARGEST_VALUE:,} values: give less")


@contextmanager
def place_for(out: Path) -> Iterator[None]:
    """Makes the directory of a run, or of several, and takes it away again where nothing was begun in it.

    Raises:
        InputError: the place cannot be written, or its name cannot be kept.
    """
    checked_path("--out", out)
    made = []
    try:
        made = [place for place in (out, *out.parents) if not place.exists()]  # the deepest first
        out.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        _remove_empty(made)
        raise write_error(out, reason) from reason
    try:
        yield
    finally:
        _remove_empty(made)


@contextmanager
def place_for_file(out: Path | None) -> Iterator[None]:
    """The same for one file that is going to be written.

    Raises:
        InputError: the place cannot be written, or a directory is there.
    """
    if out is None:
        yield
        return
    if checked_path("--out", out).is_dir():
        raise InputError(f"--out {out} is a directory: name a file")
    with place_for(out.parent):
        yield


def _remove_empty(places: list[Path]) -> None:
    for place in places:
        with contextlib.suppress(OSError):  # not empty, or never made
            place.rmdir()


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
