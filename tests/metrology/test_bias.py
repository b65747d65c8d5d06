"""The bias record of a model with known errors states these errors."""

import numpy as np
import pytest
from scipy import stats

from scenes import disks
from semsize.metrology import measure
from semsize.metrology.bias import (
    ComparedSet,
    MatchedSizes,
    covered_ranges,
    make_bias_record,
    matched_sizes,
    residual_classes,
)
from semsize.metrology.comparison import ImageFound, ImageTruth, compare_image
from semsize.metrology.occlusion import between_image_std, occlusion_classes
from semsize.structures import CroppedMasks, PixelSize

RNG = np.random.default_rng(0)
FRAME = (400, 400)
CENTRES = [(row, column) for row in range(25, 400, 50) for column in range(25, 400, 50)]


def image(true_radii, found_radii, states=None, centres=CENTRES, nm_per_px=7.0):
    """Disks on a grid, found with other radii."""
    truth = disks(FRAME, centres, true_radii)
    return compare_image(
        ImageTruth(
            image_id=1,
            file_name="a.png",
            configuration=None,
            pixel_size=PixelSize(nm_per_px),
            particle_ids=np.arange(len(truth)),
            masks=truth,
            states=tuple(states or [None] * len(truth)),
            truncated=np.zeros(len(truth), bool),
            ignored=CroppedMasks.empty(FRAME),
        ),
        ImageFound(disks(FRAME, centres, found_radii), np.ones(len(truth))),
    )


def sizes(residuals, found=20.0):
    """K pairs of one size, the residuals in a list for each image."""
    flat = np.concatenate(residuals)
    numbers = np.repeat(np.arange(len(residuals)), [len(one) for one in residuals])
    return MatchedSizes(found / (1 + flat), np.full(len(flat), found), numbers)


def test_disks_found_too_large_have_that_residual():
    radii = np.full(64, 15.0)
    images = [image(radii, radii * (1 + share)) for share in (0.02, 0.04)]
    (found,) = residual_classes(matched_sizes(images))
    ecd = [measure(one.truth.masks).ecd_px[0] for one in images]
    assert ecd[0] == pytest.approx(30, rel=0.01)
    true = [one.found_measurands.ecd_px[0] / one.true_measurands.ecd_px[0] - 1 for one in images]
    assert found.residual == pytest.approx(np.mean(true))
    assert found.between_image_std == pytest.approx(np.std(true, ddof=1))
    assert found.standard_error == pytest.approx(np.std(true, ddof=1) / np.sqrt(2))
    assert (found.particles, found.images, found.low_px, found.high_px) == (128, 2, 0, None)


def test_the_standard_error_of_images_of_equal_number_is_the_textbook_s():
    rng = np.random.default_rng(0)
    residuals = 0.01 + rng.normal(0, 0.02, (8, 1)) + rng.normal(0, 0.05, (8, 30))
    (found,) = residual_classes(sizes(list(residuals)))
    means = residuals.mean(axis=1)
    assert found.residual == pytest.approx(means.mean())
    assert found.standard_error == pytest.approx(stats.sem(means))
    within = residuals.var(axis=1, ddof=1).mean() / 30
    assert found.between_image_std == pytest.approx(np.sqrt(means.var(ddof=1) - within))


def test_images_that_do_not_differ_have_no_spread_between_them():
    residuals = np.tile([-0.05, 0.05], 20)
    (found,) = residual_classes(sizes([residuals, residuals, residuals]))
    assert found.between_image_std == 0


def test_small_classes_are_joined_until_they_hold_enough():
    rng = np.random.default_rng(1)
    found_px = np.concatenate([rng.uniform(9, 10, 5), rng.uniform(17, 22, 40), rng.uniform(33, 44, 40), [200.0] * 3])
    data = MatchedSizes(found_px, found_px, np.arange(len(found_px)) % 4)
    classes = residual_classes(data)
    assert [(one.low_px, one.high_px) for one in classes] == [(0, 23), (23, None)]
    assert sum(one.particles for one in classes) == len(found_px)
    assert residual_classes(MatchedSizes(found_px[:20], found_px[:20], np.arange(20))) == ()
    assert residual_classes(MatchedSizes(found_px, found_px, np.zeros(len(found_px)))) == ()  # a single image


def test_particles_at_the_border_are_no_pairs():
    centres = [(10, 100), (200, 200), (391, 300)]
    one = image([12.0] * 3, [12.0] * 3, centres=centres)
    assert len(matched_sizes([one]).true_px) == 1


def test_occlusion_compares_all_finds_with_the_fully_imaged():
    radii = np.where(np.arange(64) % 3, 9.0, 15.0)
    states = ["masked" if n % 3 else "complete" for n in range(64)]
    dense, bare = image(radii, radii, states), image(radii, radii)
    (found,) = occlusion_classes([[dense, bare, dense]], RNG)
    ecd = np.unique(dense.found_measurands.ecd_px)
    assert found.effect == pytest.approx(ecd[0] / ecd[1] - 1)  # two thirds are the small ones
    assert (found.images, found.detected, found.fully_imaged) == (2, 128, 44)
    area = sum(dense.found.masks.areas) / 400**2
    assert found.low <= area < found.high
    assert found.between_image_std == 0
    assert found.dof == 1
    assert occlusion_classes([[bare]], RNG) == ()


def test_effects_of_sets_are_averaged_by_their_images():
    """Pooled particles would have a D50 that is neither set's."""
    radii = np.where(np.arange(64) % 3, 13.0, 15.0)
    states = ["masked" if n % 3 else "complete" for n in range(64)]
    hidden, open_ = image(radii, radii, states), image(radii, radii, ["complete"] * 64)
    (alone,) = occlusion_classes([[hidden] * 2], RNG)
    (joined,) = occlusion_classes([[hidden], [open_] * 3], RNG)
    assert alone.effect < -0.1
    assert (joined.images, joined.effect) == (4, pytest.approx(alone.effect / 4))


def test_a_class_of_one_image_has_the_spread_of_the_others_in_its_uncertainty():
    """Before, one image's effect counted as exact."""
    rng = np.random.default_rng(3)
    states = ["complete" if n % 4 == 0 else "masked" for n in range(64)]

    def scene(hidden, count=64):
        """Masked particles are smaller by a share that differs between images."""
        radii = rng.uniform(14.5, 15, count) * np.where(np.arange(count) % 4 == 0, 1, 1 - hidden)
        return image(radii, radii, states[:count], centres=CENTRES[:count])

    many = [scene(hidden) for hidden in (0.1, 0.2, 0.3, 0.4, 0.5)]
    one = scene(0.3, count=20)
    classes = occlusion_classes([[*many, one]], RNG)
    alone = classes[0]  # of the smallest area fraction
    assert (alone.images, sum(found.images for found in classes)) == (1, 6)
    assert {found.dof for found in classes} == {6 - len(classes)}
    assert {found.between_image_std for found in classes} == {alone.between_image_std}
    assert alone.between_image_std > 0.02
    assert alone.standard_error > alone.between_image_std
    assert all(found.standard_error < alone.standard_error for found in classes[1:])


def test_images_of_too_few_particles_and_classes_that_nothing_tells_the_spread_of_say_nothing():
    few = image([15.0] * 4, [15.0] * 4, ["complete"] * 4, centres=CENTRES[:4])
    full = image([15.0] * 64, [15.0] * 64, ["complete"] * 64)
    assert occlusion_classes([[few, few]], RNG) == ()
    assert occlusion_classes([[full]], RNG) == ()  # a single image: how others differ is not known
    (found,) = occlusion_classes([[full, full, few]], RNG)
    assert found.images == 2


def test_the_spread_between_images_of_equal_variances_is_the_textbook_s():
    """It is then that of the analysis of variance."""
    effects = [np.array([-0.1, -0.2, -0.4]), np.array([0.0, -0.3])]
    squares = sum(((one - one.mean()) ** 2).sum() for one in effects)
    expected = np.sqrt(squares / 3 - 0.01)
    assert between_image_std(effects, [[0.01] * 3, [0.01] * 2]) == pytest.approx(expected)
    assert between_image_std(effects, [[1.0] * 3, [1.0] * 2]) == 0
    assert between_image_std([[-0.1], [-0.4]], [[0.01], [0.01]]) == 0
    rng = np.random.default_rng(0)
    stds = rng.uniform(0.02, 0.2, (400, 5))
    drawn = rng.normal(0, np.hypot(stds, 0.1))
    assert between_image_std(drawn, stds**2) == pytest.approx(0.1, rel=0.1)


def test_images_in_which_nothing_changes_count_as_one_each():
    """Of an effect that is exactly 0 in most images the spread is not 0."""
    effects, variances = np.r_[np.zeros(40), np.full(3, -0.3)], np.r_[np.zeros(40), np.full(3, 0.01)]
    expected = np.sqrt(effects.var(ddof=1) - 0.03 / 43)
    assert between_image_std([effects], [variances]) == pytest.approx(expected)
    assert between_image_std([np.zeros(5)], [np.zeros(5)]) == 0


def test_the_record_joins_its_sets():
    radii = np.full(64, 15.0)
    images = [image(radii, radii, ["complete"] * 64), image(radii, radii * 1.02, ["complete"] * 64, nm_per_px=3.5)]
    sets = [
        ComparedSet("val.json", "a.json", "annotated", images[:1], [80.0]),
        ComparedSet("r.json", "b.json", "rendered", images[1:], [float("nan")]),
    ]
    record = make_bias_record(sets, "x.pth", None, min_score=0.5, min_dice=0.75, rng=RNG)
    assert [(one.kind, one.images, one.pairs) for one in record.sources] == [("annotated", 1, 64), ("rendered", 1, 64)]
    assert record.ranges.nm_per_px == (7.0, 7.0)
    assert record.ranges.contrast_levels == (80.0, 80.0)
    assert record.residuals == ()  # a single annotated image; the rendered one is no witness of residuals beside it
    assert record.occlusion[0].images == 2
    rendered = make_bias_record([sets[1], sets[1]], "x.pth", None, min_score=0.5, min_dice=0.75, rng=RNG)
    assert (rendered.ranges.nm_per_px, rendered.residuals[0].particles) == ((3.5, 3.5), 128)
    bare = covered_ranges([], [], MatchedSizes(*np.empty((3, 0))))
    assert set(vars(bare).values()) == {None}
