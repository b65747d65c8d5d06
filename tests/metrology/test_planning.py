"""More particles help against sampling only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.metrology import STATISTICS, SystematicEffects, particles_needed, size_budgets
from semsize.metrology.intervals import BETWEEN_IMAGES, WITHIN_IMAGE, SamplingInterval


def budget(std=8.0, images=6, reference_px=0.0, scope=BETWEEN_IMAGES, particles=600):
    dof = images - 1.0 if images > 1 else particles - 1.0
    interval = SamplingInterval(200.0, 0, 0, std, dof, images, particles, scope)
    effects = SystematicEffects(7.344, 0.0, reference_px, residuals=None)
    intervals = dict.fromkeys(STATISTICS, interval)
    return size_budgets(intervals, dict.fromkeys(STATISTICS, 200.0), effects, quantity="", states_known=True)["D50"]


@given(st.floats(0.005, 0.3), st.floats(1, 20), st.integers(2, 40))
def test_the_number_is_the_least_that_meets_the_target(target, std, images):
    needed = particles_needed(budget(std, images), target, 600, images)

    def reached(count):
        return budget(std * (images / count) ** 0.5, count).relative_expanded <= target * (1 + 1e-9)

    assert reached(needed.images)
    assert needed.images == 2 or not reached(needed.images - 1)
    assert needed.particles == pytest.approx(600 * needed.images / images, abs=1)


def test_half_the_uncertainty_takes_four_times_as_many():
    now, half = (particles_needed(budget(images=400), target, 40000, 400) for target in (0.02, 0.01))
    assert half.images / now.images == pytest.approx(4, rel=0.02)


def test_what_all_particles_share_sets_a_limit():
    assert budget(0.0, reference_px=0.6).relative_expanded > 0.04
    none = particles_needed(budget(reference_px=0.6), 0.04, 600, 6)
    assert (none.particles, none.images) == (None, None)
    assert "alone exceed the target" in none.reason
    assert particles_needed(budget(reference_px=0.6), 0.05, 600, 6).images > 6


def test_a_single_image_counts_its_particles():
    one = budget(4.0, images=1, scope=WITHIN_IMAGE)
    needed = particles_needed(one, one.relative_expanded / 2, 600, 1)
    assert needed.images in (4, 5)
    assert particles_needed(budget(float("nan")), 0.05, 1, 1).reason == "the present sample is too small to tell"
