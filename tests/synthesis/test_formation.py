"""Effects of image formation against their stated strengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.synthesis.formation import (
    charging_bands,
    compress_highlights,
    debris,
    edge_effect,
    fractal_slopes,
    line_streaks,
    lit_rims,
    membrane,
    probe_blur,
    shadowing,
    smooth_noise,
    tilt_yield,
)
from semsize.synthesis.rendering import add_data_bar, round_length


def test_the_yield_is_a_power_of_the_cosine_up_to_its_ceiling():
    cosines = np.linspace(0.5, 1, 20, dtype=np.float32)
    np.testing.assert_allclose(tilt_yield(cosines, 0.7, 3.0), cosines**-0.7, rtol=1e-5)
    np.testing.assert_allclose(tilt_yield(np.zeros(3, dtype=np.float32), 0.7, 3.0), 3, rtol=1e-5)


def test_open_ground_and_tops_are_not_shadowed_and_a_pit_is_by_its_depth():
    np.testing.assert_allclose(shadowing(np.full((80, 80), 7, dtype=np.float32), 12, 0.5), 1, rtol=1e-5)
    heights = np.full((160, 160), 30, dtype=np.float32)
    heights[78:82, 78:82] = 0
    light = shadowing(heights, 20, 0.5)
    assert light[80, 80] == pytest.approx(np.exp(-((0.5 * 30 / 20) ** 2)), rel=0.03)
    assert light[20, 20] == pytest.approx(1, rel=0.01)


@given(st.floats(0, 200), st.floats(210, 300))
def test_highlights_are_compressed_smoothly_monotonically_and_below_the_ceiling(knee, ceiling):
    level = np.linspace(0, 2000, 4001, dtype=np.float32)
    bent = compress_highlights(level, knee, ceiling)
    np.testing.assert_array_equal(bent[level <= knee], level[level <= knee])
    assert (np.diff(bent) >= -1e-4).all()
    assert np.abs(np.diff(bent)).max() <= 0.51
    assert bent.max() <= ceiling * (1 + 1e-6)


def test_streaks_run_along_lines_and_have_about_unit_variance():
    streaks = line_streaks((400, 500), 25, np.random.default_rng(0))
    assert streaks.std() == pytest.approx(1, rel=0.1)
    assert np.corrcoef(streaks[:, 5:].ravel(), streaks[:, :-5].ravel())[0, 1] > 0.7
    assert abs(np.corrcoef(streaks[1:].ravel(), streaks[:-1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("scale", [1.5, 6, 40])
def test_smooth_noise_is_isotropic_with_about_unit_variance(scale):
    noise = smooth_noise((600, 600), scale, np.random.default_rng(1))
    assert noise.std() == pytest.approx(1, rel=0.35)
    lag = max(1, round(scale))
    across = np.corrcoef(noise[:, lag:].ravel(), noise[:, :-lag].ravel())[0, 1]
    down = np.corrcoef(noise[lag:].ravel(), noise[:-lag].ravel())[0, 1]
    assert 0.4 < across < 0.95
    assert across == pytest.approx(down, abs=0.1)


def test_the_membrane_is_mostly_bare():
    relief = membrane((400, 400), 5, 0.3, np.random.default_rng(2))
    assert abs(np.median(relief)) < 0.05
    assert np.percentile(np.abs(relief), 90) < 0.3 < relief.max()


def test_the_edge_effect_is_one_on_the_outline_a_third_at_its_width_and_nothing_on_the_substrate():
    depths = np.array([-0.4, 0, 1.5, np.inf], dtype=np.float32)
    np.testing.assert_allclose(edge_effect(depths, 1.5), [1, 1, np.exp(-1), 0], rtol=1e-6)


def test_charging_jumps_as_often_as_asked_between_levels_of_unit_variance():
    bands = charging_bands(50, 2000, 14, np.random.default_rng(3))
    assert bands.shape == (50, 2000)
    assert bands.std() == pytest.approx(1, rel=0.05)
    assert (np.diff(bands, axis=1) != 0).mean() == pytest.approx(1 / 14, rel=0.05)


def test_slopes_have_unit_variance_in_every_direction():
    slopes = fractal_slopes((400, 400), np.random.default_rng(4))
    np.testing.assert_allclose(slopes.std(axis=(1, 2)), 1, rtol=0.1)
    assert abs(np.corrcoef(slopes.reshape(2, -1))[0, 1]) < 0.05


@pytest.mark.parametrize("shape", [(12, 9), (300, 400)])
def test_crumbs_lie_on_bare_ground_and_within_the_frame(shape):
    flakes = debris(shape, 5, np.random.default_rng(5))
    assert flakes.shape == shape
    assert flakes.min() == 0 < flakes.max() <= 1.5
    assert (debris(shape, 0, np.random.default_rng(5)) == 0).all()


def test_a_probe_spreads_a_point_without_losing_any_of_it():
    point = np.zeros((41, 41), dtype=np.float32)
    point[20, 20] = 100
    image = probe_blur(point, 0.5, 0.1)
    assert image.sum() == pytest.approx(100, rel=1e-4)
    variance = (image / 100 * np.square(np.arange(41) - 20)).sum()
    assert variance == pytest.approx(0.9 * 0.5**2 + 0.1 * 1.6**2, rel=0.15)  # sampling of a narrow Gaussian


def test_rims_follow_the_contour_and_face_the_light():
    y, x = np.mgrid[-40:41, -40:41].astype(np.float32)
    rims = lit_rims(2.4 - np.hypot(x, y) / 20, 0.0)  # a cone: its contour at 1.2 is a circle of 24 px
    assert np.abs(np.hypot(x, y)[rims > 0.5 * rims.max()] - 24).max() < 2
    assert rims[40, 40 - 24] > 0.9 > 0 > rims[40, 40 + 24]


@given(st.floats(1e-3, 1e6))
def test_scale_bars_have_round_lengths(limit):
    length = round_length(limit)
    assert limit / 2.5 * (1 - 1e-6) <= length <= limit * (1 + 1e-6)
    assert f"{length:.3e}"[:5] in {"1.000", "2.000", "5.000"}


def test_the_data_bar_stands_below_the_frame_and_its_scale_is_true():
    frame = np.full((352, 512), 40, dtype=np.uint8)
    image = add_data_bar(frame, 10.0)
    np.testing.assert_array_equal(image[:352], frame)
    bar = image[352:]
    assert bar.shape == (32, 512)
    lit = np.flatnonzero(bar[16, :120] == 255)
    assert lit[-1] - lit[0] == pytest.approx(1000 / 10, abs=4)
