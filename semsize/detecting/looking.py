"""Finds the particles of an image with any engine, at several scales and in tiles, each at the scale that suits it.

An engine enlarges a window of grey levels by a factor, the scale, and finds its particles. It knows particles of about
15 to 200 px in its network's input. An image is searched from a scale at which nearly image-sized particles have that
size to one at which its smallest do. A *look* is the search at one scale; coarse looks come first and cost least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from semsize.detecting import joining
from semsize.detecting.engine import DrawnSizes, Engine, Found
from semsize.detecting.joining import Undrawn, join_scales
from semsize.detecting.scales import (
    LEFT_TO_FINER_PX,
    NATURAL_SCALE,
    SURE_SCORE,
    Looking,
    drawn_sizes,
    is_followed,
    is_worth_it,
    planned_scales,
)
from semsize.structures.masks import CroppedMasks, Placed, tighten
from semsize.structures.overlap import overlaps
from semsize.structures.parts import process_number
from semsize.structures.tiling import MergedTiles, merge_tiles, tile_grid

TILE_PX, OVERLAP_PX = 3200, 320
"""Side and least overlap of tiles, px in the network's input; an image of 2048 x 1536 px is one tile."""

CONTEXT = 1.0
"""Margin around a box that the network sees too, in lengths of the box's longer side."""

MOST_ENLARGED = 4.0
MOST_INPUT_PX = 2048.0
"""Longest side of a box's window in the network's input; the box of a long particle is enlarged less."""

FINER_FOLLOWS = " (small ones are looked for at finer scales too)"

MaskBranch = Callable[[np.ndarray, np.ndarray, float], CroppedMasks]
"""Draws masks in N boxes of a window of grey levels, which it enlarges by a factor.

Takes the window, (H, W) float32 of 0-255, the boxes, (N, 4) float32 xyxy in its pixels, and the factor; returns N masks
of the window, empty where the network sees no particle.
"""


@dataclass(frozen=True, eq=False)
class Look:
    """The N particles of an image.

    Attributes:
        masks: N masks.
        scores: (N,) 0 to 1.
        boxes: (N, 4) xyxy.
        scale: (N,) at which scale each mask was drawn.
        scales: all scales that were searched, from coarse to fine.
        notes: warnings for the reader of the results.
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
        looking: scales and tiles; by default both are chosen for the image.
        batch_size: tiles that are given to the engine together.

    Raises:
        ValueError: the overlap of the tiles is too large for their size.
    """
    looking = looking or Looking()
    scales, views, cut, notes = [], [], [], []
    planned = planned_scales(grey.shape, looking)
    for number, scale in enumerate(planned):
        if looking.scales is None and not is_worth_it(scale, views, scales, grey, engine):
            break
        has_finer = number + 1 < len(planned) and (looking.scales is not None or is_followed(scale, views, scales))
        sizes = drawn_sizes(scale, scales[-1] if scales else None, has_finer)
        merged, found = _look_at(grey, engine, scale, _tile_at(scale, looking), batch_size, sizes)
        scales.append(scale)
        views.append(found)
        cut.append(merged.left_out)
        if found.limit:
            notes.append(f"at ×{scale:g} {found.limit}{FINER_FOLLOWS if has_finer else ''}")
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


def outline_in_box(grey: np.ndarray, box: Sequence[float], draw: MaskBranch) -> Placed:
    """Draw the mask of the particle in a box, in the frame of the image; an empty crop if the network sees none.

    Args:
        grey: (H, W) float32 grey levels of 0-255.
        box: x1, y1, x2, y2 in px; it must overlap the image and is clipped to it.
        draw: the mask branch of an engine.
    """
    height, width = grey.shape
    corners = np.clip(np.asarray(box, np.float32), 0, np.float32([width, height, width, height]))
    sides = corners[2:] - corners[:2]
    longest = float(sides.max())
    fitting = MOST_INPUT_PX / (longest * (1 + 2 * CONTEXT))
    scale = min(joining.COMFORTABLE_PX / float(np.sqrt(sides.prod())), fitting, MOST_ENLARGED)
    margin = CONTEXT * longest
    left, top = np.maximum(np.floor(corners[:2] - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners[2:] + margin), (width, height)).astype(int)
    window = np.ascontiguousarray(grey[top:bottom, left:right], np.float32)
    (mask,) = draw(window, (corners - np.float32((left, top, left, top)))[None], scale)
    crop, (row, column) = mask
    return tighten(crop, (row + int(top), column + int(left)))


def outline_rules(scales: str | Sequence[float] | None) -> dict[str, float | str]:
    """Return the rules that turn masks into outlines, by dotted name for a bias record: pieces, joining of scales.

    Args:
        scales: enlargements, `auto`, or None if the engine has its own.
    """
    pieces = {"looking.pieces": "the largest, without holes"}  # see `pasting.solid_masks`
    if scales is None or (scales != "auto" and len(set(scales)) < 2):
        return pieces
    rules = {
        "comfortable_px": joining.COMFORTABLE_PX,
        "left_to_finer_px": LEFT_TO_FINER_PX,
        "mask_octaves": joining.MASK_OCTAVES,
        "same_box_iou": joining.SAME_BOX_IOU,
        "same_iou": joining.SAME_IOU,
        "score_octaves": joining.SCORE_OCTAVES,
    }
    return pieces | {f"looking.{name}": value for name, value in rules.items()}


def enlarged(window: np.ndarray, scale: float) -> np.ndarray:
    """Resize a window of grey levels by a scale: linear interpolation, or averages over areas if it is below 1."""
    size = [max(1, round(side * scale)) for side in window.shape[::-1]]
    return cv2.resize(window, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _tile_at(scale: float, looking: Looking) -> tuple[int, int]:
    """Size and overlap of tiles at a scale, in px of the image."""
    if looking.tile is None:
        return int(TILE_PX / scale), int(OVERLAP_PX / scale)
    finest = NATURAL_SCALE if looking.scales is None else max(looking.scales)
    size, overlap = looking.tile
    return int(size * finest / scale), int(overlap * finest / scale)


def _look_at(
    grey: np.ndarray, engine: Engine, scale: float, tile: tuple[int, int], batch_size: int, sizes: DrawnSizes
) -> tuple[MergedTiles, Found]:
    """Search an image at one scale, tile by tile if it is larger than a tile."""
    tiles, found = tile_grid(grey.shape, *tile), []
    silent = None if len(tiles) > batch_size else True
    line = process_number() or None  # below the bar of images, one for each process
    with tqdm(total=len(tiles), desc=f"×{scale:g}", unit="tile", leave=False, disable=silent, position=line) as bar:
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
    """Warn of particles that tiles cut, and of an image unlike those that the network knows."""
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
