"""Pictures of an image with what is there and what was found drawn over it, so that errors can be seen.

Each outline lies on its particle's own border pixels, so that touching particles keep their lines apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from semsize.measuring.legend import FILL_OPACITY, Colour, Entry, add_legend
from semsize.metrology.matching import Matching
from semsize.structures.masks import CroppedMasks

STATE_COLOURS: dict[str | None, Colour] = {
    "isolated": (70, 160, 255),
    "complete": (0, 215, 120),
    "touch_complete": (170, 240, 60),
    "masked": (250, 225, 50),
    "unusable": (185, 135, 85),
    None: (0, 220, 235),
}
"""RGB of a matched particle by its state; None: not known."""

MISSED: Colour = (255, 75, 0)
FALSE_POSITIVE: Colour = (200, 50, 255)
IGNORED: Colour = (150, 150, 150)
TRUE_OUTLINE: Colour = (255, 255, 255)

SMALL_SIDE_PX = 1500  # an image whose longer side is below this is enlarged, up to LARGEST_SCALE times
LARGEST_SCALE = 4


def draw_overlay(
    image: np.ndarray,
    truth: CroppedMasks,
    found: CroppedMasks,
    matching: Matching,
    *,
    states: Sequence[str | None] | None = None,
    ignored_regions: CroppedMasks | None = None,
    caption: str = "",
    scale: int | None = None,
) -> np.ndarray:
    """Draws matched particles in the colour of their state, misses and false positives filled, and a legend below.

    Args:
        image: (H, W) or (H, W, 3), grey levels 0 to 255; may be taller than the masks' image by a data bar.
        truth: N true masks; of the matched ones the outline shows, thin and white, where the found one leaves it.
        found: M found masks.
        matching: which is which, from `semsize.metrology.matching.match`.
        states: the N states of the truth; all not known when None.
        ignored_regions: specks, drawn thin and grey.
        caption: said first in the legend, such as the image's name and the score threshold.
        scale: whole enlargement; when None, images with no side of 1500 px are enlarged to that or to four times.

    Returns:
        (H · scale + legend, W · scale or the legend's width, 3) uint8 RGB.

    Raises:
        ValueError: masks reach beyond the image, or there are not as many states as true masks.
    """
    states = [None] * len(truth) if states is None else list(states)
    if len(states) != len(truth):
        raise ValueError(f"{len(truth)} true masks need as many states, got {len(states)}")
    ignored_regions = truth[:0] if ignored_regions is None else ignored_regions
    for masks in (truth, found, ignored_regions):
        if any(mask_side > side for mask_side, side in zip(masks.image_shape, image.shape[:2], strict=True)):
            raise ValueError(f"masks of an image {masks.image_shape} cannot be drawn on one of {image.shape[:2]}")
    if scale is None:
        scale = fitting_scale(image.shape)

    canvas = enlarged_rgb(image, scale)
    _fill(canvas, truth[matching.missed], MISSED, scale)
    _fill(canvas, found[matching.false_positives], FALSE_POSITIVE, scale)
    outline(canvas, ignored_regions, IGNORED, scale, width=1)
    outline(canvas, truth[matching.truth], TRUE_OUTLINE, scale, width=1)
    for truth_index, found_index in zip(matching.truth, matching.found, strict=True):
        outline(canvas, found[found_index], STATE_COLOURS[states[truth_index]], scale, width=scale)
    outline(canvas, found[matching.ignored], IGNORED, scale, width=scale)
    outline(canvas, found[matching.false_positives], FALSE_POSITIVE, scale, width=scale)
    outline(canvas, truth[matching.missed], MISSED, scale, width=scale)
    return add_legend(canvas, _legend_entries(states, matching, len(ignored_regions)), caption)


def draw_annotations(
    image: np.ndarray,
    masks: CroppedMasks,
    states: Sequence[str | None],
    *,
    ignored_regions: CroppedMasks | None = None,
    caption: str = "",
) -> np.ndarray:
    """Draws annotated particles in the colours of their states, regions to ignore in grey, and a legend below.

    Args:
        image: (H, W) or (H, W, 3), grey levels 0 to 255.
        masks: N masks.
        states: their N states, None where not known.
        ignored_regions: specks and crowds.
        caption: said first in the legend.

    Returns:
        See `draw_overlay`.
    """
    scale = fitting_scale(image.shape)
    canvas = enlarged_rgb(image, scale)
    ignored_regions = masks[:0] if ignored_regions is None else ignored_regions
    outline(canvas, ignored_regions, IGNORED, scale, width=1)
    for index, state in enumerate(states):
        outline(canvas, masks[index], STATE_COLOURS[state], scale, width=max(1, scale // 2))
    counts = {state: states.count(state) for state in STATE_COLOURS if state in states}
    entries = [Entry(f"{state or 'state not known'}: {n}", STATE_COLOURS[state]) for state, n in counts.items()]
    entries.append(Entry(f"ignored: {len(ignored_regions)}", IGNORED))
    return add_legend(canvas, entries, caption)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 RGB, making the folder.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(image))


def png_bytes(image: np.ndarray) -> bytes:
    """PNG of (H, W, 3) uint8 RGB."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def fitting_scale(image_shape: tuple[int, ...]) -> int:
    """Whole enlargement that brings a small image's longer side to `SMALL_SIDE_PX`, at most `LARGEST_SCALE`."""
    return max(1, min(LARGEST_SCALE, math.ceil(SMALL_SIDE_PX / max(image_shape[:2]))))


def enlarged_rgb(image: np.ndarray, scale: int) -> np.ndarray:
    """(H · scale, W · scale, 3) uint8 RGB of grey levels (H, W) or colours (H, W, 3), 0 to 255."""
    grey_levels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    rgb = grey_levels if grey_levels.ndim == 3 else np.repeat(grey_levels[:, :, None], 3, axis=2)
    if scale == 1:
        return rgb.copy()
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def _fill(canvas: np.ndarray, masks: CroppedMasks, colour: Colour, scale: int) -> None:
    for crop, origin in masks:
        inside, window = _placed(canvas, crop, origin, scale)
        mixed = (1 - FILL_OPACITY) * window[inside] + FILL_OPACITY * np.array(colour)
        window[inside] = np.rint(mixed).astype(np.uint8)


def outline(canvas: np.ndarray, masks: CroppedMasks, colour: Colour, scale: int, *, width: int) -> None:
    """Colours the border pixels of each mask, ``width`` canvas pixels inwards; an empty mask has none."""
    for crop, origin in masks[masks.areas > 0]:
        inside, window = _placed(canvas, crop, origin, scale)
        core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width, borderValue=0)
        window[inside & (core == 0)] = colour


def _placed(canvas: np.ndarray, crop: np.ndarray, origin: tuple[int, int], scale: int) -> tuple[np.ndarray, np.ndarray]:
    """The enlarged crop as booleans, and the canvas's window that it covers."""
    inside = crop.repeat(scale, axis=0).repeat(scale, axis=1) > 0
    top, left = origin[0] * scale, origin[1] * scale
    return inside, canvas[top : top + inside.shape[0], left : left + inside.shape[1]]


def _legend_entries(states: Sequence[str | None], matching: Matching, ignored_regions: int) -> list[Entry]:
    """What each colour means and how often it occurs."""
    found_states = [states[index] for index in matching.truth]
    unknown = "state not known" if any(states) else "found"
    entries = [
        Entry(f"{state or unknown}: {found_states.count(state)} of {states.count(state)}", colour)
        for state, colour in STATE_COLOURS.items()
        if state in states
    ]
    entries.append(Entry(f"missed: {len(matching.missed)}", MISSED, filled=True))
    entries.append(Entry(f"false positive: {len(matching.false_positives)}", FALSE_POSITIVE, filled=True))
    if matching.truth.size:
        entries.append(Entry("true outline, where it differs", TRUE_OUTLINE))
    if ignored_regions:
        entries.append(Entry(f"ignored: {ignored_regions} specks, {len(matching.ignored)} finds on them", IGNORED))
    return entries
