"""Scenes at several pixel sizes: numbers, the specimen's lengths, and a stored scene that must not drift."""

from dataclasses import replace

import numpy as np
import pytest

from semsize.structures import read_annotations
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset, render_image
from semsize.synthesis.formation import debris, fractal_slopes, lit_rims, membrane, probe_blur, smooth_noise
from semsize.synthesis.imaging import draw_microscope, magnified
from semsize.synthesis.scenes import PRESETS, draw_numbers

FRAME = (704, 1024)


def numbers(preset, pixel_size_nm, shape=FRAME):
    return [draw_numbers(preset, shape, pixel_size_nm, np.random.default_rng(k), None) for k in range(20)]


def test_numbers_go_with_the_area_of_the_frame_on_the_specimen():
    base = np.array(numbers(PRESETS["matrix"], 7.344))
    np.testing.assert_allclose(np.array(numbers(PRESETS["matrix"], 2 * 7.344)), 4 * base, atol=8.1)
    np.testing.assert_array_equal(numbers(PRESETS["matrix"], 3.672, (1408, 2048)), base)
    assert np.array(numbers(PRESETS["agglomerated"], 0.5))[:, 0].min() == 1


def test_numbers_keep_within_a_presets_limits():
    limited = replace(PRESETS["matrix"], fewest=6, most=100)
    assert np.array(numbers(limited, 1.0))[:, 0].min() == 6
    assert np.array(numbers(limited, 29.0)).sum(axis=1).max() <= 101  # two roundings
    assert draw_numbers(limited, FRAME, 29.0, np.random.default_rng(0), 700)[0] == 700  # those asked for


def test_each_image_states_the_pixel_size_that_it_was_drawn_with(tmp_path):
    sizes = (3.7, 7.344, 14.7)
    plan = DatasetPlan(RenderSettings(seed=5, shape=(96, 128), particles=8, pixel_size_nm=sizes), 4, (1, 0, 0))
    render_dataset(plan, tmp_path)
    stated = [image["pixel_size_nm"] for image in read_annotations(tmp_path / "annotations/train.json")["images"]]
    assert stated == [render_image(plan.settings, k).scene.pixel_size_nm for k in range(4)]
    assert len(set(stated)) > 1
    assert set(stated) <= set(sizes)


@pytest.mark.parametrize(
    ("settings", "number", "ecds_nm", "levels"),
    [
        (
            RenderSettings(seed=202, shape=(96, 128), preset="mixed", variety=1.6),
            0,
            [139.4905],
            [[24.13, 24.32, 23.96, 24.94], [24.17, 24.7, 25.5, 26.92]],
        ),
        (
            RenderSettings(seed=11, shape=(96, 128), preset="matrix", particles=14),
            1,
            [174.031, 230.7716],
            [[28.01, 16.28, 37.87, 19.69], [16.01, 30.2, 64.45, 34.19]],
        ),
    ],
)
def test_scenes_of_before_there_were_kinds_and_pixel_sizes_do_not_drift(settings, number, ecds_nm, levels):
    rendered = render_image(settings, number)
    np.testing.assert_allclose(rendered.truth.ecds_nm, ecds_nm, atol=1e-3)
    np.testing.assert_allclose(rendered.pixels.reshape(2, 48, 4, 32).mean(axis=(1, 3)), levels, atol=0.1)


def test_effects_at_the_reference_are_as_fitted():
    rng = np.random.default_rng
    height = smooth_noise((60, 80), 4, rng(0))
    for function, arguments in ((fractal_slopes, ((60, 80),)), (debris, ((60, 80), 3)), (membrane, ((60, 80), 3, 0.4))):
        np.testing.assert_array_equal(function(*arguments, rng(1)), function(*arguments, rng(1), 1.0))
    np.testing.assert_array_equal(lit_rims(height, 0.4), lit_rims(height, 0.4, 1.0))
    np.testing.assert_array_equal(probe_blur(height, 0.5, 0.1), probe_blur(height, 0.5, 0.1, 1.0))
    microscope = draw_microscope(rng(0))
    assert magnified(microscope, 1.0) == microscope


def test_a_rim_is_as_wide_on_the_specimen_at_finer_pixels():
    ramp = np.tile(np.linspace(-1, 3.4, 401, dtype=np.float32), (9, 1))
    widths = [(lit_rims(ramp, 0.0, detail)[4] > 0.5).sum() for detail in (2, 4, 8)]
    np.testing.assert_allclose(widths, widths[0] * np.array([1, 2, 4]), atol=2)


@pytest.mark.parametrize("detail", [0.25, 4])
def test_magnification_leaves_what_is_the_instruments(detail):
    microscope = draw_microscope(np.random.default_rng(0))
    seen = magnified(microscope, detail)
    assert seen.edge_px == pytest.approx(detail * microscope.edge_px)
    assert (seen.jitter_px, seen.read_noise, seen.noise_correlation_px) == (
        microscope.jitter_px,
        microscope.read_noise,
        microscope.noise_correlation_px,
    )
    assert seen.probe_px == pytest.approx(microscope.probe_px * max(1, detail) ** 0.5)


def test_relief_finer_than_a_pixel_averages_out():
    fine, coarse = (fractal_slopes((300, 300), np.random.default_rng(0), detail).std() for detail in (1.0, 0.25))
    assert coarse < 0.75 * fine
