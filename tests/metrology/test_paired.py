"""Intervals hold what they say."""

import numpy as np
import pytest
from scipy import stats

from semsize.metrology.intervals import paired_difference, t_interval


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
    """80 times two equal methods, three seeds each: images alone would see a difference in most."""
    rng = np.random.default_rng(3)
    kept = {"both": 0, "images": 0}
    for _ in range(80):
        run, base = (rng.normal(0, 0.1, (3, 1)) + rng.normal(0, 0.05, (3, 25)) for _ in range(2))
        both = paired_difference(mean_of(run), mean_of(base), 25, rng)
        images = paired_difference(mean_of(run.mean(axis=0)), mean_of(base.mean(axis=0)), 25, rng)
        kept["both"] += not both.is_shown
        kept["images"] += not images.is_shown
    assert kept["both"] >= 0.75 * 80
    assert kept["images"] <= 0.4 * 80
