"""Budgets and additive costs."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.cost import Budget, CostTerms
from hwnas.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "latency_ms", "share"),
    [
        ("1.5ms", 1.5, None),
        (" 1.5 ms ", 1.5, None),
        ("800us", 0.8, None),
        ("800µs", 0.8, None),
        ("0.01s", 10.0, None),
        ("1e-3s", 1.0, None),
        ("40%", None, 0.4),
        ("100 %", None, 1.0),
    ],
)
def test_budgets(text: str, latency_ms: float | None, share: float | None) -> None:
    budget = Budget.parse(text)
    assert budget.latency_ms == pytest.approx(latency_ms) if latency_ms else budget.latency_ms is None
    assert budget.share_of_largest == pytest.approx(share) if share else budget.share_of_largest is None
    assert Budget.parse(str(budget)).resolve(2.0) == pytest.approx(budget.resolve(2.0))


def test_resolving_against_the_largest_network() -> None:
    assert Budget.parse("40%").resolve(2.5) == pytest.approx(1.0)
    assert Budget.parse("3ms").resolve(2.5) == 3.0


@pytest.mark.parametrize(
    "text",
    ["", "ms", "%", "1.5", "1,5ms", "fast", "1.5m", "1.5 min", "nan ms", "inf ms", "--1ms", "1.2.3ms", "1e999ms",
     "1e+ms", "0ms", "-1ms", "-5%", "0%", "101%", "1ms 2ms", "٣ms"],
)  # fmt: skip
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="budget"):
        Budget.parse(text)


def test_additive_terms_over_a_space() -> None:
    space = ChoiceSpace("s@1", (Choice("a", (1, 2)), Choice("b", ("x", "y", "z"))))
    terms = CostTerms(0.5, {"a": {1: 1.0, 2: 3.0}, "b": {"x": 0.25, "y": 0.0, "z": 2.0}})
    totals = [terms.total(arch) for arch in space.enumerate()]
    assert terms.least() == min(totals) == 1.5
    assert terms.greatest() == max(totals) == 5.5
    assert terms.total(Architecture("s@1", (("a", 2), ("b", "x")))) == pytest.approx(3.75)
    assert np.isfinite(totals).all()
