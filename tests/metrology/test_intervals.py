"""Intervals hold what they say, and whole images are what is drawn."""

import numpy as np
import pytest
from scipy import stats

from semsize.metrology import STATISTICS, SizeSample, size_intervals, statistics
from semsize.metrology.intervals import BETWEEN_IMAGES, WITHIN_IMAGE, resampled_statistics


def simulated(images, rng, between=0.1, particles=40):
    number = np.repeat(np.arange(images), rng.poisson(particles, images) + 1)
    shift = rng.normal(0, between, images)[number]
    sizes = 200 * np.exp(shift + 0.3 * rng.standard_normal(len(number)))
    return SizeSample(sizes, rng.uniform(1, 1.3, len(sizes)), number)


def rng():
    return np.random.default_rng(0)


def test_resampled_statistics_are_those_of_repeated_images():
    sample = simulated(5, rng())
    drawn = resampled_statistics(sample, rng(), 8)
    times = rng().multinomial(5, np.full(5, 0.2), 8)
    for row, of_image in zip(drawn, times, strict=True):
        index = np.concatenate([np.flatnonzero(sample.images == n) for n in range(5) for _ in range(of_image[n])])
        np.testing.assert_allclose(row, statistics(sample[index]))


def test_the_uncertainty_of_a_mean_of_like_images_is_the_textbook_s():
    """With equal numbers the mean is that of the images' means, whose standard error is s/√M."""
    number = np.repeat(np.arange(12), 30)
    sizes = 200 + 10 * rng().standard_normal(12)[number] + rng().standard_normal(360)
    found = size_intervals(SizeSample(sizes, np.ones(360), number), rng(), 4000)["mean"]
    of_images = sizes.reshape(12, 30).mean(axis=1)
    assert found.std == pytest.approx(of_images.std(ddof=1) / np.sqrt(12), rel=0.05)
    expected = stats.ttest_1samp(of_images, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.005)
    assert (found.dof, found.images, found.particles, found.scope) == (11, 12, 360, BETWEEN_IMAGES)


def test_a_single_image_is_labelled_and_its_particles_are_drawn():
    sizes = 200 + 10 * rng().standard_normal(400)
    found = size_intervals(SizeSample(sizes, np.ones(400), np.full(400, 3)), rng())["mean"]
    assert found.std == pytest.approx(sizes.std(ddof=1) / 20, rel=0.05)
    assert (found.scope, found.images, found.dof) == (WITHIN_IMAGE, 1, 399)


def test_a_small_simulation_covers():
    """The table is tools/benchmarks/interval_coverage.py's; four images of which a bootstrap alone covers some 75 %."""
    generator, hits = rng(), np.zeros(3)
    spread = np.hypot(0.1, 0.3)
    truth = 200 * np.exp(spread * stats.norm.ppf([0.1, 0.5, 0.9]))
    for _ in range(150):
        found = size_intervals(simulated(4, generator), generator, 200)
        hits += [found[name].low <= true <= found[name].high for name, true in zip(STATISTICS, truth, strict=False)]
    assert (hits / 150 > 0.9).all(), hits


def test_the_unit_scales_through_and_the_seed_repeats():
    sample = simulated(6, rng())
    in_px = SizeSample(sample.sizes / 7, sample.weights, sample.images)
    for name in STATISTICS:
        nm, px = size_intervals(sample, rng(), 300)[name], size_intervals(in_px, rng(), 300)[name]
        assert (nm.value, nm.low, nm.high, nm.std) == pytest.approx((7 * px.value, 7 * px.low, 7 * px.high, 7 * px.std))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_particles_have_no_interval(count):
    found = size_intervals(SizeSample([5.0] * count, [1.0] * count, [0] * count), rng())
    assert np.isnan([[one.low, one.high, one.std, one.dof] for one in found.values()]).all()
    assert np.isnan(found["D50"].value) == (count == 0)
