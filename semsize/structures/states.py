"""How visible a particle is: the paper's states, and the rule by which converters and renderer assign them.

The visibility class says how much of a particle is seen: *complete* (fully imaged), *masked* (partly hidden) or
*unusable*. Its neighbours then divide *complete* into states: `isolated` has no other particle nearby, `touch_complete`
shares a border with a particle that it covers noticeably or that covers a sliver of it, `complete` are all others.
"""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks, shared_pixels
from semsize.structures.overlap import meeting_boxes

STATES = ("isolated", "complete", "touch_complete", "masked", "unusable")
USEFUL_STATES = STATES[:4]
FULLY_IMAGED_STATES = STATES[:3]
VISIBILITY_CLASSES = ("complete", "masked", "unusable")

FULLY_IMAGED_FRACTION = 0.98
MASKED_FRACTION = 0.4
HIDDEN_FRACTION = 0.02  # of a full outline: hidden noticeably from here on, a sliver up to here
ALONE_DISTANCE_PX = 3

_BORDER_DISTANCE_PX = 1


def visibility_class(visible_fraction: float) -> str:
    """Return the class of a particle from the fraction, 0 to 1, of its part within the frame that nothing hides.

    Returns:
        `complete` from 0.98, `masked` from 0.4 (both limits included), else `unusable`.

    Raises:
        ValueError: the fraction lies outside 0 to 1.

    >>> visibility_class(0.98), visibility_class(0.5)
    ('complete', 'masked')
    """
    if not 0 <= visible_fraction <= 1:
        raise ValueError(f"visible fraction must lie in 0 to 1, got {visible_fraction}")
    if visible_fraction >= FULLY_IMAGED_FRACTION:
        return "complete"
    return "masked" if visible_fraction >= MASKED_FRACTION else "unusable"


def disc(radius_px: float) -> np.ndarray:
    """Return a structuring element (2 R + 1, 2 R + 1) uint8, R the radius rounded down: 1 within the radius.

    >>> disc(1.5).tolist()
    [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    """
    offsets = np.arange(-math.floor(radius_px), math.floor(radius_px) + 1)
    return (offsets[:, None] ** 2 + offsets[None] ** 2 <= radius_px**2).astype(np.uint8)


def class_of_state(state: str | None) -> str | None:
    """Return the visibility class of a particle from its state; None if the state is unknown (None).

    >>> class_of_state("isolated"), class_of_state("masked")
    ('complete', 'masked')
    """
    return "complete" if state in FULLY_IMAGED_STATES else state


def neighbour_pairs(masks: CroppedMasks, distance_px: float) -> np.ndarray:
    """Find the pairs of particles whose nearest pixels are at most `distance_px` apart.

    Distances are between pixel centres: particles that share a border are 1 px apart, particles with one empty pixel
    between them 2 px.

    Returns:
        (P, 2) int64, first index below second, in lexicographic order. An empty mask has no neighbours.

    >>> neighbour_pairs(CroppedMasks.from_label_image(np.array([[1, 0, 2, 2, 3]])), 1)
    array([[1, 2]])
    """
    reach, around = math.floor(distance_px), disc(distance_px)
    filled = np.flatnonzero(masks.sizes.all(axis=1))
    boxes = masks.boxes[filled]
    first, second = (filled[found] for found in meeting_boxes(boxes + np.array([-reach, -reach, reach, reach]), boxes))
    is_pair = first < second
    placed, pairs, grown_number = list(masks), [], -1
    for number, other in zip(first[is_pair].tolist(), second[is_pair].tolist(), strict=True):
        if number != grown_number:
            crop, (row, column) = placed[number]
            grown, grown_number = (cv2.dilate(np.pad(crop, reach), around), (row - reach, column - reach)), number
        if shared_pixels(grown, placed[other]):
            pairs.append((number, other))
    return np.array(pairs, np.int64).reshape(-1, 2)


def has_neighbour_within(masks: CroppedMasks, distance_px: float) -> np.ndarray:
    """(N,) bool: whether another particle is at most `distance_px` away, measured as in `neighbour_pairs`.

    >>> has_neighbour_within(CroppedMasks.from_label_image(np.array([[1, 0, 2, 2, 3]])), 1)
    array([False,  True,  True])
    """
    near = np.zeros(len(masks), bool)
    near[neighbour_pairs(masks, distance_px).ravel()] = True
    return near


def assign_states(
    masks: CroppedMasks, classes: Sequence[str | None], hides: Mapping[tuple[int, int], float] | None = None
) -> list[str | None]:
    """Return the state of each particle from its visibility class and its neighbours (paper §4.1).

    A particle of class `complete` becomes `isolated` if no other particle lies within 3 px; `touch_complete` if it
    shares a mask border with a particle of which it hides at least 2 %, or that hides some, but at most 2 %, of
    it; else it stays `complete`. Other classes are states already. None (unknown) stays None, but the particle
    counts as a neighbour.

    Args:
        masks: the N visible masks of one image.
        classes: N entries, each of `VISIBILITY_CLASSES` or None.
        hides: (i, j) to the fraction, 0 to 1, of particle j's full outline that particle i hides; 0 if missing.

    Returns:
        N entries, each of `STATES` or None.

    Raises:
        ValueError: the lengths differ, or a class is unknown.

    >>> assign_states(CroppedMasks.from_label_image(np.array([[1, 0, 0, 0, 2, 3]])), ["complete", "complete", None])
    ['isolated', 'complete', None]
    """
    if len(classes) != len(masks):
        raise ValueError(f"{len(masks)} masks need as many visibility classes, got {len(classes)}")
    unknown = {str(name) for name in classes} - {*VISIBILITY_CLASSES, "None"}
    if unknown:
        raise ValueError(f"unknown visibility class {sorted(unknown)}: use one of {VISIBILITY_CLASSES} or None")
    near = has_neighbour_within(masks, ALONE_DISTANCE_PX)
    touching = _touch_by_hiding(masks, hides) if hides else np.zeros(len(masks), bool)
    states = list(classes)
    for index in (i for i, name in enumerate(classes) if name == "complete"):
        if not near[index]:
            states[index] = "isolated"
        elif touching[index]:
            states[index] = "touch_complete"
    return states


def _touch_by_hiding(masks: CroppedMasks, hides: Mapping[tuple[int, int], float]) -> np.ndarray:
    """(N,) bool: whether a particle borders on another that it hides noticeably, or that hides a sliver of it."""
    bordering = set(map(tuple, neighbour_pairs(masks, _BORDER_DISTANCE_PX).tolist()))
    touching = np.zeros(len(masks), bool)
    for (front, behind), fraction in hides.items():
        if (min(front, behind), max(front, behind)) in bordering:
            touching[front] |= fraction >= HIDDEN_FRACTION
            touching[behind] |= 0 < fraction <= HIDDEN_FRACTION
    return touching
