"""Visible fraction to states: closed forms, the renderer's own states, and thresholds found again."""

import numpy as np
import pytest
from scipy import stats

from semsize.structures.states import STATES, VISIBILITY_CLASSES, visibility_class
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.states import (
    BINS,
    StateThresholds,
    class_probabilities,
    cumulative,
    fit_thresholds,
    hidden_shares,
    mean_fraction,
    state_probabilities,
)


def exact(fractions):
    """Distributions with all probability in the bin of each fraction."""
    bins = np.minimum((np.asarray(fractions) * BINS).astype(int), BINS - 1)
    return np.eye(BINS)[bins]


def beta_distributions(means, concentration):
    """(N, BINS) distributions of beta variables, and their frozen scipy distributions."""
    frozen = stats.beta(means * concentration, (1 - means) * concentration)
    ends = np.array([frozen.cdf(end) for end in np.linspace(0, 1, BINS + 1)]).T
    return np.diff(ends, axis=1), frozen


def test_uniform_distribution_has_the_probabilities_of_lengths():
    uniform = np.full((1, BINS), 1 / BINS)
    np.testing.assert_allclose(class_probabilities(uniform), [[0.02, 0.58, 0.4]], atol=1e-12)
    np.testing.assert_allclose(class_probabilities(uniform, StateThresholds(0.933, 0.251)), [[0.067, 0.682, 0.251]])
    assert mean_fraction(uniform) == pytest.approx(0.5)


def test_classes_agree_with_the_rule_for_every_bin():
    fractions = (np.arange(BINS) + 0.5) / BINS
    classes = [VISIBILITY_CLASSES[k] for k in class_probabilities(exact(fractions)).argmax(axis=1)]
    assert classes == [visibility_class(fraction) for fraction in fractions]


def test_class_probabilities_add_up_to_one():
    distributions = np.random.default_rng(0).dirichlet(np.full(BINS, 0.1), 100)
    probabilities = class_probabilities(distributions, StateThresholds(0.91, 0.37))
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("wrong", [[[0.5, 0.4]], [[1.5, -0.5]]])
def test_what_is_no_distribution_is_refused(wrong):
    with pytest.raises(ValueError, match="add up to 1"):
        cumulative(wrong, (0.5,))


def test_thresholds_that_descend_are_refused():
    with pytest.raises(ValueError, match="must ascend"):
        StateThresholds(complete=0.3, masked=0.4)


def test_hidden_shares_and_states_are_those_of_the_renderer():
    truth = render_image(RenderSettings(seed=5, shape=(256, 320), preset="agglomerated", particles=70), 1).truth
    hides = hidden_shares(truth.visible, truth.full)
    assert hides.keys() == truth.hides.keys()
    assert all(hides[pair] == pytest.approx(share) for pair, share in truth.hides.items())
    classes = class_probabilities(exact(truth.visible_fractions))
    states = [STATES[k] for k in state_probabilities(truth.visible, classes, hides).argmax(axis=1)]
    assert states == truth.states
    assert len(set(states)) >= 4


@pytest.mark.parametrize("thresholds", [StateThresholds(), StateThresholds(0.9, 0.25), StateThresholds(0.8, 0.55)])
def test_known_thresholds_are_found_again(thresholds):
    rng = np.random.default_rng(1)
    distributions, frozen = beta_distributions(rng.beta(3, 1.2, 4000), concentration=30)
    fractions = frozen.rvs(random_state=rng)
    codes = np.where(fractions >= thresholds.complete, 0, np.where(fractions >= thresholds.masked, 1, 2))
    lapsed = rng.random(4000) < 0.06
    codes[lapsed] = rng.integers(0, 3, lapsed.sum())
    fitted = fit_thresholds(distributions, [VISIBILITY_CLASSES[code] for code in codes])
    assert fitted.thresholds.complete == pytest.approx(thresholds.complete, abs=0.015)
    assert fitted.thresholds.masked == pytest.approx(thresholds.masked, abs=0.025)
    assert fitted.lapse_rate == pytest.approx(0.06, abs=0.03)


def test_one_impossible_class_does_not_move_the_thresholds():
    fractions = np.linspace(0.01, 0.99, 99)
    classes = [visibility_class(fraction) for fraction in fractions]
    before = fit_thresholds(exact(fractions), classes).thresholds
    assert before.complete == pytest.approx(0.98, abs=0.02)
    assert before.masked == pytest.approx(0.4, abs=0.02)
    classes[5] = "complete"
    assert fit_thresholds(exact(fractions), classes).thresholds == before


def test_a_class_that_does_not_occur_is_named():
    with pytest.raises(ValueError, match="unusable"):
        fit_thresholds(np.eye(2), ["masked", "complete"])
