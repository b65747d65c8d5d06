"""An image's outlines seen through a visibility model: states, probabilities, whole outlines and their sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.states import FULLY_IMAGED_STATES, STATES
from semsize.visibility.crops import particle_crops, whole_outlines
from semsize.visibility.model import CropAnswers, VisibilityModel
from semsize.visibility.states import (
    Thresholds,
    class_probabilities,
    hidden_shares,
    mean_fraction,
    state_probabilities,
)
from semsize.visibility.truth import sizes_px


@dataclass(frozen=True, eq=False)
class SeenParticles:
    """What a model says of N outlines of one image, in the image's pixels."""

    state_probabilities: np.ndarray  # (N, 5) of `STATES`, each row adds up to 1: if there is a particle
    particle_probability: np.ndarray  # (N,) that there is one
    visible_fraction: np.ndarray  # (N,) expected, 0 to 1
    whole: CroppedMasks  # N whole outlines within the frame
    whole_sizes_px: np.ndarray  # (N, 3, 3) `QUANTILES` of each of `SIZES` of the whole particle

    @property
    def states(self) -> list[str]:
        """N most probable states."""
        return [STATES[number] for number in self.state_probabilities.argmax(axis=1).tolist()]

    @property
    def fully_imaged_probability(self) -> np.ndarray:
        """(N,) that a particle is fully imaged."""
        return self.state_probabilities[:, : len(FULLY_IMAGED_STATES)].sum(axis=1)


def see(
    grey: np.ndarray, outlines: CroppedMasks, model: VisibilityModel, thresholds: Thresholds | None = None
) -> SeenParticles:
    """Ask a model about all outlines of an image.

    Args:
        grey: (H, W) grey levels, 0 to 255, of the frame without a data bar.
        outlines: N masks, none empty.
        model: from crops to answers.
        thresholds: of the visible fraction between the states; None: the rule of `semsize.structures.states`.
    """
    answers = CropAnswers.cat([CropAnswers.empty(), *map(model, particle_crops(grey, outlines))])
    whole = whole_outlines(outlines, answers.whole, grey)
    classes = class_probabilities(answers.fractions, thresholds)
    return SeenParticles(
        state_probabilities=state_probabilities(outlines, classes, hidden_shares(outlines, whole)),
        particle_probability=answers.is_particle,
        visible_fraction=mean_fraction(answers.fractions),
        whole=whole,
        whole_sizes_px=sizes_px(outlines)[..., None] * answers.size_ratios,
    )
