"""Pictures of measured particles: each outline with its number, in the colour of its size or state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np

from semsize.measuring.legend import Colour, Entry
from semsize.measuring.overlays import STATE_COLOURS, enlarged_rgb, fitting_scale, outline
from semsize.metrology.size_distribution import quantiles
from semsize.structures.masks import CroppedMasks

LEFT_OUT: Colour = (150, 150, 150)
NUMBER_COLOUR: Colour = (255, 255, 255)
_MAP, _MAP_RANGE = "plasma", (0.25, 1.0)  # its darkest part is lost on grey
_STEPS = 5  # sizes in the legend
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class SizeColours:
    """Colours of sizes on a logarithmic scale; what lies beyond has the colour of the end.

    Attributes:
        low: smallest size.
        high: largest.
        unit: of both.
    """

    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, sizes: np.ndarray, unit: str) -> SizeColours:
        """From the 2 % to the 98 % quantile of the sizes of all images."""
        low, high = quantiles(sizes, (0.02, 0.98)) if len(sizes) else (1.0, 2.0)
        return cls(float(low), float(max(high, low * 1.01)), unit)

    def colours(self, sizes: np.ndarray) -> list[Colour]:
        """RGB of each size."""
        place = np.log(np.asarray(sizes, np.float64) / self.low) / np.log(self.high / self.low)
        shades = np.interp(place, (0, 1), _MAP_RANGE)
        rgba = matplotlib.colormaps[_MAP](shades, bytes=True)
        return [tuple(int(level) for level in one[:3]) for one in np.atleast_2d(rgba)]

    def entries(self) -> list[Entry]:
        """A legend of a few sizes."""
        sizes = np.geomspace(self.low, self.high, _STEPS)
        return [
            Entry(f"{size:.3g} {self.unit}", colour) for size, colour in zip(sizes, self.colours(sizes), strict=True)
        ]


def state_colours(states: Sequence[str | None]) -> tuple[list[Colour], list[Entry]]:
    """RGB of each particle by its state, and the legend with the number of each."""
    counts = {state: states.count(state) for state in STATE_COLOURS if state in states}
    entries = [Entry(f"{state or 'state not known'}: {n}", STATE_COLOURS[state]) for state, n in counts.items()]
    return [STATE_COLOURS[state] for state in states], entries


def draw_numbered(
    image: np.ndarray, masks: CroppedMasks, colours: Sequence[Colour], kept: np.ndarray, ids: np.ndarray
) -> np.ndarray:
    """Outlines in their colours, those left out thin and grey beneath, each kept one with its number.

    Args:
        image: (H, W) grey levels 0 to 255; may be taller than the masks' image by a data bar.
        masks: N masks.
        colours: N colours.
        kept: (N,) bool.
        ids: (N,) numbers to write.

    Returns:
        (H · scale, W · scale, 3) uint8 RGB, never smaller than the image.
    """
    scale = fitting_scale(image.shape)
    canvas = enlarged_rgb(image, scale)
    outline(canvas, masks[~kept], LEFT_OUT, scale, width=1)
    chosen = np.flatnonzero(kept)
    for index in chosen:
        outline(canvas, masks[index], colours[index], scale, width=max(1, scale))
    for index in chosen:
        _write_number(canvas, str(ids[index]), masks.crops[index], masks.origins[index], scale)
    return canvas


def jpeg_thumbnail(picture: np.ndarray, longest_side: int, most_bytes: int) -> bytes:
    """A small JPEG of (H, W, 3) uint8 RGB: first coarser, then smaller until it takes no more than `most_bytes`."""
    side = longest_side
    while True:
        factor = min(1.0, side / max(picture.shape[:2]))
        size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
        small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
        for quality in (85, 70, 55):
            data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(data) <= most_bytes or side <= 16:
                return data
        side = side * 3 // 4


def _write_number(canvas: np.ndarray, text: str, crop: np.ndarray, origin: np.ndarray, scale: int) -> None:
    """Where a mask is widest, as large as it allows between two readable sizes; dark round the letters."""
    depth = cv2.distanceTransform(np.pad(crop, 1), cv2.DIST_L2, 3)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    y, x = (origin[0] + row - 0.5) * scale, (origin[1] + column - 0.5) * scale
    size = float(np.clip(depth.max() * scale / (len(text) * 14), 0.28, 0.7))
    (width, height), _ = cv2.getTextSize(text, _FONT, size, 1)
    place = round(x - width / 2), round(y + height / 2)
    cv2.putText(canvas, text, place, _FONT, size, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, text, place, _FONT, size, NUMBER_COLOUR, 1, cv2.LINE_AA)
