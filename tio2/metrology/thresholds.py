"""Choosing the score threshold as the paper did: almost all useful particles without false positives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tio2.metrology.comparison import ImageFound, ImageTruth
from tio2.metrology.distribution import quantiles
from tio2.metrology.matching import match
from tio2.metrology.measurands import measure_sizes
from tio2.structures.masks import CroppedMasks

SCORES = np.round(np.arange(0.05, 1.0, 0.05), 2)


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """What each score threshold gives, (T,) each.

    Attributes:
        scores: the thresholds.
        useful_found: useful particles found, in number.
        useful: useful particles that are there; all particles where no state is known.
        false_positives: in number.
        d50: median ECD by number of all that is found; nm if every pixel size is known, else px.
        true_d50: of all true particles.
    """

    scores: np.ndarray
    useful_found: np.ndarray
    useful: int
    false_positives: np.ndarray
    d50: np.ndarray
    true_d50: float

    @property
    def agreement(self) -> np.ndarray:
        """2·useful found / (useful + useful found + false positives): 1 for all useful ones and nothing false."""
        return 2 * self.useful_found / np.maximum(self.useful + self.useful_found + self.false_positives, 1)

    @property
    def suggested(self) -> float:
        """The threshold of the best agreement; of equals the highest."""
        best = np.flatnonzero(self.agreement == self.agreement.max())[-1]
        return float(self.scores[best])


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
            sizes.append(np.delete(ecd[kept], matching.ignored))
        d50[step] = quantiles(np.concatenate(sizes))[1]
    true_sizes = [_ecd(truth.masks, truths, truth) for truth in truths]
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
