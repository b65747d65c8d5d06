"""Intervals hold what they say."""

import numpy as np
import pytest
from scipy import stats

from tio2.metrology.paired import paired_difference, t_interval


def mean_of(values):
    return lambda index: float(np.mean(values[index]))


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
