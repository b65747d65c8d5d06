"""Draws outlines over images, with a legend below."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.patches import Patch

from semsize.metrology.matching import Matching
from semsize.structures.files import write_whole
from semsize.structures.masks import CroppedMasks
from semsize.visibility.surroundings import placed_in

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

STATE_COLOURS: dict[str | None, Colour] = {
    "isolated": (255, 220, 160),
    "complete": (170, 255, 0),
    "touch_complete": (255, 180, 80),
    "masked": (255, 80, 255),
    "unusable": (170, 130, 80),
    None: (0, 220, 220),
}
"""RGB of a matched particle by its state, None: not known. Colour-blind people can tell the colours apart."""

MISSED: Colour = (255, 75, 0)
FALSE_POSITIVE: Colour = (200, 50, 255)
IGNORED: Colour = (150, 150, 150)
TRUE_OUTLINE: Colour = (255, 255, 255)

SMALL_SIDE_PX = 1500  # an image whose longer side is below this is enlarged, up to LARGEST_SCALE times
LARGEST_SCALE = 4

FILL_OPACITY = 0.35
STRIP_COLOUR: Colour = (24, 24, 24)
DOTS_PER_INCH = 100
_BOXES = re.compile("last ?resort|blank", re.IGNORECASE)  # fonts whose glyphs are empty boxes or blank
SMALLEST_FONT, CHARACTERS_ACROSS = 10, 150  # points; a wide picture has larger letters


@dataclass(frozen=True)
class Entry:
    """A colour of the legend and its meaning."""

    label: str
    colour: Colour
    filled: bool = False  # whether the picture fills the shapes of this colour


def add_legend(picture: np.ndarray, entries: Sequence[Entry], caption: str = "") -> np.ndarray:
    """Put a legend below a picture (H, W, 3) uint8 RGB; the result is wider if an entry needs more room than W."""
    strip = _strip(entries, caption, picture.shape[1])
    width = max(picture.shape[1], strip.shape[1])
    stacked = np.full((picture.shape[0] + strip.shape[0], width, 3), STRIP_COLOUR, np.uint8)
    stacked[: picture.shape[0], : picture.shape[1]] = picture
    stacked[picture.shape[0] :, : strip.shape[1]] = strip
    return stacked


def drawable(text: str) -> tuple[str, list[str]]:
    r"""Return the text without characters that no font can draw, and the font families to draw it with.

    Characters that the default font lacks come from any installed font that has all of them. If there is none, each is
    written as its escape, such as \u8a66, so that names stay distinct, which empty boxes would not.
    """
    families = list(matplotlib.rcParams["font.family"])
    missing = frozenset(map(ord, text)) - _characters(Path(findfont(FontProperties())))
    if missing and (family := _family_with(missing)) is not None:
        return text, [*families, family]
    plain = (c.encode("ascii", "backslashreplace").decode() if ord(c) in missing else c for c in text)
    return "".join(plain), families


@functools.cache
def _characters(font: Path) -> frozenset[int]:
    try:
        return frozenset(get_font(str(font)).get_charmap())
    except (OSError, RuntimeError):  # a font file that cannot be read
        return frozenset()


@functools.cache
def _family_with(characters: frozenset[int]) -> str | None:
    """An installed font family that has all these characters; None if there is none but fonts of empty boxes."""
    for entry in fontManager.ttflist:
        is_plain = entry.style == "normal" and str(entry.weight) in ("400", "normal", "regular")
        if is_plain and not _BOXES.search(entry.name) and characters <= _characters(Path(entry.fname)):
            return entry.name
    return None


def _strip(entries: Sequence[Entry], caption: str, width_px: int) -> np.ndarray:
    """Draw the legend in as few rows as the width allows, (h, w, 3) uint8; w exceeds it if one column does."""
    for columns in range(len(entries), 0, -1):
        figure = _legend_figure(entries, caption, columns, width_px)
        extent = figure.legends[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
        if extent.width <= width_px:
            break
    width, height = max(width_px, math.ceil(extent.width)), math.ceil(extent.height)
    figure.set_size_inches(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _legend_figure(entries: Sequence[Entry], caption: str, columns: int, width_px: int) -> Figure:
    def unit(colour: Colour, *opacity: float) -> tuple[float, ...]:
        return (*(level / 255 for level in colour), *opacity)

    figure = Figure(figsize=(width_px / DOTS_PER_INCH, 1), dpi=DOTS_PER_INCH, facecolor=unit(STRIP_COLOUR))
    handles = []
    for entry in entries:
        face = unit(entry.colour, FILL_OPACITY if entry.filled else 0.0)
        handles.append(Patch(edgecolor=unit(entry.colour), facecolor=face, label=entry.label, linewidth=2))
    size = max(SMALLEST_FONT, width_px / CHARACTERS_ACROSS)
    title, family = drawable(caption)
    legend = figure.legend(
        handles=handles, title=title or None, ncols=columns, loc="center", frameon=False, labelcolor="white",
        fontsize=size, title_fontsize=size,
    )  # fmt: skip
    legend.get_title().set(color="white", fontfamily=family, parse_math=False)
    return figure


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
    """Draw matched particles in the colour of their state, misses and false positives filled, and a legend below.

    Args:
        image: (H, W) or (H, W, 3), grey levels 0 to 255; may be taller than the masks' image by a data bar.
        truth: N true masks; a thin white line shows the true outline where it differs from the matched one.
        found: M found masks.
        matching: pairs of true and found masks, from `semsize.metrology.matching.match`.
        states: the N states of the true masks; None: no state is known.
        ignored_regions: specks, drawn thin and grey.
        caption: first line of the legend, such as the image's name and the score threshold.
        scale: integer enlargement; None: `fitting_scale`.

    Returns:
        (H · scale + legend, W · scale or the legend's width, 3) uint8 RGB.

    Raises:
        ValueError: masks reach beyond the image, or the numbers of states and of true masks differ.
    """
    states = [None] * len(truth) if states is None else list(states)
    if len(states) != len(truth):
        raise ValueError(f"{len(truth)} true masks need as many states, got {len(states)}")
    ignored_regions = truth[:0] if ignored_regions is None else ignored_regions
    for masks in (truth, found, ignored_regions):
        if any(mask_side > side for mask_side, side in zip(masks.image_shape, image.shape[:2], strict=True)):
            raise ValueError(f"masks of an image {masks.image_shape} cannot be drawn on one of {image.shape[:2]}")
    scale = fitting_scale(image.shape) if scale is None else scale
    missed, false_positives = truth[matching.missed], found[matching.false_positives]
    canvas = enlarged_rgb(image, scale)
    fill(canvas, missed, MISSED, scale)
    fill(canvas, false_positives, FALSE_POSITIVE, scale)
    outline(canvas, ignored_regions, IGNORED, scale, width=1)
    outline(canvas, truth[matching.truth], TRUE_OUTLINE, scale, width=1)
    for truth_index, found_index in zip(matching.truth, matching.found, strict=True):
        outline(canvas, found[found_index], STATE_COLOURS[states[truth_index]], scale, width=scale)
    outline(canvas, found[matching.ignored], IGNORED, scale, width=scale)
    outline(canvas, false_positives, FALSE_POSITIVE, scale, width=scale)
    outline(canvas, missed, MISSED, scale, width=scale)
    return add_legend(canvas, _legend_entries(states, matching, len(ignored_regions)), caption)


def draw_annotations(
    image: np.ndarray,
    masks: CroppedMasks,
    states: Sequence[str | None],
    *,
    ignored_regions: CroppedMasks,
    caption: str = "",
) -> np.ndarray:
    """Draw annotated particles in the colours of their states, regions to ignore in grey, and a legend below.

    Image, caption and result are as in `draw_overlay`; `states` holds the state of each mask, None if not known.
    """
    scale = fitting_scale(image.shape)
    canvas = enlarged_rgb(image, scale)
    outline(canvas, ignored_regions, IGNORED, scale, width=1)
    for index, state in enumerate(states):
        outline(canvas, masks[index], STATE_COLOURS[state], scale, width=max(1, scale // 2))
    entries = [*state_entries(states), Entry(f"ignored: {len(ignored_regions)}", IGNORED)]
    return add_legend(canvas, entries, caption)


def state_entries(states: Sequence[str | None]) -> list[Entry]:
    """Legend entries of the states that occur, with the number of particles in each."""
    counts = {state: states.count(state) for state in STATE_COLOURS if state in states}
    return [Entry(f"{state or 'state not known'}: {n}", STATE_COLOURS[state]) for state, n in counts.items()]


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG, whole or not at all, and make the folder; raises OSError."""
    write_whole(path, cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def fitting_scale(image_shape: tuple[int, ...]) -> int:
    """Integer enlargement that brings a small image's longer side to `SMALL_SIDE_PX`, at most `LARGEST_SCALE`."""
    return max(1, min(LARGEST_SCALE, math.ceil(SMALL_SIDE_PX / max(image_shape[:2]))))


def enlarged_rgb(image: np.ndarray, scale: int) -> np.ndarray:
    """(H · scale, W · scale, 3) uint8 RGB of grey levels (H, W) or colours (H, W, 3), 0 to 255."""
    grey_levels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    rgb = grey_levels if grey_levels.ndim == 3 else np.repeat(grey_levels[:, :, None], 3, axis=2)
    if scale == 1:
        return rgb.copy()
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def fill(canvas: np.ndarray, masks: CroppedMasks, colour: Colour, scale: int) -> None:
    """Tint the inside of each mask."""
    for crop, origin in masks:
        inside, window = _placed(canvas, crop, origin, scale)
        mixed = (1 - FILL_OPACITY) * window[inside] + FILL_OPACITY * np.array(colour)
        window[inside] = np.rint(mixed).astype(np.uint8)


def outline(canvas: np.ndarray, masks: CroppedMasks, colour: Colour, scale: int, *, width: int) -> None:
    """Colour the border pixels of each mask, ``width`` canvas pixels inwards; an empty mask has none."""
    for crop, origin in masks[masks.areas > 0]:
        inside, window = _placed(canvas, crop, origin, scale)
        core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width, borderValue=0)
        window[inside & (core == 0)] = colour


def dashed_outline(canvas: np.ndarray, whole: CroppedMasks, visible: CroppedMasks, colour: Colour, scale: int) -> None:
    """Dash the border of each whole outline where it leaves the visible one: 4 image px on, 4 px off."""
    for (crop, origin), seen in zip(whole, visible, strict=True):
        inside, window = _placed(canvas, crop, origin, scale)
        there = placed_in(*seen, crop.shape, origin).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
        near = cv2.dilate(there, np.ones((2 * scale + 1,) * 2, np.uint8))
        dashes = np.zeros(inside.shape, np.uint8)
        for line in cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
            columns, rows = line[np.arange(len(line)) // (4 * scale) % 2 == 0, 0].T
            dashes[rows, columns] = 1
        dashes[near > 0] = 0
        window[cv2.dilate(dashes, np.ones((scale, scale), np.uint8)) > 0] = colour


def _placed(canvas: np.ndarray, crop: np.ndarray, origin: tuple[int, int], scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the enlarged crop as booleans, and the window of the canvas that it covers."""
    inside = crop.repeat(scale, axis=0).repeat(scale, axis=1) > 0
    top, left = origin[0] * scale, origin[1] * scale
    return inside, canvas[top : top + inside.shape[0], left : left + inside.shape[1]]


def _legend_entries(states: Sequence[str | None], matching: Matching, ignored_regions: int) -> list[Entry]:
    """Legend entries: the meaning of each colour and how often it occurs."""
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
