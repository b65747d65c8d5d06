"""A frame at random holds each particle, weighted, once per frame's area of field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import disks
from semsize.metrology import border_weights, equivalent_circular_diameter
from semsize.metrology.border import EDGE_PX
from semsize.metrology.size_distribution import weighted_quantiles
from semsize.structures import CroppedMasks

FRAME = (64, 96)  # H, W


@given(st.integers(1, 80), st.integers(1, 55), st.integers(0, EDGE_PX))
@settings(max_examples=50)
def test_the_weights_over_all_positions_sum_to_the_area_of_the_field(width, height, short):
    """Boxes at every whole position; outlines of those that the frame cuts may end short of its edge by a pixel."""
    x, y = np.meshgrid(np.arange(-width, FRAME[1] + 1), np.arange(-height, FRAME[0] + 1))
    low, high = np.stack([x, y], -1).reshape(-1, 2), np.stack([x + width, y + height], -1).reshape(-1, 2)
    frame = np.array(FRAME[::-1])
    low, high = np.where(low < 0, short, low), np.where(high > frame, frame - short, high)  # as they are outlined
    there = ((low < frame) & (high > 0) & (high > low)).all(axis=1)
    weights = border_weights(np.hstack([low, high])[there], FRAME)
    assert np.nansum(weights) == pytest.approx(FRAME[0] * FRAME[1])


@pytest.mark.parametrize("short", [0, 1])
def test_particles_at_each_side_touch_and_have_no_weight(short):
    boxes = [[short, 5, 9, 9], [5, short, 9, 9], [90, 5, 96 - short, 9], [5, 60, 9, 64 - short], [2, 2, 94, 62]]
    found = border_weights(boxes, FRAME)
    np.testing.assert_array_equal(np.isnan(found), [True] * 4 + [False])
    assert found[4] == 96 * 64


def test_a_square_frame_turned_gives_the_same_weights():
    boxes = np.array([[3, 4, 20, 9], [10, 30, 40, 60]])
    turned = border_weights(boxes[:, [1, 0, 3, 2]], FRAME[::-1])
    np.testing.assert_allclose(border_weights(boxes, FRAME), turned)


def test_boxes_that_are_empty_or_of_another_frame_are_refused():
    with pytest.raises(ValueError, match="1 boxes are empty"):
        border_weights([[3, 3, 3, 3]], FRAME)
    with pytest.raises(ValueError, match="leave the frame"):
        border_weights([[3, 3, 30, 65]], FRAME)
    assert border_weights(np.empty((0, 4)), FRAME).shape == (0,)


def test_weighted_sizes_in_random_crops_are_unbiased_and_unweighted_ones_are_not():
    """Disks of log-normal size in a large field, cropped at random: masks, boxes and all."""
    rng = np.random.default_rng(1)
    side, crop, count = 1000, 120, 500
    radii = 10 * np.exp(0.35 * rng.standard_normal(count))
    field = disks((side, side), rng.uniform(60, side - 60, (count, 2)), radii)
    ecd, found, weights = equivalent_circular_diameter(field.areas), [], []
    low, high = field.origins, field.origins + [mask.shape for mask in field.crops]
    for corner in rng.integers(0, side, (4000, 2)):
        moved = (low - corner) % side  # the field continues on the other side, so that all places are alike
        seen = ((moved >= 0) & (moved + high - low <= crop)).all(axis=1)
        masks = CroppedMasks(tuple(field.crops[n] for n in np.flatnonzero(seen)), moved[seen], (crop, crop))
        border = border_weights(masks.boxes, masks.image_shape)
        found.append(equivalent_circular_diameter(masks.areas)[~np.isnan(border)])
        weights.append(border[~np.isnan(border)])
    found, weights = np.concatenate(found), np.concatenate(weights)
    true = np.median(ecd), ecd.mean(), np.quantile(ecd, 0.9)
    weighted = weighted_quantiles(found, weights, (0.5, 0.9))
    np.testing.assert_allclose([weighted[0], np.average(found, weights=weights), weighted[1]], true, rtol=0.012)
    unweighted = np.median(found), found.mean(), np.quantile(found, 0.9)
    assert (np.array(unweighted) < 0.97 * np.array(true)).all(), unweighted
