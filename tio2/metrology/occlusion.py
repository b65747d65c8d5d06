"""What hidden parts and overlooked particles do to D50, in images of known truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tio2.metrology.border import border_weights
from tio2.metrology.comparison import ImageComparison
from tio2.metrology.population import FULLY_IMAGED_STATES
from tio2.metrology.size_sample import area_fraction, weighted_quantiles
from tio2.metrology.validation import OcclusionClass
from tio2.structures.masks import CroppedMasks

FRACTION_EDGES = (0, 0.05, 0.1, 0.2, 0.3, 0.45, 1)
"""Ends of the classes of an image's area fraction."""


def occlusion_classes(sets: Sequence[Sequence[ImageComparison]]) -> tuple[OcclusionClass, ...]:
    """D50 of all that is found against D50 of the fully imaged truths, by density; of images whose truth tells states.

    The effects of several sets, whose particles differ in size, are averaged by their images. A set whose images of a
    class hold no fully imaged truth or no find is no part of it.
    """
    of_sets = [_occlusion_of_set(images) for images in sets]
    classes = []
    for number in sorted({number for effects in of_sets for number in effects}):
        parts = np.array([effects[number] for effects in of_sets if number in effects])  # (sets, 4)
        images, detected, full = (int(count) for count in parts[:, :3].sum(axis=0))
        effect = float(np.average(parts[:, 3], weights=parts[:, 0]))
        ends = float(FRACTION_EDGES[number]), float(FRACTION_EDGES[number + 1])
        classes.append(OcclusionClass(*ends, images, detected, full, effect))
    return tuple(classes)


def found_fraction(image: ImageComparison) -> float:
    """Area fraction of what was found in an image."""
    return area_fraction(image.found.masks, image.truth.masks.image_shape)


def inner(masks: CroppedMasks, frame_shape: tuple[int, int]) -> np.ndarray:
    """(N,) bool: not empty, and whole within the frame without touching its border."""
    result = (masks.areas > 0) & (masks.boxes[:, 3] <= frame_shape[0])  # none in a data bar
    result[result] = ~border_weights(masks.boxes[result], frame_shape).touches
    return result


def _occlusion_of_set(images: Sequence[ImageComparison]) -> dict[int, tuple[int, int, int, float]]:
    """Number of a class to its images, particles found, fully imaged truths, and effect on D50."""
    told = [image for image in images if any(state is not None for state in image.truth.states)]
    place = np.searchsorted(FRACTION_EDGES, [found_fraction(image) for image in told], side="right") - 1
    place = np.clip(place, 0, len(FRACTION_EDGES) - 2)
    effects = {}
    for number in np.unique(place).tolist():
        chosen = [image for image, of_image in zip(told, place, strict=True) if of_image == number]
        found = [_weighted_ecd(i.found.masks, i.found_measurands.ecd_px, _counted(i), i) for i in chosen]
        full = [_weighted_ecd(i.truth.masks, i.true_measurands.ecd_px, _fully_imaged(i), i) for i in chosen]
        d50 = [float(weighted_quantiles(*np.concatenate(parts, axis=1), (0.5,))[0]) for parts in (found, full)]
        if not np.isnan(d50).any():
            counts = [sum(part.shape[1] for part in parts) for parts in (found, full)]
            effects[number] = len(chosen), *counts, d50[0] / d50[1] - 1
    return effects


def _counted(image: ImageComparison) -> np.ndarray:
    """(M,) bool: found particles that count: not those on specks."""
    counted = np.ones(len(image.found.masks), bool)
    counted[image.matching.ignored] = False
    return counted


def _fully_imaged(image: ImageComparison) -> np.ndarray:
    """(N,) bool: truths in a fully imaged state that the frame does not cut."""
    return np.array([state in FULLY_IMAGED_STATES for state in image.truth.states], bool) & ~image.truth.truncated


def _weighted_ecd(masks: CroppedMasks, ecd_px: np.ndarray, chosen: np.ndarray, image: ImageComparison) -> np.ndarray:
    """(2, K) ECDs and border weights of the chosen particles that don't touch the border."""
    frame = image.truth.masks.image_shape
    kept = chosen & inner(masks, frame)
    return np.stack([ecd_px[kept], border_weights(masks.boxes[kept], frame).weights])
