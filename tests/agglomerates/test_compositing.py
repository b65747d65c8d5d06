"""Compositing changes only the band, by the median."""

import numpy as np
import pytest
from agglomerate_samples import agglomerate
from scipy import ndimage

from tio2.agglomerates.agglomerate import Seam, composite, cut_out, disc

SAMPLE = agglomerate((8, 5), margin_px=8)
BACKGROUND = np.random.default_rng(1).integers(20, 90, (70, 90)).astype(np.float32)


def in_frame(array, corner, shape=BACKGROUND.shape):
    frame = np.zeros(shape, array.dtype)
    frame[corner[0] : corner[0] + array.shape[0], corner[1] : corner[1] + array.shape[1]] = array
    return frame


@pytest.mark.parametrize("border_px", [0, 2, 5])
@pytest.mark.parametrize("band_px", [0, 1, 2, 3])
def test_off_the_band_every_pixel_is_its_source_s_and_on_it_the_median(border_px, band_px):
    seam = Seam(border_px, band_px)
    cutout = cut_out(SAMPLE, seam)
    corner = (9, 17)
    image = composite(BACKGROUND, [(cutout, corner)], seam)
    region, band = in_frame(cutout.region, corner) > 0, in_frame(cutout.band, corner) > 0
    joined = np.where(region, in_frame(cutout.image, corner), BACKGROUND)
    np.testing.assert_array_equal(image[~band], joined[~band])
    np.testing.assert_array_equal(image[band], ndimage.median_filter(joined, 5)[band])
    assert band.any() == (band_px > 0)


def test_region_is_the_silhouette_grown_and_band_lies_along_its_outline():
    seam = Seam(border_px=3, band_px=2)
    cutout = cut_out(SAMPLE, seam)
    to_particle = ndimage.distance_transform_edt(1 - in_frame_of_crop(SAMPLE.masks.union().astype(np.uint8), cutout))
    np.testing.assert_array_equal(cutout.region > 0, to_particle <= 3)
    inward = ndimage.distance_transform_edt(cutout.region)
    outward = ndimage.distance_transform_edt(1 - cutout.region)
    np.testing.assert_array_equal(cutout.band > 0, np.where(cutout.region > 0, inward, outward) <= 2)


def in_frame_of_crop(crop, cutout):
    row, column = -cutout.origin[0], -cutout.origin[1]
    padded = np.pad(crop, 30)[30 - row :, 30 - column :]
    return padded[: cutout.region.shape[0], : cutout.region.shape[1]]


def test_what_is_read_and_written_stays_in_the_window():
    seam = Seam()
    cutout = cut_out(SAMPLE, seam)
    corner = (0, 0)
    image = composite(BACKGROUND, [(cutout, corner)], seam)
    height, width = cutout.region.shape
    other = BACKGROUND.copy()
    other[height:], other[:, width:] = 0, 255
    window = composite(other, [(cutout, corner)], seam)[:height, :width]
    np.testing.assert_array_equal(window, image[:height, :width])


def test_colours_and_bytes_are_pasted_as_grey_is():
    seam = Seam()
    cutout = cut_out(SAMPLE, seam)
    grey = composite(BACKGROUND, [(cutout, (5, 5))], seam)
    colour = composite(np.repeat(BACKGROUND[..., None], 3, 2), [(cutout, (5, 5))], seam)
    eight = composite(BACKGROUND.astype(np.uint8), [(cutout, (5, 5))], seam)
    np.testing.assert_array_equal(colour, np.repeat(grey[..., None], 3, 2))
    np.testing.assert_array_equal(eight, grey)
    assert eight.dtype == np.uint8


def test_matching_takes_the_level_of_the_surroundings():
    seam = Seam(match_level=True)
    cutout = cut_out(SAMPLE, seam)
    shifted = composite(np.full((70, 90), 60, np.float32), [(cutout, (5, 5))], seam)
    plain = composite(np.full((70, 90), 60, np.float32), [(cutout, (5, 5))], Seam())
    inside = (in_frame(cutout.region, (5, 5)) > 0) & (in_frame(cutout.band, (5, 5)) == 0)
    difference = (shifted - plain)[inside]
    assert np.ptp(difference) == 0
    assert difference[0] == pytest.approx(20, abs=2)  # the sample's own background is 40


def test_a_border_wider_than_the_margin_is_refused():
    with pytest.raises(ValueError, match="margin"):
        cut_out(SAMPLE, Seam(border_px=9))


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_a_disc_is_all_pixels_within_the_radius(radius):
    assert disc(radius).sum() == {0: 1, 1: 5, 3: 29}[radius]
