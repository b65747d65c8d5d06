"""Chooses the scales at which an image is searched: coarse ones first, finer ones if they may show more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from semsize.detecting.boxes import box_sizes
from semsize.detecting.engine import ALL_SIZES, DrawnSizes, Engine, Found
from semsize.detecting.joining import COMFORTABLE_PX
from semsize.structures.masks import CroppedMasks

NATURAL_SCALE = 1.5
"""Enlargement beyond which an image shows the network no more detail; only particles of a few pixels gain from more."""

COARSEST_SIDE_PX = 96
"""Least length of an image's shorter side in the network's input, which bounds the coarsest look."""

SMALL_PX = 24.0
"""Size of a particle's box in the network's input below which the next finer scale shows it better."""

LEFT_TO_FINER_PX = COMFORTABLE_PX / 2
"""Size below which a look leaves drawing to a following finer look, where the particle is at least twice as large."""

SMALL_SHARE, FINEST_SHARE = 0.15, 0.5
"""Share of small particles from which a finer look is worth its time: up to the natural scale, and beyond it."""

QUIET_LOOKS = 2
"""Number of consecutive looks with particles but few small ones after which a finer look may be left out."""

PROBE_PX = 384
"""Side of the part of an image that probes whether a finer look is needed; images smaller than four are not probed."""

DIAMETER_OCTAVES = 1.6
"""A scale is used if it brings a given diameter within this many factors of two of the comfortable size."""

NO_SIZE = DrawnSizes(np.inf)
"""Asks for no masks: for a look that only counts particles."""

SURE_SCORE = 0.3
"""Score from which a particle counts when scales are chosen."""


@dataclass(frozen=True)
class Looking:
    """The scales and tiles with which images are searched.

    Attributes:
        scales: enlargements, any order; None chooses them image by image.
        diameter_px: diameter of most particles, to choose scales for; None: not known.
        tile: size and overlap of tiles in pixels of the image at the finest scale (`NATURAL_SCALE` if scales are
            chosen); tiles have the same size in the network's input at all scales. None: only large images are tiled.
    """

    scales: tuple[float, ...] | None = None
    diameter_px: float | None = None
    tile: tuple[int, int] | None = None

    def __post_init__(self):
        if self.scales is not None and (not self.scales or min(self.scales) <= 0):
            raise ValueError(f"scales are enlargements above 0, not {list(self.scales)}")
        if self.diameter_px is not None and not self.diameter_px > 0:
            raise ValueError(f"the particles' diameter is above 0 px, not {self.diameter_px}")


def planned_scales(image_shape: tuple[int, int], looking: Looking) -> tuple[float, ...]:
    """Return the scales, coarse to fine, at which to search an image of (H, W); `is_worth_it` may leave out the last.

    >>> planned_scales((704, 1024), Looking())
    (0.1875, 0.375, 0.75, 1.5, 3.0)
    >>> planned_scales((704, 1024), Looking(diameter_px=120))
    (0.1875, 0.375, 0.75, 1.5)
    """
    if looking.scales is not None:
        return tuple(sorted(set(looking.scales)))
    scales = [NATURAL_SCALE]
    while min(image_shape) * scales[0] / 2 >= COARSEST_SIDE_PX:
        scales.insert(0, scales[0] / 2)
    scales.append(2 * NATURAL_SCALE)
    if looking.diameter_px is None:
        return tuple(scales)
    if looking.diameter_px * NATURAL_SCALE >= SMALL_PX:
        scales.pop()
    distance = np.abs(np.log2(looking.diameter_px * np.array(scales) / COMFORTABLE_PX))
    return tuple(
        scale
        for scale, octaves in zip(scales, distance, strict=True)
        if octaves <= max(DIAMETER_OCTAVES, distance.min())
    )


def is_worth_it(
    scale: float, views: Sequence[Found], scales: Sequence[float], grey: np.ndarray, engine: Engine
) -> bool:
    """Return whether the next finer look can show particles that the looks before did not.

    Up to the natural scale a look is left out only after `QUIET_LOOKS` looks with particles but few small ones, and if
    a probe at the natural scale, the part with most detail outside all masks, shows few or none too: coarse looks miss
    particles of a few pixels among large ones. Beyond it, the look before must show many small particles.
    """
    if scale > NATURAL_SCALE:
        share = _small_share(views[-1], scales[-1]) if views else None
        return share is not None and share >= FINEST_SHARE
    if not _are_quiet(views, scales, QUIET_LOOKS) or grey.size < 4 * PROBE_PX**2:
        return True
    drawn = CroppedMasks.cat([view.masks for view in views])
    (probe,) = engine([_most_detailed(grey, drawn)], NATURAL_SCALE, NO_SIZE)
    share = _small_share(probe, scales[-1])
    return share is not None and share >= SMALL_SHARE


def is_followed(scale: float, views: Sequence[Found], scales: Sequence[float]) -> bool:
    """Return whether a finer look is sure to follow the one at ``scale``, whatever that shows, given those before."""
    return scale < NATURAL_SCALE and not _are_quiet(views, scales, QUIET_LOOKS - 1)


def _are_quiet(views: Sequence[Found], scales: Sequence[float], count: int) -> bool:
    """Whether each of the last ``count`` looks shows particles but few small ones."""
    shares = [_small_share(view, at) for view, at in zip(views[-count:], scales[-count:], strict=True)]
    return len(shares) == count and not any(share is None or share >= SMALL_SHARE for share in shares)


def drawn_sizes(scale: float, coarser: float | None, is_followed: bool) -> DrawnSizes:
    """Return the sizes in the network's input for which a look draws masks; it leaves others to its neighbours.

    Two consecutive looks both draw sizes in a range of a factor of two, so that no particle is lost between them.
    """
    from_px = LEFT_TO_FINER_PX if is_followed else ALL_SIZES.from_px
    return DrawnSizes(from_px, ALL_SIZES.to_px if coarser is None else 2 * LEFT_TO_FINER_PX * scale / coarser)


def _most_detailed(grey: np.ndarray, found: CroppedMasks) -> np.ndarray:
    """The part of an image, `PROBE_PX` a side at most, with most detail in pixels that no mask holds."""
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2)) * (found.union() == 0)
    height, width = (min(PROBE_PX, side) for side in grey.shape)
    sums = cv2.boxFilter(detail, cv2.CV_32F, (width, height), anchor=(0, 0), normalize=False)
    sums = sums[: grey.shape[0] - height + 1, : grey.shape[1] - width + 1]
    row, column = np.unravel_index(np.argmax(sums), sums.shape)
    return grey[row : row + height, column : column + width]


def _small_share(view: Found, scale: float) -> float | None:
    """Share of found particles that are small in the network's input at a scale; None if none was found."""
    boxes = np.concatenate([view.boxes, view.undrawn_boxes])
    sizes_px = box_sizes(boxes[np.concatenate([view.scores, view.undrawn_scores]) >= SURE_SCORE]) * scale
    return float((sizes_px < SMALL_PX).mean()) if len(sizes_px) else None
