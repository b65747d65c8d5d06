"""Makes a model's bias record from images of known truth, and warns of images outside the ranges that it covers.

Legend: K is the number of pairs of a true and a found particle, neither of which touches the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.bias_record import BiasRecord, CoveredRanges, ModelUse, Range, RecordImages, ResidualClass
from semsize.metrology.border import is_off_border
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.occlusion import found_fraction, occlusion_classes
from semsize.metrology.size_distribution import quantiles

SIZE_EDGES_PX = (0, 8, 11, 16, 23, 32, 45, 64, 91, 128)
"""Lower ends of the size classes, a factor √2 apart; a class with too few particles is joined to its neighbour."""

TOLERANCE = 0.1
"""Relative distance beyond a range's end that causes no warning, because few images seldom hold the extremes."""

FEWEST_PARTICLES = 30  # of a size class
FEWEST_IMAGES = 2  # of a size class


@dataclass(frozen=True, eq=False)
class ComparedSet:
    """The images of one annotation file, each compared with the particles found in it."""

    annotations: str  # name of the annotation file
    predictions: str  # name of the predictions file
    kind: str  # ``annotated`` by people or ``rendered``
    images: Sequence[ImageComparison]
    contrast_levels: Sequence[float]  # one per image; NaN where not known

    def as_source(self) -> RecordImages:
        """Return the entry about these images in a bias record."""
        pairs = len(matched_sizes(self.images).true_px)
        return RecordImages(self.annotations, self.predictions, self.kind, len(self.images), pairs)


@dataclass(frozen=True, eq=False)
class MatchedSizes:
    """ECDs of K matched particles that don't touch the border."""

    true_px: np.ndarray  # (K,) of the true masks
    found_px: np.ndarray  # (K,) of the found masks
    images: np.ndarray  # (K,) number of each pair's image


def make_bias_record(
    sets: Sequence[ComparedSet],
    checkpoint: str | None,
    model: ModelUse | None,
    *,
    min_score: float,
    min_dice: float,
    rng: np.random.Generator,
) -> BiasRecord:
    """Make the bias record of a model.

    Residuals and ranges come from annotated sets if there are any, because rendered images differ from real ones in
    unknown ways. The effect of occlusion comes from all sets, because rendered images reach densities that people don't
    annotate.

    Args:
        sets: images that the model was neither trained nor tuned on.
        checkpoint: file name of the model.
        model: weights, engine and settings that found the sets' particles; None for a method without a network.
        min_score: least score of the found particles in the sets.
        min_dice: least Dice coefficient of their matches.
        rng: for `occlusion_classes`.
    """
    judged = [compared for compared in sets if compared.kind == "annotated"] or sets
    images = [image for compared in judged for image in compared.images]
    sizes = matched_sizes(images)
    return BiasRecord(
        checkpoint=checkpoint,
        model=model,
        min_score=min_score,
        min_dice=min_dice,
        sources=tuple(compared.as_source() for compared in sets),
        residuals=residual_classes(sizes),
        occlusion=occlusion_classes([compared.images for compared in sets], rng),
        ranges=covered_ranges(images, [level for compared in judged for level in compared.contrast_levels], sizes),
    )


def matched_sizes(images: Sequence[ImageComparison]) -> MatchedSizes:
    """Return the ECDs of all matched pairs off the border, without truncated truths."""
    true, found, numbers = [], [], []
    for number, image in enumerate(images):
        frame, pairs = image.truth.masks.image_shape, image.matching
        off_border = is_off_border(image.truth.masks, frame)[pairs.truth] & ~image.truth.truncated[pairs.truth]
        off_border &= is_off_border(image.found.masks, frame)[pairs.found]
        true.append(image.true_measurands.ecd_px[pairs.truth][off_border])
        found.append(image.found_measurands.ecd_px[pairs.found][off_border])
        numbers.append(np.full(int(off_border.sum()), number))
    return MatchedSizes(*(np.concatenate(parts) if parts else np.empty(0) for parts in (true, found, numbers)))


def residual_classes(sizes: MatchedSizes) -> tuple[ResidualClass, ...]:
    """Return the mean residual by found size, since a correction knows no true size; () if particles are too few.

    The classes adjoin from 0 to no upper end; each has at least `FEWEST_PARTICLES` in at least `FEWEST_IMAGES`.

    >>> found_px = np.arange(10.0, 70.0)
    >>> (size_class,) = residual_classes(MatchedSizes(found_px / 1.05, found_px, images=np.arange(60) % 2))
    >>> size_class.low_px, size_class.high_px, round(size_class.residual, 3), size_class.particles
    (0.0, None, 0.05, 60)
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


def covered_ranges(
    images: Sequence[ImageComparison], contrast_levels: Sequence[float], sizes: MatchedSizes
) -> CoveredRanges:
    """Return the ranges of pixel size, contrast (NaN: not known) and area fraction, and true ECDs from 1 to 99 %."""
    pixel_sizes = [image.truth.pixel_size.value_nm for image in images if image.truth.pixel_size is not None]
    known = [level for level in contrast_levels if not np.isnan(level)]
    return CoveredRanges(
        nm_per_px=_range(pixel_sizes),
        ecd_px=_range(quantiles(sizes.true_px, (0.01, 0.99))) if sizes.true_px.size else None,
        contrast_levels=_range(known),
        area_fraction=_range([found_fraction(image) for image in images]),
    )


def _in_class(sizes: MatchedSizes, low: float, high: float) -> np.ndarray:
    return (sizes.found_px >= low) & (sizes.found_px < high)


def _enough(sizes: MatchedSizes, low: float, high: float) -> bool:
    members = _in_class(sizes, low, high)
    return members.sum() >= FEWEST_PARTICLES and len(np.unique(sizes.images[members])) >= FEWEST_IMAGES


def _residual_class(sizes: MatchedSizes, low: float, high: float) -> ResidualClass:
    members = _in_class(sizes, low, high)
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
        standard_error=float(np.sqrt(m / (m - 1) * (sums**2).sum()) / len(residuals)),  # images are the clusters
        between_image_std=_between_std(residuals, images, counts),
        particles=len(residuals),
        images=m,
    )


def _between_std(values: np.ndarray, groups: np.ndarray, counts: np.ndarray) -> float:
    """Standard deviation of the true means of groups of unequal size, by one-way analysis of variance; at least 0."""
    means = np.bincount(groups, values) / counts
    between = (counts * (means - values.mean()) ** 2).sum() / (len(counts) - 1)
    within = ((values - means[groups]) ** 2).sum() / max(len(values) - len(counts), 1)
    typical = (len(values) - (counts**2).sum() / len(values)) / (len(counts) - 1)
    return float(np.sqrt(max(between - within, 0) / typical))


def _range(values: Sequence[float] | np.ndarray) -> Range | None:
    return (float(min(values)), float(max(values))) if len(values) else None


def range_warnings(
    ranges: CoveredRanges,
    image_names: Sequence[str],
    *,
    nm_per_px: Sequence[float | None],
    ecd_px: np.ndarray,
    contrast_levels: Sequence[float | None],
    area_fraction: Sequence[float],
) -> tuple[str, ...]:
    """Return one line for each quantity that is outside the validated range, or has no validated range.

    Args:
        ranges: of the bias record.
        image_names: (M,) names for the warnings.
        nm_per_px: (M,) pixel sizes; None (not known) is not judged.
        ecd_px: (N,) ECDs of all measured particles.
        contrast_levels: (M,) from `semsize.sem.particle_contrast`; None or NaN for images without particles.
        area_fraction: (M,) covered share of each image.

    >>> ranges, known = CoveredRanges((2.0, 5.0), None, None, None), {"ecd_px": (), "contrast_levels": [None]}
    >>> range_warnings(ranges, ["a.tif"], nm_per_px=[9.0], area_fraction=[float("nan")], **known)
    ('pixel size of 1 of 1 images (9 nm) lies outside 2 to 5 nm: a.tif',)
    """
    lines = (
        _image_warning("pixel size", "nm", nm_per_px, ranges.nm_per_px, image_names),
        _image_warning("contrast", "grey levels", contrast_levels, ranges.contrast_levels, image_names),
        _image_warning("area fraction of particles", "", area_fraction, ranges.area_fraction, image_names),
        _size_warning(ecd_px, ranges.ecd_px),
    )
    return tuple(line for line in lines if line)


def _image_warning(
    what: str, unit: str, values: Sequence[float | None], valid: Range | None, names: Sequence[str]
) -> str:
    known = [(value, name) for value, name in zip(values, names, strict=True) if value is not None and value == value]
    if not known:
        return ""
    if valid is None:
        return f"{what}: the model was not validated for it"
    low, high = valid[0] / (1 + TOLERANCE), valid[1] * (1 + TOLERANCE)
    outside = [(value, name) for value, name in known if not low <= value <= high]
    if not outside:
        return ""
    which = ", ".join(name for _, name in outside[:3]) + (" …" if len(outside) > 3 else "")
    of = f"{len(outside)} of {len(names)} images"
    return f"{what} of {of} ({_span([v for v, _ in outside], unit)}) lies outside {_span(valid, unit)}: {which}"


def _size_warning(ecd_px: np.ndarray, valid: Range | None) -> str:
    if len(ecd_px) == 0:
        return ""
    if valid is None:
        return "particle size: the model was not validated for it"
    small, large = int((ecd_px < valid[0]).sum()), int((ecd_px > valid[1]).sum())
    if small + large <= 0.02 * len(ecd_px):  # also true of the validation: the ends are its 1 % and 99 % quantiles
        return ""
    return f"particle size: of {len(ecd_px)} particles {small} are below and {large} above {_span(valid, 'px')}"


def _span(values: Sequence[float], unit: str) -> str:
    low, high = min(values), max(values)
    text = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
    return f"{text} {unit}".strip()
