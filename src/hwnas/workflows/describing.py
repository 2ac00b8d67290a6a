"""A network in numbers, by counting and by a latency model; no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.core.counting import count
from hwnas.core.errors import InputError, said_of
from hwnas.core.network import NetworkSpec
from hwnas.hardware.latency_model import FORMAT as MODEL_FORMAT
from hwnas.hardware.latency_model import LatencyModel
from hwnas.runs.directory import LATENCY
from hwnas.runs.stored import read_stored
from hwnas.workflows.blocks import blocks

FORMAT = "hwnas-description@1"
NEAR = 3  # a run's latency models are looked for beside the network and in so few directories above it


@dataclass(frozen=True)
class Described:
    """A network in numbers; see `hwnas.core.counting` for how each is counted.

    Args:
        source: what was asked for.
        params: trainable values.
        macs: multiply-accumulates at batch 1.
        peak_activation_bytes: f32, batch 1.
        layers: nodes of the network.
        input_shape: (channels, height, width).
        blocks: one row a layer: name, text, params, macs, latency_ms, share.
        target: whose latency model predicted; None without one.
        predicted_ms: by that model; None without one.
    """

    source: str
    params: int
    macs: int
    peak_activation_bytes: int
    layers: int
    input_shape: tuple[int, ...]
    blocks: list[dict[str, Any]]
    target: str | None
    predicted_ms: float | None

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return {"format": FORMAT, **asdict(self)}


def describe(source: str, network: NetworkSpec, model: LatencyModel | None) -> Described:
    """Counts a network and predicts its latency.

    Args:
        source: what was asked for.
        network: the network.
        model: predicts; None for counting alone.

    Raises:
        UnknownLayer: the model knows no such layer; names it and the nearest.
    """
    counts = count(network)
    return Described(
        source=source,
        params=counts.params,
        macs=counts.macs,
        peak_activation_bytes=counts.peak_activation_bytes,
        layers=counts.layers,
        input_shape=tuple(network.input_shape),
        blocks=blocks(network, model),
        target=model.target if model else None,
        predicted_ms=model.cost(network).value if model else None,
    )


def read_latency_model(path: Path) -> LatencyModel:
    """A latency model from a file that `hwnas profile` or a run wrote.

    Raises:
        InputError: no such file.
        FileFormatError: it is no latency model, or damaged.
        RunError: from a newer hwnas.
    """
    data = read_stored(path, MODEL_FORMAT)[0]
    with said_of(path):
        return LatencyModel.from_json(data)


def nearby_latency_model(directory: Path) -> LatencyModel | None:
    """The latency model of the run that a network's directory belongs to; None where there is none.

    Raises:
        InputError: the run has several, for different targets.
    """
    for place in [directory, *directory.resolve().parents][:NEAR]:
        found = sorted((place / LATENCY).glob("*.json"))
        if len(found) > 1:
            raise InputError(f"{place / LATENCY} holds several models: choose one with --latency-model {found[0]}")
        if found:
            return read_latency_model(found[0])
    return None
