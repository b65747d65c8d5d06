"""Size distributions: weighted sizes, their quantiles, distribution by number (Q0) and volume (Q3), log-normal fit.

ISO 9276-1 (presentation), 9276-2 (mean values and quantiles), 9276-5 (the log-normal distribution).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import ks_2samp

from semsize.structures.masks import CroppedMasks

PROBABILITIES = (0.1, 0.5, 0.9)  # of D10, D50 and D90
_SAME = 1e-12  # a cumulated weight this close, relatively, to a probability counts as equal: rounding


@dataclass(frozen=True, eq=False)
class SizeSample:
    """Sizes of N particles of several images."""

    sizes: np.ndarray  # (N,) float64, positive, in one unit that the caller knows
    weights: np.ndarray  # (N,) float64, positive: how many particles of the population each stands for
    images: np.ndarray  # (N,) int64, number of the image that each comes from; images without particles don't occur

    def __post_init__(self):
        for name, kind in (("sizes", np.float64), ("weights", np.float64), ("images", np.int64)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind))
        if not self.sizes.shape == self.weights.shape == self.images.shape or self.sizes.ndim != 1:
            shapes = f"{self.sizes.shape}, {self.weights.shape}, {self.images.shape}"
            raise ValueError(f"sizes, weights and images of a sample must be (N,) each, not {shapes}")
        for name in ("sizes", "weights"):
            values = getattr(self, name)
            if not (np.isfinite(values) & (values > 0)).all():
                raise ValueError(f"{name} of a sample must be positive and finite; leave out empty masks first")

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
    def volumes(self) -> np.ndarray:
        """(N,) weight by volume of spheres whose diameter is the size, without their common factor π/6."""
        return self.weights * self.sizes**3


@dataclass(frozen=True)
class LogNormalFit:
    """The log-normal distribution by number with the greatest weighted likelihood."""

    median: float  # in the unit of the sizes; also the geometric mean
    geometric_std: float  # geometric standard deviation, ≥ 1
    goodness: float  # largest |ΔQ0|, 0 to 1; no p-value, since Kolmogorov's table is wrong for fitted parameters

    def cumulative(self, sizes: np.ndarray) -> np.ndarray:
        """Q0 of the fit at positive sizes of any shape."""
        return ndtr(np.log(np.asarray(sizes) / self.median) / np.log(self.geometric_std))

    def density(self, sizes: np.ndarray) -> np.ndarray:
        """q0 of the fit, per unit of size, at positive sizes of any shape."""
        sizes, spread = np.asarray(sizes, np.float64), np.log(self.geometric_std)
        z = np.log(sizes / self.median) / spread
        return np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * spread * sizes)

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Sizes at which the fit's Q0 has these values."""
        return self.median * self.geometric_std ** ndtri(probabilities)


@dataclass(frozen=True)
class SizeDistribution:
    """Summary of a sample, in the unit of its sizes; NaN without particles."""

    count: int  # particles measured
    effective_number: float  # Kish's, from the weights
    d10: float  # 10 % quantile by number (x10,0 in ISO 9276-2)
    d50: float  # median by number
    d90: float  # 90 % quantile by number
    d10_volume: float  # 10 % quantile by volume (x10,3) of spheres whose diameter is the size
    d50_volume: float  # median by volume
    d90_volume: float  # 90 % quantile by volume
    mean: float  # arithmetic mean by number
    std: float  # standard deviation of the sizes; NaN below two particles
    geometric_mean: float  # of the sizes
    geometric_std: float  # geometric standard deviation; NaN below two particles
    fit: LogNormalFit | None  # None below three particles or if all sizes are equal


@dataclass(frozen=True, eq=False)
class Cumulative:
    """Cumulative distributions as steps: the share of all that is no larger than each of K distinct sizes."""

    sizes: np.ndarray  # (K,) ascending
    number: np.ndarray  # (K,) Q0, by number
    volume: np.ndarray  # (K,) Q3, by volume of spheres


@dataclass(frozen=True)
class DistributionErrors:
    """Errors of a measured size distribution; NaN if the true or the measured one has no particles."""

    d10_percent: float  # (measured - true) / true of the 10 % quantile by number, in %
    d50_percent: float  # of the median
    d90_percent: float  # of the 90 % quantile
    kolmogorov: float  # largest difference of the two cumulative distributions, 0 to 1


def size_distribution(sample: SizeSample) -> SizeDistribution:
    """Summarise a sample; volumes are those of spheres, so give equivalent circular diameters.

    >>> sizes = size_distribution(SizeSample([10, 20, 30], [1, 1, 2], images=[0, 0, 1]))
    >>> sizes.d50, sizes.mean
    (25.0, 22.5)
    """
    number = weighted_quantiles(sample.sizes, sample.weights, PROBABILITIES)
    volume = weighted_quantiles(sample.sizes, sample.volumes, PROBABILITIES)
    mean, std = _mean_and_std(sample.sizes, sample.weights)
    log_mean, log_std = _mean_and_std(np.log(sample.sizes), sample.weights)
    return SizeDistribution(
        len(sample),
        effective_number(sample.weights),
        *map(float, (*number, *volume)),
        mean=mean,
        std=std,
        geometric_mean=float(np.exp(log_mean)),
        geometric_std=float(np.exp(log_std)),
        fit=fit_log_normal(sample),
    )


def fit_log_normal(sample: SizeSample) -> LogNormalFit | None:
    """Fit by weighted maximum likelihood; None below three particles or if all sizes are equal up to rounding.

    >>> round(fit_log_normal(SizeSample([10, 20, 40], [1, 1, 1], images=[0, 0, 0])).median, 6)
    20.0
    """
    if len(sample) < 3 or np.ptp(sample.sizes) <= 1e-9 * sample.sizes.max():
        return None
    logs = np.log(sample.sizes)
    centre = np.average(logs, weights=sample.weights)
    spread = np.sqrt(np.average((logs - centre) ** 2, weights=sample.weights))
    fit = LogNormalFit(float(np.exp(centre)), float(np.exp(spread)), goodness=float("nan"))
    steps = cumulative(sample)
    expected = fit.cumulative(steps.sizes)
    below = np.append(0.0, steps.number[:-1])
    goodness = max(abs(steps.number - expected).max(), abs(below - expected).max())
    return LogNormalFit(fit.median, fit.geometric_std, float(goodness))


def cumulative(sample: SizeSample) -> Cumulative:
    """Return Q0 and Q3 at each distinct size.

    >>> cumulative(SizeSample([10, 10, 20], [1, 1, 2], images=[0, 0, 0])).number
    array([0.5, 1. ])
    """
    sizes, place = np.unique(sample.sizes, return_inverse=True)
    shares = [np.cumsum(np.bincount(place, weights, len(sizes))) for weights in (sample.weights, sample.volumes)]
    number, volume = (share / share[-1] if share.size else share for share in shares)
    return Cumulative(sizes, number, volume)


def quantile_points(sample: SizeSample, fit: LogNormalFit) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a Q-Q plot: the sizes (N,) that the fit expects, and the measured sizes (N,), ascending.

    The fit expects its quantile at the middle of a size's step of Q0 (Hazen's plotting position, weighted).

    >>> sample = SizeSample([20, 10, 40], [1, 1, 1], images=[0, 0, 0])
    >>> expected, measured = quantile_points(sample, fit_log_normal(sample))
    >>> expected.round(1), measured
    (array([11.6, 20. , 34.6]), array([10., 20., 40.]))
    """
    order = np.argsort(sample.sizes, kind="stable")
    weights = sample.weights[order]
    middle = (np.cumsum(weights) - weights / 2) / weights.sum()
    return fit.quantiles(middle), sample.sizes[order]


def effective_number(weights: np.ndarray) -> float:
    """Return Kish's effective number (Σw)²/Σw²: as many equal weights give a mean the same variance; 0 if none.

    >>> effective_number([1, 1, 2])
    2.6666666666666665
    """
    weights = np.asarray(weights, np.float64)
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.size else 0.0


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """Return (P,) quantiles of N values with positive weights, of which only the ratios matter; NaN without values.

    The p-quantile, 0 < p < 1, is the value at which the cumulated share of the weight reaches p; if it equals p there,
    the mean of that value and the next. For integer weights this is ``np.quantile(np.repeat(values, weights), p,
    method="averaged_inverted_cdf")``, with the usual median.

    >>> weighted_quantiles([10, 20, 30], weights=[1, 1, 2], probabilities=(0.25, 0.5))
    array([15., 25.])
    """
    values = np.asarray(values, np.float64)
    if values.size == 0:
        return np.full(len(probabilities), np.nan)
    order = np.argsort(values, kind="stable")
    return sorted_quantiles(values[order], np.asarray(weights, np.float64)[order][None], probabilities)[0]


def sorted_quantiles(values: np.ndarray, weights: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """(B, P) `weighted_quantiles` of ascending values (N,) under B sets of weights (B, N), ≥ 0, with positive sums."""
    cumulated = np.cumsum(weights, axis=1)
    total = cumulated[:, -1:]
    result = np.empty((len(weights), len(probabilities)))
    for column, probability in enumerate(probabilities):
        reached = (cumulated >= probability * (1 - _SAME) * total).argmax(axis=1)
        passed = (cumulated > probability * (1 + _SAME) * total).argmax(axis=1)
        result[:, column] = (values[reached] + values[passed]) / 2
    return result


def quantiles(sizes: np.ndarray, probabilities: Sequence[float] = PROBABILITIES) -> np.ndarray:
    """Return (P,) quantiles by number (ISO 9276-2: D10,0 …) of unweighted sizes; NaN sizes are left out.

    >>> quantiles([30, 10, float("nan"), 20])
    array([10., 20., 30.])
    """
    sizes = _known(sizes)
    return weighted_quantiles(sizes, np.ones(len(sizes)), probabilities)


def central_interval(values: np.ndarray, share: float) -> tuple[float, float]:
    """Return the ends of the interval that holds the middle `share`, 0 to 1, of values; NaN values are left out.

    >>> central_interval(np.arange(101), share=0.5)
    (25.0, 75.0)
    """
    return tuple(np.nanpercentile(values, [50 * (1 - share), 50 * (1 + share)]).tolist())


def kolmogorov_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest difference of two samples' empirical cumulative distributions; NaN if either is empty.

    >>> kolmogorov_distance([10, 20], [20, 30])
    0.5
    """
    first, second = _known(first), _known(second)
    return float(ks_2samp(first, second, method="asymp").statistic) if first.size and second.size else float("nan")


def distribution_errors(true_sizes: np.ndarray, measured_sizes: np.ndarray) -> DistributionErrors:
    """Return the errors of the measured distribution; both samples are in the same unit.

    >>> distribution_errors([10, 20, 30], [11, 22, 33]).d50_percent
    10.0
    """
    true_quantiles = quantiles(true_sizes)
    errors = 100 * (quantiles(measured_sizes) - true_quantiles) / true_quantiles
    return DistributionErrors(*map(float, errors), kolmogorov_distance(true_sizes, measured_sizes))


def area_fraction(masks: CroppedMasks, frame_shape: tuple[int, int]) -> float:
    """Return the share of a frame (H, W) without data bar that particles cover; pixels of two masks count twice.

    >>> area_fraction(CroppedMasks.from_crops([(np.ones((3, 4)), (5, 7))], (20, 30)), frame_shape=(20, 30))
    0.02
    """
    return float(masks.areas.sum() / np.prod(frame_shape))


def mean_or_nan(values: np.ndarray) -> float:
    """Return the mean of (N,) values; NaN without values."""
    return float(values.mean()) if values.size else float("nan")


def std_or_nan(values: np.ndarray) -> float:
    """Return the standard deviation (n - 1) of (N,) values; NaN for fewer than two."""
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")


def _mean_and_std(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Weighted mean and standard deviation, with n_eff - 1 in place of n - 1; NaN if values are too few."""
    if values.size == 0:
        return float("nan"), float("nan")
    mean = np.average(values, weights=weights)
    if values.size == 1:
        return float(mean), float("nan")
    number = effective_number(weights)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights) * number / (number - 1)))


def _known(sizes: np.ndarray) -> np.ndarray:
    sizes = np.asarray(sizes, np.float64)
    return sizes[~np.isnan(sizes)]
