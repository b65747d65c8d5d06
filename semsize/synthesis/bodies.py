"""Convex rounded bodies: one formula for ellipsoids, superellipsoids and rounded polyhedra.

A body is the set of points p with g(p) <= 1, where the gauge g is a p-norm over K half-spaces,

    g(p) = (sum_k max(0, a_k . p) ** m) ** (1 / m),

the rounded intersection of Ricci (Comput. J. 16, 157, 1973, doi:10.1093/comjnl/16.2.157). Its faces are the planes a_k
. p = 1, its edges the rounder the smaller m. Three pairs of opposite planes make a superellipsoid (Barr, IEEE Comput.
Graph. Appl. 1, 11, 1981, doi:10.1109/MCG.1981.1673799), and with m = 2 an ellipsoid exactly. g is convex and
homogeneous of degree one, so outline and surface are found by safe one-dimensional searches along the viewing axis z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EXPONENTS = (2, 3, 5, 9, 17)  # m - 1 is a power of two: the powers are then repeated squarings


@dataclass(frozen=True, eq=False)
class Body:
    """A convex body around the origin; x runs along columns, y along rows, z towards the detector."""

    planes: np.ndarray  # (K, 3) float64, row a_k = outward normal / distance, in 1 / length
    exponent: int  # one of EXPONENTS

    def __post_init__(self):
        if self.exponent not in EXPONENTS:
            raise ValueError(f"the exponent of a body must be one of {EXPONENTS}, not {self.exponent}")

    def scaled(self, factor: float) -> Body:
        """The same body, `factor` times as large."""
        return Body(self.planes / factor, self.exponent)

    def gauge(self, points: np.ndarray) -> np.ndarray:
        """The gauge g at points (..., 3); returns (...), below 1 inside and above 1 outside."""
        return _norm(self.planes @ points.reshape(-1, 3).T, self.exponent)[0].reshape(points.shape[:-1])


def ellipsoid(semi_axes: np.ndarray, rotation: np.ndarray) -> Body:
    """Ellipsoid with three semi-axes, turned by a (3, 3) rotation matrix (body to world)."""
    return superellipsoid(semi_axes, rotation, 2)


def superellipsoid(semi_axes: np.ndarray, rotation: np.ndarray, exponent: int) -> Body:
    """Superellipsoid |x/a|^m + |y/b|^m + |z/c|^m <= 1, turned by a rotation; large m: a box of rounded edges."""
    rows = (rotation / np.asarray(semi_axes, dtype=np.float64)).T
    return Body(np.concatenate([rows, -rows]), exponent)


def rounded_polyhedron(normals: np.ndarray, semi_axes: np.ndarray, rotation: np.ndarray, exponent: int) -> Body:
    """Polyhedron of rounded edges whose faces lie about an ellipsoid, then turned.

    Args:
        normals: (K, 3) face normals, surrounding the origin, divided by the distances relative to tangent planes.
        semi_axes: (3,) of the ellipsoid, along the body's own axes.
        rotation: (3, 3) rotation matrix from the body's axes to the world's.
        exponent: one of EXPONENTS; the larger, the sharper the edges.
    """
    tangents = np.linalg.norm(normals * np.asarray(semi_axes, dtype=np.float64), axis=1, keepdims=True)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return Body(normals * lengths / tangents @ rotation.T, exponent)


def surfaces(
    body: Body, x: np.ndarray, y: np.ndarray, *, iterations: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upper and lower surface over points inside the outline, and the upper surface's normal.

    Newton's method from beyond the surface: on a convex function it cannot overshoot the root.

    Args:
        body: the body, in the unit of x and y.
        x: (N,) positions inside the outline.
        y: (N,) positions inside the outline.
        iterations: of Newton's method; 8 leave an error below 1 % of the radius at the very rim, far less elsewhere.

    Returns:
        top (N,), bottom (N,) and unit outward normal (3, N) of the top, float32.
    """
    planes = body.planes.astype(np.float32)
    # an ellipsoid is longest along one of its half-spaces' normals, which may lie between extent's directions
    tips = 1 / body.gauge(body.planes / np.linalg.norm(body.planes, axis=1, keepdims=True))
    reach = np.float32(max(1.05 * np.float32(extent(body)[1]), 1.01 * tips.max()))
    flat = planes[:, :2] @ np.stack([x, y]).astype(np.float32)  # (K, N)
    top = _root(flat, planes[:, 2:], body.exponent, reach, iterations)
    bottom = -_root(flat, -planes[:, 2:], body.exponent, reach, iterations)
    normal = planes.T @ weights(flat + planes[:, 2:] * top, body.exponent)  # (3, N), along the gradient of g
    normal[2] = np.maximum(normal[2], 0)
    normal /= np.maximum(np.sqrt(np.einsum("kn,kn->n", normal, normal)), np.float32(1e-12))
    return top, np.minimum(bottom, top), normal


def extent(body: Body) -> tuple[float, float]:
    """Smallest and largest radius over 200 directions spread evenly on the sphere."""
    radii = 1 / _norm(body.planes @ _DIRECTIONS.T, body.exponent)[0]
    return float(radii.min()), float(radii.max())


def even_directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors spread evenly on the sphere along a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = np.pi * (3 - np.sqrt(5)) * k
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


_DIRECTIONS = even_directions(200)


def weights(projections: np.ndarray, exponent: int) -> np.ndarray:
    """Terms max(0, a_k . p) ** (m - 1) of projections (K, N), of their shape; sum a_k terms is along the gradient."""
    power = np.maximum(projections, 0)
    for _ in range(EXPONENTS.index(exponent)):
        power = power * power
    return power


def _norm(projections: np.ndarray, exponent: int) -> tuple[np.ndarray, np.ndarray]:
    """The gauge (N,) where the half-spaces read `projections` (K, N), and its `weights` (K, N)."""
    terms = weights(projections, exponent)
    return np.einsum("kn,kn->n", terms, np.maximum(projections, 0)) ** (1 / exponent), terms


def _root(flat: np.ndarray, slopes: np.ndarray, exponent: int, start: np.float32, iterations: int) -> np.ndarray:
    """Largest z with g = 1 where g's half-spaces read flat (K, N) + slopes (K, 1) z; returns (N,) float32."""
    z = np.full(flat.shape[1], start, dtype=np.float32)
    for _ in range(iterations):
        gauge, terms = _norm(flat + slopes * z, exponent)
        slope = (slopes[:, 0] @ terms) / np.maximum(gauge, 1e-6) ** (exponent - 1)
        z -= np.where(slope > 1e-9, (gauge - 1) / np.maximum(slope, 1e-9), 0).clip(0, start / 2)
    return z
