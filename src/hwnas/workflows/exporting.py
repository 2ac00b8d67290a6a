"""A network as files that run without hwnas; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwnas.core.architecture import Architecture
from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec
from hwnas.formats.arrays import random_arrays
from hwnas.formats.onnx_file import to_onnx
from hwnas.runs.stored import CONFIG
from hwnas.workflows.files import read_weights, write_network_files


@dataclass(frozen=True)
class Exported:
    """Where an exported network lies.

    Args:
        directory: holds model.onnx, network.py, weights.safetensors and network.json.
        weights: the file that they were read from; None where they are random.
    """

    directory: Path
    weights: Path | None


def export_network(
    network: NetworkSpec,
    architecture: Architecture | None,
    weights: Path | None,
    out: Path,
    weight_names: Mapping[str, tuple[str, ...]] | None = None,
) -> Exported:
    """Writes a network's files.

    Args:
        network: the network.
        architecture: its choices, where they are known.
        weights: a file with exactly the network's arrays; None for random ones.
        out: made if it is not there.
        weight_names: the names of the arrays in its authors' checkpoints, by ours.

    Raises:
        InputError: the weights belong to another network, or `out` is a run, whose files would be replaced.
        FileFormatError: the weights are no safetensors file, and no checkpoint of plain tensors.
    """
    if (out / CONFIG).exists():
        raise InputError(f"{out} is a run, and its trained network would be replaced; choose another --out")
    arrays = random_arrays(network, seed=0) if weights is None else read_weights(weights, network, weight_names or {})
    write_network_files(out, network, arrays, {".onnx": to_onnx(network, arrays)}, architecture)
    return Exported(out, weights)
