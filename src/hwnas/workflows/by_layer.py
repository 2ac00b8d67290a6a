"""Where a network's time goes: each layer's share by layers timed alone, and by the engine's profiler; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from hwnas.core.network import NetworkSpec, located_layers
from hwnas.core.protocols import ProfilingEngine, Progress
from hwnas.hardware.engines import open_engine
from hwnas.hardware.engines.kernels import beginning_of
from hwnas.hardware.kernel_times import KernelTimes, Profiler, profile_kernels
from hwnas.hardware.layers import priced_layers
from hwnas.hardware.model_files import ModelFile
from hwnas.hardware.profiling import layer_table
from hwnas.hardware.sessions import Timer
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import Target
from hwnas.workflows.blocks import blocks

SHARES_ONLY = (
    "Shares are to be believed, not their milliseconds: a layer alone finds its weights in the cache, and a profiler "
    "slows a run down"
)


@dataclass(frozen=True, slots=True)
class LayerShare:
    """One layer, or one node of other people's file.

    Args:
        name: of the layer; of a node that belongs to none, the engine's own.
        text: the layer in words; "" of a node.
        output_shape: (channels, height, width); None of a node.
        macs: multiply-accumulates of an image; None of a node.
        macs_share: of all layers' ones.
        alone_ms: timed as a network of this one layer; None where that was not possible.
        alone_share: of the sum over layers.
        profiled_ms: by the engine's profiler; None where it has none.
        profiled_share: of the sum over layers.
        profiled_sessions_ms: what the profiler said in each process.
    """

    name: str
    text: str
    output_shape: tuple[int, ...] | None
    macs: int | None
    macs_share: float | None
    alone_ms: float | None
    alone_share: float | None
    profiled_ms: float | None
    profiled_share: float | None
    profiled_sessions_ms: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class ByLayer:
    """Where the time of a file goes.

    Args:
        rows: in order.
        median_ms: the whole file's latency, measured end to end.
        alone_ms: sum over layers timed alone; None where that was not possible.
        profiled_ms: sum over kernels by the profiler; None where the engine has none.
        runs: of each profiling process.
        spread: of profiled shares from process to process: the largest of the rows' median deviations from what is
            reported; None without a profiler.
        notes: sentences for the reader.
    """

    rows: tuple[LayerShare, ...]
    median_ms: float
    alone_ms: float | None
    profiled_ms: float | None
    runs: int | None
    spread: float | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return asdict(self)


def by_layer(
    file: ModelFile, network: NetworkSpec | None, median_ms: float, target: Target, store: TargetStore, *, seed: int,
    timer: Timer, profiler: Profiler, progress: Progress,
) -> ByLayer:  # fmt: skip
    """Times a network's layers alone, and profiles its file.

    Args:
        file: in the format of the target's engine.
        network: what it computes; None of other people's files, which have figures per node and profiled ones only.
        median_ms: its latency, as measured.
        target: where.
        store: keeps the layers' latencies under the target key.
        seed: of the orders in which layers are timed.
        timer: runs the sessions.
        profiler: runs those of the profiler, where the engine has one.
        progress: told about every session.

    Raises:
        EvaluationFailed: a session crashed or hung, or a layer cannot be run.
    """
    notes = [SHARES_ONLY]
    times = None
    if isinstance(open_engine(target.name), ProfilingEngine):
        times = profile_kernels(target, file, profiler, progress)
    else:
        notes.append(f"the target {target.name} has no profiler, so nothing is measured inside a run")
    if network is None:
        return _of_nodes(times, median_ms, notes)
    alone = _alone(network, target, store, seed, timer, progress, notes)
    inside = None if times is None else _of_layers(times, network, notes)
    counted = blocks(network, None)
    all_macs = sum(row["macs"] for row in counted) or 1
    rows = tuple(
        _row(layer.name, alone, inside, row["text"], layer.output_shape, row["macs"], row["macs"] / all_macs)
        for row, layer in zip(counted, located_layers(network), strict=True)
    )
    return _told(rows, median_ms, alone, inside, notes)


def _of_nodes(times: KernelTimes | None, median_ms: float, notes: list[str]) -> ByLayer:
    notes.append("this file is not of hwnas, so its nodes are shown, and none is timed alone")
    names = () if times is None else times.ms
    return _told(tuple(_row(name, None, times) for name in names), median_ms, None, times, notes)


def _told(
    rows: tuple[LayerShare, ...], median_ms: float, alone: Mapping[str, float] | None, inside: KernelTimes | None,
    notes: list[str],
) -> ByLayer:  # fmt: skip
    alone_ms = None if alone is None else sum(alone.values())
    if inside is None:
        return ByLayer(rows, median_ms, alone_ms, None, None, None, tuple(notes))
    return ByLayer(rows, median_ms, alone_ms, sum(inside.ms.values()), inside.runs, _spread(inside), tuple(notes))


def _alone(
    network: NetworkSpec, target: Target, store: TargetStore, seed: int, timer: Timer, progress: Progress,
    notes: list[str],
) -> dict[str, float] | None:  # fmt: skip
    """What each layer takes alone, in ms, by name; one that is removed takes nothing."""
    priced = priced_layers(network)
    mixed = [layer.name for layer in priced if len(set(layer.input_shapes)) > 1]
    if mixed:
        notes.append(f"no layer is timed alone: {mixed[0]!r} reads values of different shapes")
        return None
    layers = {layer.key: layer for layer in priced}
    known = layer_table(target, layers, store, seed=seed, timer=timer, progress=progress)
    keys = {layer.name: layer.key for layer in priced}
    return {node.name: known[keys[node.name]].isolated_ms if node.name in keys else 0.0 for node in network.nodes}


def _of_layers(times: KernelTimes, network: NetworkSpec, notes: list[str]) -> KernelTimes | None:
    """The same by layer, in the network's order; None where the engine's names say nothing of ours."""
    names = [node.name for node in network.nodes]
    owners = owning_layers(times.ms, names)
    if owners is None:
        notes.append("the profiler's names are none of this network's, so its figures cannot be told by layer")
        return None
    ours = set(names)
    foreign = sum(ms for kernel, ms in times.ms.items() if beginning_of(kernel, ours) is None)
    if foreign:
        share = foreign / sum(times.ms.values())
        notes.append(
            f"{100 * share:.1f} % of the profiled time is the engine's own, such as changes of layout, and counts with "
            "the layer before it"
        )
    if set(owners.values()) != ours:
        notes.append("a layer with a profiled share of 0 % has no kernel: it is removed, or computed inside another's")
    sums = []
    for session in (times.ms, *times.sessions):
        taken = dict.fromkeys(names, 0.0)
        for kernel, ms in session.items():
            taken[owners[kernel]] += ms
        sums.append(taken)
    return KernelTimes(sums[0], tuple(sums[1:]), times.runs)


def owning_layers(kernels: Iterable[str], layers: Iterable[str]) -> dict[str, str] | None:
    """Which layer each kernel counts with; None where no kernel's name begins with that of a layer.

    Args:
        kernels: names in the order in which they run: operations of a layer begin with the layer's.
        layers: names of the layers.

    Returns:
        Layer by kernel. One that has no name of ours counts with the kernel before it; at the beginning, with the next.
    """
    known = set(layers)
    named = {kernel: beginning_of(kernel, known) for kernel in kernels}
    before = next((layer for layer in named.values() if layer is not None), None)
    if before is None:
        return None
    owners = {}
    for kernel, layer in named.items():
        before = before if layer is None else layer
        owners[kernel] = before
    return owners


def _row(
    name: str, alone: Mapping[str, float] | None, inside: KernelTimes | None, text: str = "",
    output_shape: tuple[int, ...] | None = None, macs: int | None = None, macs_share: float | None = None,
) -> LayerShare:  # fmt: skip
    alone_ms, alone_share = _share(alone, name)
    profiled_ms, profiled_share = _share(None if inside is None else inside.ms, name)
    sessions_ms = None if inside is None else tuple(session[name] for session in inside.sessions)
    return LayerShare(
        name, text, output_shape, macs, macs_share, alone_ms, alone_share, profiled_ms, profiled_share, sessions_ms
    )


def _share(ms: Mapping[str, float] | None, name: str) -> tuple[float | None, float | None]:
    """What one takes, and its share of all."""
    return (None, None) if ms is None else (ms[name], ms[name] / sum(ms.values()))


def _spread(times: KernelTimes) -> float:
    """The largest of the rows' median deviations of a session's share from the share that is reported."""
    totals = [sum(session.values()) for session in times.sessions]
    total = sum(times.ms.values())
    return max(
        median(abs(session[name] / whole - ms / total) for session, whole in zip(times.sessions, totals, strict=True))
        for name, ms in times.ms.items()
    )
