"""The record of a measurement: what its numbers come from besides the table, and the warnings for a reader."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semsize import __version__
from semsize.measuring.inputs import InputError, Settings
from semsize.measuring.particle_table import CAPTION, NO_PIXEL_SIZE, TOO_SMALL, ParticleTable, is_detected, unit_of
from semsize.measuring.results_folder import ImageResult
from semsize.measuring.seeing import differences, powder_warnings
from semsize.metrology import LARGE_WEIGHT, BiasRecord, ModelUse, area_fraction, range_warnings
from semsize.metrology.intervals import WITHIN_IMAGE
from semsize.structures.files import from_json, read_json
from semsize.structures.pixel_size import PixelSize
from semsize.visibility.population import QUANTITY_POWDER
from semsize.visibility.record import VisibilityRecord

if TYPE_CHECKING:
    from semsize.measuring.summary import Summary

FOUND_KINDS = ("model", "predictions")
"""Kinds of outlines that a model found; others were drawn."""

NOTES_SHOWN = 12  # on single images, among the warnings


@dataclass(frozen=True)
class MeasuredImage:
    """What the record says of an image."""

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

    @classmethod
    def of(cls, result: ImageResult, size: PixelSize | None, notes: Sequence[str], settings: Settings) -> MeasuredImage:
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

    settings: Settings
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
    def has_no_outline(self) -> bool:
        """Whether outlines were drawn, and none of them is left to measure."""
        return self.is_drawn and not any(image.detections for image in self.images)

    def bias(self) -> tuple[BiasRecord | None, tuple[str, ...]]:
        """The bias record that holds; else None and, where a model found the outlines, why none does."""
        if self.is_drawn:
            return None, ()
        if "model" not in self.outlines:
            return None, ("which model found these outlines, and how it was used, is not known",)
        if self.validation is None:
            return None, ("this model has no bias record (tools/validate.py makes one)",)
        reasons = self.validation.differences(ModelUse(**self.outlines["model"]), self.settings.score)
        return (None if reasons else self.validation), reasons

    def seen(self) -> tuple[VisibilityRecord | None, tuple[str, ...]]:
        """The record of the visibility model that holds; else None and, where states are predicted, why none does."""
        if "visibility" not in self.outlines:
            return None, ()
        if self.seen_validation is None:
            return None, ("the visibility model has no record (tools/validate.py --visibility makes one)",)
        reasons = differences(self.seen_validation, self.outlines)
        return (None if reasons else self.seen_validation), reasons


def _limits(record: Record) -> str:
    """By which visible fractions a model names states, for people; nothing where its record does not tell."""
    limits = record.outlines.get("visibility", {}).get("thresholds")
    if not limits:
        return ""
    return f" (fully imaged: visible to {limits[0]:.2f} and more; measured at all: to {limits[1]:.2f} and more)"


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


def warnings_of(record: Record, summary: Summary, table: ParticleTable) -> list[str]:
    """What a reader must know before using the numbers, the gravest first."""
    seen, density = record.seen()[0], float(np.mean([image.area_fraction for image in record.images]))
    return [
        *_nothing_measured(record),
        *_pixel_size_warnings(record.images, table),
        *_caption_warnings(record.images, table),
        *_reference_warnings(record, summary),
        *(powder_warnings(seen, density) if QUANTITY_POWDER in summary.further_budgets else ()),
        *_bias_warnings(record, table),
        *_sample_warnings(record, summary, table),
        *_input_warnings(record),
    ]


def _nothing_measured(record: Record) -> Iterable[str]:
    if record.has_no_outline:
        yield f"NOT ONE OUTLINE IS THERE TO MEASURE in {len(record.images)} images: the lines below say why"


def _pixel_size_warnings(images: Sequence[MeasuredImage], table: ParticleTable) -> Iterable[str]:
    unknown = [image.image for image in images if image.pixel_size_nm is None]
    if len(unknown) == len(images):
        yield "NO PIXEL SIZE IS KNOWN: all sizes are in pixels, not in nanometres; give --pixel-size"
    elif unknown and unit_of(table) == "nm":
        count = int((table["excluded"] == NO_PIXEL_SIZE).sum())
        yield (
            f"no pixel size is known for {len(unknown)} of {len(images)} images ({_some(unknown)}): their {count} "
            "particles are left out of the distribution; give --pixel-size, or measure them apart"
        )
    sizes = sorted({image.pixel_size_nm for image in images if image.pixel_size_nm is not None})
    if len(sizes) > 1 and sizes[-1] > 1.01 * sizes[0]:
        yield f"images of different magnification are taken together: {sizes[0]:.4g} to {sizes[-1]:.4g} nm a pixel"


def _caption_warnings(images: Sequence[MeasuredImage], table: ParticleTable) -> Iterable[str]:
    written_on = [image.image for image in images if image.caption_px]
    if written_on:
        count = int((table["excluded"] == CAPTION).sum())
        yield (
            f"texts or scale bars are drawn into {len(written_on)} of {len(images)} images ({_some(written_on)}): "
            f"{count} particles found on them are left out"
        )


def _reference_warnings(record: Record, summary: Summary) -> Iterable[str]:
    if record.settings.reference_d50 is not None and not summary.en:
        why = "sizes are in pixels" if summary.unit == "px" else "there are too few particles for a D50"
        yield f"the reference D50 is compared with nothing (no E_n): {why}"


def _sample_warnings(record: Record, summary: Summary, table: ParticleTable) -> Iterable[str]:
    if summary.kept < 2:
        yield f"{summary.kept} particles are left to measure: too few for a distribution"
        return
    interval = summary.intervals["D50"]
    if interval.scope == WITHIN_IMAGE:
        yield "all particles are of one image: the sampling uncertainty says nothing about the rest of the material"
    elif interval.images < 6:
        yield f"{interval.images} images are few: the spread between images is known poorly (see k in the budget)"
    if summary.large_weights:
        yield (
            f"{summary.large_weights} particles count for more than {LARGE_WEIGHT:g} each (up to "
            f"{summary.largest_weight:.3g}), since few so large lie whole in a frame; take a lower magnification"
        )
    if table.is_predicted:
        reasons, own = record.seen()[1], ", and intervals of single whole sizes are the model's own"
        yield (
            f"STATES ARE PREDICTED: {summary.kept} outlines stand for {summary.expected_particles:.1f} fully imaged "
            f"particles by their probabilities{_limits(record)}"
            + (f"; NOT VALIDATED, their error is not in U{own}: {'; '.join(reasons)}" if reasons else "")
        )
    if not summary.states_known:
        yield (
            "which particles are hidden in part is not known (no states are given, and none are predicted): these are "
            "visible outlines, and hidden parts make them smaller than the particles are; --states predicted tells"
        )


def _bias_warnings(record: Record, table: ParticleTable) -> Iterable[str]:
    bias, reasons = record.bias()
    if not record.is_drawn:
        yield from _contrast_warnings(record, bias)
    if reasons:
        yield (
            f"NOT VALIDATED: {'; '.join(reasons)}. Nothing is corrected, and U is without the model's share and the "
            "effect of hidden parts"
        )
    if bias is None:
        return
    counted = is_detected(table) & ~np.isin(table["excluded"].astype(str), (TOO_SMALL, CAPTION))
    for line in range_warnings(
        bias.ranges,
        [image.image for image in record.images],
        nm_per_px=[image.pixel_size_nm for image in record.images],
        ecd_px=table["ecd_px"][counted],
        contrast_levels=[image.contrast for image in record.images],
        area_fraction=[image.area_fraction for image in record.images],
    ):
        yield f"outside what the model was validated for: {line}"


def _contrast_warnings(record: Record, bias: BiasRecord | None) -> Iterable[str]:
    """Particles darker than their ground, where no scene of the bias record had such."""
    known = bias and bias.ranges.contrast_levels
    if known and known[0] < 0:
        return
    dark = {image.image: image.contrast for image in record.images if (image.contrast or 0) < 0}
    if dark:
        yield (
            f"particles are DARKER than their surroundings in {len(dark)} of {len(record.images)} images "
            f"({_some(list(dark))}; {min(dark.values()):.0f} grey levels): models that learned bright particles on "
            "dark ground do not know such images; invert them, or check the overlays"
        )


def _input_warnings(record: Record) -> Iterable[str]:
    if record.skipped:
        names = _some([entry["image"] for entry in record.skipped])
        yield f"{len(record.skipped)} images were left out, they could not be measured: {names}"
    copies, noted = defaultdict(list), defaultdict(list)
    for image in record.images:
        copies[image.sha256].append(image.image)
        for note in image.notes:
            noted[note].append(image.image)
    for names in copies.values():
        if len(names) > 1:
            yield f"{len(names)} files are one and the same image and count each time: {_some(names)}"
    empty = [image.image for image in record.images if image.particles == 0]
    if empty:
        yield f"no particle was found in {len(empty)} images: {_some(empty)}"
    for note, names in list(noted.items())[:NOTES_SHOWN]:
        yield f"{_some(names)}: {note}"
    if len(noted) > NOTES_SHOWN:
        yield f"{len(noted) - NOTES_SHOWN} more notes on single images stand in the report, under Images"
    yield from record.notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
