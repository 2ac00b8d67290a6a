"""What predicts accuracies: it learns from architectures whose accuracies are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwnas.core.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is expected of several architectures, in their order.

    Args:
        means: (architectures,), in the unit of what was learned.
        deviations: (architectures,), how far off they may be; None where the predictor does not know.
    """

    means: np.ndarray
    deviations: np.ndarray | None = None


class FittedPredictor(Protocol):
    """A predictor that has learned: a value, which more lessons do not change."""

    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        """What is expected of each of at least one architecture."""
        ...


class AccuracyPredictor(Protocol):
    """Learns from architectures of one space whose accuracies, or scores, are known."""

    @property
    def name(self) -> str:
        """What it is, with whatever changes what it learns."""
        ...

    def fit(self, architectures: Sequence[Architecture], accuracies: Sequence[float]) -> FittedPredictor:
        """What it makes of these; equal lessons in equal order give equal predictions.

        Raises:
            InputError: fewer than two architectures, or an accuracy that is missing or not finite.
        """
        ...
