"""Grey levels to foreground, by the usual global and local thresholds and by clustering of the grey levels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scipy.special import logsumexp
from skimage.filters import threshold_li, threshold_otsu, threshold_triangle

CLUSTERS = 3
"""Background, dim and bright pixels; the brightest class or the two brighter ones are foreground."""

MOST_STEPS = 200
LEVELS = np.arange(256)


def local_mean(image: np.ndarray, offset_std: float, share: float) -> np.ndarray:
    """Pixels brighter than the mean around them by ``offset_std`` standard deviations of the image.

    Args:
        image: (H, W) float32.
        offset_std: in standard deviations of the whole image.
        share: standard deviation of the Gaussian window as a share of the shorter side.
    """
    around = cv2.GaussianBlur(image, (0, 0), share * min(image.shape))
    return image > around + offset_std * image.std()


def kmeans_limits(image: np.ndarray, clusters: int = CLUSTERS) -> np.ndarray:
    """(clusters - 1,) ascending grey levels between k-means classes, Lloyd's iteration on the histogram."""
    counts = _histogram(image)
    centres = _starting_centres(counts, clusters)
    for _ in range(MOST_STEPS):
        limits = (centres[1:] + centres[:-1]) / 2
        member = np.searchsorted(limits, LEVELS)
        weight = np.bincount(member, counts, clusters)
        moved = np.where(weight > 0, np.bincount(member, counts * LEVELS, clusters) / np.maximum(weight, 1), centres)
        if np.allclose(moved, centres, atol=1e-3):
            break
        centres = moved
    return (centres[1:] + centres[:-1]) / 2


def gmm_limits(image: np.ndarray, clusters: int = CLUSTERS) -> np.ndarray:
    """(clusters - 1,) ascending grey levels where the likelier class of a Gaussian mixture changes, by EM.

    Likelier classes are compared between the means of neighbours, where a wide class cannot return.
    """
    counts = _histogram(image)
    means = _starting_centres(counts, clusters)
    stds = np.full(clusters, max(image.std() / clusters, 1.0))
    shares = np.full(clusters, 1 / clusters)
    for _ in range(MOST_STEPS):
        log_parts = _log_parts(means, stds, shares)  # (256, clusters)
        belongs = np.exp(log_parts - logsumexp(log_parts, axis=1, keepdims=True)) * counts[:, None]
        weight = belongs.sum(axis=0) + 1e-9
        moved = (belongs * LEVELS[:, None]).sum(axis=0) / weight
        stds = np.sqrt((belongs * (LEVELS[:, None] - moved) ** 2).sum(axis=0) / weight + 1.0)
        shares = weight / weight.sum()
        if np.allclose(moved, means, atol=1e-2):
            break
        means = moved
    order = np.argsort(means)
    log_parts = _log_parts(means[order], stds[order], shares[order])
    limits = []
    for lower, upper in zip(range(clusters - 1), range(1, clusters), strict=True):
        between = (means[order][lower] <= LEVELS) & (means[order][upper] >= LEVELS)
        upper_wins = between & (log_parts[:, upper] > log_parts[:, lower])
        limits.append(LEVELS[upper_wins][0] - 0.5 if upper_wins.any() else means[order][upper])
    return np.array(limits, np.float64)


THRESHOLDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "otsu": lambda image: image > threshold_otsu(image),
    "li": lambda image: image > threshold_li(image),
    "triangle": lambda image: image > threshold_triangle(image),
    "local -0.1": lambda image: local_mean(image, -0.1, 0.05),
    "local 0": lambda image: local_mean(image, 0.0, 0.05),
    "local 0.2": lambda image: local_mean(image, 0.2, 0.05),
    "local, narrow": lambda image: local_mean(image, 0.1, 0.02),
    "otsu and local, narrow": lambda image: (image > threshold_otsu(image)) & local_mean(image, -0.1, 0.02),
    "kmeans, brightest": lambda image: image > kmeans_limits(image)[-1],
    "kmeans, two brighter": lambda image: image > kmeans_limits(image)[0],
    "gmm, brightest": lambda image: image > gmm_limits(image)[-1],
    "gmm, two brighter": lambda image: image > gmm_limits(image)[0],
    "kmeans, two brighter, and local": lambda image: (image > kmeans_limits(image)[0]) & local_mean(image, -0.1, 0.02),
    "gmm, two brighter, and local": lambda image: (image > gmm_limits(image)[0]) & local_mean(image, -0.1, 0.02),
}
"""Name to a function from (H, W) float32 grey levels to (H, W) bool."""


def _histogram(image: np.ndarray) -> np.ndarray:
    return np.bincount(np.clip(np.rint(image), 0, 255).astype(np.int64).ravel(), minlength=256).astype(np.float64)


def _starting_centres(counts: np.ndarray, clusters: int) -> np.ndarray:
    """Grey levels at the middles of ``clusters`` equal shares of the pixels, kept apart."""
    cumulated = np.cumsum(counts) / counts.sum()
    middles = np.searchsorted(cumulated, (np.arange(clusters) + 0.5) / clusters)
    return middles + np.arange(clusters) * 1e-3


def _log_parts(means: np.ndarray, stds: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(256, clusters) log of share · normal density."""
    return np.log(shares) - np.log(stds) - ((LEVELS[:, None] - means) / stds) ** 2 / 2
