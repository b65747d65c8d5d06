"""A model's validation record from images of known truth: size residuals, occlusion, and the ranges covered.

Legend: images are `ImageComparison`s; K pairs of true and found particles of which neither touches the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.comparison import ImageComparison
from semsize.metrology.distribution import quantiles
from semsize.metrology.occlusion import found_fraction, inner, occlusion_classes
from semsize.metrology.validation import (
    ModelUse,
    ModelValidation,
    Range,
    ResidualClass,
    ValidatedRanges,
    ValidationSource,
)

SIZE_EDGES_PX = (0, 8, 11, 16, 23, 32, 45, 64, 91, 128)
"""Lower ends of the size classes, a factor √2 apart; a class with too few particles is joined to its neighbour."""

FEWEST_PARTICLES = 30
FEWEST_IMAGES = 2


@dataclass(frozen=True, eq=False)
class ComparedSet:
    """Images of one annotation file against what was found in them.

    Attributes:
        annotations: name of the truth's file.
        predictions: name of the file of what was found.
        kind: ``annotated`` or ``rendered``.
        images: their comparisons.
        contrast_levels: of each image; NaN where it is not known.
    """

    annotations: str
    predictions: str
    kind: str
    images: Sequence[ImageComparison]
    contrast_levels: Sequence[float]


@dataclass(frozen=True, eq=False)
class MatchedSizes:
    """ECDs of K matched particles that don't touch the border.

    Attributes:
        true_px: (K,) of the truth.
        found_px: (K,) as found.
        images: (K,) number of the image.
    """

    true_px: np.ndarray
    found_px: np.ndarray
    images: np.ndarray


def validate_model(
    sets: Sequence[ComparedSet],
    checkpoint: str | None,
    model: ModelUse | None,
    *,
    min_score: float,
    min_dice: float,
    rng: np.random.Generator,
) -> ModelValidation:
    """The record of a model.

    Residuals and ranges come from annotated sets where there are any, for rendered images differ from real ones in ways
    that no renderer knows of; the effect of occlusion comes from all, since they reach densities that people don't
    annotate.

    Args:
        sets: images that it was neither trained nor tuned on.
        checkpoint: its file's name.
        model: the use of it that found the sets' particles; None for a method that is no network.
        min_score: score from which the sets' particles were taken.
        min_dice: Dice coefficient from which they were matched.
        rng: of `occlusion_classes`.
    """
    judged = [one for one in sets if one.kind == "annotated"] or sets
    images = [image for one in judged for image in one.images]
    sizes = matched_sizes(images)
    return ModelValidation(
        checkpoint=checkpoint,
        model=model,
        min_score=min_score,
        min_dice=min_dice,
        sources=tuple(
            ValidationSource(
                one.annotations, one.predictions, one.kind, len(one.images), len(matched_sizes(one.images).true_px)
            )
            for one in sets
        ),
        residuals=residual_classes(sizes),
        occlusion=occlusion_classes([one.images for one in sets], rng),
        ranges=validated_ranges(images, [level for one in judged for level in one.contrast_levels], sizes),
    )


def matched_sizes(images: Sequence[ImageComparison]) -> MatchedSizes:
    """The pairs of all images."""
    true, found, numbers = [], [], []
    for number, image in enumerate(images):
        frame, pairs = image.truth.masks.image_shape, image.matching
        off_border = inner(image.truth.masks, frame)[pairs.truth] & ~image.truth.truncated[pairs.truth]
        off_border &= inner(image.found.masks, frame)[pairs.found]
        true.append(image.true_measurands.ecd_px[pairs.truth][off_border])
        found.append(image.found_measurands.ecd_px[pairs.found][off_border])
        numbers.append(np.full(int(off_border.sum()), number))
    return MatchedSizes(*(np.concatenate(parts) if parts else np.empty(0) for parts in (true, found, numbers)))


def residual_classes(sizes: MatchedSizes) -> tuple[ResidualClass, ...]:
    """Mean residual by size as found, for that is what a correction goes by; empty where particles are too few.

    The classes adjoin from 0 without an upper end; each has at least 30 particles in at least two images.
    """
    edges = [float(edge) for edge in SIZE_EDGES_PX]
    while len(edges) > 1:
        too_few = [not _enough(sizes, low, high) for low, high in zip(edges, [*edges[1:], np.inf], strict=True)]
        if not any(too_few):
            break
        first = too_few.index(True)
        del edges[first + 1 if first + 1 < len(edges) else first]
    ends = list(zip(edges, [*edges[1:], np.inf], strict=True))
    return tuple(_residual_class(sizes, low, high) for low, high in ends if _enough(sizes, low, high))


def validated_ranges(
    images: Sequence[ImageComparison], contrast_levels: Sequence[float], sizes: MatchedSizes
) -> ValidatedRanges:
    """What the images cover.

    Args:
        images: the comparisons.
        contrast_levels: of each image; NaN where it is not known.
        sizes: `matched_sizes` of the images.
    """
    pixel_sizes = [image.truth.pixel_size.value_nm for image in images if image.truth.pixel_size is not None]
    known = [level for level in contrast_levels if not np.isnan(level)]
    return ValidatedRanges(
        nm_per_px=_range(pixel_sizes),
        ecd_px=_range(quantiles(sizes.true_px, (0.01, 0.99))) if sizes.true_px.size else None,
        contrast_levels=_range(known),
        area_fraction=_range([found_fraction(image) for image in images]),
    )


def _enough(sizes: MatchedSizes, low: float, high: float) -> bool:
    members = (sizes.found_px >= low) & (sizes.found_px < high)
    return members.sum() >= FEWEST_PARTICLES and len(np.unique(sizes.images[members])) >= FEWEST_IMAGES


def _residual_class(sizes: MatchedSizes, low: float, high: float) -> ResidualClass:
    members = (sizes.found_px >= low) & (sizes.found_px < high)
    found, true = sizes.found_px[members], sizes.true_px[members]
    residuals = found / true - 1
    images = np.unique(sizes.images[members], return_inverse=True)[1]
    counts = np.bincount(images)
    sums = np.bincount(images, residuals - residuals.mean())  # deviation of each image's total
    m = len(counts)
    return ResidualClass(
        low_px=low,
        high_px=None if np.isinf(high) else high,
        mean_ecd_px=float(found.mean()),
        residual=float(residuals.mean()),
        standard_error=float(np.sqrt(m / (m - 1) * (sums**2).sum()) / len(residuals)),
        between_image_std=_between_std(residuals, images, counts),
        particles=len(residuals),
        images=m,
    )


def _between_std(values: np.ndarray, groups: np.ndarray, counts: np.ndarray) -> float:
    """Standard deviation of the groups' means by one-way analysis of variance, numbers unequal; at least 0."""
    means = np.bincount(groups, values) / counts
    between = (counts * (means - values.mean()) ** 2).sum() / (len(counts) - 1)
    within = ((values - means[groups]) ** 2).sum() / max(len(values) - len(counts), 1)
    typical = (len(values) - (counts**2).sum() / len(values)) / (len(counts) - 1)
    return float(np.sqrt(max(between - within, 0) / typical))


def _range(values: Sequence[float] | np.ndarray) -> Range | None:
    return (float(min(values)), float(max(values))) if len(values) else None
