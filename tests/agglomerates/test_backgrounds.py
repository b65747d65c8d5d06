"""The texture that replaces particles leaves no trace."""

import cv2
import numpy as np
import pytest
from agglomerate_samples import drawn

from scenes import disks
from tio2.agglomerates import Backgrounds, LibraryError
from tio2.agglomerates.backgrounds import (
    HALO_PX,
    SEAM_PX,
    SHADOW_PX,
    TextureError,
    distance_to_particles,
    emptied,
    extended,
    lay_grain,
    smooth_field,
    without_shadow,
)

SHAPE = (300, 400)
SCENE = disks(SHAPE, [(100, 120), (100, 133), (200, 300), (40, 350)], [10, 8, 12, 6])


def test_distance_runs_from_the_nearest_particle_pixel():
    distance = distance_to_particles(disks((60, 80), [(30.5, 40.5)], [5]))
    row = distance[30]  # the disk covers columns 35 to 45 of it
    np.testing.assert_array_equal(row[35:46], 0)
    np.testing.assert_allclose(row[:35], np.arange(35, 0, -1))
    assert distance_to_particles(disks((60, 80), [], [])).min() > 100


def test_replaced_places_have_the_level_the_noise_and_no_particle():
    image, distance = drawn(SCENE), distance_to_particles(SCENE)
    empty = emptied(image, distance, np.random.default_rng(0), halo_px=10)
    bare = distance > 10
    filled = empty[~bare]
    assert filled.mean() == pytest.approx(40, abs=0.5)
    assert filled.std() == pytest.approx(image[bare].std(), rel=0.05)
    around = bare & (distance < 10 + SEAM_PX)
    assert empty[around].std() == pytest.approx(image[bare].std(), rel=0.05)
    np.testing.assert_array_equal(empty, np.rint(empty))


def test_out_of_the_shadow_every_pixel_is_the_image_s_own():
    masks = disks((300, 700), [(150, 60)], [10])
    image, distance = drawn(masks), distance_to_particles(masks)
    empty = emptied(image, distance, np.random.default_rng(0))
    far = distance > HALO_PX + SHADOW_PX
    assert far.mean() > 0.5
    np.testing.assert_array_equal(empty[far], image[far])


def test_a_shadow_around_particles_is_lifted():
    masks = disks((300, 700), [(150, 200), (150, 330)], [10, 14])
    distance = distance_to_particles(masks)
    shadow = np.where(distance > 0, 15 * np.exp(-distance / 30), 0)
    image = (drawn(masks) - shadow).astype(np.float32)
    lifted = without_shadow(image, distance, halo_px=10)
    np.testing.assert_array_equal(lifted[distance <= 10], image[distance <= 10])
    for low, high in [(12, 18), (18, 30), (30, 60), (60, 100)]:
        assert lifted[(distance > low) & (distance <= high)].mean() == pytest.approx(40, abs=0.5)
    empty = emptied(image, distance, np.random.default_rng(0), halo_px=10)
    assert empty[distance <= 10].mean() == pytest.approx(40, abs=0.7)


def test_a_slope_of_light_goes_on_under_the_particles():
    ramp = np.broadcast_to(np.linspace(20, 80, SHAPE[1], dtype=np.float32), SHAPE)
    image = (drawn(SCENE) - 40 + ramp).astype(np.float32)
    empty = emptied(image, distance_to_particles(SCENE), np.random.default_rng(0), halo_px=10)
    for row, column in [(100, 120), (200, 300)]:
        patch = empty[row - 8 : row + 8, column - 8 : column + 8]
        assert patch.mean() == pytest.approx(ramp[0, column], abs=4)


def test_grain_keeps_its_variance_across_seams():
    grain = np.random.default_rng(2).normal(0, 5, (200, 200)).astype(np.float32)
    laid = lay_grain(grain, np.ones((200, 200), bool), (500, 600), np.random.default_rng(3), tile_px=40)
    blocks = laid[:500, :600].reshape(50, 10, 60, 10).transpose(0, 2, 1, 3).reshape(-1, 100)
    assert laid.std() == pytest.approx(5, rel=0.02)
    assert blocks.std(axis=1).min() > 5 * 0.65  # a plain cross-fade would give seams of 0.7 and crossings of 0.5
    rows = laid.std(axis=1)
    assert rows.min() > 5 * 0.85


def test_an_extended_background_has_the_same_texture():
    image = drawn(disks(SHAPE, [], []))
    larger = extended(image, (700, 900), np.random.default_rng(0))
    assert larger.shape == (700, 900)
    assert (larger.mean(), larger.std()) == pytest.approx((image.mean(), image.std()), rel=0.03)


def test_the_field_of_a_constant_is_that_constant_whatever_is_bare():
    bare = np.zeros((80, 300), bool)
    bare[:5, :5] = True
    np.testing.assert_allclose(smooth_field(np.full((80, 300), 33, np.float32), bare), 33, rtol=1e-3)


def test_too_little_bare_background_is_said():
    for halo, message in ((200, "no bare square"), (400, "no bare background")):
        with pytest.raises(TextureError, match=message):
            emptied(drawn(SCENE), distance_to_particles(SCENE), np.random.default_rng(0), halo)


def test_backgrounds_are_drawn_mirrored_and_cut_and_remembered(tmp_path):
    image = np.arange(60 * 80, dtype=np.uint32).reshape(60, 80) % 251
    cv2.imwrite(str(tmp_path / "b.png"), image.astype(np.uint8))
    backgrounds, seen = Backgrounds(tmp_path), set()
    for seed in range(40):
        part, record = backgrounds.draw((50, 70), np.random.default_rng(seed))
        (row, column), (vertical, horizontal) = record["first_pixel"], record["mirrored"]
        expected = image[row : row + 50, column : column + 70][:: -1 if vertical else 1, :: -1 if horizontal else 1]
        np.testing.assert_array_equal(part, expected)
        seen.add((vertical, horizontal))
        part[:] = 0  # its own memory
    assert len(seen) == 4


def test_small_and_missing_backgrounds_are_one_line(tmp_path):
    with pytest.raises(LibraryError, match="no image"):
        Backgrounds(tmp_path)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((60, 80), np.uint8))
    with pytest.raises(LibraryError, match=r"b\.png.*--background-size"):
        Backgrounds(tmp_path).draw((61, 80), np.random.default_rng(0))
