"""Contrast is a difference of medians."""

import numpy as np
import pytest

from scenes import squares
from semsize.sem import particle_contrast
from semsize.structures import CroppedMasks


def test_contrast_of_flat_squares_is_the_step_and_the_data_bar_does_not_count():
    masks = squares((60, 60), [(5, 5), (30, 30)], 20)
    grey = np.full((80, 60), 20.0, np.float32)
    for row, column in ((5, 5), (30, 30)):
        grey[row : row + 20, column : column + 20] = 105.5
    grey[60:] = 255
    assert particle_contrast(grey, masks) == pytest.approx(85.5)


def test_without_particles_or_without_the_rest_it_is_nan():
    grey = np.zeros((10, 10), np.float32)
    assert np.isnan(particle_contrast(grey, CroppedMasks.empty((10, 10))))
    assert np.isnan(particle_contrast(grey, squares((10, 10), [(0, 0)], 10)))


def test_masks_of_another_image_are_refused():
    with pytest.raises(ValueError, match="do not belong"):
        particle_contrast(np.zeros((10, 10)), CroppedMasks.empty((12, 10)))
