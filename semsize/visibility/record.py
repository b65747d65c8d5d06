"""The record of a visibility model: its calibration, its errors, and the use for which they hold.

`semsize.visibility.validation` makes it. It lies beside the weights; a measurement checks that it holds for its use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semsize.metrology.bias_record import ModelUse, RecordImages
from semsize.structures.files import OLDER_FILES_LACK, from_json, in_json, read_json, write_json
from semsize.visibility.calibration import ReliabilityBin
from semsize.visibility.completion import FractionErrors
from semsize.visibility.conformal import SizeIntervals
from semsize.visibility.nesting import DensitySpread, DensityStep, EffectSpread, StepEffects
from semsize.visibility.prediction import Calibration

ENDING = ".record.json"


class VisibilityRecordError(ValueError):
    """A file of records cannot be used; the message is one line that names the file."""


@dataclass(frozen=True)
class IntervalTable:
    """`semsize.visibility.conformal.SizeIntervals` as JSON stores them."""

    fraction_edges: tuple[float, ...]
    size_edges_px: tuple[float, ...]
    low: tuple[tuple[float, ...], ...]
    high: tuple[tuple[float | None, ...], ...]  # None where a bin holds too few particles for an interval
    counts: tuple[tuple[int, ...], ...]
    confidence: float

    @classmethod
    def of(cls, intervals: SizeIntervals) -> IntervalTable:
        """Convert arrays to tuples."""

        def rows(values: np.ndarray) -> tuple[tuple, ...]:
            return tuple(map(tuple, in_json(values.tolist())))

        edges = (tuple(edge.tolist()) for edge in (intervals.fraction_edges, intervals.size_edges))
        values = map(rows, (intervals.low, intervals.high, intervals.counts))
        return cls(*edges, *values, intervals.confidence)

    def intervals(self) -> SizeIntervals:
        """Convert the tuples to arrays."""
        high = [[math.inf if value is None else value for value in row] for row in self.high]
        edges = np.array(self.fraction_edges), np.array(self.size_edges_px)
        return SizeIntervals(*edges, np.array(self.low), np.array(high), np.array(self.counts), self.confidence)


@dataclass(frozen=True)
class SizeCalibration:
    """Intervals and errors of one kind of completed size."""

    size: str  # of `semsize.visibility.truth.SIZES`
    intervals: IntervalTable
    errors: tuple[FractionErrors, ...]  # by predicted visible fraction


@dataclass(frozen=True)
class RendererPrior:
    """Largest differences of the record's effects in the scenes of another renderer."""

    sources: tuple[RecordImages, ...]  # where the scenes come from
    completion: tuple[EffectSpread, ...]  # of the step *completion* of `VisibilityRecord.completed`
    selection: tuple[DensitySpread, ...]  # in classes of `VisibilityRecord.selection`, if the scenes have them too


@dataclass(frozen=True)
class VisibilityRecord:
    """Calibration and errors of a visibility model for the outlines of one use of a detector."""

    checkpoint: str  # file name of the weights, for people
    sha256: str  # of the weights
    engine: str  # what computes the answers, such as ``torch``
    precision: str  # of the products: ``float32``, ``bfloat16``, ``float16``
    detector: ModelUse  # use of the detector that found the outlines
    min_score: float  # score from which outlines were taken
    sources: tuple[RecordImages, ...]  # sets of images that it rests on
    fitted_images: int  # images that give temperatures and intervals
    judged_images: int  # other images, that give all else; `selection` comes from all images
    class_temperature: float  # of the probabilities of the classes of visibility
    particle_temperature: float  # of the probability of being a particle
    intervals: IntervalTable  # of the completed ECD
    states_right: float  # share of particles whose most probable class was right, 0 to 1
    calibration_error: float  # expected calibration error of that class, 0 to 1
    reliability: tuple[ReliabilityBin, ...]  # bins with particles
    errors: tuple[FractionErrors, ...]  # of the completed ECD, by predicted visible fraction
    # of the smallest, then the largest Feret diameter
    feret: tuple[SizeCalibration, ...] = field(default=(), kw_only=True, metadata={OLDER_FILES_LACK: True})
    fully_imaged: tuple[StepEffects, ...]  # from the true fully imaged particles to those reported
    completed: tuple[StepEffects, ...]  # from the true particles visible to 0.4 and more to those reported
    selection: tuple[DensityStep, ...]  # from the true powder to its fully imaged particles
    # None: no set of another renderer was compared
    prior: RendererPrior | None = field(default=None, kw_only=True, metadata={OLDER_FILES_LACK: True})

    def calibration(self) -> Calibration:
        """The calibration of the model's answers."""
        tables = self.intervals, *(calibrated.intervals for calibrated in self.feret)
        return Calibration(
            self.class_temperature, self.particle_temperature, tuple(table.intervals() for table in tables)
        )

    def differences(
        self, sha256: str, engine: str, precision: str, detector: ModelUse | None, min_score: float
    ) -> tuple[str, ...]:
        """Why the record does not hold for a use; empty if it does."""
        lines = []
        if sha256 != self.sha256:
            lines.append(f"the visibility weights are others (SHA-256 {sha256[:8]}…, validated {self.sha256[:8]}…)")
        for name, here, there in (("engine", engine, self.engine), ("precision", precision, self.precision)):
            if here != there:
                lines.append(f"{name} of the visibility model is {here}, validated {there}")
        if detector is None:
            lines.append("no model whose use is known found these outlines")
        else:
            lines += [f"detector: {line}" for line in detector.differences(self.detector)]
        if min_score != self.min_score:
            lines.append(f"particles count from score {min_score:g}, validated from {self.min_score:g}")
        return tuple(lines)


def nearest_record(
    records: Sequence[VisibilityRecord],
    sha256: str,
    engine: str,
    precision: str,
    detector: ModelUse | None,
    min_score: float,
) -> VisibilityRecord | None:
    """The record that holds for a use, else the one with the fewest `differences`; None without any."""
    use = sha256, engine, precision, detector, min_score
    return min(records, key=lambda record: len(record.differences(*use)), default=None)


def record_path(checkpoint: str | Path) -> Path:
    """``checkpoints/x.pth`` → ``checkpoints/x.record.json``."""
    return Path(checkpoint).with_suffix(ENDING)


def read_visibility_records(checkpoint: str | Path) -> tuple[VisibilityRecord, ...]:
    """The records beside a visibility model's weights; none if there is no file.

    Raises:
        VisibilityRecordError: the file holds no valid records.
    """
    path = record_path(checkpoint)
    if not path.is_file():
        return ()
    data = read_json(path, VisibilityRecordError)
    try:
        if set(data) != {"records"} or not isinstance(data["records"], list):
            raise ValueError("it holds no list of records")
        return tuple(_checked(from_json(record, VisibilityRecord)) for record in data["records"])
    except (TypeError, ValueError) as cause:
        again = "make it again with tools/validate.py --visibility"
        raise VisibilityRecordError(f"{path}: {cause}; {again}") from None


def write_visibility_records(checkpoint: str | Path, records: Sequence[VisibilityRecord]) -> None:
    """Write the records beside a visibility model's weights, whole or not at all."""
    write_json(record_path(checkpoint), {"records": in_json(records)}, indent=1)


def _checked(record: VisibilityRecord) -> VisibilityRecord:
    for table in (record.intervals, *(calibrated.intervals for calibrated in record.feret)):
        _check_table(table)
    if [calibrated.size for calibrated in record.feret] not in ([], ["feret_min", "feret_max"]):
        raise ValueError("feret must hold feret_min and feret_max in this order, or nothing")
    if min(record.class_temperature, record.particle_temperature) <= 0:
        raise ValueError("a temperature is not positive")
    return record


def _check_table(table: IntervalTable) -> None:
    shape = len(table.fraction_edges) - 1, len(table.size_edges_px) - 1
    for rows in (table.low, table.high, table.counts):
        if len(rows) != shape[0] or any(len(row) != shape[1] for row in rows):
            raise ValueError(f"the intervals are not {shape[0]} rows of {shape[1]}")
    for edges in (table.fraction_edges, table.size_edges_px):
        if list(edges) != sorted(set(edges)) or len(edges) < 2:
            raise ValueError("the edges of the intervals' bins do not ascend")
