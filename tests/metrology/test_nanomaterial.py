"""The share below a size and what can be said of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from semsize.metrology import NANO_LIMIT_NM, SizeSample, share_below


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


def test_weights_count():
    found = share_below(sample(2, 2, weights=[3, 3, 1, 1]), 100.0)
    assert found.share == 0.75


def test_a_single_image_or_no_particles_are_said():
    assert share_below(sample(50, 50), 100.0).scope == "within one image only"
    nothing = share_below(sample(0, 0), 100.0)
    assert (nothing.low, nothing.high, nothing.decision, np.isnan(nothing.share)) == (0, 1, "not decided", True)
    assert share_below(sample(1, 0), 100.0).decision == "not decided"
