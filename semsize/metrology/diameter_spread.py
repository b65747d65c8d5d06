"""By how many pixels the diameters of matched particles differ, with and without the tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import median_abs_deviation

from semsize.metrology.comparison import ImageComparison


@dataclass(frozen=True)
class DiameterSpread:
    """Found - true equivalent circular diameters; NaN for fewer than two.

    Attributes:
        mean_px: their mean.
        std_px: their standard deviation (n - 1).
        middle_std_px: that of a normal distribution with the same median absolute deviation: without the tails.
    """

    mean_px: float
    std_px: float
    middle_std_px: float


def diameter_differences(image: ImageComparison) -> np.ndarray:
    """(K,) found - true of each pair, px."""
    found_px = image.found_measurands.ecd_px[image.matching.found]
    return found_px - image.true_measurands.ecd_px[image.matching.truth]


def diameter_spread(differences_px: np.ndarray) -> DiameterSpread:
    """Spread of some differences, (K,)."""
    if len(differences_px) < 2:
        return DiameterSpread(*[float("nan")] * 3)
    return DiameterSpread(
        float(np.mean(differences_px)),
        float(np.std(differences_px, ddof=1)),
        float(median_abs_deviation(differences_px, scale="normal")),
    )
