"""Surfaces of bodies against the closed forms of ellipsoids and boxes."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semsize.synthesis.bodies import rounded_polyhedron, superellipsoid, surfaces
from semsize.synthesis.populations import draw_faces, uniform_rotation

AXES = st.tuples(*[st.floats(0.4, 3.0)] * 3)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(AXES, SEEDS)
@example((1.0, 3.0, 0.5), 543063)  # its tip lies between the directions in which its extent is looked for
def test_ellipsoid_surfaces_and_normals_follow_the_quadratic_form(axes, seed):
    rng = np.random.default_rng(seed)
    rotation = uniform_rotation(rng)
    form = rotation @ np.diag(1 / np.square(axes)) @ rotation.T  # p . form p = 1 on the surface
    directions = rng.normal(size=(500, 3))
    points = directions / np.sqrt(np.einsum("ni,ij,nj->n", directions, form, directions))[:, None]
    gradient = points @ form
    facing = gradient[:, 2] / np.linalg.norm(gradient, axis=1) > 0.2
    points, gradient = points[facing], gradient[facing]
    top, bottom, normal = surfaces(superellipsoid(axes, rotation, 2), points[:, 0], points[:, 1])
    np.testing.assert_allclose(top, points[:, 2], atol=2e-3 * max(axes))
    np.testing.assert_allclose(normal.T, gradient / np.linalg.norm(gradient, axis=1, keepdims=True), atol=0.02)
    opposite = -2 * (form[2, 0] * points[:, 0] + form[2, 1] * points[:, 1]) / form[2, 2] - points[:, 2]  # Vieta
    np.testing.assert_allclose(bottom, opposite, atol=2e-3 * max(axes))


@settings(max_examples=20, deadline=None)
@given(AXES, SEEDS)
def test_the_faces_of_a_polyhedron_touch_its_ellipsoid(axes, seed):
    rng = np.random.default_rng(seed)
    normals, rotation = draw_faces(rng), uniform_rotation(rng)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    planes = rounded_polyhedron(normals, axes, rotation, 9).planes
    form = rotation @ np.diag(np.square(axes)) @ rotation.T
    np.testing.assert_allclose(np.einsum("ki,ij,kj->k", planes, form, planes), 1)  # a . p = 1 touches p' form^-1 p = 1


def test_a_box_of_sharp_edges_has_flat_faces_at_its_semi_axes():
    box = superellipsoid([3.0, 2.0, 1.0], np.eye(3), 17)
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-1.5, 1.5, 9), np.linspace(-1.0, 1.0, 9)))
    top, bottom, normal = surfaces(box, x, y)
    np.testing.assert_allclose(top, 1, atol=1e-3)
    np.testing.assert_allclose(bottom, -1, atol=1e-3)
    np.testing.assert_allclose(normal[2], 1, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0.1, 10), st.sampled_from((2, 3, 5, 9, 17)))
def test_the_gauge_is_a_norm(seed, factor, exponent):
    rng = np.random.default_rng(seed)
    body = rounded_polyhedron(draw_faces(rng), [1.2, 1.0, 0.8], uniform_rotation(rng), exponent)
    p, q = rng.normal(size=(2, 50, 3))
    gauge = body.gauge(p)
    np.testing.assert_allclose(body.gauge(factor * p), factor * gauge, rtol=1e-9)
    np.testing.assert_allclose(body.scaled(factor).gauge(p), gauge / factor, rtol=1e-9)
    assert (body.gauge(p + q) <= gauge + body.gauge(q) + 1e-9).all()


def test_surfaces_lie_on_the_body_and_top_lies_above_bottom():
    rng = np.random.default_rng(3)
    for exponent in (5, 9):
        body = rounded_polyhedron(draw_faces(rng), [1.5, 1.0, 0.7], uniform_rotation(rng), exponent)
        x, y = rng.uniform(-0.3, 0.3, (2, 200))
        top, bottom, _ = surfaces(body, x, y)
        assert (top > bottom).all()
        for z in (top, bottom):
            np.testing.assert_allclose(body.gauge(np.stack([x, y, z], axis=1)), 1, atol=1e-4)
