"""The latency losses, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from hwnas.core.errors import InputError, UnknownName
from hwnas.core.objective import AbsoluteLoss, AdditiveLoss, LogProductLoss, latency_loss


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
