"""What searches with several seeds say about their strategies: courses, intervals, tests, and verdicts in words.

Every figure is the best that a search had found by then. A search that has found nothing delivers nothing: it counts as
0, or as the lowest score of all where that is below 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

from hwnas.report import wording
from hwnas.strategies.evaluated import Evaluated
from hwnas.workflows.attempts import Attempt
from hwnas.workflows.statistics import holm, mean_interval, quartiles, signed_rank_p

BASELINE = "random"
MOMENTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the evaluations
FEWEST_SEEDS = 6  # with five, 2/2^5 = 0.06 is the smallest p-value of a signed-rank test
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """Two strategies, seed by seed.

    Args:
        a: the one that is ahead on average.
        b: the other.
        mean: of a − b.
        interval: 95 % t-interval of that mean; None from one seed.
        p: by the signed-rank test; None with too few seeds.
        corrected: the same for all pairs at once, by Holm.
    """

    a: str
    b: str
    mean: float
    interval: tuple[float, float] | None
    p: float | None
    corrected: float | None

    @property
    def shown(self) -> bool:
        """Whether it is more than chance."""
        return self.corrected is not None and self.corrected < LEVEL


def compared(
    strategies: Sequence[str], attempts: Sequence[Attempt], evaluations: int, figure: str, optimum: Evaluated | None
) -> dict[str, Any]:
    """The plain values of a comparison; equal searches give equal values, whatever they have cost.

    Args:
        strategies: in the order of the report.
        attempts: one for every strategy and seed; of each strategy in the order of the same seeds.
        evaluations: that each was allowed.
        figure: "accuracy" or "score".
        optimum: the best there is, where that is known.
    """
    moments = sorted({max(1, round(part * evaluations)) for part in MOMENTS})
    nothing = min([0.0, *(getattr(step, figure) for one in attempts for step in one.course[:1])])
    by_name = {name: [one for one in attempts if one.strategy == name] for name in strategies}
    courses = {
        name: [[_value(one, moment, figure, nothing) for one in own] for moment in moments]
        for name, own in by_name.items()
    }
    last = {name: course[-1] for name, course in courses.items()}
    differences = _differences(last)
    return {
        "moments": moments,
        "strategies": [
            {
                "name": name,
                "course": [_spread(values) for values in courses[name]],
                "final": _final(by_name[name], last[name], None if optimum is None else getattr(optimum, figure)),
            }
            for name in strategies
        ],
        "differences": [
            {
                "a": one.a, "b": one.b, "mean": one.mean, "interval": one.interval, "p": one.p,
                "p_holm": one.corrected, "verdict": _verdict(one, figure),
            }
            for one in differences
        ],
        "verdicts": verdicts(strategies, last, differences, figure),
        "searches": [_row(one, figure, moments, nothing) for one in attempts],
    }  # fmt: skip


def mean_cost(attempts: Sequence[Attempt]) -> dict[str, float]:
    """What a search of these has cost on average, in seconds.

    The controller's share, which is within the search's, is left out where that of one is not known.
    """
    found = {
        "cpu_seconds": fmean(one.spent.cpu_seconds for one in attempts),
        "wall_seconds": fmean(one.spent.wall_seconds for one in attempts),
    }
    deciding = [one.deciding for one in attempts if one.deciding is not None]
    if len(deciding) < len(attempts):
        return found
    return {
        **found,
        "controller_cpu_seconds": fmean(one.cpu_seconds for one in deciding),
        "controller_wall_seconds": fmean(one.wall_seconds for one in deciding),
    }


def verdicts(
    strategies: Sequence[str], last: Mapping[str, Sequence[float]], differences: Sequence[Difference], figure: str
) -> list[str]:
    """What can be said: each strategy against random search, and the best against the second.

    Args:
        strategies: in the order of the report.
        last: what each had found in the end, one value a seed.
        differences: of every pair.
        figure: "accuracy" or "score".
    """
    seeds = len(next(iter(last.values())))
    if len(strategies) < 2:
        return [f"One strategy has nothing to be compared with: add others, such as {BASELINE}."]
    if seeds < FEWEST_SEEDS:
        given = "1 seed" if seeds == 1 else f"{seeds} seeds"
        return [
            f"With {given} nothing can be said about which strategy is better: being ahead with every one of them "
            f"happens by chance in more than 5 of 100 comparisons. Give --seeds {FEWEST_SEEDS} or more; 20 are usual."
        ]
    best, second = sorted(strategies, key=lambda name: -fmean(last[name]))[:2]
    told = [one for one in differences if BASELINE in (one.a, one.b) or {one.a, one.b} == {best, second}]
    return [_verdict(one, figure) for one in told]


def _value(attempt: Attempt, moment: int, figure: str, nothing: float) -> float:
    step = attempt.at(moment)
    return nothing if step is None else float(getattr(step, figure))


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """How values of several seeds lie; one has no interval."""
    mean, interval = mean_interval(values)
    lower, median, upper = quartiles(values)
    return {
        "mean": mean, "interval": list(interval) if len(values) > 1 else None, "median": median,
        "quartiles": [lower, upper],
    }  # fmt: skip


def _final(own: Sequence[Attempt], values: Sequence[float], most: float | None) -> dict[str, Any]:
    regret = None if most is None else [most - value for value in values]
    return {
        **_spread(values),
        "deviation": stdev(values) if len(values) > 1 else None,
        "values": list(values),
        "regret": None if regret is None else _spread(regret),
        "found_the_best": None if most is None else fmean(value >= most for value in values),
        "found_nothing": sum(not one.course for one in own),
        "evaluations": fmean(one.evaluations for one in own),
        "proposals": fmean(one.proposals for one in own),
        "failures": fmean(one.failures for one in own),
    }


def _differences(last: Mapping[str, Sequence[float]]) -> list[Difference]:
    """Every pair, the one that is ahead first.

    All pairs are corrected for, though few are told: which two are the best is known only afterwards.
    """
    found = []
    for first, second in combinations(last, 2):
        a, b = (second, first) if fmean(last[second]) > fmean(last[first]) else (first, second)
        found.append((a, b, [x - y for x, y in zip(last[a], last[b], strict=True)]))
    p_values: list[float | None] = [None] * len(found)
    corrected: list[float | None] = [None] * len(found)
    if found and len(found[0][2]) >= FEWEST_SEEDS:
        known = [signed_rank_p(values) for _, _, values in found]
        p_values, corrected = list(known), list(holm(known))
    differences = []
    for (a, b, values), p, holms in zip(found, p_values, corrected, strict=True):
        mean, interval = mean_interval(values)
        differences.append(Difference(a, b, mean, interval if len(values) > 1 else None, p, holms))
    return differences


def _verdict(one: Difference, figure: str) -> str:
    """One sentence: who is ahead, by how much, and whether that is more than chance."""
    if one.interval is None or one.corrected is None:
        return f"{one.a} is ahead of {one.b} by {wording.decimals(100 * one.mean, 2)} points; too few seeds to tell."
    places = _places(one.interval)
    lower, upper = (wording.decimals(100 * end, places) for end in one.interval)
    unit = "points" if figure == "accuracy" else "points of score"
    p = wording.p_value(one.corrected)
    if one.shown:
        by = wording.decimals(100 * one.mean, places)
        return f"{one.a} is better than {one.b} by {by} {unit} (95 % interval {lower} to {upper}; {p})."
    return (
        f"No difference between {one.a} and {one.b} is shown: {wording.points(one.mean, places)} {unit} "
        f"(95 % interval {lower} to {upper}; {p})."
    )


def _places(interval: tuple[float, float]) -> int:
    """Decimals, in points, that give half the interval's width two digits; two at least, four at most."""
    reach = 100 * (interval[1] - interval[0]) / 2
    return min(max(1 - math.floor(math.log10(reach)), 2), 4) if reach > 0 else 2


def _row(one: Attempt, figure: str, moments: Sequence[int], nothing: float) -> dict[str, Any]:
    """One search, as it stands in comparison.json."""
    best = one.course[-1] if one.course else None
    return {
        "strategy": one.strategy,
        "seed": one.seed,
        "evaluations": one.evaluations,
        "proposals": one.proposals,
        "failures": one.failures,
        "best": best and {
            "evaluations": best.evaluations, "score": best.score, "accuracy": best.accuracy, "costs": dict(best.costs),
            "architecture": one.architecture.to_json() if one.architecture else None,
        },
        "course": [_value(one, moment, figure, nothing) for moment in moments],
    }  # fmt: skip
