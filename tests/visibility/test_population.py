"""Sizes of several kinds of particles from probabilities: closed forms, and the effects that the weights correct."""

import numpy as np
import pytest

from semsize.metrology.intervals import STATISTICS, WITHIN_IMAGE, size_intervals, statistics
from semsize.metrology.size_distribution import SizeSample
from semsize.visibility.population import SizedOutlines, compare_populations, unsized_count

COUNT = 600


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def outlines(rng):
    return rng.lognormal(4, 0.4, COUNT), np.repeat(np.arange(12), COUNT // 12)


def sized(sizes, images, full, masked=0.0, unusable=0.0, whole=None, border=1.0):
    every = np.ones(len(sizes))
    whole = sizes if whole is None else whole
    return SizedOutlines(sizes, whole, full * every, masked * every, unusable * every, border * every, images)


def populations(*args, **kwargs):
    return compare_populations(sized(*args, **kwargs), seed=1)


def values(found):
    return np.array([found.number[name].value for name in STATISTICS])


def test_certain_states_give_the_chosen_particles_intervals_included(outlines, rng):
    sizes, images = outlines
    chosen = rng.random(COUNT) < 0.5
    full, completed, visible = populations(sizes, images, chosen.astype(float))
    alone = SizeSample(sizes[chosen], np.ones(chosen.sum()), images[chosen])
    assert full.number == completed.number == size_intervals(alone, np.random.default_rng(1))
    assert full.expected_count == chosen.sum()
    np.testing.assert_allclose(values(visible), statistics(SizeSample(sizes, np.ones(COUNT), images)))


def test_equal_probabilities_change_no_size(outlines):
    sizes, images = outlines
    full, *_ = populations(sizes, images, 0.15)
    np.testing.assert_allclose(values(full), statistics(SizeSample(sizes, np.ones(COUNT), images)))
    assert full.expected_count == pytest.approx(0.15 * COUNT)


def test_an_outline_with_two_sizes_is_one_unit_and_one_particle(outlines):
    """One that may be hidden has two sizes; where both are equal, the intervals are those of outlines with one."""
    sizes, images = outlines
    for of in (images, 0 * images):
        one, two, _ = (found.number["D50"] for found in populations(sizes, of, 0.5, masked=0.5))
        assert two == one
        assert (two.particles, two.dof) == (COUNT, 11 if of.any() else COUNT - 1)


def test_where_one_image_alone_has_fully_imaged_particles_these_are_drawn(outlines):
    sizes, images = outlines
    full, *_ = populations(sizes, images, (images == 3).astype(float))
    alone = SizeSample(sizes[images == 3], np.ones(50), images[images == 3])
    assert full.number == size_intervals(alone, np.random.default_rng(1))
    assert full.number["D50"].scope == WITHIN_IMAGE


def test_a_single_outline_has_no_interval():
    for found in populations(np.array([10.0]), np.array([0]), 0.5, masked=0.5, whole=np.array([12.0])):
        assert np.isnan([found.number["D50"].low, found.number["D50"].dof, found.number_ratio["D50"].low]).all()


def test_probability_and_border_weight_multiply():
    full, *_ = populations(np.array([10.0, 40.0]), np.array([0, 1]), np.array([0.4, 0.1]), border=np.array([1.5, 3.0]))
    assert full.number["mean"].value == pytest.approx(20)  # (0.6 · 10 + 0.3 · 40) / 0.9
    assert full.expected_count == pytest.approx(0.5)


def test_weights_are_unbiased_where_a_threshold_chooses_by_size(rng):
    """Small particles are judged with less confidence, so that a threshold loses them; calibrated weights do not."""
    sizes = rng.lognormal(4, 0.4, 6000)
    is_sharp = rng.random(len(sizes)) < 1 / (1 + np.exp(-(sizes - 50) / 8))  # told apart surely: large ones
    p = np.where(is_sharp, rng.choice([0.02, 0.98], len(sizes)), rng.choice([0.35, 0.65], len(sizes)))
    is_full = rng.random(len(sizes)) < p
    images = np.arange(len(sizes)) % 50
    truth = np.median(sizes[is_full])
    weighted = populations(sizes, images, p)[0].number["D50"]
    assert weighted.low < truth < weighted.high
    assert weighted.value == pytest.approx(truth, rel=0.02)
    assert np.median(sizes[p > 0.9]) > 1.1 * truth


def test_hidden_particles_come_in_with_the_size_of_the_whole(outlines, rng):
    """Half of a population is hidden to half its area, and completed rightly: the whole population is found again."""
    sizes, images = outlines
    hidden = rng.random(COUNT) < 0.5
    seen = np.where(hidden, sizes * np.sqrt(0.5), sizes)
    found = populations(seen, images, (~hidden).astype(float), hidden.astype(float), whole=sizes)
    _, completed, visible = found
    np.testing.assert_allclose(values(completed), statistics(SizeSample(sizes, np.ones(COUNT), images)))
    assert completed.number_ratio["D50"].low < 1 < completed.number_ratio["D50"].high
    assert visible.number_ratio["D50"].is_shown
    assert visible.number_ratio["D50"].high < 1


def test_by_volume_a_large_hidden_one_weighs_most():
    sizes, whole = np.array([10.0, 10.0, 12.0]), np.array([10.0, 10.0, 30.0])
    _, completed, _ = populations(sizes, np.arange(3), np.array([1.0, 1, 0]), np.array([0.0, 0, 1]), whole=whole)
    assert completed.number["D50"].value == 10
    assert completed.volume["D50"].value == 30


def test_a_ratio_of_the_same_particles_is_certain(outlines):
    """Both populations get the same images, so that what images differ by is not in their ratio."""
    sizes, images = outlines
    sizes = sizes * (1 + 0.5 * (images % 2))  # images differ much
    full, completed, _ = populations(sizes, images, 0.5, 0.5, whole=1.1 * sizes)
    assert completed.number["D50"].high / completed.number["D50"].low > 1.2
    ratio = completed.number_ratio["mean"]
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.05, 1.05, 1.05), rel=1e-9)
    assert full.number_ratio["D50"].low == full.number_ratio["D50"].high == 1


def test_what_has_no_size_is_only_counted():
    outlines = sized(
        np.array([10.0, 20.0, 30.0]),
        np.array([0, 0, 1]),
        np.array([1.0, 0.2, 0.0]),
        masked=np.array([0.0, 0.5, 0.25]),
        unusable=np.array([0.0, 0.25, 0.5]),
        whole=np.array([10.0, 25.0, np.nan]),
    )
    assert unsized_count(outlines) == pytest.approx(0.75 + 0.25)
    assert compare_populations(outlines, seed=0)[1].expected_count == pytest.approx(1.7)


def test_images_without_a_member_leave_intervals_of_the_others(outlines):
    sizes, images = outlines
    full = np.where(images < 3, 1.0, 0.0)
    found, completed, _ = populations(sizes, images, full, 1 - full)
    assert np.isfinite([found.number["D50"].std, found.number["D50"].low]).all()
    assert completed.number_ratio["D50"].low < completed.number_ratio["D50"].value < completed.number_ratio["D50"].high


def test_of_a_single_image_and_of_nothing_there_are_no_errors(outlines):
    sizes, _ = outlines
    full, completed, _ = populations(sizes, np.zeros(COUNT, int), 0.5, 0.25, whole=1.2 * sizes)
    assert full.number["D50"].scope == completed.number["D50"].scope == "within one image only"
    nothing = populations(np.zeros(0), np.zeros(0, int), 0.5)
    assert all(np.isnan(values(found)).all() for found in nothing)


@pytest.mark.parametrize("wrong", [np.array([1.2, 0.0]), np.array([np.nan, 0.0])])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="fully imaged must lie in 0 to 1"):
        populations(np.ones(2), np.zeros(2, int), wrong)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="must be"):
        populations(np.ones(2), np.zeros(3, int), 0.5)
