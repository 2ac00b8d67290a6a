"""Quality, Trial and the Pareto front of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.core.architecture import Architecture
from hwnas.core.cost import Cost


@dataclass(frozen=True, slots=True)
class Quality:
    """How good an architecture is, by one evaluator.

    Args:
        loss: mean cross-entropy in nats; lower is better, and what shared weights are ranked by.
        accuracy: share of images classified correctly, 0 to 1.
        images: how many images it was scored on.
        evaluator: "shared-weights", "stand-alone" or "table".
    """

    loss: float
    accuracy: float
    images: int
    evaluator: str


@dataclass(frozen=True, slots=True)
class Trial:
    """An architecture evaluated well enough to stand in a table.

    Args:
        architecture: what was evaluated.
        quality: how good.
        latency: how fast, measured or by the model (its kind says which).
        source: who proposed it, for example "proxyless-g" or "random".
    """

    architecture: Architecture
    quality: Quality
    latency: Cost
    source: str


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, quality) that no other beats: lower cost and higher quality are better.

    Points are returned by rising cost; of equal points the first stands for all; points with NaN never enter.
    """
    order = sorted((i for i, p in enumerate(points) if p[0] == p[0] and p[1] == p[1]),
                   key=lambda i: (points[i][0], -points[i][1], i))  # fmt: skip
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front
