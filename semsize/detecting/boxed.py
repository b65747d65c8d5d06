"""The outline of the particle in a box: a window around it, at the size that the mask branch draws best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from semsize.detecting.joining import COMFORTABLE_PX
from semsize.structures.masks import CroppedMasks, Placed, tighten

CONTEXT = 1.0
"""What the network sees around a box, in lengths of its longer side."""

MOST_ENLARGED = 4.0
MOST_INPUT_PX = 2048.0
"""Side of a window in the network's input; the box of a long particle is enlarged less."""

MaskBranch = Callable[[np.ndarray, np.ndarray, float], CroppedMasks]
"""Draws masks in N boxes of a window of grey levels that is enlarged by a factor.

Takes the window, (H, W) float32 of 0-255, the boxes, (N, 4) float32 xyxy in its pixels, and the factor; gives N masks
of the window, empty where the network sees no particle.
"""


def outline_in_box(grey: np.ndarray, box: Sequence[float], draw: MaskBranch) -> Placed:
    """The mask of the particle in a box, in the frame of the image; an empty crop where the network sees none.

    Args:
        grey: (H, W) float32 grey levels of 0-255.
        box: x1, y1, x2, y2 in px; what reaches beyond the image is cut off.
        draw: the mask branch of an engine.

    Raises:
        ValueError: nothing of the box lies in the image.
    """
    height, width = grey.shape
    corners = np.clip(np.asarray(box, np.float32), 0, np.float32([width, height, width, height]))
    sides = corners[2:] - corners[:2]
    if not (sides > 0).all():
        raise ValueError(f"the box {list(box)} holds nothing of an image of {width} x {height} px")
    longest = float(sides.max())
    fitting = MOST_INPUT_PX / (longest * (1 + 2 * CONTEXT))
    scale = min(COMFORTABLE_PX / float(np.sqrt(sides.prod())), fitting, MOST_ENLARGED)
    margin = CONTEXT * longest
    left, top = np.maximum(np.floor(corners[:2] - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners[2:] + margin), (width, height)).astype(int)
    window = np.ascontiguousarray(grey[top:bottom, left:right], np.float32)
    (mask,) = draw(window, (corners - np.float32((left, top, left, top)))[None], scale)
    crop, (row, column) = mask
    return tighten(crop, (row + int(top), column + int(left)))
