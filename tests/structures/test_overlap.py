"""Pairs of masks that meet, against all pairs; work grows with the number of masks, not with its square."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import meeting_boxes, overlaps


def some_boxes(rng, count, frame, longest):
    sides = np.exp(rng.uniform(0, np.log(longest), (count, 2))).astype(int)
    sides[rng.random(count) < 0.1] = 0
    low = rng.integers(0, frame, (count, 2))
    return np.concatenate([low, low + sides], axis=1)


def all_pairs(first, second):
    """By comparing each with each."""
    meet = (first[:, None, :2] < second[None, :, 2:]) & (second[None, :, :2] < first[:, None, 2:])
    full = [(boxes[:, 2:] > boxes[:, :2]).all(axis=1) for boxes in (first, second)]
    return np.nonzero(meet.all(axis=2) & full[0][:, None] & full[1][None, :])


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 40))
def test_meeting_boxes_are_those_of_all_pairs(seed, n, m):
    rng = np.random.default_rng(seed)
    first, second = some_boxes(rng, n, 150, 120), some_boxes(rng, m, 150, 120)
    for found, expected in zip(meeting_boxes(first, second), all_pairs(first, second), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [0, 1])
def test_no_boxes_meet_nothing(count):
    some = np.array([[0, 0, 5, 5]] * count).reshape(-1, 4)
    assert [len(side) for side in meeting_boxes(some, np.zeros((0, 4)))] == [0, 0]


def test_candidates_grow_with_the_boxes_not_with_their_square(monkeypatch):
    from semsize.structures import overlap

    looked_at = []
    met = overlap._met

    def counted(probes, filed, is_probe, is_filed, level):
        looked_at.append(is_probe.sum() + is_filed.sum())
        return met(probes, filed, is_probe, is_filed, level)

    monkeypatch.setattr(overlap, "_met", counted)
    totals = []
    for count in (1000, 4000):
        looked_at.clear()
        boxes = some_boxes(np.random.default_rng(0), count, int(40 * count**0.5), 60)
        pairs = len(meeting_boxes(boxes, boxes)[0])
        totals.append((sum(looked_at), pairs))
    assert totals[1][0] < 5 * totals[0][0]
    assert totals[1][1] < 5 * totals[0][1]


def test_shared_pixels_are_those_of_full_frames():
    rng = np.random.default_rng(5)
    frames = [np.zeros((count, 40, 50), bool) for count in (12, 9)]
    for masks in frames:
        for mask in masks:
            (top, left), (height, width) = rng.integers(0, 30, 2), rng.integers(3, 15, 2)
            mask[top : top + height, left : left + width] = (
                rng.random(mask[top : top + height, left : left + width].shape) < 0.6
            )
    first, second = map(CroppedMasks.from_full, frames)
    found = overlaps(first, second)
    shared = np.einsum("nhw,mhw->nm", *(masks.astype(int) for masks in frames))
    expected = np.nonzero(shared)
    np.testing.assert_array_equal(found.first, expected[0])
    np.testing.assert_array_equal(found.second, expected[1])
    np.testing.assert_array_equal(found.intersection_px, shared[expected])
    union = frames[0].sum(axis=(1, 2))[expected[0]] + frames[1].sum(axis=(1, 2))[expected[1]] - shared[expected]
    np.testing.assert_allclose(found.iou, shared[expected] / union)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_a_least_cover_leaves_out_the_pairs_below_it_and_no_other(seed, least):
    rng = np.random.default_rng(seed)
    first, second = (
        CroppedMasks.from_crops(
            [(rng.random(rng.integers(1, 30, 2)) < 0.6, tuple(rng.integers(0, 60, 2))) for _ in range(20)], (90, 90)
        )
        for _ in range(2)
    )
    every, some = overlaps(first, second), overlaps(first, second, least_cover=least)
    smaller = np.minimum(first.areas[every.first], second.areas[every.second])
    kept = every.intersection_px >= least * smaller
    for name in ("first", "second", "intersection_px", "dice", "iou"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[kept])
    iou = 2 / 3
    assert (every.intersection_px >= 2 * iou / (1 + iou) * smaller - 1e-9)[every.iou >= iou].all()
