"""The loop that every training shares: steps back when the numbers go bad, and leaves in order when it is asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Checkpoints, NoCheckpoints, Progress, Silence
from hwnas.core.seeds import rng_for
from hwnas.nn.gates import Gates
from hwnas.runs.checkpoints import CheckpointDirectory
from hwnas.runs.stop import Stop
from hwnas.training.loop import Loop, Setback
from hwnas.training.state import LoopState

NAN, INFINITE = torch.tensor(float("nan")), torch.tensor(float("inf"))
GOOD = torch.tensor(1.0)


class Told(Silence):
    """A progress that remembers, and does what a run's does when it is asked to stop."""

    def __init__(self, stop: Stop | None = None) -> None:
        self.said: list[str] = []
        self.recorded: list[dict[str, Any]] = []
        self._stop = stop or Stop()

    def advance(self, done: int, facts: Mapping[str, float | str]) -> None:
        self._stop.check()

    def say(self, text: str) -> None:
        self.said.append(text)

    def record(self, line: Mapping[str, Any]) -> None:
        self.recorded.append(dict(line))


def counted(
    checkpoints: Checkpoints, loss: Callable[[int, float], Tensor], steps: int = 12, progress: Progress | None = None,
    after_step: Callable[[int], None] = lambda step: None,
) -> tuple[list[tuple[int, float]], float, tuple[Setback, ...]]:  # fmt: skip
    """A loop whose weight grows by the step's number times the rate: (steps at rates, weight, setbacks)."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    loop = Loop("count", steps, LoopState({"layer": layer}), checkpoints, progress or Silence())
    taken = []

    def batches(start: int) -> Iterator[int]:
        yield from range(10 * start, 10 * steps, 10)

    for step, batch in loop.steps(batches):
        assert batch == 10 * step
        taken.append((step, loop.lr_scale))
        with torch.no_grad():
            layer.weight += step * loop.lr_scale
        after_step(step)
        loop.finish(step, [GOOD, loss(step, loop.lr_scale)])
    return taken, float(layer.weight.detach()), loop.setbacks


def bad_once(step: int, rate: float) -> Tensor:
    return NAN if step == 6 and rate == 1.0 else GOOD


def test_a_bad_loss_goes_back_to_the_last_checkpoint_at_half_the_rate(tmp_path: Path) -> None:
    told = Told()
    taken, weight, setbacks = counted(CheckpointDirectory(tmp_path, every=5), bad_once, progress=told)
    assert taken == [(step, 1.0) for step in range(7)] + [(step, 0.5) for step in range(5, 12)]
    assert weight == sum(range(5)) + 0.5 * sum(range(5, 12))
    assert setbacks == (Setback("count", 7, "nan", 5),)
    assert told.said == ["count: the loss is nan at step 7: back to step 5 with 0.5 of the learning rate"]


def test_before_the_first_interval_it_goes_back_to_the_start(tmp_path: Path) -> None:
    bad = lambda step, rate: INFINITE if step == 2 and rate > 0.3 else GOOD  # noqa: E731
    taken, weight, setbacks = counted(CheckpointDirectory(tmp_path, every=5), bad, steps=4)
    assert [rate for step, rate in taken if step == 0] == [1.0, 0.5, 0.25]
    assert weight == 0.25 * sum(range(4))
    assert setbacks == (Setback("count", 3, "inf", 0), Setback("count", 3, "inf", 0))


def test_it_gives_up_after_three_returns(tmp_path: Path) -> None:
    with pytest.raises(EvaluationFailed, match=r"count: the loss is nan at step 7, after 3 returns .* lower --lr"):
        counted(CheckpointDirectory(tmp_path, every=5), lambda step, rate: NAN if step == 6 else GOOD)
    saved = CheckpointDirectory(tmp_path).latest()
    assert saved is not None and len(saved.state["setbacks"]) == 3
    with pytest.raises(EvaluationFailed, match="try a lower learning rate"):
        counted(NoCheckpoints(), bad_once)


def test_a_weight_that_is_not_finite_never_gets_into_a_checkpoint(tmp_path: Path) -> None:
    layer = nn.Linear(1, 1)
    checkpoints = CheckpointDirectory(tmp_path, every=5)
    loop = Loop("count", 10, LoopState({"layer": layer}), checkpoints, Silence())
    for step, _ in loop.steps(lambda start: iter(range(start, 10))):
        if step == 7 and loop.lr_scale == 1.0:
            nn.init.constant_(layer.weight, float("inf"))
        loop.finish(step, [GOOD])
    assert loop.setbacks == (Setback("count", 10, "weights", 5),)
    saved = checkpoints.latest()
    assert saved is not None and saved.step == 10 and abs(saved.arrays["layer/weight"]) < 10


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", range(12))
def test_a_loop_that_went_back_is_resumed_bit_for_bit(tmp_path: Path, at: int) -> None:
    """Killed after any step, before and after the setback: the same rates, weights and setbacks come out."""
    expected = counted(CheckpointDirectory(tmp_path / "whole", every=5), bad_once)
    seen = []

    def kill(step: int) -> None:
        seen.append(step)
        if len(seen) == at + 1:
            raise Killed

    with pytest.raises(Killed):
        counted(CheckpointDirectory(tmp_path / "cut", every=5), bad_once, after_step=kill)
    taken, weight, setbacks = counted(CheckpointDirectory(tmp_path / "cut", every=5), bad_once)
    assert (weight, setbacks) == expected[1:]
    last = seen[-1]
    assert taken[0][0] >= last - last % 5 - 5  # at most an interval is done again


@pytest.mark.parametrize("at", [0, 3, 4, 7, 11])
def test_a_loop_that_is_asked_to_stop_saves_the_step_it_is_in(tmp_path: Path, at: int) -> None:
    good: Callable[[int, float], Tensor] = lambda step, rate: GOOD  # noqa: E731
    expected = counted(CheckpointDirectory(tmp_path / "whole", every=5), good)
    stop = Stop()
    checkpoints = CheckpointDirectory(tmp_path / "asked", every=5, stop=stop)
    with pytest.raises(Killed):
        counted(
            checkpoints, good, progress=Told(stop), after_step=lambda step: stop.ask(Killed()) if step == at else None
        )
    saved = checkpoints.latest()
    assert saved is not None and saved.step == at + 1
    taken, weight, _ = counted(CheckpointDirectory(tmp_path / "asked", every=5), good)
    assert weight == expected[1] and taken == expected[0][at + 1 :]


def test_losses_are_recorded_every_twenty_steps_and_at_the_end() -> None:
    told = Told()
    counted(NoCheckpoints(), lambda step, rate: GOOD, steps=45, progress=told)
    assert told.recorded == [{"stage": "count", "step": step, "loss": 1.0} for step in (20, 40, 45)]


def test_an_option_that_a_choice_does_not_have_is_no_bad_number() -> None:
    gates = Gates(ChoiceSpace("two", (Choice("a", ("x", "y", "z")), Choice("b", ("x", "y")))), rng_for(0, "gates"))
    assert LoopState({"gates": gates}).is_finite()
    with torch.no_grad():
        gates.alpha[0, 0] = torch.nan
    assert not LoopState({"gates": gates}).is_finite()
