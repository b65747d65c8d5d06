"""Simulated samples of rendered images: intervals contain the truth only if all errors are known."""

import numpy as np
import powder_coverage as coverage
import pytest

from semsize.metrology import STATISTICS, NestedEffect, SystematicEffects, statistics
from semsize.metrology.bias_record import ResidualClass
from semsize.visibility.nesting import DensityStep, Population, StatisticEffect, StepEffects
from semsize.visibility.population import QUANTITY_FULLY_IMAGED, QUANTITY_POWDER

MEDIAN, SPREAD, BETWEEN = 30.0, 0.3, 0.05
SELECTION = 0.04  # by so much the logarithms of the fully imaged ones lie above those of the powder
NONE = dict.fromkeys(STATISTICS, ())
RESIDUALS = [ResidualClass(0, None, MEDIAN, 0.0, 1e-4, 1e-4, 9000, 40)]


def image(rng, found=1.0):
    """120 particles, fully imaged the first 80; the outlines found are so many times as large; five are no particle."""
    logs = np.log(MEDIAN) + rng.normal(0, BETWEEN) + SPREAD * rng.standard_normal(120)
    logs[:80] += SELECTION
    sizes, weights = np.exp(logs), np.ones(120)
    reported = np.append(found * sizes[:80], np.full(5, MEDIAN))
    stated = np.append(np.ones(80), np.full(5, 0.05))
    return coverage.ResampledImage(
        "scattered, 7 nm/px",
        Population(sizes, weights, np.arange(120)),
        Population(sizes[:80], weights[:80], np.arange(80)),
        Population(reported, stated, np.arange(85)),
        np.append(sizes[:80], np.full(5, np.nan)),
        0.1,
    )


def simulation(nested=NONE, calibration=0.01):
    effect = SELECTION / 3  # 80 of 120 are fully imaged
    step = StepEffects("selection", tuple(StatisticEffect(name, effect, 0.004, 0.004, 30.0) for name in STATISTICS))
    effects = SystematicEffects(1.0, calibration, 0.0, RESIDUALS, nested=nested)
    return coverage.Simulation(effects, [DensityStep(0.0, 1.0, 30, step)], resamples=100)


@pytest.fixture(scope="module")
def groups():
    rng = np.random.default_rng(0)
    return coverage.grouped([image(rng) for _ in range(40)])


def row(rows, quantity):
    return next(row for row in rows if row[:2] == [quantity, "all"])


def test_intervals_hold_the_truth_as_often_as_they_say(groups):
    rows = coverage.simulate(groups, simulation(), 160, np.random.default_rng(1))
    for quantity in (QUANTITY_FULLY_IMAGED, QUANTITY_POWDER):
        _, _, samples, *shares, bound, half = row(rows, quantity)
        assert samples == 160
        assert min(shares) > 88
        assert bound < shares[1]
        assert 2 < half < 9


def test_an_error_that_the_budget_lacks_shows():
    rng = np.random.default_rng(0)
    wrong = coverage.grouped([image(rng, found=1.12) for _ in range(40)])
    unknown = coverage.simulate(wrong, simulation(), 60, np.random.default_rng(1))
    assert row(unknown, QUANTITY_POWDER)[4] < 60
    outline = {name: (NestedEffect("states", 0.11, 0.11, 30.0),) for name in STATISTICS}
    known = coverage.simulate(wrong, simulation(outline), 60, np.random.default_rng(1))
    assert row(known, QUANTITY_POWDER)[4] > 90


def test_a_population_has_the_drawn_mean_and_spread(groups):
    [group] = groups.values()
    tilt = coverage.Tilt.drawn(group, np.random.default_rng(3))
    assert tilt.new_mean != pytest.approx(tilt.mean, abs=1e-3)
    truth = simulation().truth(group, tilt)
    expected = tilt.new_mean + tilt.new_spread * np.array([-1.2816, 0, 1.2816])
    np.testing.assert_allclose(np.log(truth[QUANTITY_POWDER][:3]), expected, atol=0.02)
    exact = simulation(calibration=0)
    samples = [exact.sample(group, tilt, rng)[0] for rng in map(np.random.default_rng, range(30))]
    pooled = coverage.SizeSample(
        *(np.concatenate([getattr(sample, name) for sample in samples]) for name in ("sizes", "weights", "images"))
    )
    np.testing.assert_allclose(statistics(pooled), truth[QUANTITY_FULLY_IMAGED], rtol=0.015)
    np.testing.assert_array_equal(tilt(np.array([np.nan])), [1])


def test_groups_of_few_images_are_left_out_and_none_is_an_error(groups):
    [(name, group)] = groups.items()
    few = [coverage.replace(image, group="matrix, 7 nm/px") for image in group[:4]]
    assert list(coverage.grouped([*group, *few])) == [name]
    with pytest.raises(ValueError, match="render more"):
        coverage.grouped(few)
