"""Scoring architectures by looking them up where all of them were trained once: exact, free, and no torch."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.core.architecture import Architecture
from hwnas.core.errors import EvaluationFailed
from hwnas.core.trial import Quality


class TruthTable:
    """An Evaluator over known accuracies, such as `spaces.toy.toy_truth`.

    Args:
        accuracies: accuracy, 0 to 1, of every architecture.
        images: how many images each was tested on.
    """

    def __init__(self, accuracies: Mapping[Architecture, float], images: int) -> None:
        self._accuracies = accuracies
        self._images = images

    def evaluate(self, arch: Architecture) -> Quality:
        """The stored accuracy; the loss is the error rate, which ranks alike.

        Raises:
            EvaluationFailed: the table does not hold the architecture.
        """
        if arch not in self._accuracies:
            raise EvaluationFailed(
                f"the table of {len(self._accuracies)} networks does not hold architecture {arch.id}"
            )
        accuracy = self._accuracies[arch]
        return Quality(1.0 - accuracy, accuracy, self._images, "table")
