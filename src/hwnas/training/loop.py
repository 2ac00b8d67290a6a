"""What every training loop shares: checkpoints, reports, and a step back when the numbers go bad.

    loop = Loop("search", steps, state, checkpoints, progress)
    for step, batch in loop.steps(batches):
        loss = …
        loop.finish(step, [loss])

The work of a step stays in the strategy's own file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, final

from torch import Tensor

from hwnas.core.errors import Diverged
from hwnas.core.protocols import Checkpoints, Progress
from hwnas.training.state import LoopState

REPORT_EVERY = 20  # steps
SETBACKS = 3  # after so many, the learning rate is not what is wrong
LR_AFTER_SETBACK = 0.5

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Setback:
    """A return to an earlier step because a number was not finite any more.

    Args:
        stage: the loop's purpose.
        step: after which it was noticed.
        loss: what it was, "nan" or "inf"; "weights" where the loss was finite and a weight was not.
        back_to: the step of the last good checkpoint.
    """

    stage: str
    step: int
    loss: str
    back_to: int


@final
class Loop:
    """Counts steps; the work of each is the caller's, between `steps` and `finish`.

    Args:
        purpose: names the loop for readers and in records.
        total: steps in all.
        state: everything that changes from step to step.
        checkpoints: where it is kept.
        progress: told how far it is.
    """

    def __init__(
        self, purpose: str, total: int, state: LoopState, checkpoints: Checkpoints, progress: Progress
    ) -> None:
        self._purpose = purpose
        self._total = total
        self._state = state
        self._checkpoints = checkpoints
        self._progress = progress
        self._setbacks: tuple[Setback, ...] = ()
        self._next = 0

    @property
    def setbacks(self) -> tuple[Setback, ...]:
        """Every return to an earlier step so far, those before the loop was cut off included."""
        return self._setbacks

    @property
    def lr_scale(self) -> float:
        """What the learning rate is multiplied with: halved at every setback."""
        return LR_AFTER_SETBACK ** len(self._setbacks)

    def steps(self, batches: Callable[[int], Iterator[Batch]]) -> Iterator[tuple[int, Batch]]:
        """The steps that are left; after a setback, those since the checkpoint once more.

        Args:
            batches: what the steps from a given one on work with.

        Yields:
            (step, what it works with), steps counted from 0.
        """
        saved = self._state.restore(self._checkpoints)
        if saved is None:
            self._save(0)  # what a setback in the first steps returns to
        else:
            self._next = saved.step
            self._setbacks = tuple(Setback(**row) for row in saved.state.get("setbacks", ()))
        self._progress.stage(self._purpose, self._total, self._next)
        while self._next < self._total:
            for step, batch in enumerate(batches(self._next), start=self._next):
                yield step, batch
                if self._next != step + 1:  # `finish` went back
                    break

    def finish(
        self, step: int, losses: Sequence[Tensor], facts: Callable[[int], Mapping[str, Any]] = lambda done: {}
    ) -> None:
        """Ends a step: reports, saves, or goes back if a loss is not finite.

        Losses on the CPU are looked at after every step; reading one from a GPU would wait for it, so there they are
        looked at when they are reported or when the state is saved.

        Args:
            step: which.
            losses: the first is reported; every one must be finite.
            facts: further figures after so many steps, to be recorded; those that are numbers are shown as well.

        Raises:
            Diverged: not finite, and going back has not helped.
        """
        self._next = done = step + 1
        report = done % REPORT_EVERY == 0 or done == self._total
        save = self._checkpoints.due(done) or done == self._total
        for loss in losses:
            if (report or save or loss.device.type == "cpu") and not math.isfinite(float(loss)):
                return self._go_back(done, str(float(loss)))
        if save and not self._state.is_finite():
            return self._go_back(done, "weights")
        line = {"loss": float(losses[0]), **facts(done)} if report else {}
        if report:
            self._progress.record({"stage": self._purpose, "step": done, **line})
        if save:
            self._save(done)
        if report or save:  # a process that was asked to stop leaves here, when everything is kept
            self._progress.advance(done, {name: value for name, value in line.items() if isinstance(value, float)})
        return None

    def _save(self, done: int) -> None:
        self._state.save(self._checkpoints, done, {"setbacks": [asdict(setback) for setback in self._setbacks]})

    def _go_back(self, done: int, loss: str) -> None:
        what = "a weight is not finite" if loss == "weights" else f"the loss is {loss}"
        said = f"{self._purpose}: {what} at step {done}"
        if len(self._setbacks) == SETBACKS:
            raise Diverged(f"{said}, after {SETBACKS} returns with ever lower learning rates; try a lower --lr")
        saved = self._state.restore(self._checkpoints)
        if saved is None:
            raise Diverged(f"{said}; try a lower learning rate (--lr)")
        self._setbacks += (Setback(self._purpose, done, loss, saved.step),)
        self._next = saved.step
        self._save(saved.step)  # so that a run that is cut off now goes on at the lower rate as well
        self._progress.say(f"{said}: back to step {saved.step} with {self.lr_scale:g} of the learning rate")
