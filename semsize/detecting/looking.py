"""An image looked at by any engine, at several scales and in tiles: each particle once, at the scale that suits it.

An engine finds the particles of a window of grey levels, enlarged by a factor before its network sees it. It knows
particles of some 15 to 200 px in its network's input, so an image is looked at from a scale at which nearly all of it
fits there up to one at which its smallest particles have that size. The coarse looks come first and cost least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from semsize.detecting.boxes import ALL_SIZES, DrawnSizes, box_sizes
from semsize.detecting.joining import COMFORTABLE_PX, Undrawn, join_scales
from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps
from semsize.structures.tiling import MergedTiles, merge_tiles, tile_grid

NATURAL_SCALE = 1.5
"""Enlargement beyond which an image shows the network no more detail; only particles of a few pixels gain by more."""

COARSEST_SIDE_PX = 96
"""An image's shorter side in the network's input below which no coarser look is taken."""

SMALL_PX = 24.0
"""Size of a particle's box in the network's input below which it is better seen at the next finer scale."""

LEFT_TO_FINER_PX = COMFORTABLE_PX / 2
"""Size below which a particle is not drawn where a finer look follows: it is twice as large there, or more."""

SMALL_SHARE, FINEST_SHARE = 0.15, 0.5
"""Share of small particles from which the next finer look is worth its time, and that beyond the natural scale."""

QUIET_LOOKS = 2
"""Looks one after another that show particles, and few small ones, after which a finer look may be left out."""

PROBE_PX = 384
"""Side of the part of an image that is looked at instead; an image of less than four such parts is looked at whole."""

DIAMETER_OCTAVES = 1.6
"""Factors of two between a given diameter and the comfortable size within which a scale is looked at."""

NO_SIZE = DrawnSizes(np.inf)
"""What a look asks that only counts."""

SURE_SCORE = 0.3
"""Score from which a particle counts for that decision."""

TILE_PX, OVERLAP_PX = 3200, 320
"""Side of the tiles of a large image, and what they share at least, in the network's input; 2048 x 1536 px are one."""


@dataclass(frozen=True, eq=False)
class Found:
    """What an engine finds in a window at one scale: N particles in the window's own pixels.

    Attributes:
        masks: N masks.
        scores: (N,) 0 to 1.
        boxes: (N, 4) xyxy.
        limit: the engine's limit that was reached, so that others may be lost; empty where none was.
        undrawn_boxes: (M, 4) particles of sizes for which no mask was asked.
        undrawn_scores: (M,).
    """

    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    limit: str = ""
    undrawn_boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    undrawn_scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


Engine = Callable[[Sequence[np.ndarray], float, DrawnSizes], list[Found]]
"""Finds the particles of some windows of one size, (H, W) float32 grey levels of 0-255, enlarged by a factor.

It may leave those of other sizes than the given ones without a mask: drawing is dear, and another look draws them."""


@dataclass(frozen=True)
class Looking:
    """How images are looked at.

    Attributes:
        scales: enlargements, any order; None chooses them image by image.
        diameter_px: what most particles measure across, to choose scales for; None: not known.
        tile: size and overlap of tiles in pixels of the image at the finest scale (`NATURAL_SCALE` if scales are
            chosen); tiles have the same size in the network's input at all scales. None: large images only.
    """

    scales: tuple[float, ...] | None = None
    diameter_px: float | None = None
    tile: tuple[int, int] | None = None

    def __post_init__(self):
        if self.scales is not None and (not self.scales or min(self.scales) <= 0):
            raise ValueError(f"scales are enlargements above 0, not {list(self.scales)}")
        if self.diameter_px is not None and not self.diameter_px > 0:
            raise ValueError(f"the particles' diameter is above 0 px, not {self.diameter_px}")


@dataclass(frozen=True, eq=False)
class Look:
    """The N particles of an image.

    Attributes:
        masks: N masks.
        scores: (N,) 0 to 1.
        boxes: (N, 4) xyxy.
        scale: (N,) at which scale each mask was drawn.
        scales: all scales at which was looked, from coarse to fine.
        notes: what a reader of the results must know.
    """

    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    scale: np.ndarray
    scales: tuple[float, ...]
    notes: tuple[str, ...]


def look(grey: np.ndarray, engine: Engine, looking: Looking | None = None, batch_size: int = 1) -> Look:
    """Find the particles of an image, each once and whole.

    Args:
        grey: (H, W) float32 grey levels of 0-255.
        engine: finds the particles of windows.
        looking: at which scales, in which tiles; by default both are chosen for the image.
        batch_size: tiles that are given to the engine together.

    Raises:
        ValueError: tiles of this size cannot share so much.
    """
    looking = looking or Looking()
    scales, views, cut, notes = [], [], [], []
    planned = planned_scales(grey.shape, looking)
    for number, scale in enumerate(planned):
        if looking.scales is None and not _is_worth_it(scale, views, scales, grey, engine):
            break
        is_followed = number + 1 < len(planned) and (looking.scales is not None or _is_followed(scale, views, scales))
        sizes = _drawn_sizes(scale, scales[-1] if scales else None, is_followed)
        merged, found = _look_at(grey, engine, scale, _tile_at(scale, looking), batch_size, sizes)
        scales.append(scale)
        views.append(found)
        cut.append(merged.left_out)
        if found.limit:
            notes.append(f"at ×{scale:g} {found.limit}")
    masks = CroppedMasks.cat([view.masks for view in views])
    scores, boxes = (np.concatenate([getattr(view, name) for view in views]) for name in ("scores", "boxes"))
    scale_index = np.repeat(np.arange(len(scales)), [len(view.masks) for view in views])
    if len(scales) > 1:
        undrawn = Undrawn(
            *(np.concatenate([getattr(view, name) for view in views]) for name in ("undrawn_boxes", "undrawn_scores")),
            np.repeat(np.arange(len(scales)), [len(view.undrawn_boxes) for view in views]),
        )
        joined = join_scales(masks, scores, scale_index, scales, boxes, undrawn)
        order = joined.index[np.argsort(-joined.scores, kind="stable")]
        scores = np.sort(joined.scores)[::-1].astype(np.float32)
        masks, boxes, scale_index = masks[order], boxes[order], scale_index[order]
    notes += _notes(grey, masks, scores, CroppedMasks.cat(cut), scales)
    return Look(masks, scores, boxes, np.array(scales)[scale_index], tuple(scales), tuple(notes))


def enlarged(window: np.ndarray, scale: float) -> np.ndarray:
    """A window of grey levels as a network is to see it at a scale: interpolated, or averaged over areas below 1."""
    size = [max(1, round(side * scale)) for side in window.shape[::-1]]
    return cv2.resize(window, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def planned_scales(image_shape: tuple[int, int], looking: Looking) -> tuple[float, ...]:
    """Scales from coarse to fine at which an image of (H, W) is to be looked at; the finest may prove needless.

    >>> planned_scales((704, 1024), Looking())
    (0.1875, 0.375, 0.75, 1.5, 3.0)
    >>> planned_scales((704, 1024), Looking(diameter_px=120))
    (0.375, 0.75, 1.5)
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


def _is_worth_it(
    scale: float, views: Sequence[Found], scales: Sequence[float], grey: np.ndarray, engine: Engine
) -> bool:
    """Whether the next finer look can show what those before did not.

    Up to the natural scale it is left out only after some looks that show particles and few small ones, and where the
    part of the image with most detail beside these shows none at the natural scale: particles of a few pixels among
    large ones are in no coarse look. Beyond it, it is taken only where the look before shows small ones.
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


def _is_followed(scale: float, views: Sequence[Found], scales: Sequence[float]) -> bool:
    """Whether a finer look is sure to follow that at a scale, whatever it shows, after what the looks before showed."""
    return scale < NATURAL_SCALE and not _are_quiet(views, scales, QUIET_LOOKS - 1)


def _are_quiet(views: Sequence[Found], scales: Sequence[float], count: int) -> bool:
    """Whether each of the last looks, so many, shows particles and few small ones."""
    shares = [_small_share(view, at) for view, at in zip(views[-count:], scales[-count:], strict=True)]
    return len(shares) == count and not any(share is None or share >= SMALL_SHARE for share in shares)


def _drawn_sizes(scale: float, coarser: float | None, is_followed: bool) -> DrawnSizes:
    """Sizes in the network's input for which a look draws masks: what the looks beside it draw better is left to them.

    Looks at two scales one after the other both draw what is within a factor of two, so that none is lost between them.
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
    """Share of the particles found that are small in the network's input at a scale; None where none was found."""
    boxes = np.concatenate([view.boxes, view.undrawn_boxes])
    sizes_px = box_sizes(boxes[np.concatenate([view.scores, view.undrawn_scores]) >= SURE_SCORE]) * scale
    return float((sizes_px < SMALL_PX).mean()) if len(sizes_px) else None


def _tile_at(scale: float, looking: Looking) -> tuple[int, int]:
    """Size and overlap of tiles at a scale, px of the image."""
    if looking.tile is None:
        return int(TILE_PX / scale), int(OVERLAP_PX / scale)
    finest = NATURAL_SCALE if looking.scales is None else max(looking.scales)
    size, overlap = looking.tile
    return int(size * finest / scale), int(overlap * finest / scale)


def _look_at(
    grey: np.ndarray, engine: Engine, scale: float, tile: tuple[int, int], batch_size: int, sizes: DrawnSizes
) -> tuple[MergedTiles, Found]:
    """What the engine finds at one scale, tile by tile where the image is larger than one."""
    tiles, found = tile_grid(grey.shape, *tile), []
    silent = None if len(tiles) > batch_size else True
    with tqdm(total=len(tiles), desc=f"×{scale:g}", unit="tile", leave=False, disable=silent) as bar:
        for start in range(0, len(tiles), batch_size):
            batch = tiles[start : start + batch_size]
            found += engine([window.cut(grey) for window in batch], scale, sizes)
            bar.update(len(batch))
    if len(tiles) == 1:
        return MergedTiles.of_whole(found[0].masks), found[0]
    merged = merge_tiles(tiles, [each.masks for each in found], grey.shape)
    corners = np.array([(window.left, window.top) * 2 for window in tiles], np.float32)  # (T, 4) x, y, x, y
    first = np.cumsum([0, *(len(each.masks) for each in found)])
    chosen = first[merged.tile] + merged.index
    boxes = np.concatenate([each.boxes + corner for each, corner in zip(found, corners, strict=True)])[chosen]
    undrawn = np.concatenate([each.undrawn_boxes + corner for each, corner in zip(found, corners, strict=True)])
    scores = np.concatenate([each.scores for each in found])[chosen]
    limits = sorted({each.limit for each in found if each.limit})
    undrawn_scores = np.concatenate([each.undrawn_scores for each in found])
    return merged, Found(merged.masks, scores, boxes, "; ".join(limits), undrawn, undrawn_scores)


def _notes(
    grey: np.ndarray, masks: CroppedMasks, scores: np.ndarray, cut: CroppedMasks, scales: Sequence[float]
) -> list[str]:
    """What a reader must know of particles that were cut, and of a picture unlike those that the network knows."""
    notes = []
    meeting = overlaps(cut, masks, least_cover=0.5)
    is_found = np.zeros(len(cut), bool)
    is_found[meeting.first[meeting.intersection_px >= 0.5 * cut.areas[meeting.first]]] = True
    if lost := int((~is_found).sum()):
        notes.append(
            f"{lost} masks cut by a tile's edge and whole at no scale; raise --overlap, or look at coarser scales"
        )
    looked = ", ".join(f"×{scale:g}" for scale in scales)
    sure = masks[scores >= SURE_SCORE]
    if not len(sure):
        notes.append(
            f"nothing was found at {looked}: is this the specimen? Invert dark particles on bright ground; "
            "where particles measure less than 8 px or more than half of the frame take another magnification"
        )
    elif sure.sizes.max() > min(grey.shape) / 2:
        notes.append(
            "particles larger than half of the frame: the network knows none so large; take a lower magnification"
        )
    return notes
