"""How visible a particle is: the paper's states, and the one rule that converters and renderer assign them by.

The visibility class says how much of a particle is seen: *complete* (fully imaged), *masked* (partly hidden) or
*unusable*. The neighbours then divide the fully imaged ones: `isolated` has no other particle nearby, `touch_complete`
shares a border with a particle that it covers noticeably or that covers a sliver of it, `complete` is every other one.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks

STATES = ("isolated", "complete", "touch_complete", "masked", "unusable")
USEFUL_STATES = STATES[:4]
VISIBILITY_CLASSES = ("complete", "masked", "unusable")

FULLY_IMAGED_FRACTION = 0.98
MASKED_FRACTION = 0.4
HIDDEN_SHARE = 0.02
ALONE_DISTANCE_PX = 3

_BORDER_DISTANCE_PX = 1
_NOTHING_HIDDEN: Mapping[tuple[int, int], float] = MappingProxyType({})


def visibility_class(visible_fraction: float) -> str:
    """Class of a particle of which other bodies leave this share visible (0 to 1, within the frame).

    Returns:
        `complete` from 0.98, `masked` from 0.4 (both limits included), else `unusable`.

    Raises:
        ValueError: the fraction lies outside 0 to 1.
    """
    if not 0 <= visible_fraction <= 1:
        raise ValueError(f"visible fraction must lie in 0 to 1, got {visible_fraction}")
    if visible_fraction >= FULLY_IMAGED_FRACTION:
        return "complete"
    return "masked" if visible_fraction >= MASKED_FRACTION else "unusable"


def neighbour_pairs(masks: CroppedMasks, distance_px: float) -> np.ndarray:
    """Pairs of particles of which some two pixels are no further apart than `distance_px`.

    Distances run between pixel centres: particles that share a border are 1 px apart, those with one empty pixel
    between them 2 px. Works on the crops; no full frame is made.

    Returns:
        (P, 2) int64, first index below second, in lexicographic order. An empty mask has no neighbours.
    """
    reach = math.floor(distance_px)
    offsets = np.arange(-reach, reach + 1)
    disc = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= distance_px**2).astype(np.uint8)
    pairs: list[tuple[int, int]] = []
    grown, grown_of = None, -1
    for first, second in _pairs_of_near_boxes(masks, reach):
        if first != grown_of:
            padded = np.pad(masks.crops[first], reach)
            grown, grown_of = cv2.dilate(padded, disc), first
        offset = masks.origins[second] - (masks.origins[first] - reach)
        if _overlap(grown, masks.crops[second], offset):
            pairs.append((first, second))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def has_neighbour_within(masks: CroppedMasks, distance_px: float) -> np.ndarray:
    """Whether another particle is no further away than `distance_px`, (N,) bool; see `neighbour_pairs`."""
    near = np.zeros(len(masks), dtype=bool)
    near[neighbour_pairs(masks, distance_px).ravel()] = True
    return near


def assign_states(
    masks: CroppedMasks,
    classes: Sequence[str | None],
    hides: Mapping[tuple[int, int], float] = _NOTHING_HIDDEN,
) -> list[str | None]:
    """State of each particle from its visibility class and its neighbours (paper §4.1).

    A particle of class `complete` becomes `isolated` if no other particle lies within 3 px; `touch_complete` if it
    shares a mask border with one of which it hides at least 2 %, or which hides more than nothing and at most 2 % of
    it; else it stays `complete`. Other classes are states already; None (not known) stays None, though such a
    particle counts as a neighbour.

    Args:
        masks: the N visible masks of one image.
        classes: N entries, each of `VISIBILITY_CLASSES` or None.
        hides: (i, j) to the share, 0 to 1, of particle j's full outline that particle i hides; absent means nothing.

    Returns:
        N entries, each of `STATES` or None.

    Raises:
        ValueError: the lengths differ, or a class is unknown.
    """
    if len(classes) != len(masks):
        raise ValueError(f"{len(masks)} masks need as many visibility classes, got {len(classes)}")
    unknown = {str(name) for name in classes} - {*VISIBILITY_CLASSES, "None"}
    if unknown:
        raise ValueError(f"unknown visibility class {sorted(unknown)}: use one of {VISIBILITY_CLASSES} or None")
    near = has_neighbour_within(masks, ALONE_DISTANCE_PX)
    touching = _in_touch_by_hiding(masks, hides) if hides else np.zeros(len(masks), dtype=bool)
    states = list(classes)
    for index in (i for i, name in enumerate(classes) if name == "complete"):
        if not near[index]:
            states[index] = "isolated"
        elif touching[index]:
            states[index] = "touch_complete"
    return states


def _in_touch_by_hiding(masks: CroppedMasks, hides: Mapping[tuple[int, int], float]) -> np.ndarray:
    """(N,) bool: shares a border with a particle that it hides noticeably, or that hides a sliver of it."""
    bordering = set(map(tuple, neighbour_pairs(masks, _BORDER_DISTANCE_PX).tolist()))
    touching = np.zeros(len(masks), dtype=bool)
    for (front, behind), share in hides.items():
        if (min(front, behind), max(front, behind)) in bordering:
            touching[front] |= share >= HIDDEN_SHARE
            touching[behind] |= 0 < share <= HIDDEN_SHARE
    return touching


def _pairs_of_near_boxes(masks: CroppedMasks, reach: int) -> list[tuple[int, int]]:
    """Pairs (i < j) of non-empty masks whose boxes, the first grown by `reach`, overlap; ordered by i, then j."""
    sizes = np.array([crop.shape for crop in masks.crops], dtype=np.int64).reshape(-1, 2)
    low, high = masks.origins, masks.origins + sizes
    filled = sizes.all(axis=1)
    pairs = []
    for first in np.flatnonzero(filled):
        close = ((low[first + 1 :] < high[first] + reach) & (high[first + 1 :] > low[first] - reach)).all(axis=1)
        seconds = np.flatnonzero(close & filled[first + 1 :]) + first + 1
        pairs.extend((int(first), int(second)) for second in seconds)
    return pairs


def _overlap(image: np.ndarray, other: np.ndarray, offset: np.ndarray) -> bool:
    """Whether two binary arrays share a pixel when `other` starts at (row, column) `offset` of `image`."""
    low = np.maximum(offset, 0)
    high = np.minimum(offset + other.shape, image.shape)
    if (low >= high).any():
        return False
    here = image[low[0] : high[0], low[1] : high[1]]
    there = other[low[0] - offset[0] : high[0] - offset[0], low[1] - offset[1] : high[1] - offset[1]]
    return bool(np.any(here & there))
