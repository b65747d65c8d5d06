"""Distributions against closed forms of the log-normal one and against repetition."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

import tio2
from scenes import squares
from semsize.metrology import SizeSample, area_fraction, cumulative, quantile_points, size_distribution, statistics
from semsize.metrology.size_distribution import (
    LogNormalFit,
    distribution_errors,
    effective_number,
    fit_log_normal,
    quantiles,
    weighted_quantiles,
)

SPREAD = np.log(1.4)


def plain(sizes, weights=None):
    weights = np.ones(len(sizes)) if weights is None else weights
    return SizeSample(sizes, weights, np.zeros(len(sizes)))


def log_normal(count=20001, median=200.0):
    """Sizes at the middles of equal shares of a log-normal distribution."""
    return median * np.exp(SPREAD * stats.norm.ppf((np.arange(count) + 0.5) / count))


def test_a_log_normal_sample_has_the_closed_forms():
    found = size_distribution(plain(log_normal()))
    expected = stats.lognorm(SPREAD, scale=200)
    assert (found.d10, found.d50, found.d90) == pytest.approx(tuple(expected.ppf([0.1, 0.5, 0.9])), rel=1e-3)
    assert (found.mean, found.std) == pytest.approx((expected.mean(), expected.std()), rel=2e-3)
    assert (found.geometric_mean, found.geometric_std) == pytest.approx((200, 1.4), rel=1e-3)
    assert (found.fit.median, found.fit.geometric_std) == pytest.approx((200, 1.4), rel=1e-3)
    assert found.fit.goodness < 1e-3
    by_volume = stats.lognorm(SPREAD, scale=200 * np.exp(3 * SPREAD**2)).ppf([0.1, 0.5, 0.9])  # Hatch and Choate
    assert (found.d10_volume, found.d50_volume, found.d90_volume) == pytest.approx(tuple(by_volume), rel=3e-3)


@given(st.lists(st.tuples(st.floats(1, 300), st.integers(1, 5)), min_size=3, max_size=20))
@example([(1.0, 1), (1.0, 1), (1.0000000000000002, 1)])
def test_weights_are_repetitions(pairs):
    sizes, times = np.array(pairs).T
    weighted = size_distribution(plain(sizes, times))
    repeated = size_distribution(plain(np.repeat(sizes, times.astype(int))))
    for name in ("d10", "d50", "d90", "d10_volume", "d50_volume", "d90_volume", "mean", "geometric_mean"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name)), name
    if weighted.fit is not None:
        # sizes that differ in the last place only have a spread of 1 and no goodness
        assert vars(weighted.fit) == pytest.approx(vars(repeated.fit), abs=1e-9, nan_ok=True)


def test_equal_weights_give_the_usual_standard_deviation():
    sizes = np.array([3.0, 4, 8, 9])
    assert size_distribution(plain(sizes, np.full(4, 2.5))).std == pytest.approx(sizes.std(ddof=1))


def test_the_goodness_is_kolmogorovs_distance_to_the_fit():
    sizes = np.random.default_rng(0).gamma(3, 50, 200)
    fit = fit_log_normal(plain(sizes))
    assert fit.goodness == pytest.approx(stats.kstest(sizes, fit.cumulative).statistic)
    shape, _, scale = stats.lognorm.fit(sizes, floc=0)
    assert (fit.median, fit.geometric_std) == pytest.approx((scale, np.exp(shape)), rel=1e-4)
    grid = np.array([50.0, 100, 250])
    np.testing.assert_allclose(fit.density(grid), stats.lognorm.pdf(grid, shape, 0, scale), rtol=1e-4)
    np.testing.assert_allclose(fit.cumulative(fit.quantiles(np.array([0.05, 0.7]))), [0.05, 0.7])


def test_cumulative_distributions_step_to_one():
    steps = cumulative(plain([2.0, 1.0, 2.0, 4.0], [1, 3, 1, 3]))
    np.testing.assert_array_equal(steps.sizes, [1, 2, 4])
    np.testing.assert_allclose(steps.number, [3 / 8, 5 / 8, 1])
    np.testing.assert_allclose(steps.volume, np.cumsum([3, 16, 192]) / 211)


def test_quantile_points_of_a_fitting_sample_lie_on_the_diagonal():
    sizes = log_normal(501)
    fitted, measured = quantile_points(plain(sizes[::-1]), LogNormalFit(200.0, 1.4, 0.0))
    np.testing.assert_allclose(fitted, measured)


def test_too_few_particles_have_no_spread_and_no_fit():
    none, one, two = (size_distribution(plain(np.arange(1.0, n + 1))) for n in range(3))
    assert np.isnan([none.d50, none.mean, none.d50_volume, one.std, one.geometric_std]).all()
    assert (none.count, none.fit, one.fit, two.fit) == (0, None, None, None)
    assert (one.d50, one.mean, two.d50) == (1, 1, 1.5)
    assert size_distribution(plain([5.0, 5, 5, 5])).fit is None
    assert cumulative(plain([])).number.shape == (0,)


@given(arrays.arrays(float, st.integers(2, 40), elements=st.floats(0.5, 500)))
def test_every_page_takes_one_definition_of_a_quantile(values):
    """Before, metrics.json and report.md interpolated where report.html did not."""
    expected = np.quantile(values, (0.1, 0.5, 0.9), method="averaged_inverted_cdf")
    sample = plain(values)
    whole = size_distribution(sample)  # report.html, record.json
    np.testing.assert_allclose([whole.d10, whole.d50, whole.d90], expected)
    np.testing.assert_allclose(statistics(sample)[:3], expected)  # its budgets and intervals
    np.testing.assert_allclose(quantiles(values), expected)  # metrics.json, report.md, figures, bias records
    errors = distribution_errors(np.full(3, 100.0), values)
    np.testing.assert_allclose([errors.d10_percent, errors.d50_percent, errors.d90_percent], expected - 100)


def test_no_module_that_prints_sizes_has_a_definition_of_its_own():
    package = Path(tio2.__file__).parent
    for room in ("metrology", "reporting", "measuring", "evaluation"):
        for module in (package / room).glob("*.py"):
            assert not re.search(r"(?<!`)np\.(quantile|percentile)\(", module.read_text(encoding="utf-8")), module


PROBABILITIES = (0.1, 0.25, 0.5, 0.9)
sizes = arrays.arrays(float, st.integers(1, 30), elements=st.floats(0.5, 500))


@given(sizes, st.data())
def test_weighted_quantiles_are_those_of_repeated_values(values, data):
    times = data.draw(arrays.arrays(int, len(values), elements=st.integers(1, 6)))
    expected = np.quantile(np.repeat(values, times), PROBABILITIES, method="averaged_inverted_cdf")
    np.testing.assert_allclose(weighted_quantiles(values, times, PROBABILITIES), expected)


@given(sizes, st.floats(0.01, 100))
def test_only_ratios_of_weights_count(values, weight):
    found = weighted_quantiles(values, np.full(len(values), weight), PROBABILITIES)
    np.testing.assert_allclose(found, np.quantile(values, PROBABILITIES, method="averaged_inverted_cdf"))
    assert weighted_quantiles(values, np.full(len(values), weight), (0.5,))[0] == pytest.approx(np.median(values))


@given(sizes, st.floats(0.01, 100))
def test_quantiles_scale_with_the_unit(values, factor):
    weights = 1 + np.arange(len(values)) % 3
    scaled = weighted_quantiles(factor * values, weights, PROBABILITIES)
    np.testing.assert_allclose(scaled, factor * weighted_quantiles(values, weights, PROBABILITIES))


@given(arrays.arrays(float, st.integers(1, 20), elements=st.floats(0.1, 10)))
def test_effective_number_is_at_most_the_number_and_that_for_equal_weights(weights):
    assert 1 - 1e-9 <= effective_number(weights) <= len(weights) + 1e-9
    assert effective_number(np.full(len(weights), 3.0)) == pytest.approx(len(weights))


def test_a_sample_indexes_to_itself_and_knows_its_images():
    sample = SizeSample([10, 20, 30, 40], [1, 1, 2, 4], [7, 7, 2, 9])
    assert (len(sample), sample.image_count, effective_number(sample.weights)) == (4, 3, pytest.approx(64 / 22))
    assert statistics(sample)[3] == pytest.approx((10 + 20 + 60 + 160) / 8)
    np.testing.assert_array_equal(sample[sample.images == 7].sizes, [10, 20])
    assert np.isnan(statistics(sample[:0])).all()
    assert effective_number(sample[:0].weights) == 0


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf])
def test_what_has_no_size_or_weight_is_refused(bad):
    with pytest.raises(ValueError, match="sizes of a sample must be positive"):
        SizeSample([bad], [1], [0])
    with pytest.raises(ValueError, match="weights of a sample must be positive"):
        SizeSample([1], [bad], [0])
    with pytest.raises(ValueError, match=r"\(N,\) each"):
        SizeSample([1, 2], [1], [0])


def test_area_fraction_is_that_of_the_frame_without_data_bar():
    masks = squares((120, 100), [(0, 0), (50, 50)], 20)
    assert area_fraction(masks, (100, 100)) == pytest.approx(0.08)
