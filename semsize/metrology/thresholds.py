"""Choosing the score threshold as the paper did: almost all useful particles without false positives.

The rule: the score at which F = 2·useful found / (useful + useful found + false positives) is largest, of equals the
highest. A lost particle and a false one count alike, since in a size distribution each is one wrong member. A bound on
false positives for each useful particle found would need a figure that a weaker model may not reach at any score, and
that a stronger one reaches where it already loses particles; what the rate is at the chosen score is told instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.comparison import ImageFound, ImageTruth
from semsize.metrology.distribution import quantiles
from semsize.metrology.matching import match
from semsize.metrology.measurands import measure_sizes
from semsize.structures.masks import CroppedMasks

SCORES = np.round(np.arange(0.05, 1.0, 0.05), 2)


PLATEAU = 0.01
"""Thresholds whose F is lower than the best by no more than this are as good for all that some images can tell."""


@dataclass(frozen=True)
class OperatingPoint:
    """A score threshold and what it gives on the images that it was chosen on.

    Attributes:
        score: the threshold.
        plateau_from: the lowest threshold whose F is within `PLATEAU` of the best.
        plateau_to: the highest.
        agreement: F of the module's rule at the threshold.
        useful_found_percent: of the useful particles; NaN where there are none.
        false_positives: in number.
        false_per_useful_found: false positives for each useful particle found; NaN where none was.
        d50_error_percent: of the median ECD by number of all that is found.
    """

    score: float
    plateau_from: float
    plateau_to: float
    agreement: float
    useful_found_percent: float
    false_positives: int
    false_per_useful_found: float
    d50_error_percent: float


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """What each score threshold gives, (T,) each.

    Attributes:
        scores: the thresholds.
        useful_found: useful particles found, in number.
        useful: useful particles that are there; all particles where no state is known.
        false_positives: in number.
        d50: median ECD by number of all that is found, but of what matches a truncated truth; nm if every pixel size
            is known, else px.
        true_d50: of all true particles that are not truncated.
    """

    scores: np.ndarray
    useful_found: np.ndarray
    useful: int
    false_positives: np.ndarray
    d50: np.ndarray
    true_d50: float

    @property
    def agreement(self) -> np.ndarray:
        """F of the module's rule, (T,): 1 for all useful ones and nothing false."""
        return 2 * self.useful_found / np.maximum(self.useful + self.useful_found + self.false_positives, 1)

    @property
    def d50_errors_percent(self) -> np.ndarray:
        """(T,) 100 · (found - true) / true."""
        return 100 * (self.d50 - self.true_d50) / self.true_d50

    @property
    def suggested(self) -> float:
        """The threshold of the module's rule."""
        return float(self.scores[self._best])

    @property
    def operating_point(self) -> OperatingPoint:
        """The suggested threshold and what it gives."""
        best, agreement = self._best, self.agreement
        near = self.scores[agreement >= agreement[best] - PLATEAU]
        found, false = int(self.useful_found[best]), int(self.false_positives[best])
        return OperatingPoint(
            score=self.suggested,
            plateau_from=float(near.min()),
            plateau_to=float(near.max()),
            agreement=float(agreement[best]),
            useful_found_percent=100 * found / self.useful if self.useful else float("nan"),
            false_positives=false,
            false_per_useful_found=false / found if found else float("nan"),
            d50_error_percent=float(self.d50_errors_percent[best]),
        )

    @property
    def _best(self) -> int:
        return int(np.flatnonzero(self.agreement == self.agreement.max())[-1])


def threshold_curve(
    truths: Sequence[ImageTruth], founds: Sequence[ImageFound], scores: np.ndarray = SCORES
) -> ThresholdCurve:
    """Matches all images anew at each threshold."""
    known = any(state for truth in truths for state in truth.states)
    group = "useful" if known else "all"
    useful_found, false_positives = np.zeros((2, len(scores)), np.int64)
    d50 = np.empty(len(scores))
    found_sizes = [_ecd(found.masks, truths, truth) for truth, found in zip(truths, founds, strict=True)]
    for step, score in enumerate(scores):
        sizes = []
        for truth, found, ecd in zip(truths, founds, found_sizes, strict=True):
            kept = found.scores >= score
            matching = match(truth.masks, found.masks[kept], ignored_regions=truth.ignored)
            useful_found[step] += truth.members(group)[matching.truth].sum()
            false_positives[step] += len(matching.false_positives)
            cut = matching.found[truth.truncated[matching.truth]]
            sizes.append(np.delete(ecd[kept], np.concatenate([matching.ignored, cut])))
        d50[step] = quantiles(np.concatenate(sizes))[1]
    true_sizes = [_ecd(truth.masks, truths, truth)[~truth.truncated] for truth in truths]
    return ThresholdCurve(
        scores=np.asarray(scores),
        useful_found=useful_found,
        useful=sum(int(truth.members(group).sum()) for truth in truths),
        false_positives=false_positives,
        d50=d50,
        true_d50=float(quantiles(np.concatenate(true_sizes))[1]),
    )


def _ecd(masks: CroppedMasks, truths: Sequence[ImageTruth], truth: ImageTruth) -> np.ndarray:
    sizes = measure_sizes(masks, truth.pixel_size)
    return sizes.ecd_nm if all(one.pixel_size is not None for one in truths) else sizes.ecd_px
