"""Names the causes of misses and false positives, and what makes a particle hard to find, by the first rule that holds.

Legend: N true particles, M detections. *Counted* detections have the operating score or more. ``cover`` is the share of
a particle's pixels that a detection holds, ``inside`` the share of a detection's pixels that lie in a particle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from semsize.metrology.border import touches_border
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.matching import MIN_DICE
from semsize.metrology.size_distribution import mean_or_nan
from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps

LEAST_DICE = 0.5  # Dice from which a detection means a particle, though its outline may be too bad for a match
MOST = 0.5  # ``cover`` or ``inside`` from which a mask holds most of another, or lies mostly in it
NOTABLE = 0.15  # share of a mask that another one must hold to count as part of it
ANNOTATED = 0.25  # a detection with a smaller share on particles and specks lies on background

AS_BRIGHT = 0.4
"""Level above the substrate, as a share of the median particle's, from which something is as bright as a particle."""

BETWEEN = 0.3  # a detection lies between particles if they hold this share of its surroundings

SATURATED_LEVEL = 250.0
EDGE_SCALE_PX = 1.0  # standard deviation of the Gaussian whose derivative is the gradient
FAINT_GRADIENT = 4.0  # grey levels a pixel
NEAR_PX = 3
SMALL_PX = 100
LARGE_PX = 1500
SATURATED_SHARE = 0.1
FAINT_SHARE = 0.12
SURROUNDED_SHARE = 0.45

MISS_CAUSES = {
    "taken": "a counted detection has its outline, and is matched with another particle",
    "below the threshold": "a detection of lower score has its outline",
    "merged": "an unmatched detection holds most of it and of another particle, each of them 15 % of it or more",
    "swallowed": "the detection that is matched with another particle holds most of it",
    "split": "two or more counted detections lie in it and hold most of it together",
    "poor outline": f"a counted detection means it, but with Dice below {MIN_DICE:g}",
    "weak and poor": f"a detection of lower score means it, with Dice below {MIN_DICE:g}",
    "overlooked": f"no detection means it (Dice {LEAST_DICE:g})",
}
"""Cause of a miss to its rule; the first rule that holds decides."""

FALSE_CAUSES = {
    "annotation fault suspected": "nothing is annotated there, and it is nearly as bright as the annotated particles",
    "gap": "nothing is annotated there, it is darker, and lies between particles",
    "substrate": "nothing is annotated there, it is darker, and lies apart: the substrate's pattern, debris",
    "merged": "it holds most of two particles or more, each of them 15 % of it or more",
    "duplicate": "it means a particle that another detection found",
    "poor outline": f"it means a particle that was missed, but with Dice below {MIN_DICE:g}",
    "part of a found one": f"most of it lies in a particle that another detection found; Dice is below {LEAST_DICE:g}",
    "part of a missed one": f"most of it lies in a particle that was missed; Dice is below {LEAST_DICE:g}",
    "astride": "it lies on several particles and means none of them",
}
"""Cause of a false positive to its rule; the first rule that holds decides."""

CIRCUMSTANCES = {
    "mostly hidden": "its state is unusable",
    "cut by the frame": "a pixel lies on the image's border or next to it",
    "small": f"less than {SMALL_PX} px",
    "saturated": f"{SATURATED_SHARE:.0%} or more of its pixels have a level of {SATURATED_LEVEL:g} or more",
    "faint outline": f"{FAINT_SHARE:.0%} or more of its outline changes by less than {FAINT_GRADIENT:g} levels a pixel",
    "surrounded": f"others hold {SURROUNDED_SHARE:.0%} or more of what lies up to {NEAR_PX} px around it",
    "large": f"{LARGE_PX} px or more",
    "plain": "none of these",
}
"""What makes a particle hard to find, to its rule; the first rule that holds decides."""

_SQUARE = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Appearance:
    """Appearance of each of N masks in its image; an empty mask has NaN for shares and level."""

    area_px: np.ndarray  # (N,)
    at_frame: np.ndarray  # (N,) bool: whether it touches the border (`touches_border`)
    level: np.ndarray  # (N,) median grey level
    saturated: np.ndarray  # (N,) share of its pixels with `SATURATED_LEVEL` or more
    faint: np.ndarray  # (N,) share of its outline, a pixel on either side, with a gradient below `FAINT_GRADIENT`
    surrounded: np.ndarray  # (N,) share of the pixels up to `NEAR_PX` around it that other masks hold

    def circumstances(self, states: Sequence[str | None]) -> list[str]:
        """Return the first of `CIRCUMSTANCES` that holds for each of N particles, given their states."""
        rules = {
            "mostly hidden": np.array([state == "unusable" for state in states], bool),
            "cut by the frame": self.at_frame,
            "small": self.area_px < SMALL_PX,
            "saturated": self.saturated >= SATURATED_SHARE,
            "faint outline": self.faint >= FAINT_SHARE,
            "surrounded": self.surrounded >= SURROUNDED_SHARE,
            "large": self.area_px >= LARGE_PX,
        }
        return _first_rules(rules, range(len(states)), "plain")


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """The errors of an image, in the order of its matching."""

    miss_causes: list[str]  # of `MISS_CAUSES`, for each missed particle
    false_causes: list[str]  # of `FALSE_CAUSES`, for each false positive
    circumstances: list[str]  # of `CIRCUMSTANCES`, for each of the N true particles
    nearest: np.ndarray  # the true particle with the largest Dice, for each false positive; -1 where it overlaps none


def image_errors(image: ImageComparison, grey: np.ndarray) -> ImageErrors:
    """Name the cause of each error of an image, given its grey levels (H, W), 0 to 255, with or without data bar."""
    particles = appearance(image.truth.masks, image.truth.masks, grey)
    _, _, dice = overlap_tables(image.truth.masks, image.found.masks[image.matching.false_positives])
    nearest = np.where(dice.any(axis=0), dice.argmax(axis=0), -1) if len(dice) else np.full(dice.shape[1], -1)
    return ImageErrors(
        _miss_causes(image),
        _false_causes(image, particles, grey),
        particles.circumstances(image.truth.states),
        nearest,
    )


def overlap_tables(truth: CroppedMasks, found: CroppedMasks) -> np.ndarray:
    """Return ``cover``, ``inside`` and Dice of each pair of true and found masks, (3, N, M); 0 without overlap.

    >>> small, large = (CroppedMasks.from_crops([(np.ones((2, side)), (0, 0))], (9, 9)) for side in (3, 6))
    >>> overlap_tables(small, large)[:2].ravel()
    array([1. , 0.5])
    """
    pairs = overlaps(truth, found)
    cover, inside = pairs.intersection_px / truth.areas[pairs.first], pairs.intersection_px / found.areas[pairs.second]
    tables = np.zeros((3, len(truth), len(found)))
    tables[:, pairs.first, pairs.second] = cover, inside, pairs.dice
    return tables


def appearance(masks: CroppedMasks, others: CroppedMasks, grey: np.ndarray) -> Appearance:
    """Measure how each mask looks in its image.

    Args:
        masks: N masks.
        others: particles that may surround the masks; the masks may be among them.
        grey: (H, W) grey levels, 0 to 255; may be taller than the masks' image by a data bar.

    >>> masks = CroppedMasks.from_crops([(np.ones((4, 4)), (0, 3))], (20, 20))
    >>> appearance(masks, masks, grey=np.full((20, 20), 80.0)).circumstances([None])
    ['cut by the frame']
    """
    height, width = masks.image_shape
    grey = np.asarray(grey[:height, :width], np.float64)
    gradient = ndimage.gaussian_gradient_magnitude(grey, EDGE_SCALE_PX)
    taken = others.union()
    rows = [_appearance_of(crop, origin, grey, gradient, taken) for crop, origin in masks]
    level, saturated, faint, surrounded = np.array(rows, np.float64).reshape(-1, 4).T
    at_frame = touches_border(masks.boxes, masks.image_shape)
    return Appearance(masks.areas, at_frame, level, saturated, faint, surrounded)


def _appearance_of(
    crop: np.ndarray, origin: tuple[int, int], grey: np.ndarray, gradient: np.ndarray, taken: np.ndarray
) -> tuple[float, float, float, float]:
    """A mask's `Appearance.level`, and its shares ``saturated``, ``faint`` and ``surrounded``."""
    if crop.size == 0:
        return (float("nan"),) * 4
    (row, column), (height, width) = origin, crop.shape
    top, left = max(row - NEAR_PX, 0), max(column - NEAR_PX, 0)
    bottom, right = min(row + height + NEAR_PX, grey.shape[0]), min(column + width + NEAR_PX, grey.shape[1])
    inside = np.zeros((bottom - top, right - left), bool)
    inside[row - top : row - top + height, column - left : column - left + width] = crop > 0
    here = slice(top, bottom), slice(left, right)
    outline = ndimage.binary_dilation(inside, _SQUARE) & ~ndimage.binary_erosion(inside, _SQUARE, border_value=1)
    near = ndimage.binary_dilation(inside, _SQUARE, NEAR_PX) & ~inside
    levels = grey[here][inside]
    return (
        float(np.median(levels)),
        float((levels >= SATURATED_LEVEL).mean()),
        mean_or_nan((gradient[here] < FAINT_GRADIENT)[outline]),
        mean_or_nan(taken[here][near]),
    )


def _miss_causes(image: ImageComparison) -> list[str]:
    """A cause of `MISS_CAUSES` for each particle of ``image.matching.missed``."""
    cover, inside, dice = overlap_tables(image.truth.masks, image.found.masks)
    _, _, dice_of_all = overlap_tables(image.truth.masks, image.detections.masks)
    matched = np.isin(np.arange(len(image.found.masks)), image.matching.found)
    joins = ((cover >= MOST) & (inside >= NOTABLE)).sum(axis=0) > 1  # (M,)
    parts = (inside >= MOST) & (cover >= NOTABLE)
    rules = {
        "taken": (dice >= MIN_DICE).any(axis=1),
        "below the threshold": (dice_of_all >= MIN_DICE).any(axis=1),
        "merged": ((cover >= MOST) & (inside >= NOTABLE) & joins & ~matched).any(axis=1),
        "swallowed": ((cover >= MOST) & matched).any(axis=1),
        "split": (parts.sum(axis=1) > 1) & (np.array([c[p].sum() for c, p in zip(cover, parts, strict=True)]) >= MOST),
        "poor outline": (dice >= LEAST_DICE).any(axis=1),
        "weak and poor": (dice_of_all >= LEAST_DICE).any(axis=1),
    }  # (N,) each
    return _first_rules(rules, image.matching.missed, "overlooked")


def _false_causes(image: ImageComparison, particles: Appearance, grey: np.ndarray) -> list[str]:
    """A cause of `FALSE_CAUSES` for each detection of ``image.matching.false_positives``."""
    truth, found = image.truth.masks, image.found.masks[image.matching.false_positives]
    cover, inside, dice = overlap_tables(truth, found)
    on_specks = overlap_tables(image.truth.ignored, found)[1].sum(axis=0)
    unannotated = inside.sum(axis=0) + on_specks < ANNOTATED
    bright, between = _on_background(found, particles, image, grey)
    was_found = np.isin(np.arange(len(truth)), image.matching.truth)
    means_particle = dice.max(axis=0, initial=0) >= LEAST_DICE
    rules = {
        "annotation fault suspected": unannotated & bright,
        "gap": unannotated & between,
        "substrate": unannotated,
        "merged": ((cover >= MOST) & (inside >= NOTABLE)).sum(axis=0) > 1,
        "duplicate": means_particle & (was_found[dice.argmax(axis=0)] if len(truth) else False),
        "poor outline": means_particle,
        "part of a found one": (inside[was_found] >= MOST).any(axis=0),
        "part of a missed one": (inside >= MOST).any(axis=0),
    }  # (M,) each
    return _first_rules(rules, range(len(found)), "astride")


def _on_background(
    found: CroppedMasks, particles: Appearance, image: ImageComparison, grey: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) whether a detection is as bright as a particle, and (M,) whether it lies between annotated ones."""
    there = appearance(found, image.truth.masks, grey)
    annotated = image.truth.masks.union() | image.truth.ignored.union()
    height, width = annotated.shape
    free = grey[:height, :width][~annotated]
    substrate = float(np.median(free)) if free.size else float("nan")
    typical = float(np.nanmedian(particles.level)) if len(particles.level) else float("nan")
    return there.level - substrate >= AS_BRIGHT * (typical - substrate), there.surrounded >= BETWEEN


def _first_rules(rules: Mapping[str, np.ndarray], numbers: Iterable[int], otherwise: str) -> list[str]:
    """For each number, the name of the first rule, (N,) bool, that holds for the mask of that number."""
    return [next((name for name, holds in rules.items() if holds[number]), otherwise) for number in numbers]
