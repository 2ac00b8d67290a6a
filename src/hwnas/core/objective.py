"""How a gradient search pays for latency: one formula each, on floats and on torch tensors alike.

E is the expected latency and T the target, both in milliseconds; `ce` is the cross-entropy on the search split.
"""

from __future__ import annotations

import math
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
