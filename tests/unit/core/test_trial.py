"""The Pareto front."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.trial import pareto_front

numbers = st.floats(0, 4, width=16) | st.just(float("nan"))


def test_by_hand() -> None:
    points = [(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (2.0, 0.7), (1.0, 0.5), (4.0, 0.9)]
    assert pareto_front(points) == [1, 3, 0]
    assert pareto_front([]) == []
    assert pareto_front([(float("nan"), 1.0), (1.0, float("nan"))]) == []


@given(st.lists(st.tuples(numbers, numbers), max_size=12))
def test_the_front_is_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)
    whole = [point for point in points if point == point and not any(value != value for value in point)]
    kept = [points[index] for index in front]
    for cost, quality in whole:
        beaten = any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in whole)
        assert ((cost, quality) in kept) == (not beaten)
    assert kept == sorted(set(kept))
