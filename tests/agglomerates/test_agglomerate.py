"""Agglomerates are turned and mirrored together with their masks."""

import cv2
import numpy as np
import pytest
from agglomerate_samples import agglomerate
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.structures import CroppedMasks
from tio2.agglomerates.agglomerate import FLIPS, Agglomerate, turned_masks, turning_matrix

SAMPLE = agglomerate((7, 5, 3))


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("flip", FLIPS)
def test_quarter_turns_move_pixels_and_change_none(quarters, flip):
    turned = SAMPLE.turned(90.0 * quarters, flip)
    mirrored = SAMPLE.turned(0, flip)
    np.testing.assert_array_equal(turned.image, np.rot90(mirrored.image, -quarters))
    expected = np.rot90(mirrored.masks.to_full(), -quarters, axes=(1, 2))
    np.testing.assert_array_equal(turned.masks.to_full(), expected)


@pytest.mark.parametrize("flip", FLIPS[1:])
def test_mirroring_twice_is_nothing(flip):
    twice = SAMPLE.turned(0, flip).turned(0, flip)
    np.testing.assert_array_equal(twice.image, SAMPLE.image)
    np.testing.assert_array_equal(twice.masks.to_full(), SAMPLE.masks.to_full())


@given(st.floats(0, 360), st.sampled_from(FLIPS))
@settings(max_examples=40, deadline=None)
def test_any_turn_keeps_particles_states_areas_and_levels(angle, flip):
    turned = SAMPLE.turned(angle, flip)
    assert turned.particles == SAMPLE.particles
    assert (turned.source, turned.pixel_size_nm) == (SAMPLE.source, SAMPLE.pixel_size_nm)
    perimeters = 2 * np.pi * np.array([7, 5, 3])
    assert (np.abs(turned.masks.areas - SAMPLE.masks.areas) <= 0.5 * perimeters).all()
    assert turned.masks.to_full().sum(axis=0).max() == 1
    inside = cv2.erode(turned.masks.union().astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert turned.image[inside].mean() == pytest.approx(120, abs=3)
    boxes = turned.masks.boxes
    assert boxes.min() >= 4
    assert (boxes[:, 2:] <= np.array(turned.image.shape[::-1]) - 4).all()


def test_overlapping_masks_are_turned_one_by_one():
    full = np.zeros((2, 20, 20), np.uint8)
    full[0, 5:12, 5:12] = full[1, 8:15, 8:15] = 1
    matrix, shape = turning_matrix((20, 20), 90)
    masks, kept = turned_masks(CroppedMasks.from_full(full), matrix, shape)
    np.testing.assert_array_equal(masks.to_full(), np.rot90(full, -1, axes=(1, 2)))
    assert kept.tolist() == [0, 1]


def test_a_speck_may_fall_between_pixels_and_takes_its_annotation_along():
    full = np.zeros((2, 21, 21), np.uint8)
    full[0, 8:14, 8:14] = full[1, 8, 16] = 1
    sample = Agglomerate(np.zeros((21, 21), np.float32), CroppedMasks.from_full(full), ({"state": "a"}, {}), "x")
    for angle in range(0, 360, 7):
        turned = sample.turned(angle)
        assert len(turned.masks) == len(turned.particles) >= 1
        assert turned.particles[0] == {"state": "a"}


def test_masks_must_fit_the_crop():
    with pytest.raises(ValueError, match="do not fit"):
        Agglomerate(np.zeros((3, 3), np.float32), SAMPLE.masks, SAMPLE.particles, "x")
