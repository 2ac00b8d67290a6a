"""Quality and Rating, which architectures are ranked by; Trial and the Pareto front of trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.core.architecture import Architecture
from hwnas.core.cost import Cost
from hwnas.core.errors import Diverged


@dataclass(frozen=True, slots=True)
class Quality:
    """How good an architecture is, by one evaluator.

    Args:
        loss: mean cross-entropy in nats; lower is better, and what shared weights are ranked by.
        accuracy: share of images classified correctly, 0 to 1.
        images: how many images it was scored on.
        evaluator: "shared-weights", "stand-alone" or "table".
        remark: what was not as usual when it was found, for readers; empty if nothing was.

    Raises:
        Diverged: the loss is not finite, so that nothing can be compared with it.
    """

    loss: float
    accuracy: float
    images: int
    evaluator: str
    remark: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.loss) and 0.0 <= self.accuracy <= 1.0):
            raise Diverged(f"{self.evaluator}: loss {self.loss} and accuracy {self.accuracy} are no quality")

    @property
    def merit(self) -> float:
        """What architectures are ranked by: minus the loss."""
        return -self.loss


@dataclass(frozen=True, slots=True)
class Rating:
    """Where an architecture stands by a score that knows no accuracy, such as a zero-cost score.

    Args:
        merit: higher is better; without a unit or a scale, so that nothing but the order among ratings by the same
            evaluator means anything.
        images: how many images it was scored on.
        evaluator: the score's name.

    Raises:
        Diverged: the merit is not finite, so that nothing can be compared with it.
    """

    merit: float
    images: int
    evaluator: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.merit):
            raise Diverged(f"{self.evaluator}: the score is {self.merit}")


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

    Points are returned by rising cost; of equal points the first stands for all; infinity and NaN never enter.
    """
    finite = (i for i, point in enumerate(points) if all(map(math.isfinite, point)))
    order = sorted(finite, key=lambda i: (points[i][0], -points[i][1], i))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front
