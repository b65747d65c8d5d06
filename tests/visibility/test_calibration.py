"""Calibration of probabilities and coverage of intervals, on data whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from semsize.visibility.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability_table,
    with_temperature,
)
from semsize.visibility.conformal import fit_intervals


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def drawn_labels(probabilities, rng):
    return (np.cumsum(probabilities, axis=1) < rng.random((len(probabilities), 1))).sum(axis=1)


def error_of(probabilities, labels):
    likeliest = probabilities.argmax(axis=1)
    return expected_calibration_error(reliability_table(probabilities.max(axis=1), likeliest == labels))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_applied_is_found_and_undone(temperature, rng):
    true = rng.dirichlet([0.6, 0.6, 0.6], 20_000)
    labels = drawn_labels(true, rng)
    stated = with_temperature(true, 1 / temperature)
    found = fit_temperature(stated, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    assert error_of(with_temperature(stated, found), labels) < 0.012


def test_calibrated_statements_have_a_small_error_and_shifted_ones_a_large_one(rng):
    stated = rng.uniform(0, 1, 20_000)
    happened = rng.random(20_000) < stated
    table = reliability_table(stated, happened)
    assert expected_calibration_error(table) < 0.01
    assert sum(row.observed_low <= row.stated <= row.observed_high for row in table) >= 8  # of 10, each with 95 %
    shifted = np.clip(stated + 0.2, 0, 1)
    assert expected_calibration_error(reliability_table(shifted, happened)) == pytest.approx(0.18, abs=0.01)


def test_a_temperature_keeps_the_order_of_the_classes(rng):
    probabilities = rng.dirichlet(np.ones(5), 100)
    cooled = with_temperature(probabilities, 4.0)
    np.testing.assert_array_equal(cooled.argsort(axis=1), probabilities.argsort(axis=1))
    np.testing.assert_allclose(cooled.sum(axis=1), 1)
    np.testing.assert_allclose(with_temperature(probabilities, 1.0), probabilities)


def test_table_counts_every_statement_once_edges_included():
    table = reliability_table([0.0, 0.1, 0.5, 1.0], [False, False, True, True])
    assert [row.count for row in table] == [1, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert np.isnan(table[2].observed)
    assert np.isnan(expected_calibration_error(reliability_table([], [])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_temperature(np.ones((2, 1)), [0]), "as many labels"),
        (lambda: with_temperature(np.ones((2, 1)), 0), "must be positive"),
        (lambda: reliability_table([1.2], [True]), "lie in 0 to 1"),
        (lambda: reliability_table([0.2], [True, False]), "must be"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def simulated(count, rng):
    """Predicted fractions and sizes, and true sizes whose errors are skewed and wider where less is seen."""
    fractions, predicted = rng.uniform(0.4, 1, count), rng.lognormal(4, 0.3, count)
    spread = 0.02 + 0.3 * (1 - fractions) * (60 / predicted)
    return fractions, predicted, predicted * (1 + spread * (rng.gamma(2, 1, count) - 1))


EDGES = {"fraction_edges": [0.4, 0.6, 0.8, 1.0], "size_edges": [10, 45, 65, 200]}


def test_intervals_hold_the_stated_share_in_every_bin(rng):
    fitted = fit_intervals(*simulated(18_000, rng), **EDGES)
    fractions, predicted, true = simulated(40_000, rng)
    ends = fitted.of(fractions, predicted)
    inside = (ends[:, 0] <= true) & (true <= ends[:, 1])
    rows, columns = np.digitize(fractions, [0.6, 0.8]), np.digitize(predicted, [45, 65])
    for place in np.ndindex(3, 3):
        chosen = (rows == place[0]) & (columns == place[1])
        count, calibration = int(chosen.sum()), int(fitted.counts[place])
        expected = stats.betabinom(count, 0.95 * (calibration + 1), 0.05 * (calibration + 1))
        assert expected.ppf(1e-4) <= inside[chosen].sum() <= expected.ppf(1 - 1e-4)
    widths = fitted.high - fitted.low
    assert (np.diff(widths, axis=0) < 0).all()  # the more is seen, the narrower


def test_small_bins_cover_enough_on_average(rng):
    """With 39 particles the ends are the extremes: coverage 38 / 40 exactly, on average over calibration sets."""
    covered = []
    for _ in range(400):
        fitted = fit_intervals(
            np.ones(39), np.ones(39), rng.lognormal(0, 1, 39), fraction_edges=[0, 1], size_edges=[0, 9]
        )
        ends = fitted.of([1.0], [1.0])[0]
        covered.append(stats.lognorm(1).cdf(ends[1]) - stats.lognorm(1).cdf(ends[0]))
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * np.std(covered) / 20)


def test_too_few_particles_give_no_interval():
    fitted = fit_intervals(np.ones(38), np.ones(38), np.ones(38), fraction_edges=[0, 1], size_edges=[0, 9])
    np.testing.assert_array_equal(fitted.of([1.0], [2.0]), [[0, np.inf]])
    assert fitted.counts.tolist() == [[38]]


def test_intervals_scale_with_the_unit(rng):
    fractions, predicted, true = simulated(5000, rng)
    in_px = fit_intervals(fractions, predicted, true, **EDGES)
    in_nm = fit_intervals(
        fractions,
        7 * predicted,
        7 * true,
        fraction_edges=EDGES["fraction_edges"],
        size_edges=7 * np.array(EDGES["size_edges"]),
    )
    np.testing.assert_allclose(in_nm.of(fractions, 7 * predicted), 7 * in_px.of(fractions, predicted))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fraction_edges": [1, 0]}, "fraction_edges must be"),
        ({"size_edges": [1]}, "size_edges must be"),
        ({"confidence": 1.0}, "confidence must"),
    ],
)
def test_wrong_settings_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        fit_intervals(np.ones(3), np.ones(3), np.ones(3), **{**EDGES, **changed})


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        fit_intervals(np.ones(1), np.zeros(1), np.ones(1), **EDGES)
