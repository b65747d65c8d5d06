"""Is half of the particles, by number, at most 100 nm? The EU's definition of nanomaterial (2022/C 229/01)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from semsize.metrology.intervals import BETWEEN_IMAGES, CONFIDENCE, WITHIN_IMAGE
from semsize.metrology.size_sample import SizeSample

NANO_LIMIT_NM = 100.0
NANO_SHARE = 0.5


@dataclass(frozen=True)
class ShareBelow:
    """Share by number of the particles below a size, 0 to 1, with its 95 % interval; NaN without particles.

    Attributes:
        share: weighted share.
        low: lower end.
        high: upper end.
        limit: the size, in the unit of the sample's.
        decision: ``below`` or ``above`` `NANO_SHARE` if the whole interval is, else ``not decided``.
        images: images with particles.
        particles: particles.
        scope: ``between images``, or ``within one image only``.
    """

    share: float
    low: float
    high: float
    limit: float
    decision: str
    images: int
    particles: int
    scope: str


def share_below(sample: SizeSample, limit: float, *, size_std: float = 0.0) -> ShareBelow:
    """Share of the particles of at most ``limit``.

    The interval is Clopper and Pearson's for an effective number of particles p(1 - p)/u², at most Kish's, reduced by
    (t(N - 1)/t(M - 1))² for M images (Korn and Graubard 1998). u² is the variance of the share between images, by
    linearisation, and that from ``size_std``. Where all or none are below, it is Kish's number that is reduced.

    Args:
        sample: smallest Feret diameters (the definition's) or equivalent circular diameters.
        limit: in the same unit.
        size_std: standard uncertainty of a size at the limit that all particles share: calibration, reference, model.
    """
    scope = BETWEEN_IMAGES if sample.image_count > 1 else WITHIN_IMAGE
    share = _share(sample, limit)
    low, high = _interval(sample, share, np.hypot(_sampling_std(sample, limit), _common_std(sample, limit, size_std)))
    decision = "above" if low > NANO_SHARE else "below" if high < NANO_SHARE else "not decided"
    return ShareBelow(share, low, high, limit, decision, sample.image_count, len(sample), scope)


def _share(sample: SizeSample, limit: float) -> float:
    return float(np.average(sample.sizes <= limit, weights=sample.weights)) if len(sample) else float("nan")


def _sampling_std(sample: SizeSample, limit: float) -> float:
    """Standard error of the share as a ratio of two totals over images; over particles where there is one image."""
    if len(sample) < 2:
        return 0.0
    single = sample.image_count == 1
    clusters = np.arange(len(sample)) if single else np.unique(sample.images, return_inverse=True)[1]
    count = int(clusters.max()) + 1
    deviations = sample.weights * ((sample.sizes <= limit) - _share(sample, limit))
    sums = np.bincount(clusters, deviations, count)
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / sample.weights.sum())


def _common_std(sample: SizeSample, limit: float, size_std: float) -> float:
    """Half of what the share changes by when all sizes move by one standard uncertainty up and down."""
    return abs(_share(sample, limit + size_std) - _share(sample, limit - size_std)) / 2


def _interval(sample: SizeSample, share: float, std: float) -> tuple[float, float]:
    """Clopper and Pearson's interval at Korn and Graubard's effective number; 0 to 1 where nothing can be said."""
    if len(sample) < 2:
        return 0.0, 1.0
    tail = (1 + CONFIDENCE) / 2
    dof = sample.image_count - 1 if sample.image_count > 1 else len(sample) - 1
    number = sample.effective_number
    if std > 0:
        number = min(number, share * (1 - share) / std**2)
    number *= float(stats.t.ppf(tail, len(sample) - 1) / stats.t.ppf(tail, dof)) ** 2
    below = number * share
    low = stats.beta.ppf(1 - tail, below, number - below + 1) if below > 0 else 0.0
    high = stats.beta.ppf(tail, below + 1, number - below) if share < 1 else 1.0
    return float(low), float(high)
