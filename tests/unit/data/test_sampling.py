from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import InputError
from hwnas.data.sampling import chunks, training_indices


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    seed=st.integers(0, 2**62),
    start=st.integers(0, 40),
    length=st.integers(0, 20),
)
def test_a_later_start_gives_exactly_the_tail(count, batch_size, seed, start, length):
    whole = list(training_indices(count, batch_size, seed, "weights", steps=start + length))
    tail = list(training_indices(count, batch_size, seed, "weights", start_step=start, steps=length))
    assert [rows.tolist() for rows in tail] == [rows.tolist() for rows in whole[start:]]
    assert len(tail) == length
    endless = islice(training_indices(count, batch_size, seed, "weights", start_step=start), length)
    assert [rows.tolist() for rows in endless] == [rows.tolist() for rows in tail]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 60), batch_size=st.integers(1, 70), seed=st.integers(0, 1000))
def test_an_epoch_visits_no_image_twice_and_leaves_out_less_than_a_batch(count, batch_size, seed):
    per_epoch = max(1, count // batch_size)
    batches = list(training_indices(count, batch_size, seed, "weights", steps=2 * per_epoch))
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        rows = torch.cat(epoch).tolist()
        assert len(set(rows)) == len(rows) == (count if count < batch_size else per_epoch * batch_size)
        assert set(rows) <= set(range(count))
    assert all(rows.dtype == torch.int64 and len(rows) == min(batch_size, count) for rows in batches)


def test_epochs_seeds_and_purposes_have_orders_of_their_own():
    def first(seed: int, purpose: str, step: int) -> list[int]:
        return next(training_indices(64, 64, seed, purpose, start_step=step)).tolist()

    orders = [first(0, "a", 0), first(0, "a", 1), first(0, "b", 0), first(1, "a", 0)]
    assert len({tuple(order) for order in orders}) == 4
    assert first(0, "a", 0) == orders[0]


def test_torch_random_state_is_not_touched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    list(training_indices(50, 8, 0, "weights", steps=20))
    assert torch.equal(torch.get_rng_state(), before)


def test_chunks_visit_everything_once_in_order():
    assert [rows.tolist() for rows in chunks(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(("count", "batch_size"), [(0, 4), (4, 0), (4, -1)])
def test_counts_below_one_are_refused_at_the_call(count, batch_size):
    with pytest.raises(InputError, match="must be 1 or more"):
        training_indices(count, batch_size, 0, "weights")
    with pytest.raises(InputError, match="must be 1 or more"):
        chunks(count, batch_size)


def test_steps_below_zero_are_refused_at_the_call():
    with pytest.raises(InputError, match="must be 0 or more"):
        training_indices(4, 2, 0, "weights", start_step=-1)
