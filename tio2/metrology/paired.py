"""Is one run better than another on the same images? Intervals of paired differences keep noise from being a gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST_FOR_BOOTSTRAP = 20
CONFIDENCE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class PairedDifference:
    """A difference of two runs over the same images.

    Attributes:
        difference: what is told: of the pooled figures (bootstrap), or the mean over images (t).
        low: lower end of the 95 % interval; NaN where there are too few images for one.
        high: upper end.
        images: how many images it rests on.
        method: ``bootstrap`` or ``t``.
    """

    difference: float
    low: float
    high: float
    images: int
    method: str

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.difference:+.3f} (n = {self.images}, too few)"
        text = f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}] ({self.method}, n = {self.images})"
        return text if self.is_shown else f"{text}: no difference shown"


Statistic = Callable[[np.ndarray], float]
"""From the indices of images, repeats allowed, to a figure pooled over them."""


def paired_difference(
    statistic: Statistic, baseline: Statistic, images: int, rng: np.random.Generator
) -> PairedDifference:
    """Difference of two runs' figure over the same ``images`` images.

    From 20 images on, images are drawn with repeats and both runs' figures are pooled and evaluated anew for each of
    1000 draws (percentile interval). Below that, the interval is Student's over the differences of single images.
    """
    if images >= FEWEST_FOR_BOOTSTRAP:
        everything = np.arange(images)
        draws = rng.integers(0, images, (RESAMPLES, images))
        drawn = np.array([statistic(draw) - baseline(draw) for draw in draws])
        ends = np.nanpercentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
        return PairedDifference(
            statistic(everything) - baseline(everything), float(ends[0]), float(ends[1]), images, "bootstrap"
        )
    return t_interval(np.array([statistic(np.array([i])) - baseline(np.array([i])) for i in range(images)]))


def t_interval(differences: np.ndarray) -> PairedDifference:
    """Student's interval of the mean of (n,) differences; images where one is not defined (NaN) are left out."""
    known = differences[~np.isnan(differences)]
    count = len(known)
    mean = float(known.mean()) if count else float("nan")
    if count < 2:
        return PairedDifference(mean, float("nan"), float("nan"), count, "t")
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * known.std(ddof=1) / np.sqrt(count))
    return PairedDifference(mean, mean - half, mean + half, count, "t")
