"""What a source of outlines is: a detector, or files of outlines; it is asked image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semsize.measuring.images import ImageFile
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize


class NoOutlinesError(ValueError):
    """An image of which the source of outlines knows nothing."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image as it is measured.

    Attributes:
        file: where it came from.
        grey: (H, W) float32 grey levels, data bars cut off.
        file_rows: rows of the file, data bars included.
        top: rows of the file above the frame.
    """

    file: ImageFile
    grey: np.ndarray
    file_rows: int
    top: int = 0

    @property
    def bottom(self) -> int:
        """Row of the file below the frame."""
        return self.top + len(self.grey)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The particles of one image.

    Attributes:
        masks: N masks in the frame without data bar; in fewer rows where they were drawn on no more.
        scores: (N,) 0 to 1.
        boxes: (N, 4) xyxy, px; a detector's own, else those of the masks.
        states: N states, None where not known.
        notes: what is to be said about them.
        pixel_size: what their source says of the image; None where it says nothing.
    """

    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    states: tuple[str | None, ...]
    notes: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None


Find = Callable[[Sequence[Frame]], list[Outlines]]
"""Finds the particles of some frames."""


class OutlineSource(Protocol):
    """Where outlines come from; travels to other processes, and is opened there."""

    batch_size: int  # frames that are looked at together

    def open(self, processes: int) -> Find:
        """Make ready whatever is costly; `processes`: how many share this machine."""

    def as_record(self) -> dict:
        """What it is, in JSON's terms, with the SHA-256 of its files."""
