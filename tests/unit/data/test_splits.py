from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import DataError
from hwnas.data.splits import SEARCH, TEST, TRAIN, Labelled, checked_labels, split_rows


def labelled(labels: np.ndarray, part: np.ndarray | None = None, classes: int | None = None) -> Labelled:
    part = np.full(len(labels), TRAIN, np.int8) if part is None else part
    count = int(labels.max()) + 1 if classes is None else classes
    return Labelled(labels.astype(np.int64), part.astype(np.int8), tuple(f"class{i}" for i in range(count)))


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=6),
    search_share=st.floats(0.01, 0.9),
    test_share=st.floats(0.01, 0.9),
    order=st.randoms(use_true_random=False),
)
def test_splits_are_disjoint_complete_and_stratified(counts, search_share, test_share, order):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    order.shuffle(labels)
    source = labelled(np.asarray(labels))

    rows = split_rows(source, search_share, test_share)

    together = np.concatenate([rows.train, rows.search, rows.test])
    assert sorted(together.tolist()) == list(range(len(labels)))
    for label, count in enumerate(counts):
        shares = [int((source.labels[part] == label).sum()) for part in (rows.train, rows.search, rows.test)]
        assert min(shares) >= 1
        # One image of rounding, and the one that a class keeps for each of the other splits.
        assert shares[2] == pytest.approx(np.clip(count * test_share, 1, count - 2), abs=1)


def test_shares_of_many_small_classes_add_up_to_the_share_of_the_whole():
    source = labelled(np.repeat(np.arange(20), 11))
    rows = split_rows(source, 0.15, 0.2)
    assert (len(rows.train), len(rows.search), len(rows.test)) == (150, 26, 44)


def test_existing_splits_are_kept_and_only_search_is_carved_out_of_train():
    labels = np.tile(np.arange(2), 50)
    part = np.where(np.arange(100) < 60, TRAIN, TEST)
    rows = split_rows(labelled(labels, part), 0.5, 0.2)
    assert rows.test.tolist() == list(range(60, 100))
    assert len(rows.search) == len(rows.train) == 30

    part[:10] = SEARCH
    rows = split_rows(labelled(labels, part), 0.5, 0.2)
    assert rows.search.tolist() == list(range(10))
    assert rows.train.tolist() == list(range(10, 60))


def test_the_split_never_changes():
    # Written down: a change here changes every published figure on split data.
    rows = split_rows(labelled(np.arange(20) % 2), 0.2, 0.2)
    assert rows.test.tolist() == [7, 10, 12, 15]
    assert rows.search.tolist() == [0, 1, 4]


def test_one_class_is_refused_by_name():
    with pytest.raises(DataError, match=r"one class only \('class0'\): a classifier needs at least two"):
        split_rows(labelled(np.zeros(9)), 0.15, 0.2)


@pytest.mark.parametrize("few", [1, 2])
def test_a_class_too_small_to_split_is_named(few):
    labels = np.asarray([0] * 10 + [1] * few)
    with pytest.raises(DataError, match=rf"class 'class1' has {few} images? .*at least 3"):
        split_rows(labelled(labels), 0.15, 0.2)


def test_two_images_are_enough_where_the_test_split_exists():
    labels = np.asarray([0, 0, 1, 1, 0, 1])
    part = np.asarray([TRAIN] * 4 + [TEST] * 2)
    rows = split_rows(labelled(labels, part), 0.15, 0.2)
    assert (len(rows.train), len(rows.search), len(rows.test)) == (2, 2, 2)


def test_a_class_without_training_images_is_named():
    with pytest.raises(DataError, match="class 'class1' has no image"):
        split_rows(labelled(np.asarray([0] * 5 + [2] * 5)), 0.15, 0.2)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (np.asarray([0.0, 1.0]), 2, "one whole number an image, not float64"),
        (np.asarray([[0, 1], [1, 0]]), 2, "one whole number an image"),
        (np.asarray([0, 1, 1]), 2, "3 labels for 2 images"),
        (np.asarray([0, 2]), 2, "label 2 is out of range; labels must be between 0 and 1"),
        (np.asarray([-1, 0]), None, "label -1 is out of range"),
        (np.asarray([0, 2**63 + 1], dtype=np.uint64), None, "out of range"),
    ],
)
def test_labels_that_cannot_be_used(labels, classes, message):
    with pytest.raises(DataError, match=f"here: .*{message}"):
        checked_labels(labels, 2, classes, "here")


def test_a_column_of_labels_is_taken_as_labels():
    assert checked_labels(np.asarray([[1], [0]], dtype=np.uint8), 2, None, "here").tolist() == [1, 0]
