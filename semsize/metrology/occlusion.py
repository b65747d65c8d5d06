"""Occlusion: which particles a size distribution counts, and how overlooked and partly hidden particles change D50.

Legend: an image's effect is ln(D50 of all found particles / D50 of the fully imaged truths). U is the number of units
of an image: each found particle with the truth that it matches, and each fully imaged truth without a match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.border import border_weights, is_off_border
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.measurands import Measurands
from semsize.metrology.size_distribution import area_fraction, sorted_quantiles, weighted_quantiles
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import FULLY_IMAGED_STATES

QUANTITY_FULLY_IMAGED = "fully imaged particles"
QUANTITY_VISIBLE = "visible outlines of all detected particles"

AREA_FRACTION_EDGES = (0, 0.05, 0.1, 0.2, 0.3, 0.45, 1)  # ends of the classes of an image's area fraction
FEWEST_PARTICLES = 5  # an image counts with as many found and as many fully imaged particles

RESAMPLES = 400
SMALLEST_VARIANCE = 1e-10  # of an image's effect: smaller variances, 0 if nothing changes, give no more weight


@dataclass(frozen=True, eq=False)
class PopulationSplit:
    """The particles, of N, that the headline distribution leaves out; none if no state is known."""

    quantity: str  # what is measured, in words: `QUANTITY_FULLY_IMAGED` or `QUANTITY_VISIBLE`
    states_known: bool  # whether any particle has a state
    not_fully_imaged: np.ndarray  # (N,) bool, partly hidden by their state; they form a separate distribution
    unknown: np.ndarray  # (N,) bool: without a state while others have one; in neither distribution


@dataclass(frozen=True)
class Exclusion:
    """Particles left out for one reason."""

    reason: str  # in words
    count: int  # particles
    d50: float  # median by number of all that was kept
    d50_with: float  # median with the particles put back

    @property
    def effect_percent(self) -> float:
        """Change of D50 by leaving the particles out, in % of D50 with them; NaN if none was kept."""
        return 100 * (self.d50 - self.d50_with) / self.d50_with


def population(states: Sequence[str | None]) -> PopulationSplit:
    """Split N particles, none of them at the border or below the thresholds, by their states.

    >>> population(["complete", "masked", None]).not_fully_imaged
    array([False,  True, False])
    """
    known = np.array([state is not None for state in states], bool)
    if not known.any():
        return PopulationSplit(QUANTITY_VISIBLE, False, not_fully_imaged=known, unknown=known)
    full = np.array([state in FULLY_IMAGED_STATES for state in states], bool)
    return PopulationSplit(QUANTITY_FULLY_IMAGED, True, not_fully_imaged=known & ~full, unknown=~known)


def exclusion_effects(
    sizes: np.ndarray, weights: np.ndarray, reasons: Mapping[str, np.ndarray]
) -> tuple[Exclusion, ...]:
    """Return how each reason for leaving particles out changes D50, in order, even if it applies to none.

    Args:
        sizes: (N,) of all particles, positive.
        weights: (N,) at least 0; positive for kept particles.
        reasons: reason to (N,) bool. A particle with several counts under the first; a particle without any is kept.

    >>> sizes = np.array([10.0, 20.0, 30.0])
    >>> exclusion_effects(sizes, np.ones(3), {"border": np.array([True, False, False])})
    (Exclusion(reason='border', count=1, d50=25.0, d50_with=20.0),)
    """
    left = np.ones(len(sizes), bool)
    groups = {}
    for reason, applies in reasons.items():
        groups[reason] = left & applies
        left &= ~applies
    d50 = _median(sizes, weights, left)
    return tuple(
        Exclusion(reason, int(group.sum()), d50, _median(sizes, weights, left | group))
        for reason, group in groups.items()
    )


def _median(sizes: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> float:
    return float(weighted_quantiles(sizes[chosen], weights[chosen], (0.5,))[0])


@dataclass(frozen=True)
class OcclusionClass:
    """The effect of partly hidden and overlooked particles on D50 in images of one class of density."""

    low: float  # lower end of the class: an image's area fraction of found masks, 0 to 1, included
    high: float  # upper end, excluded
    images: int
    detected: int  # particles found off the border; for D50 they have border weights
    fully_imaged: int  # fully imaged true particles off the border of the same images
    effect: float  # D50 of all detections / D50 of the fully imaged truths - 1
    standard_error: float  # of ln(1 + effect), from sampling of particles and from differences of images
    between_image_std: float  # of ln(1 + effect) between images of one density, from all classes together
    dof: int  # degrees of freedom of the two


@dataclass(frozen=True)
class OcclusionEffect:
    """Deviation of D50 of all detections from D50 of the fully imaged particles; one-sided, not corrected."""

    effect: float  # relative, in scenes of known truth; negative where hidden parts make particles look small
    low: float  # lower end of the scenes' class of area fractions
    high: float  # upper end
    inside: bool  # whether the measurement's area fraction lies in the class; if not, it is the nearest class
    log_std: float  # standard uncertainty of ln(1 + effect) for other images: √(standard error² + spread²)
    dof: float  # its degrees of freedom


@dataclass(frozen=True, eq=False)
class _Sizes:
    """K particles of an image off its border."""

    ecd: np.ndarray  # (K,) px, ascending
    weights: np.ndarray  # (K,) border weights
    units: np.ndarray  # (K,) number of each particle's unit


@dataclass(frozen=True, eq=False)
class _ImageEffect:
    """The effect of occlusion in one image, and the particles that it comes from."""

    found: _Sizes  # all that was found
    full: _Sizes  # the fully imaged truths
    effect: float  # logarithm: see the legend
    variance: float  # of the effect


def occlusion_classes(
    sets: Sequence[Sequence[ImageComparison]], rng: np.random.Generator
) -> tuple[OcclusionClass, ...]:
    """Compare D50 of all found particles with D50 of the fully imaged truths, by density, in images with known states.

    Sets differ in particle size, so each has its own effect; their mean is weighted by images. An image counts with
    `FEWEST_PARTICLES` found and as many fully imaged true particles. The spread between images of one density comes
    from all classes together, so that a class of one image has a standard error too; if no class has two images, the
    spread is not known and the result is empty.

    Args:
        sets: the compared images of each set.
        rng: resamples the particles of an image for the variance of its effect.
    """
    members: dict[int, list[list[_ImageEffect]]] = defaultdict(list)  # class to its images, set by set
    for images in sets:
        of_set = defaultdict(list)
        for image in images:
            effect = _image_effect(image, rng)
            if effect is not None:
                place = np.searchsorted(AREA_FRACTION_EDGES, found_fraction(image), side="right") - 1
                of_set[int(np.clip(place, 0, len(AREA_FRACTION_EDGES) - 2))].append(effect)
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


def occlusion_effect(classes: Sequence[OcclusionClass], area_fraction: float) -> OcclusionEffect | None:
    """Return the effect at an area fraction of found masks, from its class or the nearest one; None without classes.

    >>> dense = OcclusionClass(0.2, 0.3, 5, 200, 150, effect=-0.04, standard_error=0.03, between_image_std=0.04, dof=9)
    >>> effect = occlusion_effect([dense], area_fraction=0.35)
    >>> effect.effect, effect.inside, effect.log_std
    (-0.04, False, 0.05)
    """
    if not classes:
        return None
    above = sorted(classes, key=lambda density: -density.low)  # an edge belongs to the class above it
    nearest = min(above, key=lambda density: max(density.low - area_fraction, area_fraction - density.high, 0.0))
    inside = nearest.low <= area_fraction <= nearest.high
    log_std = float(np.hypot(nearest.standard_error, nearest.between_image_std))
    return OcclusionEffect(nearest.effect, nearest.low, nearest.high, inside, log_std, float(nearest.dof))


def between_image_std(effects: Sequence[Sequence[float]], variances: Sequence[Sequence[float]]) -> float:
    """Return the standard deviation of images' true effects about their class's mean, pooled over C classes; ≥ 0.

    It is the spread that the effects' own variances do not explain, by the method of moments with a mean for each class
    (DerSimonian and Kacker, Contemp. Clin. Trials 28, 2007). It is estimated with weights 1/variance and with equal
    weights, and the larger value counts: by variance, images without change (effect and variance 0) outweigh all
    others; with equal weights, images of few particles hide the spread. A class of one image adds nothing.

    Args:
        effects: (m,) effects of the images of each class.
        variances: (m,) variances of these effects.

    >>> round(between_image_std([[-0.1, 0.1], [0.3]], [[0.01, 0.01], [0.01]]), 6)
    0.1
    """
    by_weight = ([1 / np.maximum(own, SMALLEST_VARIANCE) for own in variances], [np.ones(len(v)) for v in variances])
    return max(_excess_std(effects, variances, weights) for weights in by_weight)


def _excess_std(
    effects: Sequence[Sequence[float]], variances: Sequence[Sequence[float]], weights: Sequence[np.ndarray]
) -> float:
    excess = scale = 0.0
    for values, own, weight in zip(effects, variances, weights, strict=True):
        deviations = np.asarray(values) - np.average(values, weights=weight)
        expected = weight - weight**2 / weight.sum()
        excess += float(weight @ deviations**2 - expected @ np.asarray(own))
        scale += float(expected.sum())
    return float(np.sqrt(max(excess, 0.0) / scale)) if scale > 0 else 0.0


def found_fraction(image: ImageComparison) -> float:
    """Return the area fraction of an image's found masks."""
    return area_fraction(image.found.masks, image.truth.masks.image_shape)


def _class(number: int, of_sets: Sequence[Sequence[_ImageEffect]], between: float, dof: int) -> OcclusionClass:
    effects = [_d50([i.found for i in images]) / _d50([i.full for i in images]) - 1 for images in of_sets]
    images = [image for images in of_sets for image in images]
    return OcclusionClass(
        low=float(AREA_FRACTION_EDGES[number]),
        high=float(AREA_FRACTION_EDGES[number + 1]),
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
    """The effect in an image; None if its states are not known or its particles too few."""
    if all(state is None for state in image.truth.states):
        return None
    number = np.arange(len(image.found.masks))
    counted = ~np.isin(number, image.matching.ignored)
    found = _sizes(image, image.found.masks, image.found_measurands, counted, number)
    fully_imaged = np.array([state in FULLY_IMAGED_STATES for state in image.truth.states], bool)
    fully_imaged &= ~image.truth.truncated
    partner = len(number) + np.arange(len(image.truth.masks))  # a truth without a match is a unit of its own
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
    variance = float(np.log(medians[0] / medians[1]).var())
    return _ImageEffect(found, full, float(np.log(_d50([found]) / _d50([full]))), variance)


def _sizes(
    image: ImageComparison, masks: CroppedMasks, measurands: Measurands, chosen: np.ndarray, units: np.ndarray
) -> _Sizes:
    """Sizes of the chosen particles off the border; ``units`` has the unit of every mask."""
    frame, ecd_px = image.truth.masks.image_shape, measurands.ecd_px
    kept = np.flatnonzero(chosen & is_off_border(masks, frame))
    kept = kept[np.argsort(ecd_px[kept], kind="stable")]
    return _Sizes(ecd_px[kept], border_weights(masks.boxes[kept], frame), units[kept])
