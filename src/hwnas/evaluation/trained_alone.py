"""Scoring architectures by training each of them alone for a while: slow, and free of the bias of shared weights."""

from __future__ import annotations

from collections.abc import Callable

from hwnas.core.architecture import Architecture
from hwnas.core.protocols import Checkpoints, Progress, SearchSpace
from hwnas.core.seeds import seed_for
from hwnas.core.trial import Quality
from hwnas.data.images import ImageData
from hwnas.evaluation.standalone import score
from hwnas.nn.build import build, initialise
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import train
from hwnas.training.recipe import Recipe


class TrainedAlone:
    """An Evaluator: the loss on the search split after a training of its own.

    Args:
        space: decodes the architectures.
        data: trained on its train split, scored on its search split.
        recipe: of each training.
        steps: of each training.
        seed: of the run.
        device: where it runs.
        checkpoints: gives the checkpoints of a training by its name.
        progress: told how far each training is.
    """

    def __init__(
        self, space: SearchSpace, data: ImageData, recipe: Recipe, *, steps: int, seed: int, device: TrainingDevice,
        checkpoints: Callable[[str], Checkpoints], progress: Progress,
    ) -> None:  # fmt: skip
        self._space = space
        self._data = data
        self._recipe = recipe
        self._steps = steps
        self._seed = seed
        self._device = device
        self._checkpoints = checkpoints
        self._progress = progress

    def evaluate(self, arch: Architecture) -> Quality:
        """Loss and accuracy of one architecture.

        Raises:
            EvaluationFailed: its training diverged.
        """
        purpose = f"alone/{arch.id}"
        network = build(self._space.decode(arch))
        initialise(network, seed_for(self._seed, "initial weights", arch.id))
        trained = train(
            network, self._data, self._recipe, steps=self._steps, seed=self._seed, purpose=purpose,
            device=self._device, checkpoints=self._checkpoints(purpose), progress=self._progress,
        )  # fmt: skip
        return score(trained.network, self._data, self._data.search, self._device).quality
