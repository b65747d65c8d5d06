"""Size distributions by number, and how far one lies from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.size_sample import weighted_quantiles

D10_D50_D90 = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class DistributionErrors:
    """What a measured size distribution says wrongly; NaN where either has no particles.

    Attributes:
        d10_percent: (measured - true) / true of the 10 % quantile by number, in %.
        d50_percent: of the median.
        d90_percent: of the 90 % quantile.
        kolmogorov: largest difference of the two cumulative distributions, 0 to 1.
    """

    d10_percent: float
    d50_percent: float
    d90_percent: float
    kolmogorov: float


def quantiles(sizes: np.ndarray, probabilities: Sequence[float] = D10_D50_D90) -> np.ndarray:
    """Quantiles by number (ISO 9276-2: D10,0 …), (P,): `weighted_quantiles`, each particle counted once.

    NaN without particles; NaN sizes are left out.
    """
    sizes = _known(sizes)
    return weighted_quantiles(sizes, np.ones(len(sizes)), probabilities)


def kolmogorov_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference of the empirical cumulative distributions of two samples; NaN where one is empty."""
    first, second = np.sort(_known(first)), np.sort(_known(second))
    if not (first.size and second.size):
        return float("nan")
    at = np.concatenate([first, second])
    below = [np.searchsorted(sample, at, side="right") / sample.size for sample in (first, second)]
    return float(abs(below[0] - below[1]).max())


def distribution_errors(true_sizes: np.ndarray, measured_sizes: np.ndarray) -> DistributionErrors:
    """Quantile errors and distance of the measured distribution; both in one unit."""
    true_quantiles = quantiles(true_sizes)
    errors = 100 * (quantiles(measured_sizes) - true_quantiles) / true_quantiles
    return DistributionErrors(*map(float, errors), kolmogorov_distance(true_sizes, measured_sizes))


def _known(sizes: np.ndarray) -> np.ndarray:
    sizes = np.asarray(sizes, np.float64)
    return sizes[~np.isnan(sizes)]
