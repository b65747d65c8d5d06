"""The effect of a person's corrections: numbers of outlines deleted, added, redrawn …, and sizes before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

import numpy as np

from semsize.measuring.inputs import ImageFile, MeasurementSettings
from semsize.measuring.outlines import OutlineSource
from semsize.measuring.particle_table import ParticleTable, is_detected, make_table, with_exclusions
from semsize.measuring.predicted_states import OutlinesWithStates
from semsize.measuring.results_folder import ImageResult
from semsize.metrology import SizeSample, statistics
from semsize.structures.pixel_size import PixelSize

QUANTILES = ("D10", "D50", "D90")


@dataclass(frozen=True)
class Changes:
    """Numbers of outlines by what a person did to them; an outline may be counted in several fields."""

    deleted: int = 0  # among those from the score threshold on
    not_particles: int = 0  # marked as no particle, among those from the score threshold on
    added: int = 0  # new outlines
    split: int = 0  # detected outlines that were split
    parts: int = 0  # outlines that splitting made
    merged: int = 0  # detected outlines that were merged
    joined: int = 0  # outlines that merging made
    redrawn: int = 0  # detected outlines changed with the push tool
    restated: int = 0  # detected outlines that were given another state
    accepted: int = 0  # detected below the score threshold, and measured now
    confirmed: int = 0  # left as detected, and confirmed by the person
    untouched: int = 0  # left as detected; no operation names them
    filled: int = 0  # added outlines that a network drew in a box

    def __add__(self, other: Changes) -> Changes:
        return Changes(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@runtime_checkable
class CorrectedSource(Protocol):
    """A source of outlines that a person corrected."""

    def before(self, file: ImageFile, least_score: float, rows: tuple[int, int]) -> tuple[ImageResult, Changes]:
        """The detections of an image, and the changes to those of score `least_score` and above in rows `rows`."""

    def measured_otherwise(self, settings: MeasurementSettings) -> list[str]:
        """Notes on settings that differ from those of the measurement before the corrections."""


@dataclass(frozen=True)
class CorrectionEffect:
    """Effect of corrections on numbers and sizes. Sizes are as found, of all counted outlines, whatever their state.

    States and the bias correction are left out so that both sides compare: a person gives states to some outlines only,
    and a bias record does not hold for corrected outlines.
    """

    changes: Changes
    unit: str  # of the sizes
    particles_before: int  # from the score threshold on
    particles_after: int
    sizes_before: tuple[float, float, float]  # of QUANTILES, NaN without particles
    sizes_after: tuple[float, float, float]

    def note(self) -> str:
        """A note that tells the reader how many outlines nobody touched."""
        count = self.changes.untouched
        if self.changes == Changes(untouched=count):
            return f"nothing was corrected: all {count} outlines are unchanged"
        return (
            f"nobody touched {count} outline{'' if count == 1 else 's'}: they are taken as accepted by the person who "
            "corrected the others, and no bias of a model is corrected"
        )


def effect_of_corrections(
    source: OutlineSource,
    after: Iterable[tuple[ImageResult, PixelSize | None]],
    table: ParticleTable,
    settings: MeasurementSettings,
) -> tuple[CorrectionEffect | None, list[str]]:
    """Compare the sizes before and after corrections, on the same images, frames and pixel sizes; return notes too.

    Args:
        source: where the outlines come from; without corrections (None, []) is returned.
        after: results of the measured images, with their pixel sizes.
        table: all particles, from `make_table`.
        settings: the settings of the measurement.
    """
    source, total = source.source if isinstance(source, OutlinesWithStates) else source, Changes()
    if not isinstance(source, CorrectedSource):
        return None, []

    def before() -> Iterator[tuple[ImageResult, PixelSize | None]]:
        nonlocal total
        for result, size in after:
            detected, changes = source.before(result.file, settings.score, result.frame)
            total += changes
            yield _in_frame(detected, result), size

    earlier = with_exclusions(make_table(before(), {}, "none"), settings)
    later = with_exclusions(table.without_states(), settings)
    effect = CorrectionEffect(
        changes=total,
        unit=table.unit,
        particles_before=int(is_detected(earlier).sum()),
        particles_after=int(is_detected(later).sum()),
        sizes_before=_quantiles(earlier, table.unit),
        sizes_after=_quantiles(later, table.unit),
    )
    return effect, [*([effect.note()] if total.untouched else []), *source.measured_otherwise(settings)]


def _in_frame(detected: ImageResult, now: ImageResult) -> ImageResult:
    """The detections, cut to the frame of the present measurement, which may crop data bars at other rows."""
    if detected.frame == now.frame:
        return detected
    top, bottom = now.frame
    cut = detected.file_masks.crop((0, top, now.file_shape[1], bottom))
    filled = cut.areas > 0
    rles = cut[filled].expand(now.file_shape, now.top, 0).to_rles()
    of_each = {name: getattr(detected, name)[filled] for name in ("scores", "boxes", "on_caption")}
    states = tuple(np.array(detected.states, object)[filled])
    return replace(detected, top=now.top, frame_rows=now.frame_rows, rles=rles, states=states, **of_each)


def _quantiles(table: ParticleTable, unit: str) -> tuple[float, float, float]:
    kept = table["excluded"] == ""
    sample = SizeSample(table[f"ecd_{unit}"][kept], table["weight"][kept], np.zeros(int(kept.sum()), np.int64))
    return tuple(statistics(sample).tolist()[: len(QUANTILES)])
