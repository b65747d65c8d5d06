"""A particle seen at several scales counts once, has the mask of the best scales and a score from all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semsize.detecting.joining import COMFORTABLE_PX, SCORE_OCTAVES, Undrawn, join_scales
from semsize.structures.masks import CroppedMasks

SCALES = (0.375, 0.75, 1.5)
SHAPE = (400, 400)


def squares(*places):
    """Masks from (top, left, side)."""
    return CroppedMasks.from_crops([(np.ones((side, side)), (top, left)) for top, left, side in places], SHAPE)


def test_a_mask_is_taken_from_the_scale_where_it_is_comfortable():
    masks = squares((10, 10, 30), (10, 10, 30), (10, 10, 30), (200, 200, 120), (200, 200, 120), (200, 200, 120))
    joined = join_scales(masks, np.full(6, 0.8), np.array([0, 1, 2, 0, 1, 2]), SCALES)
    assert sorted(joined.index) == [2, 3]  # 30 px are more comfortable at 1.5, 120 px at 0.375
    np.testing.assert_allclose(joined.scores, 0.8)


def test_a_doubtful_mask_is_not_taken_for_its_scale():
    joined = join_scales(squares((10, 10, 30), (10, 11, 30)), np.array([0.9, 0.3]), np.array([1, 2]), SCALES)
    assert joined.index == [0]


def test_a_scale_that_should_see_a_particle_and_does_not_counts_against_it():
    side = round(COMFORTABLE_PX / 0.375)
    there = join_scales(squares((10, 10, side)), np.array([0.9]), np.array([0]), SCALES).scores
    elsewhere = join_scales(squares((10, 10, side)), np.array([0.9]), np.array([2]), SCALES).scores
    weights = np.exp(-0.5 * (np.array([0, 1, 2]) / SCORE_OCTAVES) ** 2)
    np.testing.assert_allclose(there, 0.9 * np.sqrt(weights[0] / weights.sum()), rtol=0.01)
    np.testing.assert_allclose(elsewhere, 0.9 * np.sqrt(weights[2] / weights.sum()), rtol=0.01)


def test_a_box_without_a_mask_tells_where_a_particle_is_seen_and_is_none_by_itself():
    masks, index = squares((10, 10, 30), (10, 10, 30), (200, 200, 30)), np.array([1, 2, 2])
    drawn = join_scales(masks, np.array([0.6, 0.8, 0.7]), index, SCALES)
    undrawn = Undrawn(np.array([[10, 10, 40, 44], [300, 300, 340, 340.0]]), np.array([0.6, 0.9]), np.array([1, 0]))
    joined = join_scales(masks[1:], np.array([0.8, 0.7]), index[1:], SCALES, masks[1:].boxes, undrawn)
    np.testing.assert_allclose(joined.scores, drawn.scores)
    assert joined.index.tolist() == [0, 1]


def test_neighbours_that_overlap_little_stay_apart():
    assert len(join_scales(squares((10, 10, 30), (10, 30, 30)), np.ones(2), np.array([2, 2]), SCALES).index) == 2


def test_nothing_found_joins_to_nothing():
    joined = join_scales(CroppedMasks.empty(SHAPE), np.zeros(0), np.zeros(0, int), SCALES)
    assert len(joined.index) == len(joined.scores) == 0


@given(st.integers(0, 2**32 - 1))
def test_every_mask_belongs_to_a_particle_and_order_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    places = [(*rng.integers(0, 300, 2), rng.integers(4, 60)) for _ in range(25)]
    masks, scores, index = squares(*places), rng.permutation(np.linspace(0.05, 0.99, 25)), rng.integers(0, 3, 25)
    joined = join_scales(masks, scores, index, SCALES)
    order = rng.permutation(25)
    again = join_scales(masks[order], scores[order], index[order], SCALES)
    np.testing.assert_array_equal(np.sort(order[again.index]), np.sort(joined.index))
    np.testing.assert_allclose(np.sort(again.scores), np.sort(joined.scores))
    assert ((joined.scores > 0) & (joined.scores <= scores.max())).all()
