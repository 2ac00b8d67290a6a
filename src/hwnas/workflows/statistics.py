"""How sure the figures are: intervals of accuracies and of their differences, and whether chance would do as well."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import sqrt
from statistics import fmean, quantiles, stdev

import numpy as np

from hwnas.report import wording

Z95 = 1.959964


def wilson_interval(correct: Sequence[bool]) -> tuple[float, float]:
    """The 95 % interval of an accuracy.

    Source: Wilson 1927, which keeps to 0..1 and its coverage where accuracies are near 1.
    """
    n = len(correct)
    share = sum(correct) / n
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    reach = Z95 * sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n)) / (1 + Z95**2 / n)
    return centre - reach, centre + reach


def paired_difference(a: Sequence[bool], b: Sequence[bool]) -> tuple[float, tuple[float, float]]:
    """The difference of two accuracies on the same images, a − b, and its 95 % interval.

    Source: Agresti and Min 2005, the Wald interval after adding one half to each cell of the paired table.
    """
    n = len(a)
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    first, second, total = only_a + 0.5, only_b + 0.5, n + 2
    centre = (first - second) / total
    reach = Z95 * sqrt(first + second - (first - second) ** 2 / total) / total
    return (only_a - only_b) / n, (centre - reach, centre + reach)


def paired_verdict(label: str, difference: float, interval: tuple[float, float], images: int) -> str:
    """One sentence: who won, and whether that is more than the noise of the test images."""
    lower, upper = map(wording.points, interval)
    points = f"{wording.decimals(100 * abs(difference), 1)} points "
    points += f"(95 % interval {lower} to {upper}, {images:,} test images)"
    if interval[0] > 0:
        return f"The searched network is better than {label} by {points}: more than the noise of the test images."
    if interval[1] < 0:
        return f"The searched network is worse than {label} by {points}: more than the noise of the test images."
    if difference == 0:
        return f"The searched network and {label} are equally accurate (95 % interval {lower} to {upper} points)."
    better = "better" if difference > 0 else "worse"
    return f"The searched network is {better} than {label} by {points}: not more than the noise of the test images."


def rounding_verdict(precision: str, difference: float, interval: tuple[float, float], images: int) -> str:
    """One sentence: what fewer bits cost the searched network, and whether that is more than the images' noise."""
    lower, upper = map(wording.points, interval)
    if difference == 0:
        return f"In {precision} the searched network is as accurate as in f32 (95 % {lower} to {upper} points)."
    how = "more" if difference > 0 else "less"
    points = f"{wording.decimals(100 * abs(difference), 1)} points {how} accurate than in f32"
    noise = "" if interval[0] > 0 or interval[1] < 0 else "not "
    return (
        f"In {precision} the searched network is {points} (95 % interval {lower} to {upper}, {images:,} test images): "
        f"{noise}more than the noise of the test images."
    )


def mean_interval(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The mean over seeds and its 95 % t-interval; from one value, no interval is known and it is infinite."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return fmean(values), (float("-inf"), float("inf"))
    reach = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / sqrt(len(values))
    return fmean(values), (fmean(values) - reach, fmean(values) + reach)


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of paired differences: how often chance alone would be as far on one side.

    Exact for any number of them, with ties and zeros as they are: the distribution of the sum of the ranks that come
    out positive when every sign is thrown, built up rank by rank.

    Source: Wilcoxon 1945; differences of zero take part in the ranking and then fall out, by Pratt 1959.
    Differs: `scipy.stats.wilcoxon` is exact without ties and zeros alone, or by trying all signs.
    """
    # Equal differences of accuracies differ in their last digits, and ranks would make much of that.
    rounded = [round(one, 12) for one in differences]
    in_order = sorted(map(abs, rounded))
    # Twice the mean rank of equal ones, which is a whole number.
    ranks = [bisect_left(in_order, abs(one)) + bisect_right(in_order, abs(one)) + 1 for one in rounded]
    chance = np.ones(1)  # of each sum of ranks
    for one, rank in zip(rounded, ranks, strict=True):
        if one:
            longer = np.zeros(len(chance) + rank)
            longer[:-rank] += chance / 2
            longer[rank:] += chance / 2
            chance = longer
    positive = sum(rank for one, rank in zip(rounded, ranks, strict=True) if one > 0)
    most = len(chance) - 1
    as_far = np.abs(2 * np.arange(most + 1) - most) >= abs(2 * positive - most)
    return min(1.0, float(chance[as_far].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of so many questions at once, in their order: the chance of any false answer stays what it was for one.

    Source: Holm 1979, the step-down form of Bonferroni's correction.
    """
    corrected, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = worst
    return corrected


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper one, between neighbours on a straight line."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    lower, middle, upper = quantiles(values, n=4, method="inclusive")
    return lower, middle, upper
