"""Weights stand for repetition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scenes import squares
from semsize.metrology import SizeSample, area_fraction, statistics
from semsize.metrology.size_distribution import effective_number, weighted_quantiles

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
