"""What hidden parts and overlooked particles do to D50, in images of known truth, and how well that is known.

Legend: an effect is ln(D50 of all that is found / D50 of the fully imaged truths); U units of an image: found
particles, each with the truth that it matches, and fully imaged truths that nothing matches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.bias_record import OcclusionClass
from semsize.metrology.border import border_weights, is_off_border
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.measurands import Measurands
from semsize.metrology.population import FULLY_IMAGED_STATES
from semsize.metrology.size_distribution import area_fraction, sorted_quantiles, weighted_quantiles
from semsize.structures.masks import CroppedMasks

FRACTION_EDGES = (0, 0.05, 0.1, 0.2, 0.3, 0.45, 1)  # ends of the classes of an image's area fraction
FEWEST_PARTICLES = 5  # number of found particles, and of fully imaged ones, from which an image counts

RESAMPLES = 400
SMALLEST_VARIANCE = 1e-10  # smallest variance of an image's effect, which would be 0 where all particles have one size


@dataclass(frozen=True, eq=False)
class _Sizes:
    """K particles of an image off its border."""

    ecd: np.ndarray  # (K,) px, ascending
    weights: np.ndarray  # (K,) against the border effect
    units: np.ndarray  # (K,) number of each one's unit


@dataclass(frozen=True, eq=False)
class _ImageEffect:
    """The effect of occlusion in one image, and the particles that it comes from."""

    found: _Sizes  # all that was found
    full: _Sizes  # the fully imaged truths
    effect: float
    variance: float  # of the effect


def occlusion_classes(
    sets: Sequence[Sequence[ImageComparison]], rng: np.random.Generator
) -> tuple[OcclusionClass, ...]:
    """D50 of all that is found against D50 of the fully imaged truths, by density, in images whose states are known.

    The effects of several sets, whose particles differ in size, are averaged by their images. An image counts if
    `FEWEST_PARTICLES` of it are found and as many truths fully imaged. How images of one density differ is estimated
    from all classes together, so that a class of one image has a standard error too; where no class has two images,
    it cannot be estimated, and there are no classes.

    Args:
        sets: images of each set, compared.
        rng: draws particles anew, for the variance of an image's effect.
    """
    members: dict[int, list[list[_ImageEffect]]] = defaultdict(list)  # class to its images, set by set
    for images in sets:
        of_set = defaultdict(list)
        for image in images:
            effect = _image_effect(image, rng)
            if effect is not None:
                place = np.searchsorted(FRACTION_EDGES, found_fraction(image), side="right") - 1
                of_set[int(np.clip(place, 0, len(FRACTION_EDGES) - 2))].append(effect)
        for number, effects in of_set.items():
            members[number].append(effects)
    flat = {number: [effect for effects in of_sets for effect in effects] for number, of_sets in members.items()}
    dof = sum(len(effects) - 1 for effects in flat.values())
    if dof == 0:
        return ()
    between = between_image_std(
        [[image.effect for image in effects] for effects in flat.values()],
        [[image.variance for image in effects] for effects in flat.values()],
    )
    return tuple(_class(number, members[number], between, dof) for number in sorted(members))


def between_image_std(effects: Sequence[Sequence[float]], variances: Sequence[Sequence[float]]) -> float:
    """Standard deviation of images' true effects about their class's, pooled over C classes; at least 0.

    DerSimonian and Laird's estimator (1986) with a mean for each class: what the effects differ by more than their own
    variances explain. A class of one image tells nothing.

    Args:
        effects: (m,) effects of the images of each class.
        variances: (m,) variances of these effects, positive.

    >>> round(between_image_std([[-0.1, 0.1], [0.3]], [[0.01, 0.01], [0.01]]), 6)
    0.1
    """
    excess = scale = 0.0
    for values, of_values in zip(effects, variances, strict=True):
        weights = 1 / np.asarray(of_values, np.float64)
        deviations = np.asarray(values) - np.average(values, weights=weights)
        excess += float(weights @ deviations**2) - (len(weights) - 1)
        scale += float(weights.sum() - (weights**2).sum() / weights.sum())
    return float(np.sqrt(max(excess, 0.0) / scale)) if scale > 0 else 0.0


def found_fraction(image: ImageComparison) -> float:
    """Area fraction of what was found in an image."""
    return area_fraction(image.found.masks, image.truth.masks.image_shape)


def _class(number: int, of_sets: Sequence[Sequence[_ImageEffect]], between: float, dof: int) -> OcclusionClass:
    effects = [_d50([i.found for i in images]) / _d50([i.full for i in images]) - 1 for images in of_sets]
    images = [image for images in of_sets for image in images]
    return OcclusionClass(
        low=float(FRACTION_EDGES[number]),
        high=float(FRACTION_EDGES[number + 1]),
        images=len(images),
        detected=sum(len(image.found.ecd) for image in images),
        fully_imaged=sum(len(image.full.ecd) for image in images),
        effect=float(np.average(effects, weights=[len(images) for images in of_sets])),
        standard_error=float(np.sqrt(sum(image.variance + between**2 for image in images)) / len(images)),
        between_image_std=between,
        dof=dof,
    )


def _d50(parts: Sequence[_Sizes]) -> float:
    ecd, weights = (np.concatenate([getattr(part, name) for part in parts]) for name in ("ecd", "weights"))
    return float(weighted_quantiles(ecd, weights, (0.5,))[0])


def _image_effect(image: ImageComparison, rng: np.random.Generator) -> _ImageEffect | None:
    """None where states are not known or particles too few."""
    if all(state is None for state in image.truth.states):
        return None
    number = np.arange(len(image.found.masks))
    counted = ~np.isin(number, image.matching.ignored)
    found = _sizes(image, image.found.masks, image.found_measurands, counted, number)
    fully_imaged = np.array([state in FULLY_IMAGED_STATES for state in image.truth.states], bool)
    fully_imaged &= ~image.truth.truncated
    partner = len(number) + np.arange(len(image.truth.masks))
    partner[image.matching.truth] = image.matching.found
    full = _sizes(image, image.truth.masks, image.true_measurands, fully_imaged, partner)
    if min(len(found.ecd), len(full.ecd)) < FEWEST_PARTICLES:
        return None
    units, unit_of = np.unique(np.concatenate([found.units, full.units]), return_inverse=True)
    times = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), RESAMPLES)  # (B, U)
    drawn = [times[:, unit_of[: len(found.ecd)]] * found.weights, times[:, unit_of[len(found.ecd) :]] * full.weights]
    usable = (drawn[0].sum(axis=1) > 0) & (drawn[1].sum(axis=1) > 0)
    medians = [
        sorted_quantiles(sizes.ecd, weights[usable], (0.5,))[:, 0]
        for sizes, weights in zip((found, full), drawn, strict=True)
    ]
    variance = max(float(np.log(medians[0] / medians[1]).var()), SMALLEST_VARIANCE)
    return _ImageEffect(found, full, float(np.log(_d50([found]) / _d50([full]))), variance)


def _sizes(
    image: ImageComparison, masks: CroppedMasks, measurands: Measurands, chosen: np.ndarray, units: np.ndarray
) -> _Sizes:
    """Sizes of the chosen particles off the border; ``units`` are those of all masks."""
    frame, ecd_px = image.truth.masks.image_shape, measurands.ecd_px
    kept = np.flatnonzero(chosen & is_off_border(masks, frame))
    kept = kept[np.argsort(ecd_px[kept], kind="stable")]
    return _Sizes(ecd_px[kept], border_weights(masks.boxes[kept], frame), units[kept])
