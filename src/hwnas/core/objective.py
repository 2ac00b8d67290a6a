"""How a search pays for what a network costs: one formula each.

A gradient search has a loss, on floats and on torch tensors alike: E is the expected latency and T the target, both in
milliseconds; `ce` is the cross-entropy on the search split. A black-box search has an objective, on floats: Q is the
accuracy, T what the network costs and T0 the target, in the same unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hwnas.core.errors import InputError, UnknownName

Costs = Mapping[str, float]
"""What a network costs, by the names of limits: "latency" in ms, "macs", "params", "memory" and others in bytes; above
zero."""
Known = Sequence[tuple[float, Costs]]
"""(accuracy, costs) of the networks that were evaluated before."""


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

    def admits(self, costs: Costs) -> bool:
        """Whether a network of these costs is worth evaluating: where not, its score needs no accuracy."""
        ...

    def score(self, accuracy: float, costs: Costs, known: Known = ()) -> float:
        """One finite number for a network; higher is better.

        Args:
            accuracy: 0 to 1.
            costs: of the network.
            known: what it competes with; only a front asks for it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Q alone, whatever it costs."""

    def admits(self, costs: Costs) -> bool:
        """Always."""
        return True

    def score(self, accuracy: float, costs: Costs, known: Known = ()) -> float:
        """The accuracy."""
        return accuracy


@dataclass(frozen=True, slots=True)
class PowerReward:
    """Q·(T/T0)^w, where w is α inside the target and β above it.

    Source: MnasNet (Tan et al. 2019, section 3.1). Soft, α = β = −0.07: twice the latency is worth 5 % more accuracy.
    Hard, α = 0, β = −1: nothing is gained below the target. ProxylessNAS-R's released code has Q·(T0/T)^0.1, which is
    α = β = −0.1.

    Args:
        of: the name of the cost T.
        target: T0, above zero.
        alpha: w for T ≤ T0.
        beta: w for T > T0.
    """

    of: str
    target: float
    alpha: float = -0.07
    beta: float = -0.07

    def __post_init__(self) -> None:
        _check_target(self.target)

    def admits(self, costs: Costs) -> bool:
        """Always: no cost alone rules a network out."""
        return True

    def score(self, accuracy: float, costs: Costs, known: Known = ()) -> float:
        """The reward."""
        ratio = costs[self.of] / self.target
        return float(accuracy * ratio ** (self.alpha if ratio <= 1 else self.beta))


@dataclass(frozen=True, slots=True)
class AbsoluteReward:
    """Q + β·|T/T0 − 1|, which draws the cost onto the target from both sides.

    Source: TuNAS (Bender et al. 2020, section 4); β = −0.10 in the released code.

    Args:
        of: the name of the cost T.
        target: T0, above zero.
        beta: below zero.
    """

    of: str
    target: float
    beta: float = -0.10

    def __post_init__(self) -> None:
        _check_target(self.target)

    def admits(self, costs: Costs) -> bool:
        """Always: no cost alone rules a network out."""
        return True

    def score(self, accuracy: float, costs: Costs, known: Known = ()) -> float:
        """The reward."""
        return accuracy + self.beta * abs(costs[self.of] / self.target - 1)


@dataclass(frozen=True, slots=True)
class FrontGain:
    """What a network adds to the Pareto front of those known: the area in (T/T0, Q) that it alone dominates.

    The area ends at T0 and at no accuracy. Who adds nothing gets how much accuracy it lacks, below zero; who is over T0
    gets 1 − T/T0. Scores are those of the moment: a network that is found later may make an earlier one worth less.

    Source: the hypervolume improvement, with a penalty for those that are dominated, of Ponweiser, Wagner, Biermann,
    Vincze 2008, "Multiobjective Optimization on a Limited Budget of Evaluations Using Model-Assisted S-Metric
    Selection" (SMS-EGO).
    Differs: the penalty is the accuracy that is lacking; the paper multiplies what is lacking in both.

    Args:
        of: the name of the cost T.
        target: T0, above zero.
    """

    of: str
    target: float

    def __post_init__(self) -> None:
        _check_target(self.target)

    def admits(self, costs: Costs) -> bool:
        """Whether the cost is inside the target."""
        return costs[self.of] <= self.target

    def score(self, accuracy: float, costs: Costs, known: Known = ()) -> float:
        """The area that is gained, or what is lacking below zero."""
        at = costs[self.of] / self.target
        if at > 1:
            return 1 - at
        points = [(others[self.of] / self.target, theirs) for theirs, others in known]
        level = max((theirs for cost, theirs in points if cost <= at), default=0.0)
        if accuracy <= level:
            return accuracy - level
        gain = 0.0
        for cost, theirs in [*sorted(point for point in points if at < point[0] < 1), (1.0, 1.0)]:
            gain += max(0.0, accuracy - level) * (cost - at)
            at, level = cost, max(level, theirs)
        return gain


@dataclass(frozen=True, slots=True)
class Limited:
    """A reward inside every limit, and −T/T0 of the worst one outside: nothing outside beats anything inside.

    Source: the feasibility rules of Deb 2000, "An efficient constraint handling method for genetic algorithms": of two
    networks outside, the one that is less so is better.
    Differs: several limits count by the worst ratio, not by their sum.

    Args:
        reward: what is looked for inside; not below zero there.
        limits: the largest cost of each name, above zero; none for no limit.
    """

    reward: Objective = Accuracy()
    limits: Costs = field(default_factory=dict)

    def __post_init__(self) -> None:
        for limit in self.limits.values():
            _check_target(limit)

    def admits(self, costs: Costs) -> bool:
        """Whether every cost is inside its limit, and the reward admits them."""
        return self._worst(costs) <= 1 and self.reward.admits(costs)

    def score(self, accuracy: float, costs: Costs, known: Known = ()) -> float:
        """The reward, or how far the worst cost is over its limit, below zero."""
        worst = self._worst(costs)
        return -worst if worst > 1 else self.reward.score(accuracy, costs, known)

    def _worst(self, costs: Costs) -> float:
        return max((costs[name] / limit for name, limit in self.limits.items()), default=0.0)


def _check_target(target: float) -> None:
    if not (math.isfinite(target) and target > 0):
        raise InputError(f"the target of an objective must be a number above zero, not {target}")


REWARDS: dict[str, Callable[[str, float], Objective]] = {
    "mnasnet-soft": PowerReward,
    "mnasnet-hard": lambda of, target: PowerReward(of, target, alpha=0.0, beta=-1.0),
    "tunas-absolute": AbsoluteReward,
    "proxyless-r": lambda of, target: PowerReward(of, target, alpha=-0.1, beta=-0.1),
    "front": FrontGain,
}
OBJECTIVES = ("hard-limit", *REWARDS)


def check_has_best(name: str) -> None:
    """Refuses the objective of which no network is the best, where a search is judged by its best one.

    Raises:
        InputError: it is "front".
    """
    if name == "front":
        raise InputError(
            "reward 'front' finds many networks and no best one, by which a search could be judged: give another"
        )


def judge(name: str, limits: Costs) -> Objective:
    """What says which one network is the best: the objective, but for a front the accuracy inside every limit.

    What a network adds to a front depends on when it was found, and the first one adds most.

    Raises:
        UnknownName: no such objective.
        InputError: a target that is not above zero, or none where there must be one.
    """
    return objective("hard-limit" if name == "front" and limits else name, limits)


def objective(name: str, limits: Costs) -> Objective:
    """An objective by name, with the weights that its authors use.

    Args:
        name: one of OBJECTIVES.
        limits: by the names of costs. The first is the target of a reward, the others are limits; "hard-limit" makes
            limits of all.

    Raises:
        UnknownName: no such objective.
        InputError: a target that is not above zero, or none where there must be one.
    """
    if name not in OBJECTIVES:
        raise UnknownName("objective", name, OBJECTIVES)
    if name == "hard-limit":
        return Limited(limits=dict(limits))
    if not limits:
        raise InputError(f"reward {name!r} needs a target: give for example --limit macs=40.5M")
    (of, target), *others = limits.items()
    return Limited(REWARDS[name](of, target), dict(others)) if others else REWARDS[name](of, target)
