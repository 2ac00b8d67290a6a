"""What a comparison computes of its rows, by hand."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest

from hwnas.core.architecture import Architecture
from hwnas.runs.clock import Spent
from hwnas.strategies.evaluated import Evaluated
from hwnas.workflows.attempts import Attempt, Step
from hwnas.workflows.comparison import compared, mean_cost

ARCH = Architecture("toy@1", (("a", 1),))
SEEDS = 8


def attempt(strategy: str, seed: int, *course: tuple[int, float], score: float = 0.0) -> Attempt:
    steps = tuple(Step(at, value + score, value, {"macs": 1.0}) for at, value in course)
    spent, deciding = Spent(seed + 1.0, 2.0 * seed), Spent(0.25, 0.5)
    return Attempt(strategy, seed, steps, ARCH if steps else None, 10, 20 + seed, 0, spent, deciding)


def rows(better: float = 0.01) -> list[Attempt]:
    """Random ends at 0.90, 0.901, …; evolution `better` above with each seed, having begun below."""
    return [
        one
        for seed in range(SEEDS)
        for one in (
            attempt("random", seed, (1, 0.5), (4, 0.9 + seed / 1000)),
            attempt("evolution", seed, (2, 0.4), (10, 0.9 + seed / 1000 + better)),
        )
    ]


def optimum(accuracy: float) -> Evaluated:
    return Evaluated(ARCH, accuracy, {"macs": 1.0}, accuracy)


def test_courses_and_final_figures_by_hand() -> None:
    found = compared(("random", "evolution"), rows(), 10, "accuracy", optimum(0.917))
    assert found["moments"] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    random, evolution = found["strategies"]
    assert [one["mean"] for one in random["course"]] == pytest.approx([0.5] * 3 + [0.9035] * 7)
    assert [one["mean"] for one in evolution["course"]] == pytest.approx([0.0] + [0.4] * 8 + [0.9135])
    final = evolution["final"]
    deviation = sqrt(sum((seed / 1000 - 0.0035) ** 2 for seed in range(8)) / 7)
    reach = 2.364624 * deviation / sqrt(8)
    assert final["deviation"] == pytest.approx(deviation)
    assert final["interval"] == pytest.approx([0.9135 - reach, 0.9135 + reach])
    assert (final["median"], *final["quartiles"]) == pytest.approx((0.9135, 0.91175, 0.91525))
    assert final["regret"]["mean"] == pytest.approx(0.0035) and final["found_the_best"] == 1 / 8
    assert (final["evaluations"], final["proposals"]) == (10, 23.5)
    assert random["final"]["found_the_best"] == 0
    assert found["searches"][1]["best"]["evaluations"] == 10
    assert found["searches"][0]["course"][:4] == pytest.approx([0.5, 0.5, 0.5, 0.9])


def test_a_steady_difference_is_shown_with_its_p_value() -> None:
    found = compared(("random", "evolution"), rows(), 10, "accuracy", None)
    (difference,) = found["differences"]
    assert (difference["a"], difference["b"]) == ("evolution", "random")
    assert difference["mean"] == pytest.approx(0.01) and difference["p"] == difference["p_holm"] == 2 / 2**8
    assert found["verdicts"] == [difference["verdict"]]
    assert found["verdicts"][0].startswith("evolution is better than random by 1.00")
    assert "p = 0.0078" in found["verdicts"][0].replace("\u00a0", " ")
    assert found["strategies"][0]["final"]["regret"] is None


def test_a_difference_that_changes_sides_is_not_shown() -> None:
    mixed = [attempt("evolution", seed, (1, 0.9 + (-1) ** seed / 100 + 0.001)) for seed in range(SEEDS)]
    mixed += [attempt("random", seed, (1, 0.9)) for seed in range(SEEDS)]
    (said,) = compared(("evolution", "random"), mixed, 10, "accuracy", None)["verdicts"]
    assert said.startswith("No difference between evolution and random is shown: +0.10 points")


def test_told_are_all_against_random_and_the_best_against_the_second_and_all_pairs_are_corrected_for() -> None:
    names = ("worst", "random", "good", "best")
    attempts = [attempt(name, seed, (1, 0.5 + index / 10 + seed / 1000))
                for index, name in enumerate(names) for seed in range(SEEDS)]  # fmt: skip
    found = compared(names, attempts, 10, "accuracy", None)
    pairs = [said.partition(" by ")[0] for said in found["verdicts"]]
    assert sorted(pairs) == [
        "best is better than good", "best is better than random", "good is better than random",
        "random is better than worst",
    ]  # fmt: skip
    assert len(found["differences"]) == 6
    assert [one["p_holm"] for one in found["differences"]] == [pytest.approx(6 * 2 / 2**8)] * 6


def test_few_seeds_say_nothing_and_one_strategy_has_nobody_to_beat() -> None:
    few = [one for one in rows() if one.seed < 5]
    found = compared(("random", "evolution"), few, 10, "accuracy", None)
    assert len(found["verdicts"]) == 1 and found["verdicts"][0].startswith("With 5 seeds nothing can be said")
    assert found["differences"][0]["p"] is None and "too few seeds" in found["differences"][0]["verdict"]
    six = [one for one in rows() if one.seed < 6]
    assert "is better" in compared(("random", "evolution"), six, 10, "accuracy", None)["verdicts"][0]
    one = compared(("random",), [attempt("random", 0, (1, 0.9))], 10, "accuracy", optimum(0.9))
    assert "nothing to be compared with" in one["verdicts"][0] and one["differences"] == []
    assert one["strategies"][0]["final"]["interval"] is None and one["strategies"][0]["final"]["deviation"] is None
    both = compared(("a", "b"), [attempt("a", 0, (1, 0.9)), attempt("b", 0, (1, 0.8))], 10, "accuracy", None)
    assert both["verdicts"][0].startswith("With 1 seed nothing")


def test_who_finds_nothing_is_told_and_counts_as_the_worst() -> None:
    attempts = [attempt("random", 0, (1, 0.9)), attempt("random", 1)]
    final = compared(("random",), attempts, 10, "accuracy", optimum(0.95))["strategies"][0]["final"]
    assert final["values"] == [0.9, 0.0] and final["found_nothing"] == 1
    assert final["regret"]["mean"] == pytest.approx((0.05 + 0.95) / 2)
    below = [attempt("random", 0, (1, 0.2), score=-1.0), attempt("random", 1)]
    assert compared(("random",), below, 10, "score", None)["strategies"][0]["final"]["values"] == [-0.8, -0.8]


def test_equal_searches_are_equal_whatever_they_cost() -> None:
    one, other = rows(), [Attempt(**{**{name: getattr(row, name) for name in row.__dataclass_fields__},
                                     "spent": Spent(9, 9)}) for row in rows()]  # fmt: skip
    assert compared(("random", "evolution"), one, 10, "accuracy", None) == compared(
        ("random", "evolution"), other, 10, "accuracy", None
    )
    assert mean_cost(one[:4]) == {
        "cpu_seconds": 1.5, "wall_seconds": 1.0, "controller_cpu_seconds": 0.25, "controller_wall_seconds": 0.5,
    }  # fmt: skip
    unknown = [one[0], replace(one[1], deciding=None)]
    assert mean_cost(unknown) == {"cpu_seconds": 1.0, "wall_seconds": 0.0}
