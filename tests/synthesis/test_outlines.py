"""Areas and Feret diameters of outlines against formulas."""

from math import gamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.synthesis.bodies import ellipsoid, rounded_polyhedron, superellipsoid
from semsize.synthesis.outlines import outline_of
from semsize.synthesis.populations import draw_faces, uniform_rotation

AXES = st.tuples(*[st.floats(0.4, 3.0)] * 3)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(AXES, SEEDS)
def test_the_outline_of_an_ellipsoid_is_the_ellipse_of_its_shadow(axes, seed):
    rotation = uniform_rotation(np.random.default_rng(seed))
    shadow = (rotation @ np.diag(np.square(axes)) @ rotation.T)[:2, :2]
    outline = outline_of(ellipsoid(axes, rotation))
    small, large = 2 * np.sqrt(np.linalg.eigvalsh(shadow))
    assert outline.area == pytest.approx(np.pi * np.sqrt(np.linalg.det(shadow)), rel=1e-5)
    assert outline.ecd == pytest.approx(np.sqrt(small * large), rel=1e-5)
    assert outline.feret() == pytest.approx((small, large), rel=5e-3)


@pytest.mark.parametrize("exponent", [2, 3, 5, 9])
def test_the_outline_of_a_superellipsoid_is_a_superellipse(exponent):
    outline = outline_of(superellipsoid([3.0, 2.0, 1.0], np.eye(3), exponent))
    area = 4 * 3 * 2 * gamma(1 + 1 / exponent) ** 2 / gamma(1 + 2 / exponent)
    assert outline.area == pytest.approx(area, rel=1e-4)
    assert outline.feret()[0] == pytest.approx(4, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.2, 5))
def test_sizes_scale_with_the_body(seed, factor):
    rng = np.random.default_rng(seed)
    body = rounded_polyhedron(draw_faces(rng), [1.4, 1.0, 0.8], uniform_rotation(rng), 5)
    outline, larger = outline_of(body), outline_of(body.scaled(factor))
    assert larger.area == pytest.approx(factor**2 * outline.area, rel=1e-6)
    np.testing.assert_allclose(larger.feret(), np.multiply(outline.feret(), factor), rtol=1e-6)
    np.testing.assert_allclose(outline.scaled(factor).radii, larger.radii, rtol=1e-6)
    assert outline.ecd <= 1.001 * outline.feret()[1]  # the isodiametric inequality


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.001, 0.06))
def test_notches_are_cut_into_the_curve_and_never_beyond_it(seed, amplitude):
    rng = np.random.default_rng(seed)
    outline = outline_of(ellipsoid([1.3, 1.0, 0.8], uniform_rotation(rng)))
    share = outline.notched(amplitude, rng).radii / outline.radii
    assert share.max() == pytest.approx(1)
    assert share.std() == pytest.approx(amplitude, rel=1e-3)


def test_contains_agrees_with_the_body_searched_along_the_view():
    rng = np.random.default_rng(11)
    body = rounded_polyhedron(draw_faces(rng), [1.6, 1.0, 0.7], uniform_rotation(rng), 9)
    x, y = rng.uniform(-2, 2, (2, 400))
    z = np.linspace(-3, 3, 1201)
    points = np.stack(np.broadcast_arrays(x[:, None], y[:, None], z), axis=-1)
    smallest = body.gauge(points).min(axis=1)
    clear = np.abs(smallest - 1) > 0.005
    np.testing.assert_array_equal(outline_of(body).contains(x, y)[clear], (smallest <= 1)[clear])
