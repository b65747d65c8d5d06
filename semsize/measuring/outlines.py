"""Sources of outlines: the interface that a detector, corrections and files share; asked image by image."""

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
"""Kinds of sources, as their records name them, whose outlines a model found; in all other kinds people drew them."""


class NoOutlinesError(ValueError):
    """The source of outlines has none for an image."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The part of an image that is measured, without data bars."""

    file: ImageFile
    grey: np.ndarray  # (H, W) float32 grey levels
    file_rows: int  # rows of the file, data bars included
    top: int = 0  # rows of the file above the frame
    pixel_size: PixelSize | None = None  # calibrated, as the user declares or the file states it

    @property
    def bottom(self) -> int:
        """The file's row just below the frame."""
        return self.top + len(self.grey)

    def within(self, rows: tuple[int, int]) -> Frame:
        """The part of the frame in rows `rows[0]` to `rows[1] - 1` of the file.

        Raises:
            NoOutlinesError: no row of the frame is among them.
        """
        top, bottom = max(self.top, rows[0]), min(self.bottom, rows[1])
        if (top, bottom) == (self.top, self.bottom):
            return self
        if bottom <= top:
            raise NoOutlinesError(
                f"{self.file.path}: its outlines were made in rows {rows[0]} to {rows[1]} of the file, and rows "
                f"{self.top} to {self.bottom} are to be measured; give --crop-top and --crop-rows as for the outlines"
            )
        return replace(self, grey=self.grey[top - self.top : bottom - self.top], top=top)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The particles of one image."""

    masks: CroppedMasks  # N masks from the frame's first row on; of fewer rows if fewer were annotated
    scores: np.ndarray  # (N,) 0 to 1
    boxes: np.ndarray  # (N, 4) xyxy, px; the detector's boxes, else those of the masks
    states: tuple[str | None, ...]  # N states, None where not known
    notes: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None  # as the source states it; None if it states none
    scales: tuple[float, ...] = ()  # enlargements at which a detector looked; empty for drawn outlines
    seen: Mapping[str, np.ndarray] = field(default_factory=dict)  # `VISIBILITY_COLUMNS` to (N,); empty if not predicted
    whole: CroppedMasks | None = None  # N predicted whole outlines in the frame; None without a prediction

    def without_empty(self) -> Outlines:
        """The outlines that have a pixel; a note counts those that have none."""
        kept = np.flatnonzero(self.masks.areas)
        if len(kept) == len(self.masks):
            return self
        note = f"{len(self.masks) - len(kept)} outlines without a pixel in the frame are not measured"
        arrays = {name: getattr(self, name)[kept] for name in ("masks", "scores", "boxes")}
        return replace(self, **arrays, states=tuple(self.states[n] for n in kept), notes=(*self.notes, note))

    @classmethod
    def of_look(cls, found: Look) -> Outlines:
        """The outlines that an engine found in an image, without states."""
        states = (None,) * len(found.masks)
        return cls(found.masks, found.scores, found.boxes, states, found.notes, scales=found.scales)


Find = Callable[[Frame], Outlines]
"""Finds the particles of a frame; raises `NoOutlinesError` if the source has no outlines for it."""

FillBox = Callable[[np.ndarray, Sequence[float]], Placed]
"""Draws the particle in a box x1, y1, x2, y2 of grey levels (H, W); the crop is empty if there is none."""


class OutlineSource(Protocol):
    """A source of outlines; every process gets a pickled copy and opens it."""

    def open(self, processes: int) -> Find:
        """Load what finding outlines needs; `processes` is the number that share this machine."""

    def as_record(self) -> dict:
        """The source's entry in the record: JSON types, with its kind and the SHA-256 of its files."""


@runtime_checkable
class FramedSource(Protocol):
    """A source that knows in which rows its outlines were made; the edges of these rows are borders of the frame."""

    def rows_of(self, file: ImageFile) -> tuple[int, int] | None:
        """First row of the file and the row below the last one; None if not known."""


@runtime_checkable
class BoxSource(Protocol):
    """A source that can also draw the outline in a given box."""

    def open_boxes(self) -> FillBox:
        """Load what drawing outlines in boxes needs."""
