"""The record of a measurement: all that its numbers come from, except the particle table."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from semsize import __version__
from semsize.detecting.models import joint_licence
from semsize.measuring.inputs import InputError, MeasurementSettings
from semsize.measuring.outlines import FOUND_KINDS
from semsize.measuring.predicted_states import differences
from semsize.measuring.results_folder import ImageResult
from semsize.metrology import BiasRecord, ModelUse, area_fraction
from semsize.structures.files import from_json, read_json
from semsize.structures.pixel_size import PixelSize
from semsize.visibility.record import VisibilityRecord


@dataclass(frozen=True)
class MeasuredImage:
    """The entry of an image in the record."""

    image: str  # its name in table and report
    path: str
    sha256: str  # of the file
    rows: int  # of the file
    columns: int
    top: int  # rows of the file above the frame
    frame_rows: int  # rows between the data bars
    pixel_size_nm: float | None  # calibrated; None if not known
    pixel_size_std_nm: float | None
    pixel_size_source: str | None
    detections: int  # number of outlines of any score
    particles: int  # number of outlines from the score threshold on
    caption_px: int  # pixels of texts and scale bars in the frame
    contrast: float | None  # grey levels; None without particles, and until the image has been drawn
    area_fraction: float  # of the frame that outlines from the score threshold on cover, without those on captions
    seconds: float  # time that finding the particles took
    notes: tuple[str, ...]  # on outlines and scale
    scales: tuple[float, ...] = ()  # enlargements at which a detector looked; empty for drawn outlines

    @property
    def pixel_size(self) -> PixelSize | None:
        """The calibrated pixel size; None if not known."""
        return None if self.pixel_size_nm is None else PixelSize(self.pixel_size_nm, self.pixel_size_std_nm)

    @classmethod
    def of(
        cls, result: ImageResult, size: PixelSize | None, notes: Sequence[str], settings: MeasurementSettings
    ) -> MeasuredImage:
        """Make the entry from an image's result, its calibrated pixel size, and notes on its scale."""
        counted = result.masks[(result.scores >= settings.score) & ~result.on_caption]
        return cls(
            image=result.file.name,
            path=str(result.file.path),
            sha256=result.sha256,
            rows=result.file_shape[0],
            columns=result.file_shape[1],
            top=result.top,
            frame_rows=result.frame_rows,
            pixel_size_nm=None if size is None else size.value_nm,
            pixel_size_std_nm=None if size is None else size.std_nm,
            pixel_size_source=None if size is None else size.source,
            detections=len(result.scores),
            particles=result.counted(settings.score),
            caption_px=result.caption_px,
            contrast=None,
            area_fraction=area_fraction(counted, result.masks.image_shape),
            seconds=result.seconds,
            notes=(*result.notes, *notes),
            scales=result.scales,
        )


@dataclass(frozen=True)
class Record:
    """All that the numbers of a measurement come from, except the table; part of `record.json`."""

    settings: MeasurementSettings
    outlines: Mapping[str, Any]  # the source of outlines, see `OutlineSource.as_record`
    validation: BiasRecord | None  # the model's bias record that holds for this use, else the nearest one
    images: tuple[MeasuredImage, ...]
    skipped: tuple[Mapping[str, Any], ...]  # image and error of each image that could not be measured
    notes: tuple[str, ...]
    seen_validation: VisibilityRecord | None = None  # the visibility model's record that holds, else the nearest one

    @property
    def is_drawn(self) -> bool:
        """Whether people drew the outlines, so that no detector adds to the uncertainty."""
        return self.outlines["kind"] not in FOUND_KINDS

    @property
    def licence(self) -> str:
        """The joint licence of all models that the result comes from; empty without a model."""
        models = self.outlines, self.outlines.get("visibility", {})
        return joint_licence(model["licence"] for model in models if model.get("licence"))

    @property
    def unit(self) -> str:
        """The unit of sizes: ``nm`` if the pixel size of any image, even without particles, is known, else ``px``."""
        return "px" if all(image.pixel_size_nm is None for image in self.images) else "nm"

    @property
    def area_fraction(self) -> float:
        """Mean over the images of the share that the masks cover."""
        return float(np.mean([image.area_fraction for image in self.images]))

    @property
    def has_no_outline(self) -> bool:
        """Whether the outlines are drawn ones, and none is left to measure."""
        return self.is_drawn and not any(image.particles for image in self.images)

    def bias(self) -> tuple[BiasRecord | None, tuple[str, ...]]:
        """The bias record, if it holds, else None; and why none holds (empty for drawn outlines)."""
        if self.is_drawn:
            return None, ()
        if "model" not in self.outlines:
            return None, ("which model found these outlines, and how it was used, is not known",)
        if self.validation is None:
            return None, ("this model has no bias record (tools/validate.py makes one)",)
        reasons = self.validation.differences(ModelUse.from_json(self.outlines["model"]), self.settings.score)
        return (None if reasons else self.validation), reasons

    def seen(self) -> tuple[VisibilityRecord | None, tuple[str, ...]]:
        """The visibility model's record, if it holds, else None; and why none holds (empty without a model)."""
        if "visibility" not in self.outlines:
            return None, ()
        if self.seen_validation is None:
            return None, ("the visibility model has no record (tools/validate.py --visibility makes one)",)
        reasons = differences(self.seen_validation, self.outlines)
        return (None if reasons else self.seen_validation), reasons


def read_record(path: Path) -> Record:
    """Read the record of an earlier measurement from its `record.json`.

    Raises:
        InputError: the file is missing or damaged.
    """
    data = read_json(path, InputError)
    try:
        return from_json({field.name: data[field.name] for field in fields(Record)}, Record)
    except (KeyError, TypeError, ValueError) as cause:
        raise InputError(f"{path}: no record of a measurement ({cause}); measure again") from None


def versions(*packages: str) -> dict[str, str]:
    """Versions of this program, of Python and of the named packages."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"tio2": __version__, "python": platform.python_version(), **found}
