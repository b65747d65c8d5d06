"""A frame thrown at random holds a particle, weighted, once for each frame's area of field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import disks
from semsize.metrology import border_weights, equivalent_circular_diameter
from semsize.metrology.size_distribution import weighted_quantiles
from semsize.structures import CroppedMasks

FRAME = (64, 96)  # H, W


@given(st.floats(0.5, 60), st.floats(0.5, 50))
@settings(max_examples=50)
def test_the_mean_weight_over_all_positions_is_the_share_of_the_field(width, height):
    """Rectangles at every position of a fine grid over the frame's neighbourhood: unbiased in closed form."""
    step = 0.25
    x = np.arange(-width - 1, FRAME[1] + 1, step) + step / 3
    y = np.arange(-height - 1, FRAME[0] + 1, step) + step / 3
    inside = ((x > 0) & (x + width < FRAME[1])).sum() * ((y > 0) & (y + height < FRAME[0])).sum()
    weight = border_weights([[1, 1, 1 + width, 1 + height]], FRAME)[0]
    assert weight * inside * step**2 == pytest.approx(FRAME[0] * FRAME[1], rel=0.03)
    assert weight == pytest.approx(FRAME[1] * FRAME[0] / ((FRAME[1] - width) * (FRAME[0] - height)))


def test_particles_at_each_side_touch_and_have_no_weight():
    boxes = [[0, 5, 9, 9], [5, 0, 9, 9], [90, 5, 96, 9], [5, 60, 9, 64], [1, 1, 95, 63], [1, 1, 2, 2]]
    found = border_weights(boxes, FRAME)
    np.testing.assert_array_equal(np.isnan(found), [True] * 4 + [False] * 2)
    assert np.isnan(found[:4]).all()
    assert found[4] == pytest.approx(96 * 64 / 4)


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
