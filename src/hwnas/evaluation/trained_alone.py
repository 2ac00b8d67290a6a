"""Scoring architectures by training each of them alone for a while: slow, and free of the bias of shared weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from hwnas.core.architecture import Architecture
from hwnas.core.errors import OutOfMemory, ProcessLost
from hwnas.core.protocols import Checkpoints, Progress, SearchSpace
from hwnas.core.seeds import seed_for
from hwnas.core.trial import Quality
from hwnas.data.images import ImageData
from hwnas.evaluation.isolated import CHILD, PATIENCE_S, Training, train_in_child
from hwnas.training.device import TrainingDevice
from hwnas.training.recipe import Recipe

RETRIES_AFTER_S = (1.0, 5.0)  # a crash comes from outside; it must not cost the architecture its place


class TrainedAlone:
    """An Evaluator: the loss on the search split after a training of its own, in a process of its own.

    Where memory runs out, the training is done over once with half the images a step, in twice the steps. A process
    that is lost is followed by another, which goes on from the last checkpoint with the same seed.

    Args:
        space: decodes the architectures.
        data: trained on its train split, scored on its search split.
        recipe: of each training.
        steps: of each training.
        seed: of the run.
        device: where it runs.
        checkpoints: gives the checkpoints of a training by its name, one of `names`.
        progress: told how far each training is.
        patience_s: a process that finishes no step for so long hangs.
        command: starts a process.
    """

    def __init__(
        self, space: SearchSpace, data: ImageData, recipe: Recipe, *, steps: int, seed: int, device: TrainingDevice,
        checkpoints: Callable[[str], Checkpoints], progress: Progress, patience_s: float = PATIENCE_S,
        command: tuple[str, ...] = CHILD,
    ) -> None:  # fmt: skip
        self._space = space
        self._data = data
        self._recipe = recipe
        self._steps = steps
        self._seed = seed
        self._device = device
        self._checkpoints = checkpoints
        self._progress = progress
        self._patience_s = patience_s
        self._command = command
        self._threads = torch.get_num_threads()

    @staticmethod
    def names(arch: Architecture) -> tuple[str, str]:
        """What the trainings of an architecture are called: the first, and the one after memory ran out."""
        return f"alone/{arch.id}", f"alone/{arch.id}-half"

    def evaluate(self, arch: Architecture) -> Quality:
        """Loss and accuracy of one architecture.

        Raises:
            Diverged: its training diverged.
            OutOfMemory: memory ran out, also with half the images a step.
            ProcessLost: three processes in a row were lost.
            EvaluationFailed: its process failed in another way.
        """
        purpose, after_oom = self.names(arch)
        whole = Training(
            self._space.decode(arch), self._recipe, self._steps, self._seed,
            seed_for(self._seed, "initial weights", arch.id), purpose, self._device, self._threads,
        )  # fmt: skip
        batch_size = self._recipe.batch_size
        recipe = replace(self._recipe, batch_size=batch_size // 2)
        if self._checkpoints(after_oom).latest() is None:  # else memory ran out before this run was cut off
            try:
                return self._trained(whole)
            except OutOfMemory as reason:
                if not recipe.batch_size:
                    raise
                self._progress.say(f"{reason}: once more with {recipe.batch_size}")
        quality = self._trained(replace(whole, recipe=recipe, steps=2 * self._steps, purpose=after_oom))
        remark = f"trained with {recipe.batch_size} images a step instead of {batch_size}: memory had run out"
        return replace(quality, remark=remark)

    def _trained(self, training: Training) -> Quality:
        for wait_s in RETRIES_AFTER_S:
            try:
                return self._once(training)
            except ProcessLost as reason:
                self._progress.say(f"{reason}: another one goes on from its last checkpoint in {wait_s:g} s")
                time.sleep(wait_s)
        return self._once(training)

    def _once(self, training: Training) -> Quality:
        return train_in_child(
            training, self._data, self._checkpoints(training.purpose), self._progress, patience_s=self._patience_s,
            command=self._command,
        )  # fmt: skip
