"""95 % intervals: of D10, D50, D90 and the mean, of the share of small particles, and of the difference of two runs.

For sizes, whole images are drawn with replacement, because particles of one image resemble one another. The standard
deviation of the logarithm over the draws, enlarged by √(M/(M - 1)) for M images, is the relative standard uncertainty,
with M - 1 degrees of freedom; the interval is Student's on the logarithm. With few images, percentile and BCa intervals
cover the true value too rarely (table in docs/uncertainty.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from semsize.metrology.size_distribution import (
    PROBABILITIES,
    SizeSample,
    central_interval,
    effective_number,
    sorted_quantiles,
    weighted_quantiles,
)

STATISTICS = ("D10", "D50", "D90", "mean")
CONFIDENCE = 0.95
RESAMPLES = 2000
BETWEEN_IMAGES = "between images"
WITHIN_IMAGE = "within one image only"

NANO_LIMIT_NM = 100.0
NANO_SHARE = 0.5
"""A nanomaterial has at least this share of its particles, by number, at or below the limit (EU, 2022/C 229/01)."""

FEWEST_FOR_BOOTSTRAP = 20
PAIRED_RESAMPLES = 1000

_CHUNK = 4_000_000  # weights held at a time while resampling


@dataclass(frozen=True)
class SamplingInterval:
    """A statistic of a sample and its 95 % interval, in the unit of the sizes."""

    value: float  # of the sample itself
    low: float  # lower end; below two particles low, high, std and dof are NaN
    high: float  # upper end
    std: float  # standard uncertainty of sampling
    dof: float  # its degrees of freedom
    images: int  # M, images with particles
    particles: int  # N
    scope: str  # `BETWEEN_IMAGES`; `WITHIN_IMAGE` for a single image, which says nothing about others


@dataclass(frozen=True)
class ShareBelow:
    """Share by number of particles up to a size, NaN without particles, with its 95 % interval, 0 to 1 below two."""

    share: float  # weighted share
    low: float  # lower end
    high: float  # upper end
    limit: float  # the size, in the unit of the sample
    decision: str  # ``below`` or ``above`` `NANO_SHARE` if the whole interval is, else ``not decided``
    images: int  # images with particles
    particles: int
    scope: str  # `BETWEEN_IMAGES` or `WITHIN_IMAGE`


@dataclass(frozen=True)
class PairedDifference:
    """The difference of a value between two runs over the same images."""

    difference: float  # of the pooled values (bootstrap), or the mean over images (t)
    low: float  # lower end of the 95 % interval; NaN below two images
    high: float  # upper end
    images: int
    method: str  # ``bootstrap`` or ``t``
    seeds: tuple[int, int] | None = None  # numbers of the runs' training seeds if the interval includes their spread

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        digits = justified_decimals((self.high - self.low) / 2)
        if np.isnan(self.low):
            value = "–" if np.isnan(self.difference) else f"{self.difference:+.{digits}f}"
            return f"{value} (n = {self.images}, too few)"
        seeds = f"; seeds {self.seeds[0]}, {self.seeds[1]}" if self.seeds else ""
        interval = f"[{self.low:+.{digits}f}, {self.high:+.{digits}f}]"
        text = f"{self.difference:+.{digits}f} {interval} ({self.method}, n = {self.images}{seeds})"
        return text if self.is_shown else f"{text}: no difference shown"


def justified_decimals(half_width: float) -> int:
    """Return the digits after the point that a 95 % interval of this half width justifies; 2 without an interval.

    The half width keeps two significant digits where it begins with 1 or 2, else one (GUM 7.2.6: at most two).

    >>> [justified_decimals(half_width) for half_width in (0.0062, 0.018, 0.36, 1.4, 25.0)]
    [3, 3, 1, 1, 0]
    """
    if not 0 < half_width < np.inf:
        return 2
    leading, _, exponent = f"{half_width:.0e}".partition("e")
    return max(0, (1 if leading in "12" else 0) - int(exponent))


Statistic = Callable[[np.ndarray], np.ndarray]
"""Maps indices of images, repeats allowed, to a value pooled over them, (S,) for a run's S training seeds."""


def size_intervals(
    sample: SizeSample, rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, SamplingInterval]:
    """Return the interval of each of `STATISTICS`; in a single image, particles are drawn instead of images.

    >>> sample = SizeSample([10, 20, 30, 40], np.ones(4), images=[0, 0, 1, 1])
    >>> interval = size_intervals(sample, np.random.default_rng(0))["D50"]
    >>> interval.value, interval.dof, interval.low < 25 < interval.high
    (25.0, 1.0, True)
    """
    drawn = resampled_statistics(sample, rng, resamples) if len(sample) > 1 else None
    return student_intervals(sample, drawn)


def student_intervals(
    sample: SizeSample, drawn: np.ndarray | None, particles: int | None = None, units: int | None = None
) -> dict[str, SamplingInterval]:
    """Return the interval of each of `STATISTICS` from (B, 4) `resampled_statistics`; NaN if ``drawn`` is None.

    ``particles`` is the number of particles behind the sizes, ``units`` that of units drawn; by default the sample's.
    """
    values, images = statistics(sample), sample.image_count
    units = (int(_clusters(sample).max(initial=0)) + 1) if units is None else units
    dof = float(units - 1) if drawn is not None else float("nan")
    particles = len(sample) if particles is None else particles
    relative = np.full(len(STATISTICS), np.nan)
    if drawn is not None:
        relative = np.log(drawn).std(axis=0) * np.sqrt((dof + 1) / dof)
    reach = np.exp(stats.t.ppf((1 + CONFIDENCE) / 2, dof) * relative)
    scope = BETWEEN_IMAGES if images > 1 else WITHIN_IMAGE
    rows = zip(values, values / reach, values * reach, values * relative, strict=True)
    return {
        name: SamplingInterval(*map(float, row), dof, images, particles, scope)
        for name, row in zip(STATISTICS, rows, strict=True)
    }


def statistics(sample: SizeSample) -> np.ndarray:
    """Return the `STATISTICS` of a sample, (4,); NaN without particles.

    >>> statistics(SizeSample([10, 20, 30], [1, 1, 2], images=[0, 0, 1]))
    array([10. , 25. , 30. , 22.5])
    """
    mean = float(sample.weights @ sample.sizes / sample.weights.sum()) if len(sample) else float("nan")
    return np.append(weighted_quantiles(sample.sizes, sample.weights, PROBABILITIES), mean)


def resampled_statistics(
    sample: SizeSample, rng: np.random.Generator, resamples: int, units: np.ndarray | None = None, count: int = 0
) -> np.ndarray:
    """Return (resamples, 4) `STATISTICS` of units drawn with replacement; NaN if no drawn unit has a particle.

    Args:
        sample: N particles.
        rng: draws the units; samples with equal generators and counts get the same draws, so that they are paired.
        resamples: number of draws, each of ``count`` units.
        units: (N,) number of each particle's unit, from 0; None: units are images, or the particles of a single image.
        count: number of units; some may have no particle of this sample.
    """
    if units is None:
        units = _clusters(sample)
        count = int(units.max()) + 1
    order = np.argsort(sample.sizes, kind="stable")
    sizes, weights, units = sample.sizes[order], sample.weights[order], units[order]
    result = np.full((resamples, len(STATISTICS)), np.nan)
    step = max(_CHUNK // len(sizes), 1)
    for start in range(0, resamples, step):
        rows = result[start : start + step]
        times = rng.multinomial(count, np.full(count, 1 / count), len(rows))  # (rows, units) times drawn
        drawn = times[:, units] * weights  # (rows, N)
        total = drawn.sum(axis=1)
        there = total > 0
        if not there.all():
            drawn, total = drawn[there], total[there]
        rows[there, :3] = sorted_quantiles(sizes, drawn, PROBABILITIES)
        rows[there, 3] = drawn @ sizes / total
    return result


def share_below(sample: SizeSample, limit: float, *, size_std: float = 0.0) -> ShareBelow:
    """Return the share of the particles of at most ``limit``.

    The interval is Clopper and Pearson's for an effective number of particles, p(1 - p)/u² but at most Kish's, reduced
    by (t(N - 1)/t(M - 1))² for M images (Korn and Graubard 1998). u² is the variance of the share between images, by
    linearisation, plus that from ``size_std``; p is the mean share at the limit and one ``size_std`` to either side.
    If u is 0, as all or none are below, Kish's number is used.

    Args:
        sample: smallest Feret diameters (the EU definition's) or equivalent circular diameters.
        limit: in the same unit.
        size_std: standard uncertainty of a size at the limit that all particles share: calibration, reference, model.

    >>> share = share_below(SizeSample([80, 90, 120, 150], np.ones(4), images=[0, 0, 1, 1]), NANO_LIMIT_NM)
    >>> share.share, share.decision
    (0.5, 'not decided')
    """
    scope = BETWEEN_IMAGES if sample.image_count > 1 else WITHIN_IMAGE
    low_end, share, high_end = (_share(sample, limit + shift) for shift in (-size_std, 0, size_std))
    std = np.hypot(_share_sampling_std(sample, limit), abs(high_end - low_end) / 2)
    low, high = _share_interval(sample, share, std, spread_of=(low_end + share + high_end) / 3)
    decision = "above" if low > NANO_SHARE else "below" if high < NANO_SHARE else "not decided"
    return ShareBelow(share, low, high, limit, decision, sample.image_count, len(sample), scope)


def paired_difference(
    statistic: Statistic, baseline: Statistic, images: int, rng: np.random.Generator
) -> PairedDifference:
    """Return the difference of a value between two runs over the same ``images`` images, averaged over their seeds.

    From 20 images on, each of 1000 draws picks images with replacement and pools both runs' values (percentile
    interval). If both runs have several seeds, a draw also picks S - 1 of each run's S seeds with replacement: their
    mean has the variance s²/S of the mean over seeds; a mean of S would have (S - 1)/S of it (Rao and Wu, J. Am. Stat.
    Assoc. 83, 1988). Variation by image and seed together enters both draws, so the interval is rather too wide (Owen,
    Ann. Appl. Stat. 1, 2007). Below 20 images the interval is Student's over the differences of single images and does
    not include the spread of seeds.

    >>> before, after = np.array([[0.8, 0.9, 0.7]]), np.array([[0.85, 0.96, 0.74]])  # of one seed and three images
    >>> runs = (lambda images: after[:, images].mean(axis=1)), (lambda images: before[:, images].mean(axis=1))
    >>> print(paired_difference(*runs, images=3, rng=np.random.default_rng(0)))
    +0.050 [+0.025, +0.075] (t, n = 3)
    """
    if images < FEWEST_FOR_BOOTSTRAP:
        single_images = np.arange(images)[:, None]
        return t_interval(np.array([np.mean(statistic(image)) - np.mean(baseline(image)) for image in single_images]))
    draws = rng.integers(0, images, (PAIRED_RESAMPLES, images))
    values, base = (np.array([run(draw) for draw in draws]) for run in (statistic, baseline))  # (draws, S) each
    seeds = (values.shape[1], base.shape[1])
    if min(seeds) > 1:
        of_seeds = [rng.integers(0, count, (PAIRED_RESAMPLES, count - 1)) for count in seeds]
        values, base = (np.take_along_axis(*run, axis=1) for run in zip((values, base), of_seeds, strict=True))
    drawn = values.mean(axis=1) - base.mean(axis=1)
    difference = float(np.mean(statistic(np.arange(images))) - np.mean(baseline(np.arange(images))))
    low, high = central_interval(drawn, CONFIDENCE)
    return PairedDifference(difference, low, high, images, "bootstrap", seeds if min(seeds) > 1 else None)


def t_interval(differences: np.ndarray) -> PairedDifference:
    """Return Student's interval of the mean of (n,) differences, one per image; NaN differences are left out.

    >>> print(t_interval(np.array([0.1, 0.2, 0.3])))
    +0.20 [-0.05, +0.45] (t, n = 3): no difference shown
    """
    known = differences[~np.isnan(differences)]
    count = len(known)
    mean = float(known.mean()) if count else float("nan")
    if count < 2:
        return PairedDifference(mean, float("nan"), float("nan"), count, "t")
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * known.std(ddof=1) / np.sqrt(count))
    return PairedDifference(mean, mean - half, mean + half, count, "t")


def _clusters(sample: SizeSample) -> np.ndarray:
    """(N,) number, from 0 without gaps, of each particle's image; of the particle itself if there is one image."""
    images = np.unique(sample.images, return_inverse=True)[1]
    return images if images.max(initial=0) > 0 else np.arange(len(sample))


def _share(sample: SizeSample, limit: float) -> float:
    return float(np.average(sample.sizes <= limit, weights=sample.weights)) if len(sample) else float("nan")


def _share_sampling_std(sample: SizeSample, limit: float) -> float:
    """Standard error of the share as a ratio of two totals over images; over particles if there is one image."""
    if len(sample) < 2:
        return 0.0
    clusters = _clusters(sample)
    count = int(clusters.max()) + 1
    deviations = sample.weights * ((sample.sizes <= limit) - _share(sample, limit))
    sums = np.bincount(clusters, deviations, count)
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / sample.weights.sum())


def _share_interval(sample: SizeSample, share: float, std: float, spread_of: float) -> tuple[float, float]:
    """Clopper and Pearson's interval at Korn and Graubard's number p(1 - p)/std²; 0 to 1 below two particles."""
    if len(sample) < 2:
        return 0.0, 1.0
    tail = (1 + CONFIDENCE) / 2
    dof = sample.image_count - 1 if sample.image_count > 1 else len(sample) - 1
    number = effective_number(sample.weights)
    if std > 0:
        number = min(number, spread_of * (1 - spread_of) / std**2)  # not ``share``, which may be 0 or 1
    number *= float(stats.t.ppf(tail, len(sample) - 1) / stats.t.ppf(tail, dof)) ** 2
    below = number * share
    low = stats.beta.ppf(1 - tail, below, number - below + 1) if below > 0 else 0.0
    high = stats.beta.ppf(tail, below + 1, number - below) if share < 1 else 1.0
    return float(low), float(high)
