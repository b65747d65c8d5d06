"""Warnings of a measurement, for the reader of its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semsize.measuring.particle_table import (
    CAPTION,
    NO_PIXEL_SIZE,
    STATE_UNKNOWN,
    TOO_SMALL,
    ParticleTable,
    is_detected,
)
from semsize.measuring.predicted_states import powder_warnings
from semsize.measuring.record import MeasuredImage, Record
from semsize.metrology import LARGE_WEIGHT, BiasRecord, range_warnings
from semsize.metrology.intervals import WITHIN_IMAGE
from semsize.visibility.population import QUANTITY_POWDER

if TYPE_CHECKING:
    from semsize.measuring.summary import Summary

NOTES_SHOWN = 12  # most notes on single images among the warnings


def warnings_of(record: Record, summary: Summary, table: ParticleTable) -> list[str]:
    """All warnings, the gravest first."""
    seen = record.seen()[0]
    return [
        *_nothing_measured(record),
        *_pixel_size_warnings(record.images, table),
        *_caption_warnings(record.images, table),
        *_reference_warnings(record, summary),
        *(powder_warnings(seen, record.area_fraction) if QUANTITY_POWDER in summary.further_budgets else ()),
        *_bias_warnings(record, table),
        *_sample_warnings(record, summary, table),
        *_input_warnings(record),
    ]


def _limits(record: Record) -> str:
    """The visible fractions at which the model's states begin, in words; empty if the record has no thresholds."""
    limits = record.outlines.get("visibility", {}).get("thresholds")
    if not limits:
        return ""
    return f" (fully imaged: visible to {limits[0]:.2f} and more; measured at all: to {limits[1]:.2f} and more)"


def _nothing_measured(record: Record) -> Iterable[str]:
    if record.has_no_outline:
        yield f"NO OUTLINE IS LEFT TO MEASURE in {len(record.images)} images: the lines below say why"


def _pixel_size_warnings(images: Sequence[MeasuredImage], table: ParticleTable) -> Iterable[str]:
    unknown = [image.image for image in images if image.pixel_size_nm is None]
    if len(unknown) == len(images):
        yield "NO PIXEL SIZE IS KNOWN: all sizes are in pixels, not in nanometres; give --pixel-size"
    elif unknown and table.unit == "nm":
        count = int((table["excluded"] == NO_PIXEL_SIZE).sum())
        yield (
            f"no pixel size is known for {len(unknown)} of {len(images)} images ({_some(unknown)}): their {count} "
            "particles are left out of the distribution; give --pixel-size, or measure these images separately"
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
        yield f"the reference D50 cannot be compared (no E_n): {why}"


def _sample_warnings(record: Record, summary: Summary, table: ParticleTable) -> Iterable[str]:
    unknown = int((table["excluded"] == STATE_UNKNOWN).sum())
    if unknown > summary.kept:
        why = f"{unknown} others are left out because their state is not known"
        yield f"THE RESULT IS OF ONLY {summary.kept} PARTICLES: {why}; give all states, or none (--states none)"
    if summary.kept < 2:
        yield f"{summary.kept} particles are left to measure: too few for a distribution"
        return
    interval = summary.intervals["D50"]
    if interval.scope == WITHIN_IMAGE:
        yield "all particles are of one image: the sampling uncertainty says nothing about the rest of the material"
    elif interval.images < 6:
        yield f"only {interval.images} images: the spread between images is poorly known, which makes k large"
    if summary.large_weights:
        yield (
            f"{summary.large_weights} particles count for more than {LARGE_WEIGHT:g} each (up to "
            f"{summary.largest_weight:.3g}), since few of their size lie wholly in a frame; use a lower magnification"
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
            "which particles are partly hidden is not known (no states are given or predicted): sizes are those of the "
            "visible outlines, and hidden parts make them too small; --states predicted predicts the states"
        )


def _bias_warnings(record: Record, table: ParticleTable) -> Iterable[str]:
    bias, reasons = record.bias()
    if not record.is_drawn:
        yield from _contrast_warnings(record, bias)
    if reasons:
        yield (
            f"NOT VALIDATED: {'; '.join(reasons)}. No bias is corrected, and U does not include the model and the "
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
    """Warn of particles darker than their surroundings, unless the bias record was made with dark particles too."""
    known = bias and bias.ranges.contrast_levels
    if known and known[0] < 0:
        return
    dark = {image.image: image.contrast for image in record.images if (image.contrast or 0) < 0}
    if dark:
        yield (
            f"particles are DARKER than their surroundings in {len(dark)} of {len(record.images)} images "
            f"({_some(list(dark))}; {min(dark.values()):.0f} grey levels): models trained on bright particles on dark "
            "ground have not seen such images; invert the images, or check the overlays"
        )


def _input_warnings(record: Record) -> Iterable[str]:
    if record.skipped:
        names = _some([entry["image"] for entry in record.skipped])
        yield f"{len(record.skipped)} images could not be measured and were left out: {names}"
    copies, noted = defaultdict(list), defaultdict(list)
    for image in record.images:
        copies[image.sha256].append(image.image)
        for note in image.notes:
            noted[note].append(image.image)
    for names in copies.values():
        if len(names) > 1:
            yield f"{len(names)} files hold the same image, and each file counts: {_some(names)}"
    empty = [image.image for image in record.images if image.particles == 0]
    if empty:
        yield f"no particle was found in {len(empty)} images: {_some(empty)}"
    for note, names in list(noted.items())[:NOTES_SHOWN]:
        yield f"{_some(names)}: {note}"
    if len(noted) > NOTES_SHOWN:
        yield f"{len(noted) - NOTES_SHOWN} more notes on single images are in the report, under Images"
    yield from record.notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
