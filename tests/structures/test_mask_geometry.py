"""The pieces of mask geometry that have a closed form of their own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.structures.mask_geometry import clip, nearest_sources, shrink, tighten
from strategies import noise_stacks


@given(noise_stacks(), st.integers(-9, 9), st.integers(-9, 9))
def test_tightening_keeps_every_pixel_where_it_is(stack, row, column):
    for mask in stack:
        crop, origin = tighten(mask, (row, column))
        before = np.argwhere(mask) + np.array([row, column])
        after = np.argwhere(crop) + origin
        np.testing.assert_array_equal(after, before)


@given(noise_stacks(), st.integers(-9, 9), st.integers(-9, 9))
def test_clipping_drops_just_the_pixels_outside(stack, row, column):
    height, width = 7, 5
    for mask in stack:
        crop, origin = clip(mask, (row, column), (height, width))
        pixels = np.argwhere(mask) + np.array([row, column])
        inside = ((pixels >= 0) & (pixels < (height, width))).all(axis=1)
        np.testing.assert_array_equal(np.argwhere(crop) + origin, pixels[inside])


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_nearest_sources_are_ascending_and_evenly_spread(size, new_size):
    sources = nearest_sources(size, new_size)
    assert len(sources) == new_size
    np.testing.assert_allclose(sources, np.floor(np.arange(new_size) * size / new_size), atol=1)
    assert (np.diff(sources) >= 0).all()
    assert sources[0] == 0
    assert sources[-1] < size


@pytest.mark.parametrize("side", [97, 150, 400])
def test_a_shrunk_disk_keeps_its_share_of_the_box(side):
    offset = np.arange(side) - (side - 1) / 2
    disk = (offset[:, None] ** 2 + offset**2 <= (side / 2) ** 2).astype(np.uint8)
    small = shrink(disk, 96)
    assert small.shape == (96, 96)
    assert small.mean() == pytest.approx(np.pi / 4, abs=0.01)


def test_shrinking_keeps_proportions_and_leaves_small_crops_alone():
    assert shrink(np.ones((192, 48), np.uint8), 96).shape == (96, 24)
    assert shrink(np.ones((1, 500), np.uint8), 96).shape == (1, 96)
    crop = np.ones((96, 20), np.uint8)
    assert shrink(crop, 96) is crop
