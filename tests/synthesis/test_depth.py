"""Bodies at rest and the depth buffer, against spheres."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.synthesis.bodies import silhouette_of, superellipsoid
from semsize.synthesis.depth import DepthBuffer, rasterise
from semsize.synthesis.populations import Lobe, Particle, Population, draw_particle


def sphere(radius_px):
    body = superellipsoid([radius_px] * 3, np.eye(3), 2)
    return Particle((Lobe(body, silhouette_of(body), np.zeros(3)),), silhouette_of(body))


@pytest.mark.parametrize("distance", [5, 12, 20, 30])
def test_a_sphere_comes_to_rest_on_a_sphere_at_the_distance_of_two_radii(distance):
    buffer, patch = DepthBuffer((120, 160)), rasterise(sphere(20), 1.0, (0.5, 0.5))
    ground = buffer.rest_height(patch, 60, 60)
    assert ground == pytest.approx(20, abs=0.1)
    buffer.place(patch, 60, 60, ground, 1)
    above = buffer.rest_height(patch, 60, 60 + distance) - ground
    assert above == pytest.approx(np.sqrt(40**2 - distance**2), rel=0.02)
    assert buffer.rest_height(patch, 60, 60 + 42) == ground


def test_a_higher_sphere_hides_a_lens_of_the_lower_one():
    radius, distance = 30.0, 36
    buffer, patch = DepthBuffer((100, 160)), rasterise(sphere(radius), 1.0, (0.5, 0.5))
    buffer.place(patch, 50, 50, radius, 1)
    buffer.place(patch, 50, 50 + distance, 3 * radius, 2)
    lens = 2 * radius**2 * np.arccos(distance / 2 / radius) - distance / 2 * np.sqrt(4 * radius**2 - distance**2)
    assert (buffer.ids == 2).sum() == patch.inside.sum()
    assert (buffer.ids == 1).sum() == pytest.approx(np.pi * radius**2 - lens, rel=0.02)


def test_order_does_not_matter_to_the_buffer():
    rng = np.random.default_rng(4)
    bodies = [
        (rasterise(draw_particle(Population(), 200, rng), 7.0, tuple(rng.random(2))), *rng.integers(10, 60, 2), h, n)
        for n, h in enumerate((20.0, 45.0, 33.0), 1)
    ]
    forward, backward = DepthBuffer((70, 70)), DepthBuffer((70, 70))
    for body in bodies:
        forward.place(*body)
    for body in reversed(bodies):
        backward.place(*body)
    np.testing.assert_array_equal(forward.ids, backward.ids)
    np.testing.assert_array_equal(forward.heights, backward.heights)
    np.testing.assert_array_equal(forward.normals, backward.normals)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(60, 400))
def test_a_patch_covers_the_area_of_its_outline(seed, ecd_nm):
    rng = np.random.default_rng(seed)
    particle = draw_particle(Population(), ecd_nm, rng)
    patch = rasterise(particle, 7.0, tuple(rng.random(2)))
    perimeter = particle.silhouette.feret()[1] * np.pi / 7.0
    assert abs(patch.inside.sum() - particle.silhouette.area / 49) < 0.5 * perimeter + 1
    for edge in (patch.inside[0], patch.inside[-1], patch.inside[:, 0], patch.inside[:, -1]):
        assert edge.sum() < patch.inside.sum()


def test_the_smallest_particle_still_takes_a_pixel():
    patch = rasterise(sphere(0.01), 1.0, (0.9, 0.1))
    assert patch.inside.sum() == 1


def test_the_frame_cuts_and_what_lies_beyond_is_left_out():
    buffer, patch = DepthBuffer((50, 50)), rasterise(sphere(10), 1.0, (0.5, 0.5))
    buffer.place(patch, 25, 0, 10.0, 1)
    mask, origin = buffer.full_mask(patch, 25, 0)
    assert origin[1] == 0
    assert mask.sum() == (buffer.ids == 1).sum()
    assert mask.sum() == pytest.approx(np.pi * 100 / 2, rel=0.1)
    assert buffer.full_mask(patch, 25, -30)[0].size == 0
    buffer.place(patch, 25, -30, 10.0, 2)
    assert not (buffer.ids == 2).any()
