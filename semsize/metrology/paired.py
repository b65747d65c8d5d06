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
        seeds: training seeds of the two runs where the interval holds their spread too; else None.
    """

    difference: float
    low: float
    high: float
    images: int
    method: str
    seeds: tuple[int, int] | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.difference:+.3f} (n = {self.images}, too few)"
        seeds = f"; seeds {self.seeds[0]}, {self.seeds[1]}" if self.seeds else ""
        text = f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}] ({self.method}, n = {self.images}{seeds})"
        return text if self.is_shown else f"{text}: no difference shown"


Statistic = Callable[[np.ndarray], np.ndarray]
"""From the indices of images, repeats allowed, to a figure pooled over them, (S,) for the run's S training seeds."""


def paired_difference(
    statistic: Statistic, baseline: Statistic, images: int, rng: np.random.Generator
) -> PairedDifference:
    """Difference of two runs' figure, averaged over their seeds, over the same ``images`` images.

    From 20 images on, images are drawn with repeats and both runs' figures are pooled and evaluated anew for each of
    1000 draws (percentile interval). Where both runs have several seeds, each draw of images also draws seeds, of each
    run on its own: S - 1 of its S with repeats. Their mean varies by s²/S, as the mean over seeds does; that of S drawn
    ones would vary by (S - 1)/S of it (Rao and Wu, J. Am. Stat. Assoc. 83, 1988). What varies with image and seed
    together is in both draws, which makes the interval rather too wide (Owen, Ann. Appl. Stat. 1, 2007).

    Below 20 images the interval is Student's over the differences of single images, and says nothing of seeds.
    """
    if images < FEWEST_FOR_BOOTSTRAP:
        single = [np.array([i]) for i in range(images)]
        return t_interval(np.array([np.mean(statistic(one)) - np.mean(baseline(one)) for one in single]))
    everything = np.arange(images)
    draws = rng.integers(0, images, (RESAMPLES, images))
    figures, base = (np.array([run(draw) for draw in draws]) for run in (statistic, baseline))  # (RESAMPLES, S) each
    seeds = (figures.shape[1], base.shape[1])
    if min(seeds) > 1:
        figures, base = _draw_seeds(figures, rng), _draw_seeds(base, rng)
    drawn = figures.mean(axis=1) - base.mean(axis=1)
    ends = np.nanpercentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    difference = float(np.mean(statistic(everything)) - np.mean(baseline(everything)))
    return PairedDifference(
        difference, float(ends[0]), float(ends[1]), images, "bootstrap", seeds if min(seeds) > 1 else None
    )


def _draw_seeds(figures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of each row of (R, S) figures S - 1, with repeats."""
    count, seeds = figures.shape
    return np.take_along_axis(figures, rng.integers(0, seeds, (count, seeds - 1)), axis=1)


def t_interval(differences: np.ndarray) -> PairedDifference:
    """Student's interval of the mean of (n,) differences; images where one is not defined (NaN) are left out."""
    known = differences[~np.isnan(differences)]
    count = len(known)
    mean = float(known.mean()) if count else float("nan")
    if count < 2:
        return PairedDifference(mean, float("nan"), float("nan"), count, "t")
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * known.std(ddof=1) / np.sqrt(count))
    return PairedDifference(mean, mean - half, mean + half, count, "t")
