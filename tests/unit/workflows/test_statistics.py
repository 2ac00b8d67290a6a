"""Intervals against known values, and the sentences made of them."""

from __future__ import annotations

from itertools import product
from math import inf, sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, rankdata, wilcoxon

from hwnas.workflows.several import seeds_verdict
from hwnas.workflows.statistics import (
    holm,
    mean_interval,
    paired_difference,
    paired_verdict,
    quartiles,
    signed_rank_p,
    wilson_interval,
)


@pytest.mark.parametrize(("right", "total"), [(0, 20), (981, 1000), (1000, 1000), (1, 2)])
def test_wilson_is_scipys(right: int, total: int) -> None:
    known = binomtest(right, total).proportion_ci(0.95, method="wilson")
    found = wilson_interval([True] * right + [False] * (total - right))
    assert found == pytest.approx((known.low, known.high), abs=1e-6)
    assert -1e-9 <= found[0] <= right / total <= found[1] <= 1 + 1e-9


def test_a_paired_difference_by_hand() -> None:
    # Of 100 images, 12 are right by a alone, 5 by b alone; a half is added to each cell of the table of four.
    a = [True] * 12 + [False] * 5 + [True] * 60 + [False] * 23
    b = [False] * 12 + [True] * 5 + [True] * 60 + [False] * 23
    difference, (lower, upper) = paired_difference(a, b)
    assert difference == pytest.approx(0.07)
    centre = 7 / 102
    reach = 1.959964 * sqrt(18 - 49 / 102) / 102
    assert (lower, upper) == pytest.approx((centre - reach, centre + reach))


def test_images_that_both_judge_alike_do_not_matter_for_the_difference() -> None:
    only = [True] * 3, [False] * 3
    both = [True] * 500
    difference, (lower, upper) = paired_difference([*only[0], *both], [*only[1], *both])
    assert difference == pytest.approx(3 / 503)
    assert lower < 0 < upper < 0.02  # three images are noise, and the interval is short all the same
    swapped, (low, high) = paired_difference([*only[1], *both], [*only[0], *both])
    assert (swapped, low, high) == pytest.approx((-difference, -upper, -lower))


def test_equal_networks_still_have_an_interval() -> None:
    difference, (lower, upper) = paired_difference([True, False] * 50, [True, False] * 50)
    assert difference == 0.0
    assert upper == pytest.approx(1.959964 / 102) and lower == pytest.approx(-upper)


@pytest.mark.parametrize(
    ("difference", "interval", "said"),
    [
        (0.02, (0.005, 0.035), "better than the rest by 2.0 points|+0.5 to +3.5|: more than the noise"),
        (-0.02, (-0.035, -0.005), "worse than the rest by 2.0 points|−3.5 to −0.5|: more than the noise"),
        (0.004, (-0.01, 0.02), "better than the rest by 0.4 points|−1.0 to +2.0|: not more than the noise"),
        (-0.004, (-0.02, 0.01), "worse than the rest by 0.4 points|−2.0 to +1.0|: not more than the noise"),
        (0.0, (-0.01, 0.01), "equally accurate|−1.0 to +1.0 points|"),
    ],
)  # fmt: skip
def test_a_verdict_says_who_won_and_whether_it_is_noise(
    difference: float, interval: tuple[float, float], said: str
) -> None:
    verdict = paired_verdict("the rest", difference, interval, 1000)
    won, ends, noise = said.split("|")
    assert won in verdict and f"(95 % interval {ends}" in verdict and verdict.endswith(".")
    assert noise in verdict and ("not more" in verdict) == (noise == ": not more than the noise")


def test_a_mean_over_seeds_by_hand() -> None:
    mean, (lower, upper) = mean_interval([0.96, 0.97, 0.98])
    reach = 4.302653 * 0.01 / sqrt(3)
    assert (mean, lower, upper) == pytest.approx((0.97, 0.97 - reach, 0.97 + reach))


def test_one_seed_has_no_interval() -> None:
    assert mean_interval([0.97]) == (0.97, (-inf, inf))
    assert "unknown" in seeds_verdict("random search", [0.01])


def test_verdicts_over_seeds() -> None:
    sure, unsure = seeds_verdict("random search", [0.02, 0.021, 0.019]), seeds_verdict("random search", [0.02, -0.03])
    assert "better than random search by 2.00 points" in sure and ": more than what varies" in sure
    assert "worse than random search by 0.50 points" in unsure and "(95 % interval −32.27 to +31.27)" in unsure
    assert "not more than what varies" in unsure


@pytest.mark.parametrize(
    ("differences", "ways", "of"),
    [
        ([1, 2, 3, 4, 5, 6], 2, 64),  # all on one side: that, and all on the other
        ([5, 4, 3, 2, -1], 4, 32),  # 14 of 15 or more: nothing turned, or the 1; and the mirror images
        ([0, 0, 3, -1], 4, 4),  # ranks 4 and 3 after the zeros' 1.5 each; every way is as far as 4 - 3
        ([7], 2, 2),
        ([0, 0, 0], 1, 1),
        ([], 1, 1),
    ],
)
def test_signed_ranks_by_hand(differences: list[float], ways: int, of: int) -> None:
    assert signed_rank_p(differences) == pytest.approx(ways / of)
    assert signed_rank_p([-one for one in differences]) == pytest.approx(ways / of)


def test_signed_ranks_are_scipys_where_it_is_exact() -> None:
    rng = np.random.default_rng(0)
    for size in (6, 20, 50):
        differences = rng.normal(0.3, 1, size)
        assert signed_rank_p(differences) == pytest.approx(wilcoxon(differences, method="exact").pvalue)


def test_signed_ranks_with_ties_and_zeros_by_trying_all_signs() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        differences = rng.integers(-2, 4, 9)
        ranks = rankdata(np.abs(differences))
        own = float(ranks[differences > 0].sum())
        used = [float(rank) for rank in ranks[differences != 0]]
        sums = [sum(rank for rank, up in zip(used, signs, strict=True) if up)
                for signs in product((0, 1), repeat=len(used))]  # fmt: skip
        middle = sum(used) / 2
        expected = np.mean([abs(one - middle) >= abs(own - middle) for one in sums])
        # Equal differences that are off by a last digit are equal.
        assert signed_rank_p([one / 10 + 1e-15 * index for index, one in enumerate(differences)]) == pytest.approx(
            expected
        )


def test_holm_by_hand() -> None:
    # The smallest times 3, the next times 2, the last as it is; none below the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.02, 0.02, 0.5]) == pytest.approx([0.06, 0.06, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_quartiles_by_hand() -> None:
    assert quartiles([4, 1, 3, 2, 5]) == (2, 3, 4) and quartiles([1, 2]) == (1.25, 1.5, 1.75)
    assert quartiles([7]) == (7, 7, 7)
