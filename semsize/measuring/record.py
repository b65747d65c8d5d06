"""The record of a measurement: all that its numbers come from besides the table, and the numbers themselves."""

from __future__ import annotations

import math
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from semsize import __version__
from semsize.measuring.errors import InputError
from semsize.measuring.image_result import ImageResult
from semsize.measuring.settings import Settings
from semsize.measuring.summary import ImageFacts, Summary, summarise
from semsize.measuring.table import CAPTION, NO_PIXEL_SIZE, TOO_SMALL, ParticleTable, is_detected, read_table, unit_of
from semsize.measuring.validation_file import validation_from_dict
from semsize.metrology import LARGE_WEIGHT, BiasRecord, ModelUse, area_fraction, range_warnings
from semsize.metrology.intervals import WITHIN_IMAGE
from semsize.structures.files import read_json
from semsize.structures.pixel_size import PixelSize

PACKAGES = ("numpy", "scipy", "opencv-python-headless", "pycocotools", "tifffile", "matplotlib")
NETWORK_PACKAGES = ("torch", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection")
NOTES_SHOWN = 12  # on single images, among the warnings
FOUND_KINDS = ("model", "predictions")
"""Kinds of outlines that a model found; others were drawn."""


def image_entry(result: ImageResult, size: PixelSize | None, notes: Sequence[str], settings: Settings) -> dict:
    """What the record says of an image; its contrast is filled in when the image has been drawn.

    Args:
        result: what was found.
        size: its pixel size, calibrated; None where not known.
        notes: what is odd about its scale.
        settings: of the measurement.
    """
    counted = result.masks[(result.scores >= settings.score) & ~result.on_caption]
    return {
        "image": result.file.name,
        "path": str(result.file.path),
        "sha256": result.sha256,
        "rows": result.file_shape[0],
        "columns": result.file_shape[1],
        "top": result.top,
        "frame_rows": result.frame_rows,
        "pixel_size_nm": None if size is None else size.value_nm,
        "pixel_size_std_nm": None if size is None else size.std_nm,
        "pixel_size_source": None if size is None else size.source,
        "detections": len(result.scores),
        "particles": result.counted(settings.score),
        "caption_px": result.caption_px,
        "contrast": None,
        "area_fraction": area_fraction(counted, result.masks.image_shape),
        "seconds": result.seconds,
        "notes": [*result.notes, *notes],
    }


def facts(entry: Mapping) -> ImageFacts:
    """What the numbers need of an image's entry."""
    size, std = entry["pixel_size_nm"], entry["pixel_size_std_nm"]
    relative = None if size is None or std is None else std / size
    return ImageFacts(entry["image"], size, relative, entry["contrast"], entry["area_fraction"])


def summary_of(record: Mapping, table: ParticleTable) -> Summary:
    """All numbers, made from record and table alone."""
    images = [facts(entry) for entry in record["images"]]
    drawn = record["outlines"]["kind"] not in FOUND_KINDS
    return summarise(table, images, Settings.from_record(record["settings"]), validity(record)[0], drawn=drawn)


def validity(record: Mapping) -> tuple[BiasRecord | None, tuple[str, ...]]:
    """The bias record that holds for a measurement; else None and, where a model found the outlines, why not."""
    outlines = record["outlines"]
    if outlines["kind"] not in FOUND_KINDS:
        return None, ()
    if "model" not in outlines:
        return None, ("which model found these outlines, and how it was used, is not known",)
    if record["validation"] is None:
        return None, ("this model has no bias record (tools/validate.py makes one)",)
    validation = validation_from_dict(record["validation"], "record.json")
    reasons = validation.differences(ModelUse(**outlines["model"]), record["settings"]["score"])
    return (None if reasons else validation), reasons


def read_measurement(folder: str | Path) -> tuple[dict, ParticleTable]:
    """Record and table of a measurement that was made before.

    Raises:
        InputError: one of them is missing or damaged.
    """
    folder = Path(folder)
    return read_json(folder / "record.json", InputError), read_table(folder / "particles.csv")


def versions(*, with_network: bool) -> dict[str, str]:
    """Of this program, Python, and the packages that numbers come from."""
    names = (*PACKAGES, *(NETWORK_PACKAGES if with_network else ()))
    return {
        "tio2": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }


def warnings_of(record: Mapping, summary: Summary, table: ParticleTable) -> list[str]:
    """What a reader must know before using the numbers, the gravest first."""
    return [
        *_nothing_measured(record),
        *_pixel_size_warnings(record["images"], table),
        *_caption_warnings(record["images"], table),
        *_validity_warnings(record, table),
        *_sample_warnings(summary),
        *_input_warnings(record),
    ]


def in_json(value: object) -> object:
    """The same with None for NaN and infinity, for which JSON has no word, and Python's own numbers."""
    if isinstance(value, Mapping):
        return {key: in_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [in_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def not_one_outline(record: Mapping) -> bool:
    """Whether outlines were drawn, and none of them is left to measure."""
    return record["outlines"]["kind"] not in FOUND_KINDS and not any(entry["detections"] for entry in record["images"])


def _nothing_measured(record: Mapping) -> Iterable[str]:
    if not_one_outline(record):
        yield f"NOT ONE OUTLINE IS THERE TO MEASURE in {len(record['images'])} images: the lines below say why"


def _pixel_size_warnings(images: Sequence[Mapping], table: ParticleTable) -> Iterable[str]:
    unknown = [entry["image"] for entry in images if entry["pixel_size_nm"] is None]
    if len(unknown) == len(images):
        yield "NO PIXEL SIZE IS KNOWN: all sizes are in pixels, not in nanometres; give --pixel-size"
    elif unknown and unit_of(table) == "nm":
        count = int((table["excluded"] == NO_PIXEL_SIZE).sum())
        yield (
            f"no pixel size is known for {len(unknown)} of {len(images)} images ({_some(unknown)}): their {count} "
            "particles are left out of the distribution; give --pixel-size, or measure them apart"
        )
    sizes = sorted({entry["pixel_size_nm"] for entry in images if entry["pixel_size_nm"] is not None})
    if len(sizes) > 1 and sizes[-1] > 1.01 * sizes[0]:
        yield f"images of different magnification are taken together: {sizes[0]:.4g} to {sizes[-1]:.4g} nm a pixel"


def _caption_warnings(images: Sequence[Mapping], table: ParticleTable) -> Iterable[str]:
    written_on = [entry["image"] for entry in images if entry["caption_px"]]
    if written_on:
        count = int((table["excluded"] == CAPTION).sum())
        yield (
            f"texts or scale bars are drawn into {len(written_on)} of {len(images)} images ({_some(written_on)}): "
            f"{count} particles found on them are left out"
        )


def _sample_warnings(summary: Summary) -> Iterable[str]:
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
    if not summary.states_known:
        yield (
            "which particles are hidden in part is not known: these are visible outlines, and hidden parts make them "
            "smaller than the particles are"
        )


def _validity_warnings(record: Mapping, table: ParticleTable) -> Iterable[str]:
    if record["outlines"]["kind"] in FOUND_KINDS:
        yield from _contrast_warnings(record)
    validation, reasons = validity(record)
    if reasons:
        yield (
            f"NOT VALIDATED: {'; '.join(reasons)}. Nothing is corrected, and U is without the model's share and the "
            "effect of hidden parts"
        )
    if validation is None:
        return
    images = [facts(entry) for entry in record["images"]]
    counted = is_detected(table) & ~np.isin(table["excluded"].astype(str), (TOO_SMALL, CAPTION))
    for line in range_warnings(
        validation.ranges,
        [image.name for image in images],
        nm_per_px=[image.nm_per_px for image in images],
        ecd_px=table["ecd_px"][counted],
        contrast_levels=[image.contrast for image in images],
        area_fraction=[image.area_fraction for image in images],
    ):
        yield f"outside what the model was validated for: {line}"


def _contrast_warnings(record: Mapping) -> Iterable[str]:
    """Dark particles on bright ground are told apart from bright ones of another contrast."""
    validation, _ = validity(record)
    known = validation and validation.ranges.contrast_levels
    if known and known[0] < 0:
        return
    dark = {entry["image"]: entry["contrast"] for entry in record["images"] if (entry["contrast"] or 0) < 0}
    if dark:
        yield (
            f"particles are DARKER than their surroundings in {len(dark)} of {len(record['images'])} images "
            f"({_some(list(dark))}; {min(dark.values()):.0f} grey levels): models that learned bright particles on "
            "dark ground do not know such images; invert them, or check the overlays"
        )


def _input_warnings(record: Mapping) -> Iterable[str]:
    if record["skipped"]:
        names = _some([entry["image"] for entry in record["skipped"]])
        yield f"{len(record['skipped'])} images were left out, they could not be measured: {names}"
    groups = defaultdict(list)
    for entry in record["images"]:
        groups[entry["sha256"]].append(entry["image"])
    for same in groups.values():
        if len(same) > 1:
            yield f"{len(same)} files are one and the same image and count each time: {_some(same)}"
    empty = [entry["image"] for entry in record["images"] if entry["particles"] == 0]
    if empty:
        yield f"no particle was found in {len(empty)} images: {_some(empty)}"
    noted = defaultdict(list)
    for entry in record["images"]:
        for note in entry["notes"]:
            noted[note].append(entry["image"])
    for note, images in list(noted.items())[:NOTES_SHOWN]:
        yield f"{_some(images)}: {note}"
    if len(noted) > NOTES_SHOWN:
        yield f"{len(noted) - NOTES_SHOWN} more notes on single images stand in the report, under Images"
    yield from record["notes"]


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
