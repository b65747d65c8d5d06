"""Find texts and scale bars that are drawn into a picture, over the specimen."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

TOLERANCES = (0, 20, 80)
"""Grey levels by which a drawn level may vary: as drawn; after lossy compression; in smoothed strokes of one pixel."""

MARGIN_PX = 2  # width of the smoothed edge around a letter's pixels
_GLYPH_PX = (6, 80)  # height of letters
_GLYPH_WIDTH = 1.6  # widest letter, in heights
_GLYPH_FILL = (0.12, 0.9)  # share of its box that a letter covers
_STROKE = 0.36  # thickest stroke, in heights (bold letters have 0.2 to 0.25)
_STEP_LEVELS = 45  # least contrast of a letter to the pixels at a distance of two
_SHARP = 0.85  # least share of the pixels at a distance of two that have this contrast
_LETTERS = 3  # fewest letters of one height on one line that make a text
_GAP = 2.0  # largest gap within a line, in heights
_LETTERS_ON_FOOT, _FOOT_GAP = 4, 1.0  # `_LETTERS` and `_GAP` for letters of several heights on one baseline (foot)
_FOOT_HEIGHTS = 1.8  # largest ratio of their heights
_DIFFERENCE = 0.1  # least spread, within a line, of the share of its box that a letter covers
_TICKS = 4  # fewest equal rectangles on one line that make a row of ticks
_BAR_LENGTH_PX, _BAR_PROPORTION = 20, 4  # least length of a scale bar, and its length over its thickness
_MOST_INK = 0.5  # largest share of an image that can be drawing
_FULL = 0.97  # least share of its box that a drawn rectangle covers
_BOX_SHARE = (0.0005, 0.25)  # share of the image that a box of texts takes
_BOX_INK = (0.01, 0.6)  # share of a box that its texts take
_ALONE_SHARE, _ALONE_LEVELS = 0.02, 12  # the levels this close to a drawn level have at most this share of its pixels
_ALONE_THIN, _THICKEST_PX = 0.8, 15  # least share of a drawn level's pixels in thin pieces, and their thickness
_ALONE_PX = (30, 0.15)  # pixels of a drawn level: least number, largest share of the image


def find_captions(grey: np.ndarray) -> np.ndarray:
    """Find the pixels of texts, ticks, scale bars and their boxes, drawn in a picture's brightest or darkest level.

    It finds long rectangles with sharp edges (scale bars) and letters near them; letters of one height on one line or
    of several heights on one baseline, with what continues the line; rows of equal rectangles (ticks); rectangles of
    one level with texts in them (boxes); and thin strokes of a level that nothing else in the picture has. Saturated
    particles differ: their edges are neither straight nor sharp, and their rims do not stand on one line.

    Args:
        grey: (H, W), 0-255, without data bars.

    Returns:
        (H, W) bool, with a margin of `MARGIN_PX`.
    """
    found = np.zeros(grey.shape, bool)
    if min(grey.shape) > 2 * _GLYPH_PX[0]:
        for bright in (grey, 255 - grey):
            for tolerance in TOLERANCES:
                found |= _Ink(bright, tolerance).drawn()
    side = 2 * MARGIN_PX + 1
    return cv2.dilate(found.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


@dataclass(frozen=True, eq=False)
class _Ink:
    """The pixels of an image (H, W) in its brightest level, as N connected pieces."""

    grey: np.ndarray  # the image
    tolerance: int  # levels below the brightest that still count as it

    @cached_property
    def on(self) -> np.ndarray:
        return (self.grey >= self.grey.max() - self.tolerance).astype(np.uint8)

    @cached_property
    def pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) number of each pixel's piece, 0 for none; and (N + 1, 5) left, top, width, height, pixels."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(self.on, connectivity=8)
        return labels, stats

    @cached_property
    def thickness(self) -> np.ndarray:
        """(N + 1,) thickness, px, of each piece's thickest stroke."""
        depth = cv2.distanceTransform(self.on, cv2.DIST_C, 3)
        inner = depth > 1
        deepest = np.ones(len(self.pieces[1]))
        np.maximum.at(deepest, self.pieces[0][inner], depth[inner])
        return 2 * deepest - 1

    @cached_property
    def sharpness(self) -> np.ndarray:
        """(N + 1,) share of the pixels at a distance of two from each piece that are darker by `_STEP_LEVELS`."""
        near, far = (cv2.dilate(self.on, np.ones((side, side), np.uint8)) for side in (3, 5))
        owner = cv2.dilate(self.pieces[0].astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int64)
        ring = (far > 0) & (near == 0)
        dark = self.grey[ring] <= self.grey.max() - self.tolerance - _STEP_LEVELS
        count = len(self.pieces[1])
        every = np.bincount(owner[ring], minlength=count)
        return np.bincount(owner[ring], dark, minlength=count) / np.maximum(every, 1)

    def drawn(self) -> np.ndarray:
        """(H, W) bool: pixels of texts, bars, ticks, and boxes."""
        if self.on.mean() > _MOST_INK:
            return np.zeros(self.on.shape, bool)
        labels, _ = self.pieces
        bars = self._bars()
        chosen = self._ticks() | self._alone() | self._beside(bars)
        chosen[0] = False
        found = chosen[labels]
        for left, top, width, height in [*self._lines(), *bars, *self._boxes()]:
            found[top : top + height, left : left + width] = True
        return found

    @cached_property
    def letters(self) -> np.ndarray:
        """(N + 1,) bool: pieces of thin strokes with sharp edges, which may be letters wherever they stand."""
        _, _, width, height, pixels = self.pieces[1].T
        fill = pixels / (width * height)
        fits = (height >= _GLYPH_PX[0]) & (height <= _GLYPH_PX[1]) & (width <= _GLYPH_WIDTH * height)
        fits &= (fill >= _GLYPH_FILL[0]) & ((fill <= _GLYPH_FILL[1]) | (width < 0.5 * height))
        fits[0] = False
        if fits.any():
            fits &= (self.thickness <= np.maximum(_STROKE * height, 2)) & (self.sharpness >= _SHARP)
        return fits

    def _lines(self) -> set[tuple[int, int, int, int]]:
        """Find lines of text (left, top, width, height): letters of one height on one line, or more on one baseline."""
        left, top, width, height, _ = self.pieces[1].T
        of_line, of_foot = defaultdict(list), defaultdict(list)
        for piece in np.flatnonzero(self.letters).tolist():
            foot = top[piece] + height[piece]
            of_line[top[piece], foot].append(piece)
            of_foot[foot].append(piece)
        lines = []
        for upper, lower in of_line:
            near = [p for u in range(upper - 1, upper + 2) for p in of_line.get((u, lower), ())]
            near += [p for low in (lower - 1, lower + 1) for p in of_line.get((upper, low), ())]
            runs = _runs(near, left, width, _GAP * (lower - upper))
            lines += [run for run in runs if len(run) >= _LETTERS]
        for foot in of_foot:
            near = [p for low in (foot - 1, foot) for p in of_foot.get(low, ())]
            runs = _runs(near, left, width, _FOOT_GAP * height[near].max())
            runs = [run for run in runs if len(run) >= _LETTERS_ON_FOOT]
            lines += [run for run in runs if height[run].max() <= _FOOT_HEIGHTS * height[run].min()]
        return {self._continued(line) for line in lines if self._differ(line)}

    def _differ(self, line: list[int]) -> bool:
        """Return whether letters differ in width or in fill of their boxes; rims of equal spheres do not."""
        _, _, width, height, pixels = self.pieces[1][line].T
        fill = pixels / (width * height)
        return bool(np.ptp(fill) >= _DIFFERENCE or np.ptp(width) >= _DIFFERENCE * 2 * height.max())

    def _continued(self, line: list[int]) -> tuple[int, int, int, int]:
        """Return the box of a line's letters, letters that continue it, and thin pieces between and beside them.

        The box covers the gaps between letters, and thus letters that merge with a bright particle.
        """
        left, top, width, height, _ = self.pieces[1].T
        right, foot, tall = left + width, top + height, int(height[line].max())
        on_line = (top >= top[line].min() - 0.4 * tall) & (foot <= foot[line].max() + 0.4 * tall)
        runs = _runs(np.flatnonzero(on_line & self.letters).tolist(), left, width, _GAP * tall)
        whole = [piece for run in runs if set(line) & set(run) for piece in run]
        beside = on_line & (left >= left[whole].min() - tall / 2) & (right <= right[whole].max() + tall / 2)
        beside &= self.thickness <= _STROKE * tall
        beside[0] = False
        ends = left[beside].min(), top[beside].min(), right[beside].max(), foot[beside].max()
        return int(ends[0]), int(ends[1]), int(ends[2] - ends[0]), int(ends[3] - ends[1])

    def _ticks(self) -> np.ndarray:
        """(N + 1,) bool: equal upright rectangles whose upper and lower ends lie on two lines."""
        _, top, width, height, pixels = self.pieces[1].T
        upright = (pixels == width * height) & (height >= 5) & (width >= 2) & (height > width)
        upright[0] = False
        chosen = np.zeros(len(top), bool)
        if upright.sum() >= _TICKS:
            alike = defaultdict(list)
            for piece in np.flatnonzero(upright & (self.sharpness >= _SHARP)).tolist():
                alike[top[piece], width[piece], height[piece]].append(piece)
            for row in alike.values():
                chosen[row] |= len(row) >= _TICKS
        return chosen

    def _alone(self) -> np.ndarray:
        """(N + 1,) bool: thin pieces, if the level must be drawn because the levels next to it are almost empty."""
        _, _, width, height, pixels = self.pieces[1].T
        every = int(self.on.sum())
        beside = np.count_nonzero((self.grey >= self.grey.max() - _ALONE_LEVELS) & (self.on == 0))
        is_drawn = _ALONE_PX[0] <= every <= _ALONE_PX[1] * self.grey.size and beside <= _ALONE_SHARE * every
        if self.tolerance or not is_drawn:
            return np.zeros(len(pixels), bool)
        longer = np.maximum(width, height)
        thin = (self.thickness <= np.clip(0.25 * longer, 2, _THICKEST_PX)) & (longer >= _GLYPH_PX[0])
        thin[0] = False
        return thin & (pixels[thin].sum() >= _ALONE_THIN * every)

    def _bars(self) -> list[tuple[int, int, int, int]]:
        """Find bars (left, top, width, height): rectangles, two rows or thicker, with sharp upper and lower edges."""
        long = cv2.morphologyEx(self.on, cv2.MORPH_OPEN, np.ones((1, _BAR_LENGTH_PX), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(long, connectivity=4)
        _, _, width, height, pixels = stats.T
        fits = (height >= 2) & (width >= _BAR_PROPORTION * height) & (pixels >= _FULL * width * height)
        fits &= (width < self.grey.shape[1]) & (height <= _GLYPH_PX[1])
        fits[0] = False
        return [tuple(box) for box in stats[fits, :4].tolist() if self._is_sharp_bar(*box)]

    def _is_sharp_bar(self, left: int, top: int, width: int, height: int) -> bool:
        limit = self.grey.max() - self.tolerance - _STEP_LEVELS
        rows = [row for row in (top - 2, top + height + 1) if 0 <= row < len(self.grey)]
        return all((self.grey[row, left : left + width] <= limit).mean() >= _SHARP for row in rows)

    def _beside(self, bars: list[tuple[int, int, int, int]]) -> np.ndarray:
        """(N + 1,) bool: letters near a scale bar."""
        left, top, width, height, _ = self.pieces[1].T
        chosen = np.zeros(len(top), bool)
        for bar_left, bar_top, bar_width, bar_height in bars:
            reach = max(4 * bar_height, bar_width // 3, 30)
            inside = (left >= bar_left - reach) & (left + width <= bar_left + bar_width + reach)
            inside &= (top >= bar_top - reach) & (top + height <= bar_top + bar_height + reach)
            chosen |= inside & self.letters
        return chosen

    def _boxes(self) -> list[tuple[int, int, int, int]]:
        """Find rectangles (left, top, width, height) of one level that contain something of another level."""
        solid = cv2.morphologyEx(self.on, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
        _, _, width, height, pixels = stats.T
        area = width * height
        fits = (area >= _BOX_SHARE[0] * self.grey.size) & (area <= _BOX_SHARE[1] * self.grey.size)
        fits &= (height >= 2 * _GLYPH_PX[0]) & (width >= _BAR_LENGTH_PX) & (pixels >= (1 - _BOX_INK[1]) * area)
        fits[0] = False
        found = {number: tuple(stats[number, :4].tolist()) for number in np.flatnonzero(fits)}
        return [box for number, box in found.items() if self._is_box(labels, number, box)]

    def _is_box(self, labels: np.ndarray, number: int, box: tuple[int, int, int, int]) -> bool:
        left, top, width, height = box
        window = slice(top, top + height), slice(left, left + width)
        piece = labels[window] == number
        sides = (piece[:2], piece[-2:], piece[:, :2].T, piece[:, -2:].T)  # compression frays the outermost row
        if min(side.any(axis=0).mean() for side in sides) < _FULL:
            return False
        ink = (self.grey.max() - self.grey[window]) >= 2 * _STEP_LEVELS
        return bool(_BOX_INK[0] <= ink.mean() <= _BOX_INK[1])


def _runs(pieces: list[int], left: np.ndarray, width: np.ndarray, gap: float) -> list[list[int]]:
    """Group pieces from left to right; a gap larger than `gap` begins a new group."""
    runs: list[list[int]] = []
    end = -np.inf
    for piece in sorted(pieces, key=left.__getitem__):
        if left[piece] - end > gap:
            runs.append([])
        runs[-1].append(piece)
        end = max(end, left[piece] + width[piece])
    return runs
