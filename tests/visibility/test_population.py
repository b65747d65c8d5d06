"""Sizes of the fully imaged particles from probabilities: closed forms and what the weights are there for."""

import numpy as np
import pytest

from semsize.metrology.intervals import STATISTICS, size_intervals, statistics
from semsize.metrology.size_distribution import SizeSample
from semsize.visibility.population import fully_imaged_population

COUNT = 600


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def outlines(rng):
    return rng.lognormal(4, 0.4, COUNT), np.repeat(np.arange(12), COUNT // 12)


def population(sizes, images, p, p_particle=None, border=None, seed=1):
    ones = np.ones(len(sizes))
    return fully_imaged_population(
        sizes,
        images,
        p_fully_imaged=p,
        p_particle=ones if p_particle is None else p_particle,
        border_weights=ones if border is None else border,
        rng=np.random.default_rng(seed),
    )


def values(found):
    return np.array([found.intervals[name].value for name in STATISTICS])


def test_certain_states_give_the_chosen_particles_intervals_included(outlines, rng):
    sizes, images = outlines
    chosen = rng.random(COUNT) < 0.5
    found = population(sizes, images, chosen.astype(float))
    alone = SizeSample(sizes[chosen], np.ones(chosen.sum()), images[chosen])
    assert found.intervals == size_intervals(alone, np.random.default_rng(1))
    assert (found.expected_count, found.expected_count_std) == (chosen.sum(), 0)


def test_equal_probabilities_change_no_size(outlines):
    sizes, images = outlines
    found = population(sizes, images, np.full(COUNT, 0.3), np.full(COUNT, 0.5))
    np.testing.assert_allclose(values(found), statistics(SizeSample(sizes, np.ones(COUNT), images)))
    assert found.expected_count == pytest.approx(0.15 * COUNT)
    assert found.expected_count_std == pytest.approx(np.sqrt(COUNT * 0.15 * 0.85))


def test_both_probabilities_and_the_border_weight_multiply():
    found = population(
        np.array([10.0, 40.0]), np.array([0, 1]), np.array([0.5, 0.25]), np.array([0.8, 0.4]), np.array([1.5, 3.0])
    )
    np.testing.assert_allclose(found.sample.weights, [0.6, 0.3])
    assert found.intervals["mean"].value == pytest.approx(20)  # (0.6 · 10 + 0.3 · 40) / 0.9
    assert found.expected_count == pytest.approx(0.5)


def test_an_outline_at_the_border_and_one_surely_hidden_are_left_out():
    found = population(
        np.array([10.0, 20.0, 30.0]), np.zeros(3, int), np.array([1.0, 0.0, 1.0]), border=np.array([np.nan, 1, 1])
    )
    assert found.sample.sizes.tolist() == [30]
    assert found.expected_count == 1


def test_weights_are_unbiased_where_a_threshold_chooses_by_size(rng):
    """Small particles are judged with less confidence, so that a threshold loses them; calibrated weights do not."""
    sizes = rng.lognormal(4, 0.4, 60_000)
    is_sharp = rng.random(len(sizes)) < 1 / (1 + np.exp(-(sizes - 50) / 8))  # told apart surely: large ones
    p = np.where(is_sharp, rng.choice([0.02, 0.98], len(sizes)), rng.choice([0.35, 0.65], len(sizes)))
    full = rng.random(len(sizes)) < p
    images = np.arange(len(sizes)) % 50
    truth = np.median(sizes[full])
    weighted = population(sizes, images, p).intervals["D50"]
    assert weighted.low < truth < weighted.high
    assert weighted.value == pytest.approx(truth, rel=0.01)
    assert np.median(sizes[p > 0.9]) > 1.1 * truth


@pytest.mark.parametrize("wrong", [np.array([1.2, 0.0]), np.array([np.nan, 0.0])])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="fully imaged must lie in 0 to 1"):
        population(np.ones(2), np.zeros(2, int), wrong)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="must be"):
        population(np.ones(2), np.zeros(2, int), np.ones(3))
