"""Intervals have their stated coverage, and whole images are resampled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from semsize.metrology import NANO_LIMIT_NM, STATISTICS, SizeSample, share_below, size_intervals, statistics
from semsize.metrology.intervals import (
    BETWEEN_IMAGES,
    WITHIN_IMAGE,
    paired_difference,
    resampled_statistics,
    t_interval,
)


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


def mean_of(values):
    """The mean over images, of one seed (n,) or several (S, n)."""
    return lambda index: np.atleast_2d(values)[:, index].mean(axis=1)


def test_the_t_interval_is_student_s():
    values = np.array([0.1, 0.2, -0.05, 0.3, np.nan, 0.12])
    expected = stats.ttest_1samp(values[~np.isnan(values)], 0).confidence_interval(0.95)
    found = t_interval(values)
    assert (found.low, found.high, found.images) == (pytest.approx(expected.low), pytest.approx(expected.high), 5)
    assert np.isnan(t_interval(np.array([0.1])).low)
    assert "too few" in str(t_interval(np.array([0.1])))


def test_fewer_than_20_images_give_t_and_more_a_bootstrap():
    rng = np.random.default_rng(0)
    base = rng.normal(0.5, 0.2, 40)
    better = base + rng.normal(0.05, 0.02, 40)
    small = paired_difference(mean_of(better[:19]), mean_of(base[:19]), 19, rng)
    large = paired_difference(mean_of(better), mean_of(base), 40, rng)
    assert (small.method, large.method, large.images) == ("t", "bootstrap", 40)
    assert small.is_shown
    assert large.low < 0.05 < large.high
    assert large.difference == pytest.approx((better - base).mean())
    exact = stats.ttest_rel(better, base).confidence_interval(0.95)
    assert (large.low, large.high) == pytest.approx((exact.low, exact.high), abs=0.003)


def test_a_run_differs_not_from_itself():
    values = np.random.default_rng(1).random(30)
    for count in (6, 30):
        same = paired_difference(mean_of(values), mean_of(values), count, np.random.default_rng(0))
        assert not same.is_shown
        assert "no difference shown" in str(same)


def test_of_two_seeds_each_the_interval_reaches_from_the_least_to_the_largest_difference():
    run, base = np.repeat([[3.0], [5.0]], 20, axis=1), np.repeat([[0.0], [1.0]], 20, axis=1)
    found = paired_difference(mean_of(run), mean_of(base), 20, np.random.default_rng(0))
    assert (found.difference, found.low, found.high, found.seeds) == (3.5, 2.0, 5.0, (2, 2))


def test_one_seed_on_a_side_leaves_the_seeds_spread_out():
    run, base = np.repeat([[3.0], [5.0]], 20, axis=1), np.zeros(20)
    found = paired_difference(mean_of(run), mean_of(base), 20, np.random.default_rng(0))
    assert (found.low, found.high, found.seeds) == (4.0, 4.0, None)


def test_images_and_seeds_add_their_variances():
    rng = np.random.default_rng(2)
    images, seeds = 60, 12
    gain, ours, theirs = rng.normal(0, 0.3, images), rng.normal(0, 0.1, (seeds, 1)), rng.normal(0, 0.15, (seeds, 1))
    shared = rng.normal(0, 5, images)  # of the images, in both runs: no part of their difference
    found = paired_difference(mean_of(shared + gain + ours), mean_of(shared + theirs), images, rng)
    variance = gain.var() / images + (ours.var(ddof=1) + theirs.var(ddof=1)) / seeds
    half = 1.96 * np.sqrt(variance)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.07)
    assert (found.high + found.low) / 2 == pytest.approx(found.difference, abs=0.15 * half)


def test_seeds_in_the_interval_keep_what_it_says_where_seeds_differ_more_than_images():
    """40 times two equal methods, three seeds each: images alone would see a difference in most."""
    rng = np.random.default_rng(3)
    kept = {"both": 0, "images": 0}
    for _ in range(40):
        run, base = (rng.normal(0, 0.1, (3, 1)) + rng.normal(0, 0.05, (3, 25)) for _ in range(2))
        both = paired_difference(mean_of(run), mean_of(base), 25, rng)
        images = paired_difference(mean_of(run.mean(axis=0)), mean_of(base.mean(axis=0)), 25, rng)
        kept["both"] += not both.is_shown
        kept["images"] += not images.is_shown
    assert kept["both"] >= 0.75 * 40
    assert kept["images"] <= 0.4 * 40


def sample(small, large, images=1, weights=None):
    """So many particles of 50 and of 150 nm, dealt to the images in turn."""
    sizes = np.repeat([50.0, 150.0], [small, large])
    return SizeSample(sizes, np.ones(len(sizes)) if weights is None else weights, np.arange(len(sizes)) % images)


@given(st.integers(0, 60), st.integers(30, 60))
def test_independent_particles_have_clopper_and_pearsons_interval_or_a_little_more(small, large):
    found = share_below(sample(small, large), NANO_LIMIT_NM)
    exact = stats.binomtest(small, small + large).proportion_ci(0.95, "exact")
    assert found.share == pytest.approx(small / (small + large))
    assert found.low <= exact.low + 1e-9
    assert found.high >= exact.high - 1e-9
    assert (found.low, found.high) == pytest.approx(tuple(exact), abs=0.02)


@pytest.mark.parametrize(
    ("small", "large", "decision"),
    [(10, 190, "below"), (190, 10, "above"), (100, 100, "not decided"), (0, 100, "below"), (100, 0, "above")],
)
def test_a_decision_needs_the_whole_interval_on_one_side(small, large, decision):
    assert share_below(sample(small, large, images=5), 100.0).decision == decision
    assert share_below(sample(large, small, images=5), 100.0).decision == {"below": "above", "above": "below"}.get(
        decision, decision
    )


def test_exactly_the_limit_counts_as_below():
    assert share_below(SizeSample([100.0, 101], [1, 1], [0, 0]), 100.0).share == 0.5


def test_images_that_differ_widen_the_interval():
    sizes = np.repeat([50.0, 50, 150, 50], 50)
    alike, unlike = (
        share_below(SizeSample(sizes, np.ones(200), images), 100.0)
        for images in (np.tile(np.arange(4), 50), np.repeat(np.arange(4), 50))
    )
    assert alike.share == unlike.share == 0.75
    assert (alike.decision, unlike.decision) == ("above", "not decided")


def test_an_error_that_all_sizes_share_moves_particles_across_the_limit():
    sizes = np.linspace(60, 130, 701)  # a hundredth of them in each 0.7 nm: 57 % below
    data = SizeSample(sizes, np.ones(701), np.arange(701) % 10)
    exact, shared = share_below(data, 100.0), share_below(data, 100.0, size_std=7.0)
    assert exact.decision == "above"
    assert shared.decision == "not decided"
    assert (shared.high - shared.low) / 2 == pytest.approx(2.3 * 0.1, rel=0.1)


@pytest.mark.parametrize(("size", "near", "decision"), [(80.0, 99.0, "above"), (150.0, 101.0, "below")])
def test_one_particle_near_the_limit_does_not_undo_a_decision(size, near, decision):
    sizes = np.full(1000, size)
    images = np.arange(1000) % 10
    exact = share_below(SizeSample(sizes, np.ones(1000), images), 100.0, size_std=2.0)
    sizes[0] = near
    found = share_below(SizeSample(sizes, np.ones(1000), images), 100.0, size_std=2.0)
    assert found.decision == exact.decision == decision
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.005)


def test_weights_count():
    found = share_below(sample(2, 2, weights=[3, 3, 1, 1]), 100.0)
    assert found.share == 0.75


def test_a_single_image_or_no_particles_are_said():
    assert share_below(sample(50, 50), 100.0).scope == "within one image only"
    nothing = share_below(sample(0, 0), 100.0)
    assert (nothing.low, nothing.high, nothing.decision, np.isnan(nothing.share)) == (0, 1, "not decided", True)
    assert share_below(sample(1, 0), 100.0).decision == "not decided"
