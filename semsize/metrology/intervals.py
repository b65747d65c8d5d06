"""How far D10, D50, D90 and the mean of other samples of the same material would lie from these.

Whole images are drawn with repeats, since the particles of one image resemble one another. The standard deviation of
the logarithm over the draws, enlarged by √(M/(M - 1)) for M images, is the standard uncertainty, with M - 1 degrees of
freedom; the interval is Student's on the logarithm. Percentile and BCa intervals cover too rarely where images are few
(docs/uncertainty.md has the table).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from semsize.metrology.size_distribution import PROBABILITIES
from semsize.metrology.size_sample import SizeSample, sorted_quantiles

STATISTICS = ("D10", "D50", "D90", "mean")
CONFIDENCE = 0.95
RESAMPLES = 2000
BETWEEN_IMAGES = "between images"
WITHIN_IMAGE = "within one image only"

_CHUNK = 4_000_000
"""Weights held at a time while resampling."""


@dataclass(frozen=True)
class SamplingInterval:
    """A statistic of a sample and its 95 % interval, in the unit of the sizes.

    Attributes:
        value: of the sample itself.
        low: lower end; NaN below two particles, as all that follows.
        high: upper end.
        std: standard uncertainty of sampling.
        dof: its degrees of freedom.
        images: M, images with particles.
        particles: N.
        scope: `BETWEEN_IMAGES`; `WITHIN_IMAGE` where there is a single one: it says nothing about other images.
    """

    value: float
    low: float
    high: float
    std: float
    dof: float
    images: int
    particles: int
    scope: str


def size_intervals(
    sample: SizeSample, rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, SamplingInterval]:
    """Statistic (of `STATISTICS`) to its interval. A single image's particles are drawn instead of images."""
    drawn = resampled_statistics(sample, rng, resamples) if len(sample) > 1 else None
    return student_intervals(sample, drawn)


def student_intervals(sample: SizeSample, drawn: np.ndarray | None) -> dict[str, SamplingInterval]:
    """Intervals from resampled statistics.

    Args:
        sample: N particles.
        drawn: (B, 4) from `resampled_statistics`; None below two particles.
    """
    values, images = statistics(sample), sample.image_count
    dof = float(_clusters(sample).max(initial=0)) if len(sample) > 1 else float("nan")
    relative = np.full(len(STATISTICS), np.nan)
    if drawn is not None:
        relative = np.log(drawn).std(axis=0) * np.sqrt((dof + 1) / dof)
    reach = np.exp(stats.t.ppf((1 + CONFIDENCE) / 2, dof) * relative)
    scope = BETWEEN_IMAGES if images > 1 else WITHIN_IMAGE
    rows = zip(values, values / reach, values * reach, values * relative, strict=True)
    return {
        name: SamplingInterval(*map(float, row), dof, images, len(sample), scope)
        for name, row in zip(STATISTICS, rows, strict=True)
    }


def statistics(sample: SizeSample) -> np.ndarray:
    """(4,) the `STATISTICS` of a sample; NaN without particles."""
    return np.append(sample.quantiles(PROBABILITIES), sample.mean)


def resampled_statistics(sample: SizeSample, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """(resamples, 4) `STATISTICS` of samples made of as many images, drawn with repeats; of particles, of one image."""
    clusters = _clusters(sample)
    count = int(clusters.max()) + 1
    order = np.argsort(sample.sizes, kind="stable")
    sizes, weights, clusters = sample.sizes[order], sample.weights[order], clusters[order]
    result = np.empty((resamples, len(STATISTICS)))
    step = max(_CHUNK // len(sizes), 1)
    for start in range(0, resamples, step):
        rows = result[start : start + step]
        times = rng.multinomial(count, np.full(count, 1 / count), len(rows))  # (rows, clusters) times drawn
        drawn = times[:, clusters] * weights  # (rows, N)
        rows[:, :3] = sorted_quantiles(sizes, drawn, PROBABILITIES)
        rows[:, 3] = drawn @ sizes / drawn.sum(axis=1)
    return result


def _clusters(sample: SizeSample) -> np.ndarray:
    """(N,) numbers from 0 without gaps of what is drawn: images, or the particles of a single image."""
    images = np.unique(sample.images, return_inverse=True)[1]
    return images if images.max(initial=0) > 0 else np.arange(len(sample))
