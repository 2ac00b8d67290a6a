"""Networks and model files from what a user names."""

from __future__ import annotations

from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.compose.spaces import space_of
from hwnas.core.architecture import Architecture
from hwnas.core.errors import InputError, said_of
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape

if TYPE_CHECKING:
    from hwnas.hardware.model_files import ModelFile

NETWORK_FILES = "give a run directory, network.json or architecture.json"


@dataclass(frozen=True)
class FoundNetwork:
    """A network from a file.

    Args:
        network: as data.
        architecture: its choices, where they are known.
        directory: where its file lies.
    """

    network: NetworkSpec
    architecture: Architecture | None
    directory: Path


def open_network(source: str, input_shape: Shape | None = None, classes: int | None = None) -> FoundNetwork:
    """A network from a run directory, a network.json or an architecture.json.

    Args:
        source: a path.
        input_shape: (channels, height, width), for an architecture.json; None for its space's own.
        classes: for an architecture.json; None for its space's own.

    Raises:
        InputError: there is no such file, or it is none of these; the message names the field.
    """
    from hwnas.runs.files import read_json
    from hwnas.runs.stored import check_delivered

    path = Path(source)
    if path.is_dir():
        path = path / "network.json"
    if not path.exists():
        inner = [*glob("*/network.json", root_dir=source), *glob("*/*/network.json", root_dir=source)] if source else []
        hint = f" ({source} holds several runs, for example {Path(source, min(inner)).parent})" if inner else ""
        raise InputError(f"there is no network at {source!r}: {NETWORK_FILES}{hint}")
    if path.suffix != ".json":
        raise InputError(f"{source!r} is no network: {NETWORK_FILES}")
    check_delivered(path)
    data: Any = read_json(path)
    with said_of(path):
        if isinstance(data, dict) and "space" in data:
            arch = Architecture.from_json(data)
            return FoundNetwork(space_of(arch, input_shape, classes).decode(arch), arch, path.parent)
        network = NetworkSpec.from_json(data)
    if input_shape not in (None, network.input_shape):
        own = "x".join(map(str, network.input_shape))
        raise InputError(
            f"{path} is made for images of {own}: use --resolution {network.input_shape[1]}, or give its "
            "architecture.json, which is fitted to other images"
        )
    beside = path.with_name("architecture.json")
    if path.name != "network.json" or not beside.exists():
        return FoundNetwork(network, None, path.parent)
    check_delivered(beside)
    data = read_json(beside)
    with said_of(beside):
        return FoundNetwork(network, Architecture.from_json(data), path.parent)


def open_model(source: str, input_shape: Shape | None = None, classes: int | None = None) -> ModelFile:
    """A file that can be measured: an .onnx file, the one in a run directory, or a network with random weights.

    Args:
        source: a path.
        input_shape: (channels, height, width), for an architecture.json; None for its space's own.
        classes: for an architecture.json; None for its space's own.

    Raises:
        InputError: there is no such file, or it is none of these.
    """
    from hwnas.hardware.model_files import untrained
    from hwnas.runs.stored import check_delivered
    from hwnas.workflows.files import MODEL, read_model

    path = Path(source) / MODEL if Path(source).is_dir() else Path(source)
    check_delivered(path)
    if path.suffix == ".onnx" and path.exists():
        return read_model(path)
    return untrained(open_network(source, input_shape, classes).network)
