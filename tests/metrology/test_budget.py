"""The budget adds up as the GUM says and names what it leaves out; more particles reduce only the sampling line."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.metrology import (
    STATISTICS,
    NestedEffect,
    OcclusionEffect,
    RendererEffect,
    SystematicEffects,
    particles_needed,
    size_budgets,
)
from semsize.metrology.bias_record import ResidualClass
from semsize.metrology.budget import coverage_factor, effective_dof
from semsize.metrology.effects import ONE_SIDED
from semsize.metrology.intervals import BETWEEN_IMAGES, WITHIN_IMAGE, SamplingInterval
from semsize.metrology.occlusion import QUANTITY_FULLY_IMAGED, QUANTITY_VISIBLE

RESIDUALS = (
    ResidualClass(0.0, 20.0, 14.0, -0.02, 0.003, 0.004, 200, 6),
    ResidualClass(20.0, None, 30.0, 0.01, 0.006, 0.008, 300, 6),
)
OCCLUSION = OcclusionEffect(-0.1, 0.05, 0.1, inside=True, log_std=0.05, dof=8.0)


def interval(value=200.0, std=3.0, dof=5.0, scope=BETWEEN_IMAGES):
    return SamplingInterval(value, value - 8, value + 8, std, dof, 6, 600, scope)


def budget(effects, *, sampling=None, name="D50", states_known=True, occlusion=None):
    intervals = {one: sampling or interval() for one in STATISTICS}
    return size_budgets(
        intervals,
        dict.fromkeys(STATISTICS, 198.0),
        effects,
        quantity=QUANTITY_FULLY_IMAGED if states_known else QUANTITY_VISIBLE,
        states_known=states_known,
        occlusion=occlusion,
    )[name]


def test_lines_add_in_squares():
    found = budget(SystematicEffects(7.344, 0.01, 0.5, RESIDUALS))
    stds = {line.source: line.std for line in found.lines}
    expected = {"sampling": 3.0, "calibration": 2.0, "reference": 0.5 * 7.344, "model": 200 * 0.01}
    assert stds == pytest.approx(expected)  # 200 nm are 27.2 px: the class around 30 px
    assert found.combined_std**2 == pytest.approx(sum(std**2 for std in expected.values()))
    assert (found.value, found.uncorrected, found.unit, found.label) == (200, 198, "nm", "")
    dof = found.combined_std**4 / (3.0**4 / 5 + 2.0**4 / 5)
    assert found.dof == pytest.approx(dof)
    assert found.expanded == pytest.approx(coverage_factor(dof) * found.combined_std)
    assert found.relative_expanded == pytest.approx(found.expanded / 200)
    assert found.en_number(200 - 5, reference_expanded=0.0) == pytest.approx(5 / found.expanded)
    assert (found.population_low, found.population_high) == pytest.approx((200 - found.expanded, 200 + found.expanded))


@given(st.lists(st.tuples(st.floats(0.1, 10), st.integers(1, 50)), min_size=1, max_size=6))
def test_effective_degrees_of_freedom_lie_between_the_least_and_the_sum(lines):
    stds, dofs = zip(*lines, strict=True)
    assert min(dofs) - 1e-9 <= effective_dof(stds, dofs) <= sum(dofs) + 1e-9


def test_welch_and_satterthwaite_as_in_the_gum():
    """GUM H.1.6, an end gauge: lines of 25, 9.7, 2.9 and 16.6 nm have 16 degrees of freedom together."""
    assert int(effective_dof([25, 9.7, 2.9, 16.6], [18, 25.6, 50, 2])) == 16
    assert effective_dof([1, 2], [np.inf, np.inf]) == np.inf
    assert coverage_factor(np.inf) == pytest.approx(1.96, abs=1e-3)
    assert coverage_factor(16) == pytest.approx(2.12, abs=1e-3)  # GUM Table G.2


NESTED = {
    "D50": (
        NestedEffect("overlooked", 0.006, 0.009, 20.0),
        NestedEffect("states", -0.012, 0.016, 20.0),
        NestedEffect("selection", 0.03, 0.011, 12.0, corrected=True),
        RendererEffect("selection", 0.02),
    )
}


def test_steps_of_predicted_states_are_lines_of_their_own():
    d50 = {"D50": interval()}
    effects = SystematicEffects(7.344, 0.01, 0.5, RESIDUALS, nested=NESTED)
    found = size_budgets(d50, {"D50": 198.0}, effects, quantity=QUANTITY_FULLY_IMAGED, states_known=True)["D50"]
    stds = {line.source: line.std for line in found.lines}
    assert list(stds)[4:] == ["overlooked", "states", "selection", "renderer"]
    assert stds["states"] == pytest.approx(200 * 0.016)
    assert stds["renderer"] == pytest.approx(200 * 0.02 / np.sqrt(3))
    renderer = found.lines[7]
    assert (renderer.evaluation, renderer.dof) == ("B", np.inf)
    assert renderer.note == "selection in scenes of another renderer: up to 2.0% off"
    assert found.combined_std**2 == pytest.approx(sum(std**2 for std in stds.values()))
    assert "-1.2%" in found.lines[5].note
    assert found.lines[6].note.endswith("; corrected")


def test_states_predicted_without_a_record_are_not_given():
    found = budget(SystematicEffects(7.344, 0.01, 0.5, RESIDUALS, nested={}))
    assert (found.lines[-1].source, found.lines[-1].std, found.label) == ("states", None, "states excluded")


def test_a_monte_carlo_propagation_gives_the_same_uncertainty():
    """GUM Supplement 1: all influences drawn at random, multiplied as they act, without Welch and Satterthwaite.

    Of many degrees of freedom: of few, its t distributions are wider than the GUM's own uncertainty by intent.
    """
    residuals = [replace(size_class, images=60) for size_class in RESIDUALS]
    *steps, renderer = NESTED["D50"]
    nested = {"D50": (*(replace(effect, dof=60.0) for effect in steps), renderer)}
    effects = SystematicEffects(7.344, 0.008, 0.3, residuals, nested=nested)
    d50 = {"D50": interval(std=2.5, dof=60.0)}
    found = size_budgets(d50, {"D50": 198.0}, effects, quantity=QUANTITY_FULLY_IMAGED, states_known=True)["D50"]
    rng, draws, lines = np.random.default_rng(0), 400_000, {line.source: line for line in found.lines}

    def influence(source):
        line = lines[source]
        shape = rng.standard_normal(draws) if np.isinf(line.dof) else rng.standard_t(line.dof, draws)
        return shape * line.std

    factors = [1 + influence("calibration") / found.value]
    factors += [np.exp(influence(source) / found.value) for source in ("model", "overlooked", "states", "selection")]
    factors.append(np.exp(rng.uniform(-renderer.half_width, renderer.half_width, draws)))
    drawn = (found.value + influence("sampling") + influence("reference")) * np.prod(factors, axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (high - low) / 2 == pytest.approx(found.expanded, rel=0.03)
    assert (high + low) / 2 == pytest.approx(found.value, rel=0.005)


def test_what_is_not_given_is_labelled():
    assert budget(SystematicEffects(7.344, None, 0.5, RESIDUALS)).label == "calibration excluded"
    bare = budget(SystematicEffects(7.344), sampling=interval(scope=WITHIN_IMAGE))
    assert bare.label == "calibration and model excluded, within one image only"
    assert {line.source: line.status for line in bare.lines} == {
        "sampling": WITHIN_IMAGE,
        "calibration": "not given",
        "reference": "",
        "model": "not given",
    }


def test_the_uncertainty_of_reading_a_scale_counts_and_is_no_calibration():
    found = budget(SystematicEffects(7.344, 0.002, 0.5, RESIDUALS, calibrated=False))
    line = next(line for line in found.lines if line.source == "calibration")
    assert (line.std, line.status) == (pytest.approx(0.4), "not given")
    assert "only of a scale bar in whole pixels, relative 0.20%; state --calibration-uncertainty" in line.note
    assert found.label == "calibration excluded"
    assert found.combined_std**2 == pytest.approx(sum(line.std**2 for line in found.lines))


def test_pixels_need_no_calibration_and_hand_drawn_outlines_no_model():
    found = budget(SystematicEffects(None, reference_std_px=0.0, residuals=None), sampling=interval(27.0, 0.4))
    assert (found.unit, found.label, found.combined_std) == ("px", "", pytest.approx(0.4))
    assert [line.status for line in found.lines] == ["", "not applicable", "", "not applicable"]
    with_model = SystematicEffects(None, residuals=RESIDUALS)
    assert with_model.std(27.0) == pytest.approx(np.hypot(0.6, 0.01 * 27))
    assert SystematicEffects(7.0, 0.02, residuals=RESIDUALS).std(70.0) == pytest.approx(
        np.sqrt(1.4**2 + 4.2**2 + (0.005 * 70) ** 2)
    )


def test_occlusion_is_one_sided_and_withheld_where_not_known():
    effects = SystematicEffects(7.344, 0.01, 0.5, RESIDUALS)
    known = budget(effects, states_known=False, occlusion=OCCLUSION)
    line = known.lines[-1]
    assert (line.source, line.status, line.std) == ("occlusion", ONE_SIDED, None)
    assert known.combined_std == budget(effects).combined_std
    assert "standard uncertainty 5.0%" in line.note
    assert known.population_low == pytest.approx(200 - known.expanded)
    relative = known.combined_std / 200
    freed = 200 / 0.9 * np.hypot(relative, 0.05)  # the effect's own uncertainty counts where it is taken off
    dof = (relative**2 + 0.05**2) ** 2 / (relative**4 / known.dof + 0.05**4 / 8)
    assert known.population_high == pytest.approx(200 / 0.9 + coverage_factor(dof) * freed)
    for withheld in (
        budget(effects, states_known=False),
        budget(effects, states_known=False, occlusion=OCCLUSION, name="D90"),
    ):
        assert (withheld.population_low, withheld.population_high) == (None, None)
        assert "states are not known" in withheld.withheld
        assert withheld.lines[-1].status == "not given"


def test_an_effect_that_may_be_none_widens_the_interval_on_both_sides():
    """One of 0 by an image or two is not known to be 0."""
    exact, vague = (
        budget(SystematicEffects(7.344, 0.01), states_known=False, occlusion=OcclusionEffect(0.0, 0, 1, True, std, 3.0))
        for std in (0.0, 0.1)
    )
    assert (exact.population_low, exact.population_high) == pytest.approx((200 - exact.expanded, 200 + exact.expanded))
    assert vague.population_high - 200 == pytest.approx(200 - vague.population_low)
    assert vague.population_high - 200 > 200 * 0.1 * coverage_factor(vague.dof + 3)
    assert vague.expanded == exact.expanded


def test_a_sample_without_an_uncertainty_has_none():
    found = budget(SystematicEffects(7.344, 0.01), sampling=interval(std=float("nan"), dof=float("nan")))
    assert np.isnan([found.combined_std, found.dof, found.expanded, found.population_low]).all()


def plan_budget(std=8.0, images=6, reference_px=0.0, scope=BETWEEN_IMAGES, particles=600):
    dof = images - 1.0 if images > 1 else particles - 1.0
    interval = SamplingInterval(200.0, 0, 0, std, dof, images, particles, scope)
    effects = SystematicEffects(7.344, 0.0, reference_px, residuals=None)
    intervals = dict.fromkeys(STATISTICS, interval)
    return size_budgets(intervals, dict.fromkeys(STATISTICS, 200.0), effects, quantity="", states_known=True)["D50"]


@given(st.floats(0.005, 0.3), st.floats(1, 20), st.integers(2, 40))
def test_the_number_is_the_least_that_meets_the_target(target, std, images):
    needed = particles_needed(plan_budget(std, images), target, 600, images)

    def reached(count):
        return plan_budget(std * (images / count) ** 0.5, count).relative_expanded <= target * (1 + 1e-9)

    assert reached(needed.images)
    assert needed.images == 2 or not reached(needed.images - 1)
    assert needed.particles == pytest.approx(600 * needed.images / images, abs=1)


def test_half_the_uncertainty_takes_four_times_as_many():
    now, half = (particles_needed(plan_budget(images=400), target, 40000, 400) for target in (0.02, 0.01))
    assert half.images / now.images == pytest.approx(4, rel=0.02)


def test_what_all_particles_share_sets_a_limit():
    assert plan_budget(0.0, reference_px=0.6).relative_expanded > 0.04
    none = particles_needed(plan_budget(reference_px=0.6), 0.04, 600, 6)
    assert (none.particles, none.images) == (None, None)
    assert none.reason == "uncertainty other than sampling exceeds the target, most of it reference"
    assert particles_needed(plan_budget(reference_px=0.6), 0.05, 600, 6).images > 6


def test_a_single_image_counts_its_particles():
    one = plan_budget(4.0, images=1, scope=WITHIN_IMAGE)
    needed = particles_needed(one, one.relative_expanded / 2, 600, 1)
    assert needed.images in (4, 5)
    assert particles_needed(plan_budget(float("nan")), 0.05, 1, 1).reason == "the present sample is too small to tell"
