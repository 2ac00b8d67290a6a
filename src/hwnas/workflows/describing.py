"""A network in numbers, by counting, by a latency model or by a published table; no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.counting import count
from hwnas.core.errors import InputError, said_of
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import LayerCostModel
from hwnas.hardware.latency_model import FORMAT as MODEL_FORMAT
from hwnas.hardware.latency_model import LatencyModel
from hwnas.networks.published import Published
from hwnas.report import wording
from hwnas.report.drawing import blocks_of
from hwnas.report.strip import network_strip
from hwnas.runs.stored import LATENCY, read_stored
from hwnas.workflows.blocks import blocks

FORMAT = "hwnas-description@2"
NEAR = 3  # a run's latency models are looked for beside the network and in so few directories above it


@dataclass(frozen=True)
class FoundIn:
    """A network as an architecture of a search space.

    Args:
        architecture: the choices that stand for it.
        encoding: the same as its authors write it; None where they have no form of their own.
        differences: what the decoded architecture has otherwise, in words.
    """

    architecture: Architecture
    encoding: str | None
    differences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return {**asdict(self), "architecture": self.architecture.to_json(), "differences": list(self.differences)}


@dataclass(frozen=True)
class Described:
    """A network in numbers; see `hwnas.core.counting` for how each is counted.

    Args:
        source: what was asked for.
        network: the network.
        params: trainable values.
        macs: multiply-accumulates at batch 1.
        peak_activation_bytes: f32, batch 1.
        layers: nodes of the network.
        input_shape: (channels, height, width).
        blocks: one row a layer: name, text, params, macs, latency_ms, share.
        published: what is known of a published network; None of another.
        target: whose latency it is; None without one.
        latency_ms: by the target's latency model or table; None without one.
        kind: "model" or "table": where the latency comes from; None without one.
        found_in: the network as an architecture, where that was asked for.
    """

    source: str
    network: NetworkSpec
    params: int
    macs: int
    peak_activation_bytes: int
    layers: int
    input_shape: tuple[int, ...]
    blocks: list[dict[str, Any]]
    published: Published | None = None
    target: str | None = None
    latency_ms: float | None = None
    kind: str | None = None
    found_in: FoundIn | None = None

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        facts = self.published
        return {
            "format": FORMAT,
            "source": self.source,
            "title": facts.title if facts else None,
            "paper": facts.paper if facts else None,
            "origin": facts.origin if facts else None,
            "reported_top1": facts.reported_top1 if facts else None,
            "trained_on": facts.data if facts else None,
            "note": facts.note if facts else None,
            "torchvision": facts.torchvision if facts else None,
            "timm": facts.timm if facts else None,
            "params": self.params,
            "macs": self.macs,
            "peak_activation_bytes": self.peak_activation_bytes,
            "layers": self.layers,
            "input_shape": list(self.input_shape),
            "target": self.target,
            "latency_ms": self.latency_ms,
            "kind": self.kind,
            "found_in": self.found_in.to_json() if self.found_in else None,
            "blocks": self.blocks,
        }


def describe(
    source: str,
    network: NetworkSpec,
    model: LayerCostModel | None = None,
    target: str | None = None,
    published: Published | None = None,
    found_in: FoundIn | None = None,
) -> Described:
    """Counts a network and says its latency.

    Args:
        source: what was asked for.
        network: the network.
        model: prices its layers; None for counting alone.
        target: whose latencies these are.
        published: what is known of a published network.
        found_in: the network as an architecture of a space.

    Raises:
        UnknownLayer: the model knows no such layer; names it and the nearest.
    """
    counts = count(network)
    cost = model.cost(network) if model else None
    return Described(
        source=source,
        network=network,
        params=counts.params,
        macs=counts.macs,
        peak_activation_bytes=counts.peak_activation_bytes,
        layers=counts.layers,
        input_shape=tuple(network.input_shape),
        blocks=blocks(network, model),
        published=published,
        target=target,
        latency_ms=cost.value if cost else None,
        kind=cost.kind if cost else None,
        found_in=found_in,
    )


def drawing(described: Described) -> str:
    """A described network as an SVG file."""
    size = "×".join(map(str, described.input_shape[1:]))
    facts = (
        f"{wording.short_count(described.params)} parameters, {wording.short_count(described.macs, 'MACs')} at {size}, "
        f"{wording.short_count(described.peak_activation_bytes, 'B')} of activations at most"
    )
    title = described.published.title if described.published else Path(described.source).name
    return network_strip(title, facts, blocks_of({"blocks": described.blocks}))


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
