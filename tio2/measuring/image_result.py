"""What is known of one image once it has been measured, in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tio2.measuring.images import ImageFile
from tio2.structures.masks import CroppedMasks
from tio2.structures.pixel_size import PixelSize
from tio2.structures.predictions import prediction_record


class PartError(ValueError):
    """An image's result cannot be read back."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """One measured image.

    Attributes:
        file: the image.
        sha256: of its file.
        file_shape: (H, W) of the file, data bar included.
        frame_rows: rows above the data bar; all where there is none.
        pixel_size: calibrated; None where not known.
        masks: N masks in the frame, none empty.
        scores: (N,).
        boxes: (N, 4) xyxy px.
        states: N states, None where not known.
        contrast: grey levels between particles from the score threshold on and what lies around; None without any.
        notes: what is to be said about this image.
        seconds: what finding its particles took.
    """

    file: ImageFile
    sha256: str
    file_shape: tuple[int, int]
    frame_rows: int
    pixel_size: PixelSize | None
    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    states: tuple[str | None, ...]
    contrast: float | None
    notes: tuple[str, ...]
    seconds: float

    def counted(self, score: float) -> int:
        """Particles of at least this score."""
        return int((self.scores >= score).sum())

    def predictions(self, image_id: int) -> list[dict]:
        """Records for `predictions.json`, at the size of the file."""
        rles = self.masks.pad(self.file_shape).to_rles()
        return [
            prediction_record(image_id, self.file.name, box, score, rle)
            for box, score, rle in zip(self.boxes.tolist(), self.scores.tolist(), rles, strict=True)
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it in JSON's terms."""
        size = self.pixel_size
        return {
            "image": self.file.name,
            "sha256": self.sha256,
            "file_shape": list(self.file_shape),
            "frame_rows": self.frame_rows,
            "pixel_size": None if size is None else vars(size),
            "rles": self.masks.to_rles(),
            "scores": self.scores.tolist(),
            "boxes": self.boxes.tolist(),
            "states": list(self.states),
            "contrast": self.contrast,
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
            return cls(
                file=file,
                sha256=data["sha256"],
                file_shape=(height, width),
                frame_rows=data["frame_rows"],
                pixel_size=None if size is None else PixelSize(**size),
                masks=CroppedMasks.from_rles(data["rles"], (data["frame_rows"], width)),
                scores=np.array(data["scores"], np.float32),
                boxes=np.array(data["boxes"], np.float32).reshape(-1, 4),
                states=tuple(data["states"]),
                contrast=data["contrast"],
                notes=tuple(data["notes"]),
                seconds=data["seconds"],
            )
        except (KeyError, TypeError, ValueError, OverflowError) as cause:
            raise PartError(f"{file.name}: its result is damaged ({cause!r})") from None
