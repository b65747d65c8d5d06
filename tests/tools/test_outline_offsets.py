"""Edges at known distances from a disk's outline, and the spread of offsets in closed form."""

import numpy as np
import pytest
from scipy import ndimage

from outline_offsets import Offsets, edge_offsets, offset_spread, smooth_distance, valley_offsets

SIDE, RADIUS = 90, 28.0
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
RADII, ANGLES = np.hypot(ROWS, COLUMNS), np.arctan2(ROWS, COLUMNS)
DISK = RADII <= RADIUS
NOBODY = np.zeros_like(DISK)


def disk_image(radius, blur_px=1.0):
    """Levels 20 outside and 120 inside a radius, which may depend on the angle: means of finer pixels, then blurred."""
    fine = 8
    rows, columns = (np.mgrid[: SIDE * fine, : SIDE * fine] + 0.5) / fine - SIDE / 2
    inside = np.hypot(rows, columns) <= (radius(np.arctan2(rows, columns)) if callable(radius) else radius)
    pixels = inside.reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3))
    return 20 + 100 * ndimage.gaussian_filter(pixels, blur_px)


def test_smooth_distance_of_a_disk_is_that_of_the_circle():
    distance = smooth_distance(DISK)
    near = abs(RADII - RADIUS) < 3
    np.testing.assert_allclose(distance[near], (RADII - RADIUS)[near], atol=0.45)
    assert abs((distance - RADII + RADIUS)[near].mean()) < 0.1


@pytest.mark.parametrize("shift", [-0.7, 0.0, 0.4, 1.5])
def test_an_edge_is_found_as_far_outside_as_it_is(shift):
    found = edge_offsets(DISK, NOBODY, disk_image(RADIUS + shift))
    assert len(found.points) == found.looked_at > 100
    assert found.offsets_px.mean() == pytest.approx(shift, abs=0.1)
    assert found.offsets_px.std() < 0.2
    np.testing.assert_allclose(np.hypot(*(found.points - (SIDE - 1) / 2).T), RADIUS, atol=0.5)


def test_a_wavy_edge_has_the_variance_of_its_wave_within_the_outline():
    """Amplitude 0.8, six waves: variance 0.32, and the covariance of points d apart is 0.32 cos(6 d / R)."""
    wavy = edge_offsets(DISK, NOBODY, disk_image(lambda angle: RADIUS + 0.8 * np.cos(6 * angle), 0.7))
    plain = edge_offsets(DISK, NOBODY, disk_image(RADIUS, 0.7))
    wave, rest = offset_spread([wavy]).within_covariance, offset_spread([plain]).within_covariance
    assert wave[0] - rest[0] == pytest.approx(0.32, rel=0.15)
    assert (wave - rest)[7] / (wave - rest)[0] == pytest.approx(np.cos(6 * 7 / RADIUS), abs=0.15)


def test_edges_near_others_and_faint_ones_are_left_out():
    others = COLUMNS > 32
    beside = edge_offsets(DISK, others, disk_image(RADIUS))
    assert 0 < beside.looked_at < edge_offsets(DISK, NOBODY, disk_image(RADIUS)).looked_at
    assert beside.points[:, 1].max() < (SIDE - 1) / 2 + 32 - 7 + 1
    assert len(edge_offsets(DISK, NOBODY, 20 + disk_image(RADIUS) / 10).points) == 0
    assert edge_offsets(DISK, ~DISK, disk_image(RADIUS)).looked_at == 0


@pytest.mark.parametrize("place", [0.0, 1.0, 2.0])
def test_a_valley_between_two_particles_is_found_where_it_is(place):
    """A dark line that far outside a square's side, whose neighbour begins behind a gap of one pixel."""
    mask, others = np.zeros((2, 60, 80), bool)
    mask[15:45, 15:40] = True
    others[15:45, 41:66] = True
    columns = np.arange(80) + 0.5
    grey = np.full((60, 80), 20.0)
    grey[15:45, 15:66] = 100 - 60 * np.exp(-((columns[15:66] - 40 - place) ** 2) / 2)
    found = valley_offsets(mask, others, grey)
    assert len(found.points) > 15
    assert np.median(found.offsets_px) == pytest.approx(place, abs=0.26)
    assert len(valley_offsets(mask, others, np.full((60, 80), 50.0)).points) == 0
    assert valley_offsets(mask, np.zeros_like(mask), grey).looked_at == 0


def test_the_spread_of_two_constant_offsets_lies_between_the_outlines():
    points = np.stack([np.zeros(30), np.arange(30)], axis=1)
    spread = offset_spread([Offsets(points, np.full(30, value), 30) for value in (1.0, -1.0)])
    assert (spread.outlines, spread.mean_px) == (2, 0)
    assert spread.between_std_px == pytest.approx(np.sqrt(2))
    assert np.abs(spread.within_covariance).max() == 0
    few = offset_spread([Offsets(points[:5], np.ones(5), 5)])
    assert few.outlines == 0
    assert np.isnan(few.mean_px)


def test_the_covariance_of_an_alternating_offset_alternates():
    points, offsets = np.stack([np.zeros(40), np.arange(40)], axis=1), np.tile([0.5, -0.5], 20)
    covariance = offset_spread([Offsets(points, offsets, 40)]).within_covariance
    np.testing.assert_allclose(covariance, 0.25 * (-1.0) ** np.arange(21))
