"""The files that a network ships as: written for deliveries and exports alike, and read back; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.architecture import Architecture
from hwnas.core.errors import FileFormatError, InputError, said_of
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import LARGEST_VALUE, Shape
from hwnas.formats.arrays import expected_arrays
from hwnas.formats.source import to_source
from hwnas.hardware.model_files import ModelFile
from hwnas.runs.files import make_directory, read_limited, write_atomically, write_json

WEIGHTS, SOURCE = "weights.safetensors", "network.py"
NETWORK, ARCHITECTURE = "network.json", "architecture.json"
CHECKPOINTS = (".pth", ".pt")  # of other people
MODEL_LIMIT_BYTES = 2**31  # the most that a protobuf message can hold
HEADER_LIMIT_BYTES = 2**23  # of safetensors: the names and shapes of tens of thousands of arrays


def write_network_files(
    directory: Path,
    network: NetworkSpec,
    arrays: Mapping[str, np.ndarray],
    models: Mapping[str, bytes],
    architecture: Architecture | None = None,
) -> None:
    """Network, weights, model files, stand-alone source, and the architecture where it is known; each whole or absent.

    Args:
        directory: made if it is not there.
        network: what the arrays belong to.
        arrays: exactly the network's, float32.
        models: content of the files that were made of them, by what their names end in, for example ".onnx".
        architecture: the choices that the network was decoded from.

    Raises:
        InputError: the place cannot be written.
    """
    from safetensors.numpy import save

    make_directory(directory)
    if architecture is not None:
        write_json(directory / ARCHITECTURE, architecture.to_json())
    write_json(directory / NETWORK, network.to_json())
    write_atomically(directory / WEIGHTS, save(dict(arrays)))
    for suffix, model in models.items():
        write_atomically(directory / model_name(suffix), model)
    write_atomically(directory / SOURCE, to_source(network).encode())


def model_name(suffix: str) -> str:
    """What the file of an engine is called: "model.onnx" for ".onnx"."""
    return f"model{suffix}"


def read_weights(
    path: Path, network: NetworkSpec, weight_names: Mapping[str, tuple[str, ...]]
) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of a safetensors file, or of the checkpoint of a foreign network; only the latter needs torch.

    Args:
        path: the file; a checkpoint ends in .pth or .pt.
        network: what they should belong to; a file that is far larger is not read.
        weight_names: the names that the arrays may have in its authors' checkpoints, by ours.

    Raises:
        InputError: no such file, or the checkpoint is of another network.
        FileFormatError: it is neither, too large, or holds numbers that numpy does not know.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if path.suffix in CHECKPOINTS:
        from hwnas.nn.foreign_weights import read_checkpoint, renamed

        arrays = read_checkpoint(path)
        with said_of(path):
            return renamed(arrays, network, weight_names)
    try:
        needed = 4 * sum(map(prod, expected_arrays(network).values()))
        return dict(load(read_limited(path, needed + HEADER_LIMIT_BYTES)))
    except (SafetensorError, KeyError, TypeError, ValueError) as reason:
        raise FileFormatError(f"{path} is no whole safetensors file: {reason}") from None


def read_content(path: Path) -> bytes:
    """A model file in the format of an engine, which checks it.

    Raises:
        InputError: no such file, or it is larger than any engine takes.
    """
    return read_limited(path, MODEL_LIMIT_BYTES)


def read_model(path: Path, batch: int = 1) -> ModelFile:
    """An ONNX file of anybody's that can be measured with so many images a call.

    Raises:
        InputError: no such file, or its input is not one float32 image of a fixed size.
        FileFormatError: it is no ONNX file, or keeps numbers in other files.
    """
    import onnx

    content = read_content(path)
    try:
        model = onnx.load_from_string(content)
    except Exception as reason:  # of protobuf's own kind
        raise FileFormatError(f"{path} is no ONNX file: {reason}") from None
    if any(isinstance(part, onnx.TensorProto) and (part.external_data or part.data_location) for part in _parts(model)):
        raise FileFormatError(
            f"{path} keeps numbers in other files, which are never read: save it as one file (onnx.save with "
            "save_as_external_data=False)"
        )
    graph = model.graph
    stored = {array.name for array in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        raise InputError(f"{path} has {len(inputs)} inputs; a network with one input, an image, can be measured")
    return ModelFile(content, _image_shape(path, inputs[0], batch))


def _parts(message: Any) -> Iterator[Any]:
    """A protobuf message and all that it is made of, wherever it lies: initialisers, branches, functions."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _parts(part)


def _image_shape(path: Path, value: object, batch: int) -> Shape:
    """(channels, height, width) of an ONNX input whose batch is as wanted or open."""
    import onnx

    tensor = value.type.tensor_type  # type: ignore[attr-defined]
    sizes = [axis.dim_value for axis in tensor.shape.dim]  # 0 where an axis has a name instead of a size
    fits = len(sizes) == 4 and sizes[0] in (0, batch) and min(sizes[1:]) >= 1 and prod(sizes[1:]) <= LARGEST_VALUE
    if not fits or tensor.elem_type != onnx.TensorProto.FLOAT:
        shown = " x ".join(axis.dim_param or str(axis.dim_value) for axis in tensor.shape.dim) or "a scalar"
        raise InputError(
            f"{path} reads {shown}; expected one float32 input: {batch} x channels x height x width, only the batch "
            f"open, and at most {LARGEST_VALUE:,} values an image"
        )
    return tuple(sizes[1:])
