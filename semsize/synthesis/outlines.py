"""The outline of a body seen along z, and the sizes that follow from it: area, ECD, Feret diameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.synthesis.bodies import Body, extent, weights


@dataclass(frozen=True, eq=False)
class Outline:
    """A closed curve around the origin in polar form, in the unit of the body that it belongs to."""

    radii: np.ndarray  # (N,) float64, radius at the angles 2 pi i / N, from x towards y

    @property
    def angles(self) -> np.ndarray:
        """(N,) angles in radians."""
        return np.arange(len(self.radii)) * (2 * np.pi / len(self.radii))

    @property
    def points(self) -> np.ndarray:
        """(N, 2) points of the curve as x, y."""
        return self.radii[:, None] * np.stack([np.cos(self.angles), np.sin(self.angles)], axis=1)

    @property
    def area(self) -> float:
        """Enclosed area: half the integral of the squared radius, by the trapezoidal rule."""
        return float(np.pi * np.mean(self.radii**2))

    @property
    def ecd(self) -> float:
        """Equivalent circular diameter (ISO 9276-6): of the circle of the same area."""
        return float(np.sqrt(4 * self.area / np.pi))

    def scaled(self, factor: float) -> Outline:
        """The same curve, `factor` times as large."""
        return Outline(self.radii * factor)

    def feret(self, directions: int = 360) -> tuple[float, float]:
        """Smallest and largest Feret diameter, the distance of parallel tangents (ISO 9276-6)."""
        angle = np.arange(directions) * (np.pi / directions)
        along = self.points @ np.stack([np.cos(angle), np.sin(angle)])  # (N, directions)
        widths = along.max(axis=0) - along.min(axis=0)
        return float(widths.min()), float(widths.max())

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance of points from the curve, positive within, exact to first order near it; float64 of their shape."""
        step = 2 * np.pi / len(self.radii)
        slope = (np.roll(self.radii, -1) - np.roll(self.radii, 1)) / (2 * step)
        cosine = self.radii / np.hypot(self.radii, slope)  # of the angle between radius and normal
        place = np.arctan2(y, x) / step
        index = np.arange(len(self.radii))
        radius = np.interp(place, index, self.radii, period=len(self.radii))
        return (radius - np.hypot(x, y)) * np.interp(place, index, cosine, period=len(self.radii))

    def notched(self, amplitude: float, rng: np.random.Generator) -> Outline:
        """The curve with irregular notches cut into it, never beyond it: a broken or crusted body's ragged outline.

        Args:
            amplitude: standard deviation of the radius, relative; waves 3 to 16 count as 1 / number.
            rng: draws the notches.
        """
        waves = np.arange(3, 17)
        spectrum = np.zeros(len(self.radii) // 2 + 1, dtype=complex)
        spectrum[waves] = (rng.standard_normal(14) + 1j * rng.standard_normal(14)) / waves
        noise = np.fft.irfft(spectrum, len(self.radii))
        noise *= amplitude / noise.std()
        return Outline(self.radii * np.clip(1 + noise - noise.max(), 0.4, 1))

    def contains(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether points lie within the curve or on it; bool of their shape."""
        return self.depth(x, y) >= 0


def union_outline(outlines: Sequence[Outline], centres: np.ndarray) -> Outline:
    """Outline of the union of curves moved to `centres` (B, 2); the origin must lie within each of them."""
    angles = outlines[0].angles
    radii = np.zeros(len(angles))
    for outline, centre in zip(outlines, centres, strict=True):
        x, y = (outline.points + centre).T
        radii = np.maximum(radii, np.interp(angles, np.arctan2(y, x), np.hypot(x, y), period=2 * np.pi))
    return Outline(radii)


def outline_of(body: Body, count: int = 256, bisections: int = 16) -> Outline:
    """Outline of the body's projection along z.

    By homogeneity the radius in a direction u is 1 / min_z g(u, z); the minimum of the convex g is bisected by the sign
    of its slope. An error e of z enters the radius as e squared: 16 bisections leave less than 1e-6 of it.
    """
    angle = np.arange(count) * (2 * np.pi / count)
    flat = body.planes[:, :2] @ np.stack([np.cos(angle), np.sin(angle)])  # (K, N)
    smallest, largest = extent(body)
    low = np.full(count, -1.2 * largest / smallest)
    high = -low
    for _ in range(bisections):
        middle = (low + high) / 2
        rising = body.planes[:, 2] @ weights(flat + body.planes[:, 2:] * middle, body.exponent) > 0  # dg/dz > 0
        high = np.where(rising, middle, high)
        low = np.where(rising, low, middle)
    points = np.stack([np.cos(angle), np.sin(angle), (low + high) / 2], axis=1)
    return Outline(1 / body.gauge(points))
