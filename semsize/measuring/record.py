"""The record of a measurement: what its numbers come from besides the table."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from semsize import __version__
from semsize.detecting.models import joint_licence
from semsize.measuring.inputs import InputError, MeasurementSettings
from semsize.measuring.outlines import FOUND_KINDS
from semsize.measuring.results_folder import ImageResult
from semsize.measuring.seeing import differences
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
    frame_rows: int  # between the data bars
    pixel_size_nm: float | None  # calibrated; None where not known
    pixel_size_std_nm: float | None
    pixel_size_source: str | None
    detections: int  # of any score
    particles: int  # from the score threshold on
    caption_px: int  # pixels of texts and scale bars in the frame
    contrast: float | None  # grey levels; None without particles, and until the image has been drawn
    area_fraction: float  # of the masks from the score threshold on
    seconds: float  # that finding its particles took
    notes: tuple[str, ...]  # on its outlines and its scale
    scales: tuple[float, ...] = ()  # enlargements at which it was looked at; none where outlines were drawn

    @property
    def pixel_size(self) -> PixelSize | None:
        """The calibrated pixel size; None where it is not known."""
        return None if self.pixel_size_nm is None else PixelSize(self.pixel_size_nm, self.pixel_size_std_nm)

    @classmethod
    def of(
        cls, result: ImageResult, size: PixelSize | None, notes: Sequence[str], settings: MeasurementSettings
    ) -> MeasuredImage:
        """An image whose particles were found, its calibrated pixel size, and what is odd about its scale."""
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
    """What the numbers of a measurement come from besides the table; part of `record.json`."""

    settings: MeasurementSettings
    outlines: Mapping[str, Any]  # what their source is, in JSON's terms
    validation: BiasRecord | None  # bias record that holds for the model, or the one that nearly does
    images: tuple[MeasuredImage, ...]
    skipped: tuple[Mapping[str, Any], ...]  # image and error of each image that could not be measured
    notes: tuple[str, ...]
    seen_validation: VisibilityRecord | None = None  # of the model that predicted states, as `validation`

    @property
    def is_drawn(self) -> bool:
        """Whether people drew the outlines: there is no model to be uncertain of."""
        return self.outlines["kind"] not in FOUND_KINDS

    @property
    def licence(self) -> str:
        """What the result may be used for by the licences of all its models; empty without a model."""
        models = self.outlines, self.outlines.get("visibility", {})
        return joint_licence(model["licence"] for model in models if model.get("licence"))

    @property
    def unit(self) -> str:
        """The unit of sizes: ``nm`` if the pixel size of any image is known, with particles or without, else ``px``."""
        return "px" if all(image.pixel_size_nm is None for image in self.images) else "nm"

    @property
    def has_no_outline(self) -> bool:
        """Whether outlines were drawn, and none of them is left to measure."""
        return self.is_drawn and not any(image.particles for image in self.images)

    def bias(self) -> tuple[BiasRecord | None, tuple[str, ...]]:
        """The bias record that holds; else None and, where a model found the outlines, why none does."""
        if self.is_drawn:
            return None, ()
        if "model" not in self.outlines:
            return None, ("which model found these outlines, and how it was used, is not known",)
        if self.validation is None:
            return None, ("this model has no bias record (tools/validate.py makes one)",)
        reasons = self.validation.differences(ModelUse.from_json(self.outlines["model"]), self.settings.score)
        return (None if reasons else self.validation), reasons

    def seen(self) -> tuple[VisibilityRecord | None, tuple[str, ...]]:
        """The record of the visibility model that holds; else None and, where states are predicted, why none does."""
        if "visibility" not in self.outlines:
            return None, ()
        if self.seen_validation is None:
            return None, ("the visibility model has no record (tools/validate.py --visibility makes one)",)
        reasons = differences(self.seen_validation, self.outlines)
        return (None if reasons else self.seen_validation), reasons


def read_record(path: Path) -> Record:
    """The record of a measurement that was made before.

    Raises:
        InputError: it is missing or damaged.
    """
    data = read_json(path, InputError)
    try:
        return from_json({field.name: data[field.name] for field in fields(Record)}, Record)
    except (KeyError, TypeError, ValueError) as cause:
        raise InputError(f"{path}: no record of a measurement ({cause}); measure again") from None


def versions(*packages: str) -> dict[str, str]:
    """Versions of this program, Python, and the packages that numbers come from."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"tio2": __version__, "python": platform.python_version(), **found}
