"""States, probabilities, whole outlines and sizes of an image's outlines, by a visibility model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.visibility.calibration import with_temperature
from semsize.visibility.conformal import SizeIntervals
from semsize.visibility.crops import particle_crops, whole_outlines
from semsize.visibility.model import QUANTILES, CropAnswers, VisibilityModel
from semsize.visibility.states import (
    StateThresholds,
    class_probabilities,
    hidden_shares,
    mean_fraction,
    state_probabilities,
)
from semsize.visibility.truth import SIZES, sizes_px

ECD, MIDDLE = SIZES.index("ecd"), QUANTILES.index(0.5)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Temperatures and intervals that calibrate a model's answers; by default the answers stay as they are."""

    class_temperature: float = 1.0  # of the probabilities of the classes of visibility
    particle_temperature: float = 1.0  # of the probability of being a particle
    intervals: Sequence[SizeIntervals] = ()  # px, for `SIZES` in order, perhaps not all; empty: the model's

    def classes(self, probabilities: np.ndarray) -> np.ndarray:
        """(N, 3) calibrated probabilities of the classes of visibility."""
        return with_temperature(probabilities, self.class_temperature)

    def particle(self, probability: np.ndarray) -> np.ndarray:
        """(N,) calibrated probability of being a particle."""
        return with_temperature(np.column_stack([1 - probability, probability]), self.particle_temperature)[:, 1]

    def sizes(self, fractions: np.ndarray, sizes_px: np.ndarray) -> np.ndarray:
        """(N, 3, 3) sizes, copied, with calibrated ends, which are NaN where the calibration has no interval."""
        sizes = np.array(sizes_px, np.float64)
        if self.intervals:
            sizes[..., [0, -1]] = np.nan
        for number, intervals in enumerate(self.intervals):
            ends = intervals.of(fractions, sizes[:, number, MIDDLE])
            ends[~np.isfinite(ends).all(axis=1)] = np.nan
            sizes[:, number, 0], sizes[:, number, -1] = ends.T
        return sizes


@dataclass(frozen=True, eq=False)
class CalibratedModel:
    """A visibility model with the thresholds between its states and its calibration."""

    answers: VisibilityModel
    thresholds: StateThresholds
    calibration: Calibration


@dataclass(frozen=True, eq=False)
class PredictedParticles:
    """Answers of a visibility model for N outlines of one image, in the image's pixels."""

    state_probabilities: np.ndarray  # (N, 5) of `STATES` if it is a particle; each row adds up to 1
    particle_probability: np.ndarray  # (N,) that the outline is a particle
    visible_fraction: np.ndarray  # (N,) expected, 0 to 1
    whole: CroppedMasks  # N whole outlines within the frame
    whole_sizes_px: np.ndarray  # (N, 3, 3) `QUANTILES` of each of `SIZES` of the whole particle


def predict_visibility(grey: np.ndarray, outlines: CroppedMasks, model: CalibratedModel) -> PredictedParticles:
    """Ask a model about all outlines of an image.

    Args:
        grey: (H, W) grey levels, 0 to 255, of the frame without a data bar.
        outlines: N masks, none empty.
        model: the visibility model; its answers are calibrated.
    """
    answers = CropAnswers.cat([CropAnswers.empty(), *map(model.answers, particle_crops(grey, outlines))])
    whole, fraction = whole_outlines(outlines, answers.whole, grey), mean_fraction(answers.fractions)
    classes = model.calibration.classes(class_probabilities(answers.fractions, model.thresholds))
    return PredictedParticles(
        state_probabilities=state_probabilities(outlines, classes, hidden_shares(outlines, whole)),
        particle_probability=model.calibration.particle(answers.is_particle),
        visible_fraction=fraction,
        whole=whole,
        whole_sizes_px=model.calibration.sizes(fraction, sizes_px(outlines)[..., None] * answers.size_ratios),
    )
