import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import disks
from tio2.metrology import areas_px, equivalent_circular_diameter, measure_sizes
from tio2.structures import CroppedMasks, PixelSize


def centred_disks(*radii):
    return disks((200, 200), [(100, 100)] * len(radii), radii)


@given(st.floats(0.1, 1e4))
def test_ecd_of_a_circle_is_its_diameter(diameter):
    assert equivalent_circular_diameter(np.pi * diameter**2 / 4) == pytest.approx(diameter)


@given(st.floats(1, 1e6), st.floats(0.1, 100))
def test_ecd_scales_with_length(area, factor):
    scaled = equivalent_circular_diameter(area * factor**2)
    assert scaled == pytest.approx(factor * equivalent_circular_diameter(area))


def test_rasterised_disks_have_their_diameters():
    radii = np.array([10.0, 31.4, 80.0])
    np.testing.assert_allclose(measure_sizes(centred_disks(*radii)).ecd_px, 2 * radii, rtol=3e-3)


def test_nanometres_come_through_the_pixel_size():
    masks = centred_disks(20, 50)
    sizes = measure_sizes(masks, PixelSize(7.344))
    np.testing.assert_array_equal(sizes.area_px, areas_px(masks))
    np.testing.assert_allclose(sizes.ecd_nm, sizes.ecd_px * 7.344)
    np.testing.assert_allclose(sizes.area_nm2, np.pi * sizes.ecd_nm**2 / 4)


def test_what_cannot_be_measured_is_nan():
    full = np.zeros((2, 5, 5), np.uint8)
    full[1] = 1
    sizes = measure_sizes(CroppedMasks.from_full(full))
    np.testing.assert_array_equal(sizes.area_px, [0, 25])
    np.testing.assert_array_equal(np.isnan(sizes.ecd_px), [True, False])
    assert np.isnan([sizes.area_nm2, sizes.ecd_nm]).all()


def test_no_particles():
    assert measure_sizes(CroppedMasks.empty((5, 5)), PixelSize(1.0)).ecd_nm.shape == (0,)
