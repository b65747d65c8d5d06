"""When particles are laid over others, the hidden parts are known exactly and nothing else changes."""

import numpy as np
import pytest

from semsize.structures import PixelSize, particle_entry
from semsize.structures.masks import CroppedMasks
from semsize.visibility.truth import outline_truth, sizes_px
from tio2.agglomerates.covering import CoverSettings, cover_particles, covered_particles

SHAPE, RADII = (180, 260), (14, 17, 20)
LEVELS = (120, 150, 180, 210, 230, 250)  # of the six disks, on 40


def disk(row, column, radius):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.fixture
def scene():
    """Six disks of their own grey levels, far from one another, all fully imaged."""
    disks = [disk(45 + 90 * (n // 3), 45 + 85 * (n % 3), RADII[n % 3]) for n in range(6)]
    image = np.full(SHAPE, 40.0, np.float32)
    for level, pixels in zip(LEVELS, disks, strict=True):
        image[pixels] = level
    return image, CroppedMasks.from_full(np.array(disks)), [{"state": "isolated", "iscrowd": 0} for _ in disks]


def covered(scene, seed=0, **settings):
    return cover_particles(*scene, np.random.default_rng(seed), CoverSettings(**settings))


def test_what_is_hidden_is_what_lies_under_the_cover(scene):
    found = covered(scene)
    count = len(scene[1])
    laid = found.visible[count:]
    hidden = np.flatnonzero(~np.isnan(found.fractions[:count]))
    assert len(laid) == len(hidden) > 0
    front = laid.union() > 0
    for number in range(count):
        [whole], [seen] = found.whole[number].to_full(), found.visible[number].to_full()
        np.testing.assert_array_equal(seen, whole * ~front)
        if number in hidden:
            assert found.fractions[number] == pytest.approx(seen.sum() / whole.sum())
            assert 0.27 <= found.fractions[number] <= 0.98
    np.testing.assert_array_equal(found.whole[:count].areas, scene[1].areas)
    assert (found.fractions[count:] == 1).all()


def test_a_cover_has_its_own_grey_level_and_all_else_is_as_before(scene):
    image, masks, _ = scene
    found = covered(scene)
    for crop, (row, column) in found.visible[len(masks) :]:
        window = found.image[row : row + crop.shape[0], column : column + crop.shape[1]]
        assert any(abs(np.median(window[crop > 0]) - level) < 1 for level in LEVELS)
    front = found.visible[len(masks) :].union()
    near = np.pad(front, 3)
    near = sum(np.roll(near, (i, j), (0, 1)) for i in range(-3, 4) for j in range(-3, 4))[3:-3, 3:-3] > 0
    np.testing.assert_array_equal(found.image[~near], image[~near])
    assert (found.image[front > 0] != image[front > 0]).mean() > 0.5


def test_the_same_draws_give_the_same_image(scene):
    np.testing.assert_array_equal(covered(scene).image, covered(scene).image)
    assert not np.array_equal(covered(scene).image, covered(scene, seed=1).image)


def test_only_fully_imaged_ones_are_covered_and_cover(scene):
    image, masks, particles = scene
    for state in ("masked", "unusable"):
        found = covered((image, masks, [particle | {"state": state} for particle in particles]))
        assert len(found.visible) == len(masks)
        np.testing.assert_array_equal(found.image, image)
    unknown = [particle | {"state": None} for particle in particles]
    assert len(covered((image, masks, unknown)).visible) > len(masks), "alone, so that nothing hides them"
    beside = CroppedMasks.cat([masks, CroppedMasks.from_full(np.array([disk(45, 45 + 14 + 5, 4)]))])
    touching = covered((image, beside, [*unknown, {"state": None}]), share=1.0)
    assert np.isnan(touching.fractions[0]), "it has a neighbour, which may hide it"


def test_annotations_say_what_is_known(scene):
    _, _, particles = scene
    found = covered(scene)
    records = [
        particle_entry(id=n, image_id=1, **known)
        for n, known in enumerate(covered_particles(found, particles, PixelSize(5.0)), start=1)
    ]
    truth = outline_truth(found.visible, records, 5.0)
    np.testing.assert_allclose(truth.visible_fraction, found.fractions)
    known = ~np.isnan(found.fractions)
    np.testing.assert_array_equal(truth.whole_is_known, known)
    np.testing.assert_allclose(truth.sizes_px[known], sizes_px(found.whole[known]))
    states = [record["state"] for record in records]
    for number, fraction in enumerate(found.fractions.tolist()):
        if np.isnan(fraction):
            assert states[number] == ("isolated" if found.unchanged[number] else None)
        else:
            assert states[number] == ("complete" if fraction >= 0.98 else "masked" if fraction >= 0.4 else "unusable")
