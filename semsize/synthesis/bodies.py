"""Convex rounded bodies and their silhouettes: one formula for ellipsoids, superellipsoids and rounded polyhedra.

A body is the set of points p with g(p) <= 1, where the gauge g is a p-norm over K half-spaces,

    g(p) = (sum_k max(0, a_k . p) ** m) ** (1 / m),

the rounded intersection of Ricci (Comput. J. 16, 157, 1973, doi:10.1093/comjnl/16.2.157). Its faces are the planes
a_k . p = 1; the smaller m, the rounder its edges. Three pairs of opposite planes make a superellipsoid (Barr, IEEE
Comput. Graph. Appl. 1, 11, 1981, doi:10.1109/MCG.1981.1673799), and with m = 2 an ellipsoid exactly. g is convex and
homogeneous of degree one, so that one-dimensional searches along the view z find silhouette and surface reliably.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPONENTS = (2, 3, 5, 9, 17)  # m - 1 is a power of two, so that repeated squaring gives the powers
BISECTIONS = 16  # of the interval of z in `silhouette_of`
DIRECTIONS = 256  # number of radii of a silhouette, unless its body is slender


@dataclass(frozen=True, eq=False)
class Body:
    """A convex body around the origin; x runs along columns, y along rows, z towards the detector."""

    planes: np.ndarray  # (K, 3) float64, row a_k = outward normal / distance, in 1 / length
    exponent: int  # one of EXPONENTS

    def scaled(self, factor: float) -> Body:
        """The same body, `factor` times as large."""
        return Body(self.planes / factor, self.exponent)

    def gauge(self, points: np.ndarray) -> np.ndarray:
        """Return the gauge g at points (..., 3) as (...): below 1 inside, above 1 outside."""
        return _norm(self.planes @ points.reshape(-1, 3).T, self.exponent)[0].reshape(points.shape[:-1])


def superellipsoid(semi_axes: np.ndarray, rotation: np.ndarray, exponent: int) -> Body:
    """Return the superellipsoid |x/a|^m + |y/b|^m + |z/c|^m <= 1, turned by a (3, 3) rotation matrix (body to world).

    An exponent m of 2 makes an ellipsoid, a large exponent a box with rounded edges.
    """
    rows = (rotation / np.asarray(semi_axes, dtype=np.float64)).T
    return Body(np.concatenate([rows, -rows]), exponent)


def rounded_polyhedron(normals: np.ndarray, semi_axes: np.ndarray, rotation: np.ndarray, exponent: int) -> Body:
    """Return a polyhedron with rounded edges whose faces lie about an ellipsoid, turned by a rotation matrix.

    Args:
        normals: (K, 3) unit face normals around the origin over the faces' distances in units of the tangent planes'.
        semi_axes: (3,) semi-axes of the ellipsoid, along the body's own axes.
        rotation: (3, 3) rotation matrix from the body's axes to the world's.
        exponent: one of EXPONENTS; the larger, the sharper the edges.
    """
    tangents = np.linalg.norm(normals * np.asarray(semi_axes, dtype=np.float64), axis=1, keepdims=True)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return Body(normals * lengths / tangents @ rotation.T, exponent)


def surfaces(body: Body, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return upper and lower surface at points (N,) within the silhouette, and the upper surface's normal.

    Newton's method starts beyond the surface; on a convex function it cannot overshoot the root.

    Returns:
        top (N,), bottom (N,) and unit outward normal (3, N) of the top, float32.
    """
    planes = body.planes.astype(np.float32)
    # the longest radius of an ellipsoid lies along one of the planes' normals, perhaps between directions of `extent`
    tips = 1 / body.gauge(body.planes / np.linalg.norm(body.planes, axis=1, keepdims=True))
    reach = np.float32(max(1.05 * np.float32(extent(body)[1]), 1.01 * tips.max()))
    flat = planes[:, :2] @ np.stack([x, y]).astype(np.float32)  # (K, N)
    top = _root(flat, planes[:, 2:], body.exponent, reach)
    bottom = -_root(flat, -planes[:, 2:], body.exponent, reach)
    normal = planes.T @ _weights(flat + planes[:, 2:] * top, body.exponent)  # (3, N), along the gradient of g
    normal[2] = np.maximum(normal[2], 0)
    normal /= np.maximum(np.sqrt(np.einsum("kn,kn->n", normal, normal)), np.float32(1e-12))
    return top, np.minimum(bottom, top), normal


def extent(body: Body) -> tuple[float, float]:
    """Return the smallest and largest radius in 200 directions spread evenly on the sphere."""
    radii = 1 / _norm(body.planes @ _DIRECTIONS.T, body.exponent)[0]
    return float(radii.min()), float(radii.max())


def even_directions(count: int) -> np.ndarray:
    """Return (count, 3) unit vectors spread evenly on the sphere along a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = np.pi * (3 - np.sqrt(5)) * k
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


_DIRECTIONS = even_directions(200)


@dataclass(frozen=True, eq=False)
class Silhouette:
    """Outline of a body seen along z: a closed curve around the origin in polar form, in the body's unit."""

    radii: np.ndarray  # (N,) float64, radius at the angles 2 pi i / N, from x towards y

    @property
    def angles(self) -> np.ndarray:
        """The angles of the N radii, in radians."""
        return np.arange(len(self.radii)) * (2 * np.pi / len(self.radii))

    @property
    def points(self) -> np.ndarray:
        """(N, 2) points of the curve as x, y."""
        return self.radii[:, None] * np.stack([np.cos(self.angles), np.sin(self.angles)], axis=1)

    @property
    def is_slender(self) -> bool:
        """Whether the curve has more than DIRECTIONS radii, as slender bodies such as rods need."""
        return len(self.radii) > DIRECTIONS

    @property
    def area(self) -> float:
        """Enclosed area: half the integral of the squared radius, by the trapezoidal rule."""
        return float(np.pi * np.mean(self.radii**2))

    @property
    def ecd(self) -> float:
        """Equivalent circular diameter (ISO 9276-6), the diameter of the circle of the same area."""
        return float(np.sqrt(4 * self.area / np.pi))

    def scaled(self, factor: float) -> Silhouette:
        """The same curve, `factor` times as large."""
        return Silhouette(self.radii * factor)

    def feret(self) -> tuple[float, float]:
        """Return smallest and largest Feret diameter, the distance of parallel tangents (ISO 9276-6), every 0.5°."""
        angle = np.arange(360) * (np.pi / 360)
        along = self.points @ np.stack([np.cos(angle), np.sin(angle)])  # (N, 360)
        widths = along.max(axis=0) - along.min(axis=0)
        return float(widths.min()), float(widths.max())

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the distance of points from the curve, positive inside, exact to first order near it; float64."""
        step = 2 * np.pi / len(self.radii)
        slope = (np.roll(self.radii, -1) - np.roll(self.radii, 1)) / (2 * step)
        cosine = self.radii / np.hypot(self.radii, slope)  # of the angle between radius and normal
        position = np.arctan2(y, x) / step
        index = np.arange(len(self.radii))
        radius = np.interp(position, index, self.radii, period=len(self.radii))
        return (radius - np.hypot(x, y)) * np.interp(position, index, cosine, period=len(self.radii))

    def notched(self, amplitude: float, rng: np.random.Generator) -> Silhouette:
        """Return the curve with irregular notches cut into it, as of a broken or crusted body; no radius grows.

        `amplitude` is the relative standard deviation of the radius. Waves 3 to 16 have weights of 1 / wave number.
        """
        waves = np.arange(3, 17)
        spectrum = np.zeros(len(self.radii) // 2 + 1, dtype=complex)
        spectrum[waves] = (rng.standard_normal(14) + 1j * rng.standard_normal(14)) / waves
        noise = np.fft.irfft(spectrum, len(self.radii))
        noise *= amplitude / noise.std()
        return Silhouette(self.radii * np.clip(1 + noise - noise.max(), 0.4, 1))


def silhouette_of(body: Body, directions: int = DIRECTIONS) -> Silhouette:
    """Return the silhouette of the body along z, its radius in `directions` directions; slender bodies need more.

    By homogeneity the radius in a direction u is 1 / min_z g(u, z). As g is convex, bisection by the sign of its slope
    finds the minimum. An error e of z changes the radius by e squared: after 16 bisections by less than 1e-6 of it.
    """
    angle = np.arange(directions) * (2 * np.pi / directions)
    flat = body.planes[:, :2] @ np.stack([np.cos(angle), np.sin(angle)])  # (K, N)
    smallest, largest = extent(body)
    low = np.full(directions, -1.2 * largest / smallest)
    high = -low
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        rising = body.planes[:, 2] @ _weights(flat + body.planes[:, 2:] * middle, body.exponent) > 0  # dg/dz > 0
        high = np.where(rising, middle, high)
        low = np.where(rising, low, middle)
    points = np.stack([np.cos(angle), np.sin(angle), (low + high) / 2], axis=1)
    return Silhouette(1 / body.gauge(points))


def union_silhouette(silhouettes: Sequence[Silhouette], centres: np.ndarray) -> Silhouette:
    """Return the union of silhouettes moved to `centres` (B, 2), each of which must contain the origin."""
    angles = silhouettes[0].angles
    radii = np.zeros(len(angles))
    for silhouette, centre in zip(silhouettes, centres, strict=True):
        x, y = (silhouette.points + centre).T
        radii = np.maximum(radii, np.interp(angles, np.arctan2(y, x), np.hypot(x, y), period=2 * np.pi))
    return Silhouette(radii)


def _weights(projections: np.ndarray, exponent: int) -> np.ndarray:
    """Return w_k = max(0, a_k . p) ** (m - 1) for projections a_k . p (K, N); the gradient is along sum_k w_k a_k."""
    power = np.maximum(projections, 0)
    for _ in range(EXPONENTS.index(exponent)):
        power = power * power
    return power


def _norm(projections: np.ndarray, exponent: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the gauge (N,) of N points p with the projections a_k . p (K, N), and their `_weights` (K, N)."""
    terms = _weights(projections, exponent)
    return np.einsum("kn,kn->n", terms, np.maximum(projections, 0)) ** (1 / exponent), terms


def _root(flat: np.ndarray, slopes: np.ndarray, exponent: int, start: np.float32) -> np.ndarray:
    """Return the largest z with g = 1, (N,) float32; the projections a_k . p are flat (K, N) + slopes (K, 1) z.

    Eight steps leave an error below 1 % of the radius at the very rim, and far less elsewhere.
    """
    z = np.full(flat.shape[1], start, dtype=np.float32)
    for _ in range(8):
        gauge, terms = _norm(flat + slopes * z, exponent)
        slope = (slopes[:, 0] @ terms) / np.maximum(gauge, 1e-6) ** (exponent - 1)
        z -= np.where(slope > 1e-9, (gauge - 1) / np.maximum(slope, 1e-9), 0).clip(0, start / 2)
    return z
