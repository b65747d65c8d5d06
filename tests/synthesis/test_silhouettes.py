"""Areas and Feret diameters of silhouettes against formulas."""

from math import gamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.synthesis.bodies import rounded_polyhedron, silhouette_of, superellipsoid
from semsize.synthesis.populations import draw_faces, uniform_rotation

AXES = st.tuples(*[st.floats(0.4, 3.0)] * 3)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(AXES, SEEDS)
def test_the_outline_of_an_ellipsoid_is_the_ellipse_of_its_shadow(axes, seed):
    rotation = uniform_rotation(np.random.default_rng(seed))
    shadow = (rotation @ np.diag(np.square(axes)) @ rotation.T)[:2, :2]
    silhouette = silhouette_of(superellipsoid(axes, rotation, 2))
    small, large = 2 * np.sqrt(np.linalg.eigvalsh(shadow))
    assert silhouette.area == pytest.approx(np.pi * np.sqrt(np.linalg.det(shadow)), rel=1e-5)
    assert silhouette.ecd == pytest.approx(np.sqrt(small * large), rel=1e-5)
    assert silhouette.feret() == pytest.approx((small, large), rel=5e-3)


@pytest.mark.parametrize("exponent", [2, 3, 5, 9])
def test_the_outline_of_a_superellipsoid_is_a_superellipse(exponent):
    silhouette = silhouette_of(superellipsoid([3.0, 2.0, 1.0], np.eye(3), exponent))
    area = 4 * 3 * 2 * gamma(1 + 1 / exponent) ** 2 / gamma(1 + 2 / exponent)
    assert silhouette.area == pytest.approx(area, rel=1e-4)
    assert silhouette.feret()[0] == pytest.approx(4, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.2, 5))
def test_sizes_scale_with_the_body(seed, factor):
    rng = np.random.default_rng(seed)
    body = rounded_polyhedron(draw_faces(rng), [1.4, 1.0, 0.8], uniform_rotation(rng), 5)
    silhouette, larger = silhouette_of(body), silhouette_of(body.scaled(factor))
    assert larger.area == pytest.approx(factor**2 * silhouette.area, rel=1e-6)
    np.testing.assert_allclose(larger.feret(), np.multiply(silhouette.feret(), factor), rtol=1e-6)
    np.testing.assert_allclose(silhouette.scaled(factor).radii, larger.radii, rtol=1e-6)
    assert silhouette.ecd <= 1.001 * silhouette.feret()[1]  # the isodiametric inequality


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.001, 0.06))
def test_notches_are_cut_into_the_curve_and_never_beyond_it(seed, amplitude):
    rng = np.random.default_rng(seed)
    silhouette = silhouette_of(superellipsoid([1.3, 1.0, 0.8], uniform_rotation(rng), 2))
    share = silhouette.notched(amplitude, rng).radii / silhouette.radii
    assert share.max() == pytest.approx(1)
    assert share.std() == pytest.approx(amplitude, rel=1e-3)


def test_depth_is_positive_where_the_body_is_searched_along_the_view():
    rng = np.random.default_rng(11)
    body = rounded_polyhedron(draw_faces(rng), [1.6, 1.0, 0.7], uniform_rotation(rng), 9)
    x, y = rng.uniform(-2, 2, (2, 400))
    z = np.linspace(-3, 3, 1201)
    points = np.stack(np.broadcast_arrays(x[:, None], y[:, None], z), axis=-1)
    smallest = body.gauge(points).min(axis=1)
    clear = np.abs(smallest - 1) > 0.005
    np.testing.assert_array_equal(silhouette_of(body).depth(x, y)[clear] >= 0, (smallest <= 1)[clear])
