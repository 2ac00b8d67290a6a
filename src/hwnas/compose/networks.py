"""Networks and model files from what a user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.compose.spaces import space_of
from hwnas.core.architecture import Architecture
from hwnas.core.errors import InputError, fields_of, said_of
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.networks.catalogue import NETWORKS
from hwnas.networks.foreign import is_foreign, read_foreign
from hwnas.networks.published import Published

if TYPE_CHECKING:
    from hwnas.hardware.model_files import ModelFile

NETWORK_FILES = (
    "give a published network's name (`hwnas list networks`), a run directory, network.json, architecture.json, or a "
    "network file of ProxylessNAS, Once-for-All, MCUNet or timm"
)
_JSON = (".json", ".config")  # the released ProxylessNAS and Once-for-All files have the second


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a network is to be made for, as far as it leaves that open.

    Args:
        input_shape: (channels, height, width) of the images; None for the network's own.
        resolution: side of square images in pixels, where no input shape is given; None for the network's own.
        classes: None for the network's own.
        width: multiplies the widths of a published network.
    """

    input_shape: Shape | None = None
    resolution: int | None = None
    classes: int | None = None
    width: float = 1.0

    def shape(self, own: Shape) -> Shape:
        """The images that a network with these images of its own is made for."""
        if self.input_shape is not None:
            return self.input_shape
        return own if self.resolution is None else (own[0], self.resolution, self.resolution)


AS_IT_IS = Fitting()


@dataclass(frozen=True)
class FoundNetwork:
    """A network and what is known of it.

    Args:
        network: as data.
        architecture: its choices, where they are known.
        directory: where its file lies; None for a published network.
        published: what is known of a published one.
        weight_names: for a foreign file, the names that every array of ours may have in its authors' checkpoints.
    """

    network: NetworkSpec
    architecture: Architecture | None = None
    directory: Path | None = None
    published: Published | None = None
    weight_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def open_network(source: str, fitting: Fitting = AS_IT_IS) -> FoundNetwork:
    """A network by its published name, from a run directory, or from a file.

    Args:
        source: a name or a path; what lies on disk comes first.
        fitting: what it is made for.

    Raises:
        InputError: there is no such network or file, the file is none of a network, or it does not fit; the message
            names the field.
    """
    path = Path(source)
    if not path.exists() and source in NETWORKS:
        published = NETWORKS[source]
        shape = fitting.shape(published.input_shape)
        return FoundNetwork(published.network(shape, fitting.classes, fitting.width), published=published)
    if fitting.width != 1.0:
        raise InputError(f"--width is for published networks, and {source!r} is none: `hwnas list networks` has them")
    path = path / "network.json" if path.is_dir() else path
    if not path.exists():
        raise InputError(f"there is no network at {source!r}: {_nearest(source)}{NETWORK_FILES}")
    if path.suffix not in _JSON:
        raise InputError(f"{source!r} is no network: {NETWORK_FILES}")
    return _read_network(path, fitting)


def _read_network(path: Path, fitting: Fitting) -> FoundNetwork:
    """A network from a file: ours, or other people's."""
    from hwnas.runs.files import read_json
    from hwnas.runs.stored import check_delivered

    check_delivered(path)
    data: Any = read_json(path)
    with said_of(path):
        if is_foreign(data):
            return _foreign(data, fitting, path.parent)
        if isinstance(data, dict) and "space" in data:
            arch = Architecture.from_json(data)
            own = space_of(arch, None, None).input_shape
            space = space_of(arch, fitting.shape(own), fitting.classes)
            return FoundNetwork(space.decode(arch), arch, path.parent)
        network = NetworkSpec.from_json(data)
    if fitting.shape(network.input_shape) != network.input_shape:
        own_size = "x".join(map(str, network.input_shape))
        raise InputError(
            f"{path} is made for images of {own_size}: use --resolution {network.input_shape[1]}, or give its "
            "architecture.json, which is fitted to other images"
        )
    beside = path.with_name("architecture.json")
    if path.name != "network.json" or not beside.exists():
        return FoundNetwork(network, directory=path.parent)
    check_delivered(beside)
    data = read_json(beside)
    with said_of(beside):
        return FoundNetwork(network, Architecture.from_json(data), path.parent)


def _foreign(data: Any, fitting: Fitting, directory: Path) -> FoundNetwork:
    found = read_foreign(data, fitting.input_shape, fitting.classes)
    shape = fitting.shape(found.network.input_shape)
    if shape != found.network.input_shape:
        found = read_foreign(data, shape, fitting.classes)
    return FoundNetwork(found.network, directory=directory, weight_names=found.weight_names)


@dataclass(frozen=True)
class FoundModel:
    """A file that can be measured.

    Args:
        file: in the format of the target's engine.
        network: what it computes; None of other people's ONNX files.
    """

    file: ModelFile
    network: NetworkSpec | None = None


def open_model(source: str, target: str, fitting: Fitting = AS_IT_IS) -> FoundModel:
    """A file that can be measured on a target.

    That is an .onnx file, converted where the target's engine needs that; what a run ships, or one made of its weights
    where it was made for another engine or batch; or a network with random weights.

    Args:
        source: a name or a path.
        target: whose engine is to run it.
        fitting: what a network is made for.

    Raises:
        InputError: there is no such network or file, or it is none of these.
        ModelRefused: the target's engine has no way in for it, or lacks an operation.
        OutOfMemory: memory ran out.
        TargetUnavailable: the target's engine is not installed.
    """
    from hwnas.hardware.engines import open_engine, parse
    from hwnas.hardware.model_files import ModelFile, refusals, untrained
    from hwnas.runs.stored import check_delivered
    from hwnas.workflows.files import WEIGHTS, model_name, read_content, read_model, read_weights

    engine, batch, path = open_engine(target), parse(target)[1].batch, Path(source)
    if path.is_dir() and not (path / "network.json").exists():
        path = path / model_name(".onnx")
    if path.suffix == ".onnx" and path.exists():
        check_delivered(path)
        file = read_model(path, batch)
        with refusals(source):
            return FoundModel(replace(file, content=engine.convert(file.content)))
    network = (found := open_network(source, fitting)).network
    if not path.is_dir() or not (path / WEIGHTS).exists():
        return FoundModel(untrained(network, engine), network)
    shipped = path / model_name(engine.suffix)
    check_delivered(shipped)
    if shipped.exists() and batch == _batch_of(shipped):
        return FoundModel(ModelFile(read_content(shipped), network.input_shape), network)
    check_delivered(path / WEIGHTS)
    arrays = read_weights(path / WEIGHTS, network, found.weight_names)
    with refusals(source):
        return FoundModel(ModelFile(engine.write(network, arrays), network.input_shape), network)


def _batch_of(file: Path) -> int:
    """Images a call of a model file: the target's where it ships for that, else one; it may be a baseline's."""
    from hwnas.runs.stored import RESULT, read_run

    for place in (file.parent, file.parent.parent.parent):
        if (place / RESULT).is_file():
            with fields_of(place / RESULT):
                target = read_run(place).result().get("target", {"key": {"batch": 1}})
                return int(target["key"]["batch"]) if target.get("file", "model.onnx") == file.name else 1
    return 1


def _nearest(source: str) -> str:
    """What was probably meant: a published network of nearly that name, or one of several runs in a directory."""
    inner = [*glob("*/network.json", root_dir=source), *glob("*/*/network.json", root_dir=source)] if source else []
    if inner:
        return f"{source} holds several runs, for example {Path(source, min(inner)).parent}; "
    near = get_close_matches(source[:100], NETWORKS, n=1)
    return f"did you mean {near[0]!r}? " if near else ""
