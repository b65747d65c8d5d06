"""Spreads of diameters in closed form."""

import numpy as np
import pytest

from scenes import squares
from semsize.metrology.comparison import ImageFound, ImageTruth, compare_image
from semsize.metrology.metrics import diameter_differences, diameter_spread
from semsize.structures.masks import CroppedMasks

SHAPE = (60, 80)


def test_differences_are_those_of_the_pairs():
    """A square of 20 px found as one of 19 and one found as it is: 2 / √π of the side's difference."""
    masks = squares(SHAPE, [(5, 5), (5, 40)], 20)
    truth = ImageTruth(1, "1.png", None, None, np.arange(2), masks, ("complete",) * 2, np.zeros(2, bool), masks[:0])
    found = CroppedMasks.cat([masks[1], squares(SHAPE, [(5, 5)], 19)])
    image = compare_image(truth, ImageFound(found, np.ones(2)))
    np.testing.assert_allclose(diameter_differences(image), [-2 / np.sqrt(np.pi), 0], atol=1e-12)


def test_the_middle_is_the_normal_distributions_and_leaves_tails_out():
    rng = np.random.default_rng(0)
    normal = rng.normal(1, 2, 20000)
    spread = diameter_spread(normal)
    assert (spread.mean_px, spread.std_px, spread.middle_std_px) == pytest.approx((1, 2, 2), rel=0.03)
    tailed = diameter_spread(np.append(normal, np.full(400, 60.0)))
    assert tailed.std_px > 4 * tailed.middle_std_px / 2
    assert tailed.middle_std_px == pytest.approx(2, rel=0.06)


@pytest.mark.parametrize("few", [[], [1.0]])
def test_fewer_than_two_have_no_spread(few):
    assert np.isnan(list(vars(diameter_spread(np.array(few))).values())).all()
