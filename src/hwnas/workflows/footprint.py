"""What a network takes beside time: what is counted of it, the size of its file, and the memory that the file needs.

Size and memory are known when a file is written and has run. Before that they are expected to be a sum: so many bytes
for every byte of weights, by what reads them (an engine may keep the weights of one kind of convolution in another
form than those of another), for every operation, for every byte that activations take at their peak, and a constant.
Some networks of the space are weighed for it, and every file that is measured later teaches it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Protocol, Self

import numpy as np

from hwnas.core.architecture import Architecture
from hwnas.core.counting import BYTES_PER_VALUE, Counts, count, peak_activation_bytes
from hwnas.core.network import NetworkSpec, lower
from hwnas.core.objective import Costs
from hwnas.core.primitives import parameter_shapes
from hwnas.core.protocols import SearchSpace
from hwnas.core.seeds import rng_for
from hwnas.hardware.engines import open_engine
from hwnas.hardware.features import kind_of
from hwnas.hardware.memory import PROCESSES
from hwnas.hardware.model_files import untrained
from hwnas.report.wording import short_count
from hwnas.runs.directory import RunDirectory
from hwnas.workflows.job import FitJob
from hwnas.workflows.measuring import weighed

_COUNTED: Mapping[str, Callable[[Counts], int]] = {
    "params": lambda counts: counts.params,
    "macs": lambda counts: counts.macs,
    "activations": lambda counts: counts.peak_activation_bytes,
}
WEIGHED = 10  # networks, beside both ends of the space
_ACTIVATIONS, _OPERATIONS, _CONSTANT = "activations", "operations", "constant"


@dataclass(frozen=True, slots=True)
class Belief:
    """What a file is expected to take before one was seen, (mean, deviation) of bytes for each byte or operation.

    Args:
        weights: for a byte of weights in f32.
        activations: for a byte of activations at their peak.
        operations: for an operation.
        constant: for every file.
        noise: of what a file takes, relative.
    """

    weights: tuple[float, float]
    activations: tuple[float, float]
    operations: tuple[float, float]
    constant: tuple[float, float]
    noise: float

    def of(self, term: str) -> tuple[float, float]:
        """Of one term of `terms`."""
        others = {_ACTIVATIONS: self.activations, _OPERATIONS: self.operations, _CONSTANT: self.constant}
        return others.get(term, self.weights)


_BELIEFS = {
    "size": Belief((1.0, 0.5), (0.0, 0.01), (300.0, 300.0), (0.0, 5e3), 0.002),
    "memory": Belief((3.0, 10.0), (1.0, 3.0), (2e3, 1e4), (0.0, 5e6), 0.03),
}


class Footprints(Protocol):
    """What architectures take of what is limited beside latency."""

    def share(self, arch: Architecture) -> float:
        """The largest share of a limit; inside up to 1, and 0 where nothing is limited."""
        ...

    def learned(self, arch: Architecture, taken: Mapping[str, int]) -> Self:
        """The same after a file was seen; `taken` is what `taken_by` says of it."""
        ...


@dataclass(frozen=True)
class ExpectedFootprints:
    """What is counted, counted; what only files have, expected.

    Args:
        space: whose architectures are asked for.
        limits: by name.
        seen: networks whose files were weighed, and what these take.
    """

    space: SearchSpace
    limits: Mapping[str, int]
    seen: tuple[tuple[NetworkSpec, Mapping[str, int]], ...] = ()

    def share(self, arch: Architecture) -> float:
        """The largest share of a limit."""
        taken = self.of(arch) if self.limits else {}
        return max((taken[name] / most for name, most in self.limits.items()), default=0.0)

    def of(self, arch: Architecture) -> dict[str, float]:
        """What an architecture takes, by the names of limits."""
        network = self.space.decode(arch)
        counts, amounts = count(network), terms(network)
        return {
            name: float(_COUNTED[name](counts)) if name in _COUNTED else self._expected(name, amounts)
            for name in self.limits
        }

    def learned(self, arch: Architecture, taken: Mapping[str, int]) -> ExpectedFootprints:
        """The same after a file was seen."""
        return replace(self, seen=(*self.seen, (self.space.decode(arch), taken))) if taken else self

    def _expected(self, name: str, amounts: Mapping[str, float]) -> float:
        weights = self._weights[name]
        return sum(
            amount * (weights[term] if term in weights else _BELIEFS[name].of(term)[0])
            for term, amount in amounts.items()
        )

    @cached_property
    def _weights(self) -> dict[str, dict[str, float]]:
        return {
            name: _fitted([(terms(network), taken[name]) for network, taken in self.seen], _BELIEFS[name])
            for name in self.limits
            if name not in _COUNTED
        }


@dataclass(frozen=True)
class KnownFootprints:
    """What a search has found out of every network that it evaluated.

    Args:
        limits: by name.
        costs: of an architecture, by the names of limits.
        latest: what was found since, at length.
    """

    limits: Mapping[str, int]
    costs: Callable[[Architecture], Costs]
    latest: Mapping[Architecture, Mapping[str, int]] = field(default_factory=dict)

    def share(self, arch: Architecture) -> float:
        """The largest share of a limit."""
        taken = {**self.costs(arch), **self.latest.get(arch, {})} if self.limits else {}
        return max((taken[name] / most for name, most in self.limits.items()), default=0.0)

    def learned(self, arch: Architecture, taken: Mapping[str, int]) -> KnownFootprints:
        """What was found at length counts."""
        return replace(self, latest={**self.latest, arch: taken})


def expected_footprints(job: FitJob, run: RunDirectory, ends: Sequence[Architecture]) -> ExpectedFootprints:
    """Weighs the ends of the space and some networks in between where size or memory is limited.

    Raises:
        EvaluationFailed: a process crashed or hung, or a file cannot be run.
        TargetUnavailable: memory is limited, and the system does not count it.
    """
    found = ExpectedFootprints(job.space, job.settings.limits)
    if not set(_BELIEFS) & set(job.settings.limits):
        return found
    rng, engine = rng_for(job.settings.seed, "footprints"), open_engine(job.target.name)
    drawn = [job.space.choices.sample_spread(rng) for _ in range(WEIGHED)]
    for arch in dict.fromkeys([*ends, *drawn]):
        file = untrained(job.space.decode(arch), engine).content
        found = found.learned(arch, taken_by(job, run, file, "one of a space", processes=1))
    return found


def counted_of(counts: Counts) -> dict[str, int]:
    """What is counted of a network, by the names of limits."""
    return {name: of(counts) for name, of in _COUNTED.items()}


def taken_by(
    job: FitJob, run: RunDirectory, content: bytes, purpose: str = "a file", processes: int = PROCESSES
) -> dict[str, int]:  # fmt: skip
    """What a file takes, in bytes: its "size" and its "memory", of these what is limited.

    Args:
        job: target, limits, scale.
        run: keeps what was measured.
        content: the file, in the format of the target's engine.
        purpose: the same file may be weighed again for another purpose.
        processes: in which it is weighed.

    Raises:
        EvaluationFailed: a process crashed or hung, or the file cannot be run.
        TargetUnavailable: the system does not count peaks.
    """
    taken = {"size": len(content)} if "size" in job.settings.limits else {}
    if "memory" in job.settings.limits:
        taken["memory"] = weighed(job, run, content, purpose, processes).peak_bytes
    return taken


def over(limits: Mapping[str, int], taken: Mapping[str, float]) -> list[str]:
    """What is over its limit, in words: "memory 3.21 MB, limit 3.00 MB"."""
    return [
        f"{name} {amount(name, value)}, limit {amount(name, limits[name])}"
        for name, value in taken.items()
        if name in limits and value > limits[name]
    ]


def amount(name: str, value: float) -> str:
    """A limit or what is held against it, with its unit."""
    return short_count(value, "" if name in ("params", "macs") else "B")


def in_words(limits: Mapping[str, int]) -> str:
    """All limits in a row: "params 1.00 M, memory 512 kB"."""
    return ", ".join(f"{name} {amount(name, most)}" for name, most in limits.items()) or "none"


def terms(network: NetworkSpec) -> dict[str, float]:
    """What the expected bytes of a file grow with: bytes of weights in f32 by kind of operation, and the rest."""
    graph = lower(network)
    shapes, found = graph.shapes(), Counter[str]()
    for operation in graph.operations:
        kind = kind_of(operation, shapes)
        if kind:
            found[_OPERATIONS] += 1
            values = sum(map(prod, parameter_shapes(operation.primitive).values()))
            found[f"weights of {kind}"] += BYTES_PER_VALUE * values
    return {**+found, _ACTIVATIONS: peak_activation_bytes(graph), _CONSTANT: 1.0}


def _fitted(seen: Sequence[tuple[Mapping[str, float], int]], belief: Belief) -> dict[str, float]:
    """Bytes for every unit of each term: the Gaussian posterior's mean given what files take."""
    if not seen:
        return {}
    names = list(dict.fromkeys(name for amounts, _ in seen for name in amounts))
    mean, deviation = np.asarray([belief.of(name) for name in names]).reshape(-1, 2).T
    amounts = np.asarray([[row.get(name, 0.0) for name in names] for row, _ in seen]).reshape(-1, len(names))
    taken = np.asarray([value for _, value in seen], dtype=float)
    per_unknown = amounts * deviation
    weighted = per_unknown / (belief.noise * taken)[:, None] ** 2
    unknowns = np.linalg.solve(
        per_unknown.T @ weighted + np.eye(len(names)), weighted.T @ (taken - amounts @ mean)
    )  # fmt: skip
    return dict(zip(names, (mean + deviation * unknowns).tolist(), strict=True))
