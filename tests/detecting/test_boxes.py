"""The boxes that overlap most, against all pairs; work grows with the boxes that meet."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semsize.detecting.boxes import best_overlaps


def all_ious(first, second):
    """(M, K), each box with each."""
    low, high = np.maximum(first[:, None, :2], second[:, :2]), np.minimum(first[:, None, 2:], second[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-6)


def some_boxes(rng, count):
    low = rng.uniform(0, 60, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.01, 40, (count, 2))], axis=1).astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(1, 30), st.floats(0.05, 0.9))
def test_the_best_of_all_pairs(seed, m, k, least):
    rng = np.random.default_rng(seed)
    first, second = some_boxes(rng, m), some_boxes(rng, k)
    second = np.concatenate([second, second[:1]])  # the first of two equal ones counts
    ious = all_ious(first, second)
    expected = np.flatnonzero(ious.max(axis=1, initial=0) >= least)
    which, with_which = best_overlaps(first, second, least)
    np.testing.assert_array_equal(which, expected)
    np.testing.assert_array_equal(with_which, ious[expected].argmax(axis=1))


def test_twenty_thousand_boxes_need_no_matrix_of_all_pairs():
    low = np.stack(np.meshgrid(np.arange(0, 2840, 20), np.arange(0, 2840, 20)), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([low, low + 15], axis=1).astype(np.float32)
    assert len(boxes) > 20_000  # a matrix of all pairs would take 1.6 GB
    which, with_which = best_overlaps(boxes + 1, boxes, 0.5)
    np.testing.assert_array_equal(which, with_which)
    assert len(which) == len(boxes)
