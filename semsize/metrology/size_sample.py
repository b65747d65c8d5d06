"""The sizes that a distribution is made of: each with its weight and the image that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.structures.masks import CroppedMasks

_SAME = 1e-12
"""Relative rounding of a cumulated weight: as near as this to a probability, it is equal to it."""


@dataclass(frozen=True, eq=False)
class SizeSample:
    """Sizes of N particles of several images.

    Attributes:
        sizes: (N,) float64, positive, in one unit that the caller knows.
        weights: (N,) float64, positive: how many particles of the population each stands for.
        images: (N,) int64, a number for the image that each comes from; images without particles don't occur.
    """

    sizes: np.ndarray
    weights: np.ndarray
    images: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "sizes", np.asarray(self.sizes, np.float64))
        object.__setattr__(self, "weights", np.asarray(self.weights, np.float64))
        object.__setattr__(self, "images", np.asarray(self.images, np.int64))
        if not self.sizes.shape == self.weights.shape == self.images.shape or self.sizes.ndim != 1:
            shapes = f"{self.sizes.shape}, {self.weights.shape}, {self.images.shape}"
            raise ValueError(f"sizes, weights and images of a sample must be (N,) each, not {shapes}")
        for name in ("sizes", "weights"):
            values = getattr(self, name)
            if not (np.isfinite(values) & (values > 0)).all():
                raise ValueError(f"{name} of a sample must be positive and finite; leave empty masks out before")

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: slice | np.ndarray) -> SizeSample:
        """The particles at a slice or an array of integers or booleans."""
        return SizeSample(self.sizes[index], self.weights[index], self.images[index])

    @property
    def image_count(self) -> int:
        """Images with at least one particle."""
        return len(np.unique(self.images))

    @property
    def effective_number(self) -> float:
        """Kish's effective number of particles; see `effective_number`."""
        return effective_number(self.weights)

    @property
    def mean(self) -> float:
        """Weighted arithmetic mean; NaN without particles."""
        return float(self.weights @ self.sizes / self.weights.sum()) if len(self) else float("nan")

    def quantiles(self, probabilities: Sequence[float]) -> np.ndarray:
        """(P,) quantiles by weight; see `weighted_quantiles`."""
        return weighted_quantiles(self.sizes, self.weights, probabilities)


def effective_number(weights: np.ndarray) -> float:
    """Kish's effective number (Σw)²/Σw²: that of equal weights with the same variance of a mean; 0 without any."""
    weights = np.asarray(weights, np.float64)
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.size else 0.0


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """Quantiles of values that stand for several particles each.

    The p-quantile is the value at which the cumulated share of the weight reaches p; where one reaches p exactly, the
    mean of it and the next. With whole weights that is ``np.quantile(np.repeat(values, weights), p,
    method="averaged_inverted_cdf")``, and the median is the usual one.

    Args:
        values: (N,).
        weights: (N,), positive; only their ratios count.
        probabilities: P numbers, 0 < p < 1.

    Returns:
        (P,); NaN without values.
    """
    values = np.asarray(values, np.float64)
    if values.size == 0:
        return np.full(len(probabilities), np.nan)
    order = np.argsort(values, kind="stable")
    return sorted_quantiles(values[order], np.asarray(weights, np.float64)[order][None], probabilities)[0]


def sorted_quantiles(values: np.ndarray, weights: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """`weighted_quantiles` of one sample under B sets of weights.

    Args:
        values: (N,) ascending.
        weights: (B, N), not negative, with a positive sum in each row.
        probabilities: P numbers, 0 < p < 1.

    Returns:
        (B, P).
    """
    cumulated = np.cumsum(weights, axis=1)
    total = cumulated[:, -1:]
    result = np.empty((len(weights), len(probabilities)))
    for column, probability in enumerate(probabilities):
        reached = (cumulated >= probability * (1 - _SAME) * total).argmax(axis=1)
        passed = (cumulated > probability * (1 + _SAME) * total).argmax(axis=1)
        result[:, column] = (values[reached] + values[passed]) / 2
    return result


def area_fraction(masks: CroppedMasks, frame_shape: tuple[int, int]) -> float:
    """Share of a frame (H, W) without its data bar that particles cover; pixels that two masks share count twice."""
    return float(masks.areas.sum() / np.prod(frame_shape))
