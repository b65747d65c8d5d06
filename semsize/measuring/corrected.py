"""What a person's corrections did: outlines deleted, added, redrawn, restated, and the sizes before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

import numpy as np

from semsize.measuring.inputs import ImageFile, MeasurementSettings
from semsize.measuring.outlines import OutlineSource
from semsize.measuring.particle_table import ParticleTable, is_detected, make_table, with_exclusions
from semsize.measuring.results_folder import ImageResult
from semsize.measuring.seeing import SeenOutlines
from semsize.metrology import SizeSample, statistics
from semsize.structures.pixel_size import PixelSize

QUANTILES = ("D10", "D50", "D90")


@dataclass(frozen=True)
class Changes:
    """Outlines by what was done to them; an outline may count in several fields."""

    deleted: int = 0  # that counted before
    not_particles: int = 0  # that counted before, and were marked as no particle
    added: int = 0  # drawn anew
    split: int = 0  # detected ones
    parts: int = 0  # that splits left
    merged: int = 0  # detected ones
    joined: int = 0  # that merges made
    redrawn: int = 0  # detected ones whose border was pushed
    restated: int = 0  # detected ones with another state
    accepted: int = 0  # whose score was too low to count, and that count now
    confirmed: int = 0  # that count as they were detected, since somebody said so
    untouched: int = 0  # that count as they were detected, and of which nobody said anything
    filled: int = 0  # added ones that a network drew in a box

    def __add__(self, other: Changes) -> Changes:
        return Changes(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@runtime_checkable
class CorrectedSource(Protocol):
    """A source of outlines that were corrected."""

    def before(self, file: ImageFile, least_score: float, rows: tuple[int, int]) -> tuple[ImageResult, Changes]:
        """What was detected in an image, and what was done to it in its rows `rows`.

        Outlines count from `least_score` on.
        """

    def measured_otherwise(self, settings: MeasurementSettings) -> list[str]:
        """What is measured otherwise now than before the corrections, for people."""


@dataclass(frozen=True)
class CorrectionEffect:
    """What corrections changed; sizes are of all outlines that count, whatever their state, and as found.

    So they compare: a state given to some outlines leaves out the others, and a bias correction has no place after.
    """

    changes: Changes
    unit: str  # of the sizes
    particles_before: int  # that count
    particles_after: int
    sizes_before: tuple[float, float, float]  # of QUANTILES, NaN without particles
    sizes_after: tuple[float, float, float]

    def note(self) -> str:
        """What a reader must know of outlines that nobody touched."""
        count = self.changes.untouched
        if self.changes == Changes(untouched=count):
            return f"nothing was corrected: all {count} outlines are as they were before"
        return (
            f"{count} {'outline is' if count == 1 else 'outlines are'} as the source before the corrections had them: "
            "they stand as accepted by the person who corrected, and no bias of a model is corrected"
        )


def effect_of_corrections(
    source: OutlineSource,
    after: Iterable[tuple[ImageResult, PixelSize | None]],
    table: ParticleTable,
    settings: MeasurementSettings,
) -> tuple[CorrectionEffect | None, list[str]]:
    """What counted before corrections beside what counts now, on the same images, frames and pixel sizes; and notes.

    Args:
        source: of the outlines; None is returned where they are not corrected ones.
        after: results of the images measured with their pixel sizes.
        table: of all particles, by `make_table`.
        settings: of the measurement.
    """
    source, total = source.source if isinstance(source, SeenOutlines) else source, Changes()
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
    """What was detected, in the frame of the present measurement, whose data bars may be cropped otherwise."""
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
