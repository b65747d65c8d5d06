"""A bias record is applied: sizes are corrected, effects looked up, ranges checked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.metrology import correct_sizes, occlusion_effect, range_warnings
from semsize.metrology.bias_record import CoveredRanges, ResidualClass, mean_residual, model_uncertainty
from semsize.metrology.occlusion import OcclusionClass

RESIDUALS = (
    ResidualClass(0.0, 20.0, 10.0, -0.02, 0.003, 0.004, 200, 6),
    ResidualClass(20.0, 40.0, 40.0, 0.02, 0.006, 0.008, 300, 5),
)
RANGES = CoveredRanges((7.0, 8.0), (10.0, 50.0), (60.0, 100.0), (0.05, 0.2))


def test_the_residual_runs_straight_over_the_log_of_the_size_and_stays_beyond():
    np.testing.assert_allclose(
        mean_residual(RESIDUALS, [1, 10, 20, 40, 500]), [-0.02, -0.02, 0, 0.02, 0.02], atol=1e-12
    )


@given(st.lists(st.floats(12, 38), min_size=1), st.floats(0.5, 20))
def test_a_correction_undoes_the_residual(true, nm_per_px):
    """Found sizes that lie where the record says are brought back; the slope of the residual is small."""
    true = np.array(true)
    found = true * (1 + mean_residual(RESIDUALS, true))
    corrected = correct_sizes(RESIDUALS, found * nm_per_px, found)
    np.testing.assert_allclose(corrected, true * nm_per_px, rtol=1e-3)


def test_without_classes_sizes_stay():
    sizes = np.array([3.0, 4.0])
    np.testing.assert_array_equal(correct_sizes((), sizes, sizes), sizes)


def test_model_uncertainty_is_that_of_the_nearest_class():
    assert model_uncertainty(RESIDUALS, 12.0) == pytest.approx((0.005, 5))
    assert model_uncertainty(RESIDUALS, 21.0) == pytest.approx((0.01, 4))


def test_occlusion_is_looked_up_by_density():
    classes = (
        OcclusionClass(0.05, 0.1, 4, 1, 1, -0.11, 0.03, 0.04, 4),
        OcclusionClass(0.2, 0.3, 1, 1, 1, -0.2, 0.06, 0.04, 4),
    )
    assert occlusion_effect(classes, 0.07).effect == -0.11
    near = occlusion_effect(classes, 0.17)
    assert (near.effect, near.low, near.high, near.inside) == (-0.2, 0.2, 0.3, False)
    assert occlusion_effect(classes, 0.9).effect == -0.2
    assert (occlusion_effect(classes, 0.07).log_std, near.log_std) == pytest.approx((0.05, np.hypot(0.06, 0.04)))
    assert near.dof == 4
    assert occlusion_effect((), 0.1) is None


def warned(ranges=RANGES, **changes):
    inside = {
        "nm_per_px": [7.344, 7.344],
        "ecd_px": np.linspace(10, 50, 100),
        "contrast_levels": [80.0, 90.0],
        "area_fraction": [0.1, 0.1],
    }
    return range_warnings(ranges, ["a.tif", "b.tif"], **(inside | changes))


def test_within_the_ranges_there_is_no_warning():
    assert warned() == ()
    assert warned(nm_per_px=[None, None], contrast_levels=[float("nan"), None], ecd_px=np.empty(0)) == ()
    assert warned(nm_per_px=[7.0 / 1.09, 8.0 * 1.09]) == ()
    assert len(warned(nm_per_px=[7.0 / 1.11, 8.0 * 1.11])) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nm_per_px": [2.0, 7.3]}, "pixel size of 1 of 2 images (2 nm) lies outside 7 to 8 nm: a.tif"),
        ({"contrast_levels": [30.0, 120.0]}, "contrast of 2 of 2 images (30 to 120 grey levels) lies outside"),
        (
            {"area_fraction": [0.1, 0.6]},
            "area fraction of particles of 1 of 2 images (0.6) lies outside 0.05 to 0.2: b",
        ),
        ({"ecd_px": np.array([5.0, 6, 20, 80])}, "particle size: of 4 particles 2 are below and 1 above 10 to 50 px"),
    ],
)
def test_each_quantity_outside_is_one_line(changes, message):
    (line,) = warned(**changes)
    assert line.startswith(message)


def test_what_was_never_validated_is_said():
    lines = warned(CoveredRanges(None, None, None, None))
    assert len(lines) == 4
    assert all("was not validated for it" in line for line in lines)
