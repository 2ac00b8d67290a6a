"""The latency losses and the objectives, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from hwnas.core.errors import InputError, UnknownName
from hwnas.core.objective import (
    OBJECTIVES,
    AbsoluteLoss,
    AdditiveLoss,
    HardLimit,
    LogProductLoss,
    latency_loss,
    objective,
)


@pytest.mark.parametrize(
    ("loss", "expected_ms", "value"),
    [
        (AbsoluteLoss(), 90.0, 2.0 + 0.5),
        (AbsoluteLoss(), 30.0, 2.0 + 0.5),
        (AbsoluteLoss(3.0), 60.0, 2.0),
        (AdditiveLoss(), 90.0, 2.0 + 0.05),
        (AdditiveLoss(), 30.0, 2.0 - 0.05),
        (AdditiveLoss(0.4), 90.0, 2.0 + 0.2),
        (LogProductLoss(), 60.0, 0.2 * 2.0),
        (LogProductLoss(), 90.0, 0.4 * (math.log(90e3) / math.log(60e3)) ** 0.3),
        (LogProductLoss(1.0, 0.6), 90.0, 2.0 * (math.log(90e3) / math.log(60e3)) ** 0.6),
    ],
)
def test_values(loss: AbsoluteLoss | AdditiveLoss | LogProductLoss, expected_ms: float, value: float) -> None:
    assert loss(2.0, expected_ms, 60.0) == pytest.approx(value)
    tensor = loss(torch.tensor(2.0), torch.tensor(expected_ms), 60.0)
    assert tensor.item() == pytest.approx(value)


@pytest.mark.parametrize("name", ["absolute", "additive", "log-product"])
def test_slower_costs_more_and_the_gradient_says_so(name: str) -> None:
    expected = torch.tensor(0.9, requires_grad=True)
    latency_loss(name)(torch.tensor(2.0), expected, 0.6).backward()
    assert expected.grad is not None and expected.grad.item() > 0


def test_absolute_pulls_a_network_that_is_too_fast_towards_the_target() -> None:
    expected = torch.tensor(0.3, requires_grad=True)
    AbsoluteLoss()(torch.tensor(2.0), expected, 0.6).backward()
    assert expected.grad is not None and expected.grad.item() == pytest.approx(-1 / 0.6)


@pytest.mark.parametrize(("expected_ms", "target_ms"), [(0.001, 1.0), (1.0, 0.001), (0.0005, 0.0004)])
def test_log_product_refuses_a_microsecond(expected_ms: float, target_ms: float) -> None:
    with pytest.raises(InputError, match="1 us"):
        LogProductLoss()(2.0, expected_ms, target_ms)
    with pytest.raises(InputError, match="1 us"):
        LogProductLoss()(torch.tensor(2.0), torch.tensor(expected_ms), target_ms)


def test_by_name() -> None:
    assert latency_loss("absolute") == AbsoluteLoss(1.0)
    assert latency_loss("additive", 0.3) == AdditiveLoss(0.3)
    assert latency_loss("log-product", 0.3) == LogProductLoss(0.3, 0.3)
    with pytest.raises(UnknownName, match="did you mean 'absolute'"):
        latency_loss("absolut")


@pytest.mark.parametrize(
    ("name", "cost", "score"),
    [
        ("mnasnet-soft", 100.0, 0.75),
        ("mnasnet-soft", 200.0, 0.75 * 0.952638),  # 2^-0.07: "doubling the latency is worth 5 % relative accuracy"
        ("mnasnet-soft", 50.0, 0.75 * 1.049717),
        ("mnasnet-hard", 50.0, 0.75),
        ("mnasnet-hard", 100.0, 0.75),
        ("mnasnet-hard", 200.0, 0.375),
        ("tunas-absolute", 100.0, 0.75),
        ("tunas-absolute", 150.0, 0.70),
        ("tunas-absolute", 50.0, 0.70),
        ("proxyless-r", 200.0, 0.75 * 0.933033),  # (1/2)^0.1
        ("proxyless-r", 50.0, 0.75 * 1.071773),
        ("hard-limit", 100.0, 0.75),
        ("hard-limit", 100.1, -1.001),
        ("hard-limit", 250.0, -2.5),
    ],
)
def test_objectives_by_hand(name: str, cost: float, score: float) -> None:
    assert objective(name, 100.0).score(0.75, cost) == pytest.approx(score, abs=1e-6)


def test_a_hard_limit_lets_nothing_win_that_is_over_it() -> None:
    limited = HardLimit(100.0)
    assert limited.admits(100.0) and not limited.admits(100.0 * (1 + 1e-15))
    assert limited.score(0.0, 100.0) > limited.score(1.0, 101.0) > limited.score(1.0, 102.0)
    assert all(objective(name, 1.0).admits(1e9) for name in OBJECTIVES if name != "hard-limit")


def test_without_a_limit_accuracy_alone_counts() -> None:
    assert HardLimit().score(0.6, 1e300) == 0.6 and HardLimit().admits(math.inf)


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_targets_that_are_none(name: str, target: float) -> None:
    with pytest.raises(InputError, match="above zero"):
        objective(name, target)


def test_objectives_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'mnasnet-hard'"):
        objective("mnasnet-har", 1.0)
