"""The strip below a picture that says what its colours mean."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.legend import Legend
from matplotlib.patches import Patch

Colour = tuple[int, int, int]

FILL_OPACITY = 0.35
STRIP_COLOUR: Colour = (24, 24, 24)
DOTS_PER_INCH = 100
_BOXES = re.compile("last ?resort|blank", re.IGNORECASE)  # fonts whose glyphs are boxes, or nothing
SMALLEST_FONT, CHARACTERS_ACROSS = 10, 150  # points; a wide picture has larger letters


@dataclass(frozen=True)
class Entry:
    """One colour and its meaning.

    Attributes:
        label: what stands beside the colour.
        colour: RGB, 0 to 255.
        filled: whether the picture fills the shapes of this colour.
    """

    label: str
    colour: Colour
    filled: bool = False


def add_legend(picture: np.ndarray, entries: Sequence[Entry], caption: str = "") -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB above its legend; made wider where one entry needs more room than W."""
    strip = _strip(entries, caption, picture.shape[1])
    width = max(picture.shape[1], strip.shape[1])
    stacked = np.full((picture.shape[0] + strip.shape[0], width, 3), STRIP_COLOUR, np.uint8)
    stacked[: picture.shape[0], : picture.shape[1]] = picture
    stacked[picture.shape[0] :, : strip.shape[1]] = strip
    return stacked


def drawable(text: str) -> tuple[str, list[str]]:
    r"""A text as it can be drawn without empty boxes, and the font families that it takes, the default first.

    Characters that the default font lacks come from any installed font that has all of them; where none has, each is
    written as its escape, such as \u8a66: that tells names apart, which boxes don't.
    """
    default = Path(findfont(FontProperties()))
    missing = frozenset(map(ord, text)) - _characters(default)
    if not missing:
        return text, list(matplotlib.rcParams["font.family"])
    family = _family_with(missing)
    if family is not None:
        return text, [*matplotlib.rcParams["font.family"], family]
    plain = "".join(c.encode("ascii", "backslashreplace").decode() if ord(c) in missing else c for c in text)
    return plain, list(matplotlib.rcParams["font.family"])


@functools.cache
def _characters(font: Path) -> frozenset[int]:
    try:
        return frozenset(get_font(str(font)).get_charmap())
    except (OSError, RuntimeError):  # a font file that cannot be read
        return frozenset()


@functools.cache
def _family_with(characters: frozenset[int]) -> str | None:
    """An installed family that has all of these characters; not one of those that have a box for everything."""
    for entry in fontManager.ttflist:
        is_plain = entry.style == "normal" and str(entry.weight) in ("400", "normal", "regular")
        if is_plain and not _BOXES.search(entry.name) and characters <= _characters(Path(entry.fname)):
            return entry.name
    return None


def _strip(entries: Sequence[Entry], caption: str, width_px: int) -> np.ndarray:
    """The legend in as few rows as the width allows, (h, w, 3) uint8; wider than asked if one column is."""
    for columns in range(len(entries), 0, -1):
        legend, figure = _legend_figure(entries, caption, columns, width_px)
        extent = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        if extent.width <= width_px:
            break
    width, height = max(width_px, math.ceil(extent.width)), math.ceil(extent.height)
    figure.set_size_inches(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _legend_figure(entries: Sequence[Entry], caption: str, columns: int, width_px: int) -> tuple[Legend, Figure]:
    figure = Figure(figsize=(width_px / DOTS_PER_INCH, 1), dpi=DOTS_PER_INCH, facecolor=_unit(STRIP_COLOUR))
    handles = []
    for entry in entries:
        edge = _unit(entry.colour)
        face = (*edge, FILL_OPACITY if entry.filled else 0.0)
        handles.append(Patch(edgecolor=edge, facecolor=face, label=entry.label, linewidth=2))
    font_size = max(SMALLEST_FONT, width_px / CHARACTERS_ACROSS)
    title, family = drawable(caption)
    legend = figure.legend(
        handles=handles,
        title=title or None,
        ncols=columns,
        loc="center",
        frameon=False,
        labelcolor="white",
        fontsize=font_size,
        title_fontsize=font_size,
    )
    legend.get_title().set(color="white", fontfamily=family, parse_math=False)
    return legend, figure


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (level / 255 for level in colour)
    return red, green, blue
