"""The laws of a search strategy, as a test class that pytest runs on any of them.

In a test file of your own:

    @pytest.fixture
    def few_steps():
        def run(seed, checkpoints):
            found = my_search(ToySpace(), toy_data(), steps=20, seed=seed, checkpoints=checkpoints)
            return {"weights": found.weights, "choices": found.logits}  # everything that it learned, as numpy arrays
        return run

    class TestMyStrategy(StrategyContract):
        pass

A strategy saves a checkpoint whenever one is due (`Checkpoints.due`), and after its last step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import numpy as np

from hwnas.core.protocols import Checkpoint, Checkpoints, NoCheckpoints

EVERY = 7  # steps between checkpoints here
FewSteps = Callable[[int, Checkpoints], Mapping[str, np.ndarray]]


class StrategyContract:
    """Every test takes a fixture `few_steps`: a short search by seed and checkpoints, as arrays of all it learned."""

    def test_the_seed_decides_everything(self, few_steps: FewSteps) -> None:
        """Equal seeds learn equal arrays, bit for bit; another seed learns others."""
        first = few_steps(0, NoCheckpoints())
        assert differences(first, few_steps(0, NoCheckpoints())) == []
        assert differences(first, few_steps(1, NoCheckpoints())) != []

    def test_a_search_that_was_cut_off_goes_on_bit_for_bit(self, few_steps: FewSteps) -> None:
        """N steps equal k + save + load + (n − k), for every k at which the strategy saves."""
        whole = KeptCheckpoints()
        expected = few_steps(0, whole)
        assert len(whole.saved) >= 2, "the strategy saves nothing before its last step"
        for number, checkpoint in enumerate(whole.saved[:-1], start=1):
            kept = KeptCheckpoints(stop_after=number)
            try:
                few_steps(0, kept)
            except CutOff:
                pass
            assert kept.saved[-1].step == checkpoint.step
            resumed = KeptCheckpoints(kept.saved)
            assert differences(expected, few_steps(0, resumed)) == [], f"resumed at step {checkpoint.step}"
            assert [saved.step for saved in resumed.saved] == [saved.step for saved in whole.saved]

    def test_a_search_that_is_killed_after_any_step_repeats_one_interval_at_most(self, few_steps: FewSteps) -> None:
        """What is learned equals the uninterrupted search, and the steps done again are those since the checkpoint."""
        whole = KeptCheckpoints()
        expected = few_steps(0, whole)
        assert whole.asked == [*range(1, whole.asked[-1] + 1)], "a strategy asks whether to save after every step"
        for step in whole.asked:
            killed = KeptCheckpoints(dies_at=step)
            try:
                few_steps(0, killed)
            except CutOff:
                pass
            resumed = KeptCheckpoints(killed.saved)
            assert differences(expected, few_steps(0, resumed)) == [], f"killed after step {step}"
            assert resumed.asked[0] > step - EVERY, f"killed after step {step}, begun again at {resumed.asked[0]}"

    def test_a_search_that_is_asked_to_stop_saves_the_step_it_is_in(self, few_steps: FewSteps) -> None:
        """No step is lost to a signal, whichever it meets."""
        whole = KeptCheckpoints()
        expected = few_steps(0, whole)
        for step in whole.asked:
            kept = KeptCheckpoints(stops_at=step)
            try:
                few_steps(0, kept)
            except CutOff:
                pass
            assert kept.saved[-1].step == step
            resumed = KeptCheckpoints(kept.saved)
            assert differences(expected, few_steps(0, resumed)) == [], f"asked to stop at step {step}"
            assert resumed.asked[:1] in ([], [step + 1])

    def test_a_finished_search_does_nothing_more(self, few_steps: FewSteps) -> None:
        """Resumed at its last checkpoint, a search gives what it gave, and saves nothing."""
        kept = KeptCheckpoints()
        expected = few_steps(0, kept)
        before = len(kept.saved)
        assert differences(expected, few_steps(0, kept)) == []
        assert len(kept.saved) == before


class CutOff(Exception):
    """What ends a search in the middle, as a killed process would."""


@final
class KeptCheckpoints:
    """Checkpoints in memory, each a copy.

    Args:
        saved: those of an earlier process.
        stop_after: raises CutOff when so many have been saved; None for never.
        dies_at: raises CutOff after that step, whether it is saved or not; None for never.
        stops_at: a checkpoint is due after that step, and raises CutOff when it is saved; None for never.
    """

    def __init__(
        self, saved: list[Checkpoint] | None = None, stop_after: int | None = None, *, dies_at: int | None = None,
        stops_at: int | None = None,
    ) -> None:  # fmt: skip
        self.saved = list(saved or [])
        self.asked: list[int] = []
        self._dies_at = dies_at
        self._stops_at = stops_at
        self._stop_after = stop_after

    def latest(self) -> Checkpoint | None:
        """A copy of the newest one."""
        return _copied(self.saved[-1]) if self.saved else None

    def due(self, step: int) -> bool:
        """After every EVERY steps, and when the process is asked to stop."""
        self.asked.append(step)
        if step == self._dies_at:
            raise CutOff
        return step % EVERY == 0 or step == self._stops_at

    def save(self, checkpoint: Checkpoint) -> None:
        """Keeps a copy."""
        self.saved.append(_copied(checkpoint))
        if len(self.saved) == self._stop_after or (self._stops_at is not None and checkpoint.step == self._stops_at):
            raise CutOff


def _copied(checkpoint: Checkpoint) -> Checkpoint:
    arrays = {name: array.copy() for name, array in checkpoint.arrays.items()}
    return Checkpoint(checkpoint.step, arrays, dict(checkpoint.state))


def differences(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> list[str]:
    """The names of arrays that are not equal bit for bit, or that only one side has."""
    return [
        name
        for name in sorted({*a, *b})
        if name not in a or name not in b or a[name].dtype != b[name].dtype or a[name].tobytes() != b[name].tobytes()
    ]
