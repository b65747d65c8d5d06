"""Why a particle was missed, and why something was found that is none: of some rules the first that holds.

Legend: N true particles, M detections. *Counted* detections have the operating score or more. ``cover`` is the share of
a particle's pixels that a detection holds, ``inside`` the share of a detection's pixels that lie in a particle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from semsize.metrology.appearance import Appearance, appearance
from semsize.metrology.comparison import ImageComparison, ImageFound
from semsize.metrology.matching import MIN_DICE, overlaps
from semsize.structures.masks import CroppedMasks

LEAST_DICE = 0.5
"""Dice from which a detection means a particle, though its outline may be too bad for a match."""

MOST = 0.5
"""``cover`` or ``inside`` from which a mask holds most of another, or lies in it."""

NOTABLE = 0.15
"""Share of a mask from which another one counts in it."""

ANNOTATED = 0.25
"""Share of a detection below which it lies on nothing that is annotated."""

AS_BRIGHT = 0.4
"""Level above the substrate, as a share of the median particle's, from which something is as bright as a particle."""

BETWEEN = 0.3
"""Share of its surroundings in annotated particles from which a detection lies between them."""

MISS_CAUSES = {
    "taken": "a counted detection has its outline, and is matched with another particle",
    "below the threshold": "a detection of lower score has its outline",
    "merged": "an unmatched detection holds most of it and of another particle, each of them 15 % of it or more",
    "swallowed": "the detection that is matched with another particle holds most of it",
    "split": "two or more counted detections lie in it and hold most of it together",
    "poor outline": "a counted detection means it, but with Dice below 0.75",
    "weak and poor": "a detection of lower score means it, with Dice below 0.75",
    "overlooked": "no detection means it (Dice 0.5)",
}
"""Cause of a miss to its rule, in the order in which they are asked."""

FALSE_CAUSES = {
    "annotation fault suspected": "nothing is annotated there, and it is nearly as bright as the annotated particles",
    "gap": "nothing is annotated there, it is darker, and lies between particles",
    "substrate": "nothing is annotated there, it is darker, and lies apart: the substrate's pattern, debris",
    "merged": "it holds most of two particles or more, each of them 15 % of it or more",
    "duplicate": "it means a particle that another detection found",
    "poor outline": "it means a particle that was missed, but with Dice below 0.75",
    "part of a found one": "most of it lies in a particle that another detection found; its Dice is below 0.5",
    "part of a missed one": "most of it lies in a particle that was missed; its Dice is below 0.5",
    "astride": "it lies on several particles and means none of them",
}
"""Cause of a false positive to its rule, in the order in which they are asked."""


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """The errors of an image, in the order of its matching.

    Attributes:
        miss_causes: of `MISS_CAUSES`, for each missed particle.
        false_causes: of `FALSE_CAUSES`, for each false positive.
        circumstances: of `semsize.metrology.appearance.CIRCUMSTANCES`, for each of the N true particles.
        nearest: the true particle with the largest Dice, for each false positive; -1 where it overlaps none.
    """

    miss_causes: list[str]
    false_causes: list[str]
    circumstances: list[str]
    nearest: np.ndarray


def image_errors(
    image: ImageComparison, found: ImageFound, grey: np.ndarray, *, min_dice: float = MIN_DICE
) -> ImageErrors:
    """Names the cause of each error of an image.

    Args:
        image: truth and counted detections.
        found: all detections of the image, those of lower score too.
        grey: (H, W) grey levels, 0 to 255; may be taller than the masks' image by a data bar.
        min_dice: what the matching asked for.
    """
    looks = appearance(image.truth.masks, image.truth.masks, grey)
    dice = overlap_tables(image.truth.masks, image.found.masks).dice[:, image.matching.false_positives]
    nearest = np.where(dice.any(axis=0), dice.argmax(axis=0), -1) if len(dice) else np.full(dice.shape[1], -1)
    return ImageErrors(
        miss_causes(image, found, min_dice=min_dice),
        false_causes(image, looks, grey),
        looks.circumstances(image.truth.states),
        nearest,
    )


@dataclass(frozen=True, eq=False)
class OverlapTables:
    """What M detections share with N particles, 0 where nothing: ``cover``, ``inside`` and ``dice``, each (N, M)."""

    cover: np.ndarray
    inside: np.ndarray
    dice: np.ndarray


def overlap_tables(truth: CroppedMasks, found: CroppedMasks) -> OverlapTables:
    """Overlaps of two sets of masks of one image as tables."""
    pairs = overlaps(truth, found)
    cover, inside, dice = np.zeros((3, len(truth), len(found)))
    at = pairs.first, pairs.second
    cover[at] = pairs.intersection_px / truth.areas[pairs.first]
    inside[at] = pairs.intersection_px / found.areas[pairs.second]
    dice[at] = pairs.dice
    return OverlapTables(cover, inside, dice)


def miss_causes(image: ImageComparison, found: ImageFound, *, min_dice: float = MIN_DICE) -> list[str]:
    """A cause of `MISS_CAUSES` for each particle of ``image.matching.missed``; arguments as for `image_errors`."""
    counted = overlap_tables(image.truth.masks, image.found.masks)
    dice_of_all = overlap_tables(image.truth.masks, found.masks).dice
    matched = np.isin(np.arange(len(image.found.masks)), image.matching.found)
    joins = ((counted.cover >= MOST) & (counted.inside >= NOTABLE)).sum(axis=0) > 1  # (M,)
    return [
        _miss_cause(
            counted.cover[one], counted.inside[one], counted.dice[one], dice_of_all[one], matched, joins, min_dice
        )
        for one in image.matching.missed
    ]


def false_causes(image: ImageComparison, looks: Appearance, grey: np.ndarray) -> list[str]:
    """A cause of `FALSE_CAUSES` for each detection of ``image.matching.false_positives``.

    Args:
        image: truth and counted detections.
        looks: of the true particles.
        grey: (H, W) grey levels.
    """
    truth, found = image.truth.masks, image.found.masks[image.matching.false_positives]
    tables = overlap_tables(truth, found)
    on_specks = overlap_tables(image.truth.ignored, found).inside.sum(axis=0)
    unannotated = tables.inside.sum(axis=0) + on_specks < ANNOTATED
    places = _places(found, looks, image, grey)
    was_found = np.isin(np.arange(len(truth)), image.matching.truth)
    return [
        places[one]
        if unannotated[one]
        else _false_cause(tables.cover[:, one], tables.inside[:, one], tables.dice[:, one], was_found)
        for one in range(len(found))
    ]


def _miss_cause(
    cover: np.ndarray,
    inside: np.ndarray,
    dice: np.ndarray,
    dice_of_all: np.ndarray,
    matched: np.ndarray,
    joins: np.ndarray,
    min_dice: float,
) -> str:
    """Of one particle, from its rows of the tables."""
    parts = (inside >= MOST) & (cover >= NOTABLE)
    return _first(
        {
            "taken": (dice >= min_dice).any(),
            "below the threshold": (dice_of_all >= min_dice).any(),
            "merged": ((cover >= MOST) & (inside >= NOTABLE) & joins & ~matched).any(),
            "swallowed": ((cover >= MOST) & matched).any(),
            "split": parts.sum() > 1 and cover[parts].sum() >= MOST,
            "poor outline": (dice >= LEAST_DICE).any(),
            "weak and poor": (dice_of_all >= LEAST_DICE).any(),
        },
        "overlooked",
    )


def _false_cause(cover: np.ndarray, inside: np.ndarray, dice: np.ndarray, was_found: np.ndarray) -> str:
    """Of one detection on annotated pixels, from its columns of the tables."""
    best = dice.argmax() if dice.any() else None
    means_one = best is not None and dice[best] >= LEAST_DICE
    return _first(
        {
            "merged": ((cover >= MOST) & (inside >= NOTABLE)).sum() > 1,
            "duplicate": means_one and was_found[best],
            "poor outline": means_one,
            "part of a found one": (inside[was_found] >= MOST).any(),
            "part of a missed one": (inside >= MOST).any(),
        },
        "astride",
    )


def _places(found: CroppedMasks, looks: Appearance, image: ImageComparison, grey: np.ndarray) -> list[str]:
    """What each detection is if it lies on nothing annotated."""
    there = appearance(found, image.truth.masks, grey)
    annotated = image.truth.masks.union() | image.truth.ignored.union()
    height, width = annotated.shape
    free = grey[:height, :width][~annotated]
    substrate = float(np.median(free)) if free.size else float("nan")
    typical = float(np.nanmedian(looks.level)) if len(looks.level) else float("nan")
    bright = there.level - substrate >= AS_BRIGHT * (typical - substrate)
    return [
        _first({"annotation fault suspected": bright[one], "gap": there.surrounded[one] >= BETWEEN}, "substrate")
        for one in range(len(found))
    ]


def _first(rules: Mapping[str, bool], otherwise: str) -> str:
    return next((name for name, holds in rules.items() if holds), otherwise)
