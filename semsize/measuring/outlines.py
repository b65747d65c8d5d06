"""Where outlines come from: a detector, corrections, or files (`outline_files`); a source is asked image by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from semsize.detecting.looking import Look
from semsize.measuring.inputs import ImageFile
from semsize.structures.masks import CroppedMasks, Placed
from semsize.structures.pixel_size import PixelSize

FOUND_KINDS = ("model", "predictions")
"""Kinds of sources, as their records say them, whose outlines a model found; all others hold what people drew."""


class NoOutlinesError(ValueError):
    """The source of outlines has none for an image."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image as it is measured, without data bars."""

    file: ImageFile
    grey: np.ndarray  # (H, W) float32 grey levels
    file_rows: int  # rows of the file, data bars included
    top: int = 0  # rows of the file above the frame
    pixel_size: PixelSize | None = None  # that the file states or the user declares, calibrated

    @property
    def bottom(self) -> int:
        """Row of the file below the frame."""
        return self.top + len(self.grey)

    def within(self, rows: tuple[int, int]) -> Frame:
        """The part of the frame from a row of the file down to the row below the last one; all of it if it lies there.

        Raises:
            NoOutlinesError: no part of it does.
        """
        top, bottom = max(self.top, rows[0]), min(self.bottom, rows[1])
        if (top, bottom) == (self.top, self.bottom):
            return self
        if bottom <= top:
            raise NoOutlinesError(
                f"{self.file.path}: its outlines were made in rows {rows[0]} to {rows[1]} of the file, and rows "
                f"{self.top} to {self.bottom} are to be measured; give --crop-top and --crop-rows as before"
            )
        return replace(self, grey=self.grey[top - self.top : bottom - self.top], top=top)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The particles of one image."""

    masks: CroppedMasks  # N masks in the frame; in fewer rows where they were drawn on no more
    scores: np.ndarray  # (N,) 0 to 1
    boxes: np.ndarray  # (N, 4) xyxy, px; a detector's own, else those of the masks
    states: tuple[str | None, ...]  # N states, None where not known
    notes: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None  # what the source says of the image; None where it says nothing
    scales: tuple[float, ...] = ()  # enlargements at which the image was looked at; none where they were drawn
    seen: Mapping[str, np.ndarray] = field(default_factory=dict)  # `SEEN_COLUMNS` to (N,); empty without a prediction
    whole: CroppedMasks | None = None  # N whole outlines in the frame, of a prediction

    def without_empty(self) -> Outlines:
        """The outlines that have a pixel; a note counts the others."""
        kept = np.flatnonzero(self.masks.areas)
        if len(kept) == len(self.masks):
            return self
        note = f"{len(self.masks) - len(kept)} outlines without a pixel in the frame are not measured"
        arrays = {name: getattr(self, name)[kept] for name in ("masks", "scores", "boxes")}
        return replace(self, **arrays, states=tuple(self.states[n] for n in kept), notes=(*self.notes, note))

    @classmethod
    def of_look(cls, found: Look) -> Outlines:
        """What an engine found in an image; it gives no states."""
        states = (None,) * len(found.masks)
        return cls(found.masks, found.scores, found.boxes, states, found.notes, scales=found.scales)


Find = Callable[[Frame], Outlines]
"""Finds the particles of a frame; `NoOutlinesError` where the source has none for it."""

FillBox = Callable[[np.ndarray, Sequence[float]], Placed]
"""Draws the particle in a box x1, y1, x2, y2 of grey levels (H, W); an empty crop where it sees none."""


class OutlineSource(Protocol):
    """A source of outlines; other processes get a pickle of it and open it."""

    def open(self, processes: int) -> Find:
        """Load what finding outlines needs; `processes`: how many share this machine."""

    def as_record(self) -> dict:
        """What the source is, in JSON's terms, with the SHA-256 of its files."""


@runtime_checkable
class FramedSource(Protocol):
    """A source whose outlines were made in known rows of each image: a particle that these cut off is a cut one."""

    def rows_of(self, file: ImageFile) -> tuple[int, int] | None:
        """The first row of the file, and the row below the last one; None where they are not known."""


@runtime_checkable
class BoxSource(Protocol):
    """A source of outlines that can also draw the one in a box; other sources lack the method."""

    def open_boxes(self) -> FillBox:
        """Load what drawing outlines in boxes needs."""
