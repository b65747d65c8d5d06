"""What is known of one image once its particles have been found, in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from semsize.measuring.images import ImageFile
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize
from semsize.structures.predictions import prediction_record

PART_FORMAT = 2
"""Of the files in parts/. Format 1 held pixel sizes, contrasts and counts that settings had decided."""


class PartError(ValueError):
    """An image's result cannot be read back."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What detection, or the source of drawn outlines, gave of one image; no setting of the evaluation is in it.

    Attributes:
        file: the image.
        sha256: of its file.
        file_shape: (H, W) of the file, data bars included.
        top: rows of the file above the frame.
        frame_rows: rows of the frame, which lies between the data bars.
        rles: N masks at the size of the file; none is empty, all lie in the frame.
        scores: (N,).
        boxes: (N, 4) xyxy px in the file.
        states: N states that the source of outlines gives, None where not known.
        on_caption: (N,) bool: it touches a text or scale bar that was drawn into the picture.
        caption_px: pixels of such texts and bars.
        pixel_size: that the source of outlines states; None where it states none.
        notes: what is to be said about this image.
        seconds: what finding its particles took.
    """

    file: ImageFile
    sha256: str
    file_shape: tuple[int, int]
    top: int
    frame_rows: int
    rles: Sequence[Mapping[str, Any]]
    scores: np.ndarray
    boxes: np.ndarray
    states: tuple[str | None, ...]
    on_caption: np.ndarray
    caption_px: int
    pixel_size: PixelSize | None
    notes: tuple[str, ...]
    seconds: float

    @property
    def file_masks(self) -> CroppedMasks:
        """N masks at the size of the file."""
        return CroppedMasks.from_rles(self.rles, self.file_shape)

    @cached_property
    def masks(self) -> CroppedMasks:
        """N masks in the frame."""
        return self.file_masks.crop((0, self.top, self.file_shape[1], self.top + self.frame_rows))

    def counted(self, score: float) -> int:
        """Particles of at least this score."""
        return int((self.scores >= score).sum())

    def predictions(self, image_id: int) -> list[dict]:
        """Records for `predictions.json`, at the size of the file."""
        return [
            prediction_record(image_id, self.file.name, box, score, rle)
            for box, score, rle in zip(self.boxes.tolist(), self.scores.tolist(), self.rles, strict=True)
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it in JSON's terms."""
        size = self.pixel_size
        return {
            "image": self.file.name,
            "sha256": self.sha256,
            "file_shape": list(self.file_shape),
            "top": self.top,
            "frame_rows": self.frame_rows,
            "rles": list(self.rles),
            "scores": self.scores.tolist(),
            "boxes": self.boxes.tolist(),
            "states": list(self.states),
            "on_caption": self.on_caption.tolist(),
            "caption_px": self.caption_px,
            "pixel_size": None if size is None else vars(size),
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, file: ImageFile, data: Mapping[str, Any]) -> ImageResult:
        """What `as_json` gave.

        Raises:
            PartError: it is something else.
        """
        try:
            height, width = data["file_shape"]
            size = data["pixel_size"]
            result = cls(
                file=file,
                sha256=data["sha256"],
                file_shape=(height, width),
                top=data["top"],
                frame_rows=data["frame_rows"],
                rles=data["rles"],
                scores=np.array(data["scores"], np.float32),
                boxes=np.array(data["boxes"], np.float32).reshape(-1, 4),
                states=tuple(data["states"]),
                on_caption=np.array(data["on_caption"], bool),
                caption_px=data["caption_px"],
                pixel_size=None if size is None else PixelSize(**size),
                notes=tuple(data["notes"]),
                seconds=data["seconds"],
            )
            masks = result.masks
            lengths = {len(each) for each in (masks, result.scores, result.boxes, result.states, result.on_caption)}
        except (KeyError, TypeError, ValueError, OverflowError) as cause:
            raise PartError(f"{file.name}: its result is damaged ({cause!r})") from None
        if len(lengths) != 1 or masks.image_shape != (result.frame_rows, width):
            raise PartError(f"{file.name}: its result is damaged (particles or rows are missing)")
        return result
