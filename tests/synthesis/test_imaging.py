"""Images of scenes: edges without steps, brightness by material, the same picture from the same seed."""

from dataclasses import fields

import numpy as np
import pytest

from semsize.synthesis import RenderSettings, render_image
from semsize.synthesis.depth import DepthBuffer, rasterise
from semsize.synthesis.imaging import Microscope, blend_edges, body_levels, draw_microscope
from semsize.synthesis.populations import Population, draw_particle
from semsize.synthesis.scenes import PRESETS, build_scene


def test_shares_of_pixels_sum_to_the_area_of_the_outline():
    rng = np.random.default_rng(0)
    for _ in range(20):
        particle = draw_particle(Population(), 300.0, rng)
        patch = rasterise(particle, 7.0, tuple(rng.random(2)))
        assert patch.coverage.sum() == pytest.approx(particle.silhouette.area / 49, rel=0.01)


def test_a_flat_body_on_a_black_ground_emits_its_area():
    rng = np.random.default_rng(1)
    microscope = draw_microscope(rng)
    particle = draw_particle(Population(twin_share=0), 300.0, rng)
    buffer, patch = DepthBuffer((90, 90)), rasterise(particle, 7.0, (0.3, 0.6))
    buffer.place(patch, 45, 45, 30.0, 1)
    levels = np.array([0, 50], dtype=np.float32)
    fringes = np.full(buffer.ids.shape, 2, dtype=np.float32)
    flat = np.where(buffer.ids == 1, np.float32(100), np.float32(0))
    total = blend_edges(flat, levels, fringes, buffer, microscope).sum()
    assert total == pytest.approx(100 * particle.silhouette.area / 49, rel=0.01)


def test_levels_follow_the_material():
    rng = np.random.default_rng(2)
    scene = build_scene(PRESETS["matrix"], Population(), (300, 400), 7.344, rng, particles=150)
    microscope = draw_microscope(rng)
    levels = body_levels(scene, microscope, rng)
    assert levels[0] == np.float32(microscope.substrate_level)
    ratio = np.median(levels[1:][scene.is_matrix]) / np.median(levels[1:][~scene.is_matrix])
    assert ratio == pytest.approx(microscope.matrix_contrast, rel=0.3)


def test_an_image_depends_on_seed_and_number_alone():
    settings = RenderSettings(seed=3, shape=(120, 160), particles=20)
    first, again, other = render_image(settings, 4), render_image(settings, 4), render_image(settings, 5)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.truth.states == again.truth.states
    assert (first.pixels != other.pixels).any()
    assert first.pixels.dtype == np.uint8


def test_a_data_bar_leaves_pixels_and_masks_of_the_frame_as_they_are():
    plain = render_image(RenderSettings(seed=3, shape=(120, 160), particles=20), 0)
    barred = render_image(RenderSettings(seed=3, shape=(120, 160), particles=20, data_bar=True), 0)
    np.testing.assert_array_equal(barred.pixels[:120], plain.pixels)
    assert barred.truth.visible.image_shape == barred.pixels.shape == (131, 160)
    np.testing.assert_array_equal(barred.truth.visible.to_full()[:, :120], plain.truth.visible.to_full())


def test_settings_scatter_about_their_middle_and_wider_with_variety():
    def drawn(variety):
        rng = np.random.default_rng(4)
        return np.array([list(vars(draw_microscope(rng, variety)).values()) for _ in range(400)])

    ranges = np.array([setting.metadata["range"] for setting in fields(Microscope)])
    usual, wide = drawn(1), drawn(2)
    assert ((usual >= ranges[:, 0]) & (usual <= ranges[:, 1])).all()
    assert (wide.std(axis=0) > 1.4 * usual.std(axis=0)).all()
    assert (wide >= 0).all()
