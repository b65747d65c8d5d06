"""A sheet of errors by cause: each one's place in the image, bare and with truth and detections outlined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from semsize.measuring.overlays import (
    FALSE_POSITIVE,
    MISSED,
    STRIP_COLOUR,
    TRUE_OUTLINE,
    Colour,
    Entry,
    add_legend,
    enlarged_rgb,
    outline,
)
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.error_causes import ImageErrors
from semsize.structures.masks import CroppedMasks

FOUND_OUTLINE: Colour = (0, 215, 120)
MARGIN_PX = 11
PANEL_PX = 200
LINE_PX = 16
GAP_PX = 6
MAX_SCALE = 6
TEXT_COLOUR: Colour = (235, 235, 235)
LEGEND = (
    Entry("missed", MISSED),
    Entry("false positive", FALSE_POSITIVE),
    Entry("annotated", TRUE_OUTLINE),
    Entry("found", FOUND_OUTLINE),
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """An image with what was found in it, the causes of its errors, and its grey levels, (H, W) from 0 to 255."""

    image: ImageComparison
    errors: ImageErrors
    grey: np.ndarray


@dataclass(frozen=True, eq=False)
class Example:
    """One error: a missed particle or a false positive, by its number among the true or the counted masks."""

    drawn: Drawn
    number: int
    missed: bool

    @property
    def mask(self) -> CroppedMasks:
        """The mask that is missed or false."""
        return (self.drawn.image.truth if self.missed else self.drawn.image.found).masks[self.number]

    @property
    def caption(self) -> str:
        """The image, then a miss's annotation and state, or a false positive's number in `particles.csv` and score."""
        truth, name = self.drawn.image.truth, Path(self.drawn.image.truth.file_name).stem
        if self.missed:
            return f"{name} #{truth.particle_ids[self.number]} {truth.states[self.number] or ''}"
        return f"{name} {self.number + 1} score {self.drawn.image.found.scores[self.number]:.2f}"


def miss_examples(
    images: Sequence[Drawn], causes: Sequence[str], most: int, seed: int | None = None
) -> dict[str, list[Example]]:
    """Missed useful particles (of all, where no state is known) of each cause.

    Args:
        images: where to look.
        causes: in the order of the sheet.
        most: examples of one cause.
        seed: None takes the largest, a number draws at random.
    """
    of_cause: dict[str, list[Example]] = {cause: [] for cause in causes}
    states_known = any(drawn.image.truth.members("useful").any() for drawn in images)
    for drawn in images:
        wanted = drawn.image.truth.members("useful" if states_known else "all")
        for number, cause in zip(drawn.image.matching.missed.tolist(), drawn.errors.miss_causes, strict=True):
            if wanted[number]:
                of_cause[cause].append(Example(drawn, number, missed=True))
    return _chosen(of_cause, most, seed, lambda example: -int(example.mask.areas[0]))


def false_examples(
    images: Sequence[Drawn], causes: Sequence[str], most: int, seed: int | None = None
) -> dict[str, list[Example]]:
    """False positives of each cause; arguments as for `miss_examples`, None taking those of the highest scores."""
    of_cause: dict[str, list[Example]] = {cause: [] for cause in causes}
    for drawn in images:
        numbers = drawn.image.matching.false_positives.tolist()
        for number, cause in zip(numbers, drawn.errors.false_causes, strict=True):
            of_cause[cause].append(Example(drawn, number, missed=False))
    return _chosen(of_cause, most, seed, lambda example: -float(example.drawn.image.found.scores[example.number]))


def draw_sheet(examples: Mapping[str, Sequence[Example]], columns: int, caption: str = "") -> np.ndarray:
    """Rows of examples under the name of their cause, and a legend below.

    Args:
        examples: heading to its examples; headings without any are left out.
        columns: examples in a row, from 1.
        caption: said first in the legend.

    Returns:
        (h, w, 3) uint8 RGB, w going with the columns.
    """
    width = columns * (2 * PANEL_PX + GAP_PX)
    rows = []
    for heading, of_cause in examples.items():
        if of_cause:
            rows.append(_text_line(heading, width, scale=0.6))
        for start in range(0, len(of_cause), columns):
            tiles = [_tile(example) for example in of_cause[start : start + columns]]
            row = np.concatenate(tiles, axis=1)
            rows.append(np.pad(row, ((0, GAP_PX), (0, width - row.shape[1]), (0, 0))))
    sheet = np.concatenate(rows) if rows else np.zeros((1, width, 3), np.uint8)
    return add_legend(sheet, LEGEND, caption)


def _chosen(
    of_cause: Mapping[str, list[Example]], most: int, seed: int | None, worst: Callable[[Example], float]
) -> dict[str, list[Example]]:
    """At most so many of each cause, which the heading numbers."""
    rng = None if seed is None else np.random.default_rng(seed)
    chosen = {}
    for cause, examples in of_cause.items():
        ordered = sorted(examples, key=worst) if rng is None else [examples[i] for i in rng.permutation(len(examples))]
        chosen[f"{cause}: {len(examples)}"] = ordered[:most]
    return chosen


def _tile(example: Example) -> np.ndarray:
    """(PANEL_PX + LINE_PX, 2 · PANEL_PX + GAP_PX, 3): the place bare, the place outlined, a caption below."""
    truth, found, grey = example.drawn.image.truth.masks, example.drawn.image.found.masks, example.drawn.grey
    box = left, top, right, bottom = _square_box(example.mask, truth.image_shape)
    scale = min(MAX_SCALE, max(1, PANEL_PX // (max(right - left, bottom - top) - 2)))
    bare = enlarged_rgb(grey[top:bottom, left:right], scale)
    drawn = bare.copy()
    outline(drawn, truth.crop(box), TRUE_OUTLINE, scale, width=1)
    outline(drawn, found.crop(box), FOUND_OUTLINE, scale, width=1)
    outline(drawn, example.mask.crop(box), MISSED if example.missed else FALSE_POSITIVE, scale, width=2)
    bare, drawn = (picture[scale:-scale, scale:-scale] for picture in (bare, drawn))  # neighbours are cut at its rim
    panels = np.concatenate([_fitted(bare), _fitted(drawn), np.zeros((PANEL_PX, GAP_PX, 3), np.uint8)], axis=1)
    return np.concatenate([panels, _text_line(example.caption, panels.shape[1], scale=0.38)])


def _square_box(mask: CroppedMasks, image_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The mask's surroundings as x1, y1, x2, y2, square unless the frame cuts them."""
    x1, y1, x2, y2 = mask.boxes[0].astype(int).tolist()
    half = max(x2 - x1, y2 - y1) // 2 + MARGIN_PX
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    return max(x - half, 0), max(y - half, 0), min(x + half, image_shape[1]), min(y + half, image_shape[0])


def _fitted(picture: np.ndarray) -> np.ndarray:
    """The picture in the middle of a square of PANEL_PX, made smaller where it is larger."""
    shrink = PANEL_PX / max(*picture.shape[:2], PANEL_PX)
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    picture = picture[:PANEL_PX, :PANEL_PX]
    rows, columns = PANEL_PX - picture.shape[0], PANEL_PX - picture.shape[1]
    return np.pad(picture, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)))


def _text_line(text: str, width: int, *, scale: float) -> np.ndarray:
    height = round(LINE_PX * max(1.0, scale / 0.4))
    line = np.full((height, width, 3), STRIP_COLOUR, np.uint8)
    cv2.putText(line, text, (3, height - 5), cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT_COLOUR, 1, cv2.LINE_AA)
    return line
