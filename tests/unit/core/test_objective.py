"""The latency losses and the objectives, by hand."""

from __future__ import annotations

import functools
import math

import pytest
import torch

from hwnas.core.errors import InputError, UnknownName
from hwnas.core.objective import (
    OBJECTIVES,
    AbsoluteLoss,
    AdditiveLoss,
    Limited,
    LogProductLoss,
    judge,
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
    assert objective(name, {"latency": 100.0}).score(0.75, {"latency": cost}) == pytest.approx(score, abs=1e-6)


def test_a_hard_limit_lets_nothing_win_that_is_over_it() -> None:
    limited = objective("hard-limit", {"macs": 100.0})
    assert limited.admits({"macs": 100.0}) and not limited.admits({"macs": 100.0 * (1 + 1e-15)})
    scores = [limited.score(accuracy, {"macs": macs}) for accuracy, macs in ((0.0, 100.0), (1.0, 101.0), (1.0, 102.0))]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 3
    soft = [objective(name, {"macs": 1.0}) for name in OBJECTIVES if name not in ("hard-limit", "front")]
    assert all(one.admits({"macs": 1e9}) for one in soft)


def test_several_limits_at_once() -> None:
    limits = {"latency": 2.0, "params": 1e6, "macs": 1e9}
    all_hard = objective("hard-limit", limits)
    assert all_hard.score(0.7, {"latency": 2.0, "params": 1e6, "macs": 1e9}) == 0.7
    outside = {"latency": 3.0, "params": 4e6, "macs": 1.0}
    assert not all_hard.admits(outside) and all_hard.score(0.7, outside) == -4.0  # the worst ratio
    soft = objective("mnasnet-hard", limits)  # the first is the target, the others are limits
    assert soft.score(0.8, {"latency": 4.0, "params": 1e6, "macs": 1e9}) == pytest.approx(0.4)
    assert soft.score(0.8, outside) == -4.0 and not soft.admits(outside)


def test_what_a_network_adds_to_the_front_by_hand() -> None:
    front = objective("front", {"latency": 10.0})
    known = [(0.5, {"latency": 2.0}), (0.7, {"latency": 6.0}), (0.6, {"latency": 8.0})]
    score = functools.partial(front.score, known=known)
    assert front.score(0.5, {"latency": 2.0}) == pytest.approx(0.5 * 0.8)  # alone: from 0.2 to 1, up to 0.5
    assert score(0.8, {"latency": 4.0}) == pytest.approx(0.3 * 0.2 + 0.1 * 0.4)
    assert score(0.6, {"latency": 1.0}) == pytest.approx(0.6 * 0.1 + 0.1 * 0.4)
    assert score(0.65, {"latency": 7.0}) == pytest.approx(-0.05)  # 0.7 is to be had faster
    assert score(0.7, {"latency": 6.0}) == 0.0
    assert score(0.99, {"latency": 12.0}) == pytest.approx(-0.2) and not front.admits({"latency": 12.0})


def test_without_a_limit_accuracy_alone_counts() -> None:
    assert Limited().score(0.6, {"macs": 1e300}) == 0.6 and Limited().admits({"macs": math.inf})
    assert objective("hard-limit", {}) == Limited()
    with pytest.raises(InputError, match="'tunas-absolute' needs a target"):
        objective("tunas-absolute", {})


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_targets_that_are_none(name: str, target: float) -> None:
    with pytest.raises(InputError, match="above zero"):
        objective(name, {"latency": target})


def test_objectives_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'mnasnet-hard'"):
        objective("mnasnet-har", {})


def test_which_network_is_the_best_does_not_depend_on_when_it_was_found() -> None:
    limits = {"latency": 10.0, "macs": 5.0}
    assert judge("front", limits) == Limited(limits=limits)
    assert all(judge(name, limits) == objective(name, limits) for name in OBJECTIVES if name != "front")
    with pytest.raises(InputError, match="'front' needs a target"):
        judge("front", {})
