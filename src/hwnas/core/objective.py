"""How a search pays for what a network costs: one formula each.

A gradient search has a loss, on floats and on torch tensors alike: E is the expected latency and T the target, both in
milliseconds; `ce` is the cross-entropy on the search split. A black-box search has an objective, on floats: Q is the
accuracy, T the network's cost and T0 the target, in whatever unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hwnas.core.errors import InputError, UnknownName


class LatencyLoss(Protocol):
    """The loss of an architecture step."""

    def __call__(self, ce: Any, expected_ms: Any, target_ms: float) -> Any:
        """Combines cross-entropy and expected latency; works on floats and on tensors."""
        ...


@dataclass(frozen=True, slots=True)
class AbsoluteLoss:
    """ce + λ·|E/T − 1|, which pulls the latency onto the target from both sides.

    Source: the absolute reward of TuNAS (Bender et al. 2020, eq. 4), as a loss.
    Differs: ProxylessNAS uses AdditiveLoss or LogProductLoss, whose weight must be tuned for every target.
    """

    weight: float = 1.0

    def __call__(self, ce: Any, expected_ms: Any, target_ms: float) -> Any:
        """The loss."""
        return ce + self.weight * abs(expected_ms / target_ms - 1)


@dataclass(frozen=True, slots=True)
class AdditiveLoss:
    """ce + λ·(E − T)/T.

    Source: ProxylessNAS (Cai et al. 2019, eq. 7); `add#linear` of the released code, whose command-line λ is 0.1.
    """

    weight: float = 0.1

    def __call__(self, ce: Any, expected_ms: Any, target_ms: float) -> Any:
        """The loss."""
        return ce + self.weight * (expected_ms - target_ms) / target_ms


@dataclass(frozen=True, slots=True)
class LogProductLoss:
    """α·ce·(ln E / ln T)^β, with E and T counted in microseconds.

    Source: `mul#log`, the default of the released ProxylessNAS code, α = 0.2, β = 0.3 on its command line.
    Differs: the code counts milliseconds, whose logarithm is negative below 1 ms; microseconds move that limit to 1 µs.

    Raises (when called):
        InputError: the target or the expected latency is 1 µs or less.
    """

    alpha: float = 0.2
    beta: float = 0.3

    def __call__(self, ce: Any, expected_ms: Any, target_ms: float) -> Any:
        """The loss."""
        expected_us, target_us = expected_ms * 1000.0, target_ms * 1000.0
        is_number = isinstance(expected_us, (int, float))
        if target_us <= 1 or (expected_us if is_number else expected_us.detach()) <= 1:
            raise InputError("the log-product loss needs latencies above 1 us; use --loss absolute")
        log_expected = math.log(expected_us) if is_number else expected_us.log()
        return self.alpha * ce * (log_expected / math.log(target_us)) ** self.beta


LATENCY_LOSSES: dict[str, type] = {"absolute": AbsoluteLoss, "additive": AdditiveLoss, "log-product": LogProductLoss}


def latency_loss(name: str, weight: float | None = None) -> LatencyLoss:
    """The loss form by name; `weight` is λ of the first two and α of the third, None for its default.

    Raises:
        UnknownName: no such form.
    """
    if name not in LATENCY_LOSSES:
        raise UnknownName("latency loss", name, LATENCY_LOSSES)
    form = LATENCY_LOSSES[name]
    loss: LatencyLoss = form() if weight is None else form(weight)
    return loss


class Objective(Protocol):
    """What a black-box search makes as large as it can."""

    def admits(self, cost: float) -> bool:
        """Whether a network of that cost is worth evaluating: where not, its score needs no accuracy."""
        ...

    def score(self, accuracy: float, cost: float) -> float:
        """One finite number for a network; higher is better.

        Args:
            accuracy: 0 to 1.
            cost: above zero, in the unit of the target.
        """
        ...


@dataclass(frozen=True, slots=True)
class PowerReward:
    """Q·(T/T0)^w, where w is α inside the target and β above it.

    Source: MnasNet (Tan et al. 2019, section 3.1). Soft, α = β = −0.07: twice the latency is worth 5 % more accuracy.
    Hard, α = 0, β = −1: nothing is gained below the target. ProxylessNAS-R's released code has Q·(T0/T)^0.1, which is
    α = β = −0.1.

    Args:
        target: T0, above zero.
        alpha: w for T ≤ T0.
        beta: w for T > T0.
    """

    target: float
    alpha: float = -0.07
    beta: float = -0.07

    def __post_init__(self) -> None:
        _check_target(self.target)

    def admits(self, cost: float) -> bool:
        """Always: no cost alone rules a network out."""
        return True

    def score(self, accuracy: float, cost: float) -> float:
        """The reward."""
        ratio = cost / self.target
        return float(accuracy * ratio ** (self.alpha if ratio <= 1 else self.beta))


@dataclass(frozen=True, slots=True)
class AbsoluteReward:
    """Q + β·|T/T0 − 1|, which draws the cost onto the target from both sides.

    Source: TuNAS (Bender et al. 2020, section 4); β = −0.10 in the released code.

    Args:
        target: T0, above zero.
        beta: below zero.
    """

    target: float
    beta: float = -0.10

    def __post_init__(self) -> None:
        _check_target(self.target)

    def admits(self, cost: float) -> bool:
        """Always: no cost alone rules a network out."""
        return True

    def score(self, accuracy: float, cost: float) -> float:
        """The reward."""
        return accuracy + self.beta * abs(cost / self.target - 1)


@dataclass(frozen=True, slots=True)
class HardLimit:
    """Q inside the limit and −T/T0 above it: no network over the limit beats one inside, the nearest is the least bad.

    Source: the feasibility rules of Deb 2000, "An efficient constraint handling method for genetic algorithms".

    Args:
        limit: T0, above zero; infinity for accuracy alone.
    """

    limit: float = math.inf

    def __post_init__(self) -> None:
        if self.limit != math.inf:
            _check_target(self.limit)

    def admits(self, cost: float) -> bool:
        """Whether the cost is inside the limit."""
        return cost <= self.limit

    def score(self, accuracy: float, cost: float) -> float:
        """The accuracy, or how far the cost is over the limit, below zero."""
        return accuracy if self.admits(cost) else -cost / self.limit


def _check_target(target: float) -> None:
    if not (math.isfinite(target) and target > 0):
        raise InputError(f"the target of an objective must be a number above zero, not {target}")


OBJECTIVES: dict[str, Callable[[float], Objective]] = {
    "hard-limit": HardLimit,
    "mnasnet-soft": PowerReward,
    "mnasnet-hard": lambda target: PowerReward(target, alpha=0.0, beta=-1.0),
    "tunas-absolute": AbsoluteReward,
    "proxyless-r": lambda target: PowerReward(target, alpha=-0.1, beta=-0.1),
}


def objective(name: str, target: float) -> Objective:
    """An objective by name, with the weights that its authors use.

    Raises:
        UnknownName: no such objective.
        InputError: a target that is not above zero.
    """
    if name not in OBJECTIVES:
        raise UnknownName("objective", name, OBJECTIVES)
    return OBJECTIVES[name](target)
