"""The truth about the outlines of an image, from the annotated particles that they match.

Legend: M outlines, N annotated particles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from semsize.metrology.matching import MIN_DICE, Matching, match
from semsize.metrology.measurands import measure
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import VISIBILITY_CLASSES, class_of_state, visibility_class

SIZES = ("ecd", "feret_min", "feret_max")
"""Sizes of a particle, in the order of every array that holds three sizes."""


def sizes_px(masks: CroppedMasks) -> np.ndarray:
    """`SIZES` of N masks, (N, 3) float64 px; NaN for an empty mask.

    >>> sizes_px(CroppedMasks.from_crops([(np.ones((3, 4)), (0, 0))], (9, 9))).round(2)
    array([[3.91, 3.  , 5.  ]])
    """
    found = measure(masks)
    return np.column_stack([getattr(found, f"{name}_px") for name in SIZES])


@dataclass(frozen=True, eq=False)
class OutlineTruth:
    """Annotations of the particle that each of M outlines matches; indexing selects outlines."""

    is_particle: np.ndarray  # (M,) float64: 1 matched, 0 not matched, NaN in a region to ignore
    visible_fraction: np.ndarray  # (M,) float64, 0 to 1 within the frame; NaN not known
    visibility_class: np.ndarray  # (M,) int64, place in VISIBILITY_CLASSES; -1 not known
    truncated: np.ndarray  # (M,) bool, cut by the frame
    sizes_px: np.ndarray  # (M, 3) float64, `SIZES` of the whole particle; NaN not known, or cut by the frame
    visible: CroppedMasks  # M true visible outlines; empty where no particle matches
    whole: CroppedMasks  # M true whole outlines within the frame; empty where not known
    partner: np.ndarray  # (M,) int64, number of the particle, not counting regions to ignore; -1 none

    def __len__(self) -> int:
        return len(self.is_particle)

    def __getitem__(self, index: slice | np.ndarray) -> OutlineTruth:
        """The outlines at a slice or an array of integers or booleans."""
        return OutlineTruth(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def whole_is_known(self) -> np.ndarray:
        """(M,) bool: the whole outline is known within the frame."""
        return self.whole.areas > 0


def outline_truth(
    outlines: CroppedMasks,
    particles: Sequence[Mapping[str, Any]],
    pixel_size_nm: float | None = None,
    pairs: Matching | None = None,
) -> OutlineTruth:
    """Return the truth about M outlines, found or drawn, from the annotations of their image.

    `semsize.metrology.matching.match` assigns particles to outlines. Of a rendered particle the visible fraction, the
    whole outline and its sizes are known; of a particle that people annotated, at most the class of its state.

    Args:
        outlines: M masks.
        particles: annotations of the image, see `semsize.structures.annotations`.
        pixel_size_nm: nanometres a pixel; None leaves the sizes unknown.
        pairs: the matching of the particles, without regions to ignore, with the outlines; None: it is made here.

    >>> disk = CroppedMasks.from_crops([(np.ones((4, 4)), (0, 0)), (np.ones((2, 2)), (6, 6))], (9, 9))
    >>> particle = {"segmentation": disk.to_rles()[0], "iscrowd": 0, "state": "touch_complete"}
    >>> truth = outline_truth(disk, [particle])
    >>> truth.is_particle, truth.visibility_class, truth.visible_fraction
    (array([1., 0.]), array([ 0, -1]), array([nan, nan]))
    """
    shape = outlines.image_shape
    known = [particle for particle in particles if not particle["iscrowd"]]
    crowds = [particle["segmentation"] for particle in particles if particle["iscrowd"]]
    visible = CroppedMasks.from_rles([particle["segmentation"] for particle in known], shape)
    if pairs is None:
        pairs = match(visible, outlines, min_dice=MIN_DICE, ignored_regions=CroppedMasks.from_rles(crowds, shape))
    count = len(outlines)
    is_particle, fraction, sizes = np.zeros(count), np.full(count, np.nan), np.full((count, len(SIZES)), np.nan)
    classes, truncated = np.full(count, -1), np.zeros(count, bool)
    is_particle[pairs.ignored] = np.nan
    is_particle[pairs.found] = 1
    partner = np.full(count, -1)
    partner[pairs.found] = pairs.truth
    of_outline = dict(zip(pairs.found.tolist(), pairs.truth.tolist(), strict=True))
    for outline, number in of_outline.items():
        particle = known[number]
        fraction[outline] = particle.get("visible_fraction", np.nan)
        classes[outline] = class_number(particle)
        truncated[outline] = particle.get("truncated", False)
        if pixel_size_nm is not None and not truncated[outline]:
            sizes[outline] = [particle.get(f"{name}_nm", np.nan) / pixel_size_nm for name in SIZES]
    amodal = {outline: known[number].get("amodal_segmentation") for outline, number in of_outline.items()}
    return OutlineTruth(
        is_particle,
        fraction,
        classes,
        truncated,
        sizes,
        visible=_spread(visible[list(of_outline.values())], list(of_outline), count),
        whole=_spread(
            CroppedMasks.from_rles([rle for rle in amodal.values() if rle], shape),
            [outline for outline, rle in amodal.items() if rle],
            count,
        ),
        partner=partner,
    )


def class_number(particle: Mapping[str, Any]) -> int:
    """Place of a particle's class in VISIBILITY_CLASSES, by its visible fraction, else by its state; -1 not known."""
    fraction = particle.get("visible_fraction")
    name = class_of_state(particle.get("state")) if fraction is None else visibility_class(fraction)
    return -1 if name is None else VISIBILITY_CLASSES.index(name)


def _spread(masks: CroppedMasks, positions: Sequence[int], count: int) -> CroppedMasks:
    """``count`` masks: the given ones at their positions, empty ones elsewhere."""
    placed = dict(zip(positions, masks, strict=True))
    nothing = np.zeros((0, 0), np.uint8), (0, 0)
    return CroppedMasks.from_crops([placed.get(number, nothing) for number in range(count)], masks.image_shape)
