"""The size distribution of a sample by number (Q0) and by volume (Q3), its location, spread and log-normal fit.

ISO 9276-1 (presentation), 9276-2 (mean values and quantiles), 9276-5 (the log-normal distribution).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from semsize.metrology.size_sample import SizeSample, effective_number, weighted_quantiles

PROBABILITIES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class LogNormalFit:
    """The log-normal distribution by number of greatest likelihood (weighted).

    Attributes:
        median: in the unit of the sizes; also the geometric mean.
        geometric_std: geometric standard deviation, ≥ 1.
        goodness: largest |ΔQ0| between sample and fit, 0 to 1. No p-value: fitted parameters make the tabulated ones
            of Kolmogorov's test wrong.
    """

    median: float
    geometric_std: float
    goodness: float

    def cumulative(self, sizes: np.ndarray) -> np.ndarray:
        """Q0 of the fit at positive sizes of any shape."""
        return ndtr(np.log(np.asarray(sizes) / self.median) / np.log(self.geometric_std))

    def density(self, sizes: np.ndarray) -> np.ndarray:
        """q0 of the fit, per unit of size, at positive sizes of any shape."""
        sizes, spread = np.asarray(sizes, np.float64), np.log(self.geometric_std)
        z = np.log(sizes / self.median) / spread
        return np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * spread * sizes)

    def quantiles(self, probabilities: np.ndarray) -> np.ndarray:
        """Sizes at which the fit's Q0 is each of these."""
        return self.median * self.geometric_std ** ndtri(probabilities)


@dataclass(frozen=True)
class SizeDistribution:
    """A sample in a few numbers, in the unit of its sizes; NaN without particles.

    Attributes:
        count: particles measured.
        effective_number: Kish's, of their weights.
        d10: 10 % quantile by number (x10,0 in ISO 9276-2).
        d50: median by number.
        d90: 90 % quantile by number.
        d10_volume: 10 % quantile by volume (x10,3) of spheres whose diameter is the size.
        d50_volume: median by volume, likewise.
        d90_volume: 90 % quantile by volume, likewise.
        mean: arithmetic mean by number.
        std: standard deviation of the sizes; NaN below two particles.
        geometric_mean: of the sizes.
        geometric_std: geometric standard deviation; NaN below two particles.
        fit: None below three particles or where all are equal.
    """

    count: int
    effective_number: float
    d10: float
    d50: float
    d90: float
    d10_volume: float
    d50_volume: float
    d90_volume: float
    mean: float
    std: float
    geometric_mean: float
    geometric_std: float
    fit: LogNormalFit | None


@dataclass(frozen=True, eq=False)
class Cumulative:
    """Cumulative distributions as steps: the share of all that is no larger than each of K distinct sizes.

    Attributes:
        sizes: (K,) ascending.
        number: (K,) Q0, by number.
        volume: (K,) Q3, by volume of spheres.
    """

    sizes: np.ndarray
    number: np.ndarray
    volume: np.ndarray


@dataclass(frozen=True, eq=False)
class QuantilePoints:
    """Points of a Q-Q plot, (N,) each, ascending: the sizes that the fit expects, and those measured."""

    fitted: np.ndarray
    measured: np.ndarray


def size_distribution(sample: SizeSample) -> SizeDistribution:
    """All numbers of a sample; volumes are those of spheres, so give equivalent circular diameters."""
    number = sample.quantiles(PROBABILITIES)
    volume = weighted_quantiles(sample.sizes, _volumes(sample), PROBABILITIES)
    mean, std = _mean_and_std(sample.sizes, sample.weights)
    log_mean, log_std = _mean_and_std(np.log(sample.sizes), sample.weights)
    return SizeDistribution(
        len(sample),
        sample.effective_number,
        *map(float, number),
        *map(float, volume),
        mean=mean,
        std=std,
        geometric_mean=float(np.exp(log_mean)),
        geometric_std=float(np.exp(log_std)),
        fit=fit_log_normal(sample),
    )


def fit_log_normal(sample: SizeSample) -> LogNormalFit | None:
    """Fit of greatest weighted likelihood; None below three particles or where all are equal."""
    if len(sample) < 3 or np.ptp(sample.sizes) == 0:
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
    """Q0 and Q3 at each distinct size."""
    sizes, place = np.unique(sample.sizes, return_inverse=True)
    shares = [np.cumsum(np.bincount(place, weights, len(sizes))) for weights in (sample.weights, _volumes(sample))]
    number, volume = (share / share[-1] if share.size else share for share in shares)
    return Cumulative(sizes, number, volume)


def quantile_points(sample: SizeSample, fit: LogNormalFit) -> QuantilePoints:
    """Each size beside the fit's at the middle of its step of Q0 (Hazen's plotting position, weighted)."""
    order = np.argsort(sample.sizes, kind="stable")
    weights = sample.weights[order]
    middle = (np.cumsum(weights) - weights / 2) / weights.sum()
    return QuantilePoints(fit.quantiles(middle), sample.sizes[order])


def _volumes(sample: SizeSample) -> np.ndarray:
    """(N,) weight by volume; the spheres' π/6 cancels out."""
    return sample.weights * sample.sizes**3


def _mean_and_std(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Weighted mean and standard deviation, n_eff - 1 in the place of n - 1; NaN where there are too few."""
    if values.size == 0:
        return float("nan"), float("nan")
    mean = np.average(values, weights=weights)
    if values.size == 1:
        return float(mean), float("nan")
    number = effective_number(weights)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights) * number / (number - 1)))
