"""A source of outlines that wraps another source and adds the states that a visibility model predicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from semsize.detecting.models import visibility_behind
from semsize.measuring.engines import NoEngineError, Standing, choose
from semsize.measuring.inputs import OPERATING_SCORE, ImageFile, InputError, MeasurementSettings, VisibilityRequest
from semsize.measuring.outlines import FOUND_KINDS, Find, Frame, FramedSource, Outlines, OutlineSource
from semsize.measuring.particle_table import VISIBILITY_COLUMNS
from semsize.metrology import ModelUse
from semsize.metrology.comparison import ImageComparison
from semsize.sem import read_grey
from semsize.sem.image_sets import default_image_folder
from semsize.structures import read_annotations
from semsize.structures.files import in_json
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import MASKED_FRACTION, STATES
from semsize.visibility.nesting import at_density
from semsize.visibility.prediction import MIDDLE, CalibratedModel, Calibration, PredictedParticles, predict_visibility
from semsize.visibility.record import VisibilityRecord, VisibilityRecordError, nearest_record, read_visibility_records
from semsize.visibility.truth import SIZES
from semsize.visibility.validation import PredictedImage, predict_compared

GROUP = "semsize.visibility"
"""Entry points of engines: functions from a `VisibilityRequest` to a `VisibilitySource`."""


class VisibilitySource(Protocol):
    """A visibility model; every process gets a pickled copy and opens it."""

    records: Sequence[VisibilityRecord]  # the records beside its weights

    def open(self, processes: int, calibration: Calibration) -> CalibratedModel:
        """Load the model, with its thresholds of the visible fraction between states and with this calibration."""

    def as_record(self) -> dict:
        """The model's entry in the record, as JSON types: SHA-256 of its files, engine, precision and licence."""


def find_visibility_model(
    request: VisibilityRequest, outlines: Mapping | None = None, score: float = OPERATING_SCORE
) -> VisibilitySource:
    """Return the requested visibility model; if none is named, the one that ships for outlines of this licence.

    For the engine `auto`, `choose` takes an engine as validated if a record holds for it with these outlines and score.

    Args:
        request: the requested model and engine.
        outlines: `OutlineSource.as_record` of the outlines' source; None: not known.
        score: score from which outlines count.

    Raises:
        InputError: there is no such model, or its files cannot be used.
    """

    def standing_of(model: VisibilitySource) -> Standing:
        use = model.as_record()
        seen = {**(outlines or {}), "visibility": {**use, "min_score": score}}
        recorded = [(record.engine, record.precision) for record in model.records]
        is_validated = any(not differences(record, seen) for record in model.records)
        return Standing((use["engine"], use["precision"]), is_validated, recorded)

    request = replace(request, shipped=visibility_behind((outlines or {}).get("licence")))
    nothing = "--states predicted: no visibility model is installed: install this package (pip install .)"
    return choose(GROUP, request, standing_of, nothing=nothing, otherwise="give --states given")


def visibility_records_beside(weights: Path) -> tuple[VisibilityRecord, ...]:
    """Read the records of a visibility model from the file beside its weights or archive; empty without a file.

    Raises:
        InputError: the file holds something else.
    """
    try:
        return read_visibility_records(weights)
    except VisibilityRecordError as cause:
        raise InputError(str(cause)) from None


def with_requested_states(
    source: OutlineSource, settings: MeasurementSettings, request: VisibilityRequest | None = None
) -> OutlineSource:
    """Wrap a source of outlines in a visibility model if `settings.states` is `predicted`, or `auto` and it applies.

    `auto` predicts states if no states file is given, a detector finds the outlines, and the visibility model has a
    record for the detector's weights, however the detector is used: every use measures the same population, and the
    record says whether this use is validated. `auto` also predicts states for corrected outlines if the corrected
    measurement predicted them. It predicts none for a detector if the requested engine has no visibility models.

    Args:
        source: where outlines come from; a source that already predicts states is returned unchanged.
        settings: which states count, and the score from which outlines count.
        request: the visibility model; None: the one that ships for outlines of this licence.

    Raises:
        InputError: states are to be predicted and the visibility model cannot be used.
    """
    if isinstance(source, OutlinesWithStates) or settings.states not in ("auto", "predicted"):
        return source
    outlines = source.as_record()
    is_asked = settings.states == "predicted" or (
        settings.states_file is None and getattr(source, "states_were_predicted", False)
    )
    if not is_asked and (settings.states_file is not None or outlines["kind"] != "model"):
        return source
    try:
        model = find_visibility_model(request or VisibilityRequest(), outlines, settings.score)
    except NoEngineError:
        if is_asked:
            raise
        return source
    seen = OutlinesWithStates(source, model, settings.score)
    return seen if is_asked or seen.knows_detector else source


@dataclass(frozen=True)
class OutlinesWithStates:
    """A source of outlines with a visibility model, whose answers stand in `Outlines.seen`.

    `Outlines.states` holds only the states that the source itself gives, so that no reader takes a predicted state for
    a given one.
    """

    source: OutlineSource
    model: VisibilitySource
    min_score: float  # the model gets no outlines of a lower score, not even as neighbours

    @property
    def notes(self) -> Sequence[str]:
        """Oddities of the source."""
        return getattr(self.source, "notes", ())

    def rows_of(self, file: ImageFile) -> tuple[int, int] | None:
        """The rows in which the source's outlines were made, see `FramedSource`; None if not known."""
        return self.source.rows_of(file) if isinstance(self.source, FramedSource) else None

    def nearest_record(self) -> VisibilityRecord | None:
        """The record that holds for this use, else the record with the fewest differences; None without records."""
        return nearest_record(self.model.records, *_use_in(self._without_calibration()))

    @property
    def knows_detector(self) -> bool:
        """Whether the model has a record for the weights of the detector, however the detector is used."""
        use = self.source.as_record().get("model")
        return use is not None and any(record.detector.sha256 == use["sha256"] for record in self.model.records)

    def _without_calibration(self) -> dict:
        visibility = {**self.model.as_record(), "min_score": self.min_score}
        return {**self.source.as_record(), "visibility": visibility}

    def _calibration(self) -> Calibration | None:
        nearest = self.nearest_record()
        return None if nearest is None or differences(nearest, self._without_calibration()) else nearest.calibration()

    def as_record(self) -> dict:
        """The source's entry in the record; key `visibility` has the model and its calibration, null if none holds."""
        record = self._without_calibration()
        record["visibility"]["calibration"] = _in_words(self._calibration())
        return record

    def open(self, processes: int) -> Find:
        """Open the source and the visibility model."""
        find, model = self.source.open(processes), self.model.open(processes, self._calibration() or Calibration())
        is_drawn = self.source.as_record()["kind"] not in FOUND_KINDS

        def seen(frame: Frame) -> Outlines:
            outlines = find(frame).without_empty()
            rows = outlines.masks.image_shape[0]  # fewer than the frame's if fewer were annotated
            counted = np.flatnonzero(outlines.scores >= self.min_score)
            particles = predict_visibility(frame.grey[:rows], outlines.masks[counted], model)
            by_hand = (outlines.scores[counted] == 1) & is_drawn
            columns = visibility_columns(particles, [outlines.states[number] for number in counted], by_hand)
            of_all = np.full((len(columns), len(outlines.masks)), np.nan)
            of_all[:, counted] = list(columns.values())
            whole = list(outlines.masks)
            for number, completed in zip(counted.tolist(), particles.whole, strict=True):
                whole[number] = completed
            return replace(
                outlines,
                seen=dict(zip(columns, of_all, strict=True)),
                whole=CroppedMasks.from_crops(whole, outlines.masks.image_shape),
            )

        return seen


def predict_split(
    images: Sequence[ImageComparison], annotations: str | Path, folder: str | Path | None, model: CalibratedModel
) -> list[PredictedImage]:
    """Predict the visibility of outlines found in rendered images, to compare it with their truth.

    Args:
        images: comparisons with truth; images without true or without found particles are left out.
        annotations: the annotation file of the images.
        folder: where the images are; None: `images/<split>`.
        model: the visibility model; its calibration is ignored.
    """
    particles, folder = defaultdict(list), Path(folder or default_image_folder(annotations))
    for particle in read_annotations(annotations)["annotations"]:
        particles[particle["image_id"]].append(particle)
    return [
        predict_compared(image, particles[image.truth.image_id], read_grey(folder / image.truth.file_name), model)
        for image in images
        if len(image.truth.masks) and len(image.found.masks)
    ]


def differences(record: VisibilityRecord, outlines: Mapping) -> tuple[str, ...]:
    """Reasons why a record does not hold for `OutlinesWithStates` with this `as_record`; empty if it holds."""
    return record.differences(*_use_in(outlines))


def _use_in(outlines: Mapping) -> tuple[str, str, str, ModelUse | None, float]:
    """Arguments of `VisibilityRecord.differences`, from `OutlinesWithStates.as_record`."""
    model, detector = outlines["visibility"], outlines.get("model")
    use = None if detector is None else ModelUse.from_json(detector)
    return model["sha256"], model["engine"], model["precision"], use, model["min_score"]


def powder_warnings(record: VisibilityRecord, area_fraction: float) -> Iterator[str]:
    """Warn if the record's correction for the powder is from images of another area fraction."""
    taken = at_density(record.selection, area_fraction)
    if taken and not taken.low <= area_fraction <= taken.high:
        yield (
            f"the powder is corrected as in images of an area fraction of {taken.low:g} to {taken.high:g}, the nearest "
            f"in the record; these images have {area_fraction:.3g}"
        )


def _in_words(calibration: Calibration | None) -> dict | None:
    """A calibration as JSON types, for the record."""
    if calibration is None:
        return None
    temperatures = {name: getattr(calibration, f"{name}_temperature") for name in ("class", "particle")}
    ends = [[intervals.low.tolist(), intervals.high.tolist()] for intervals in calibration.intervals]
    return in_json({**temperatures, "intervals": ends})


def visibility_columns(
    particles: PredictedParticles, given: Sequence[str | None], by_hand: np.ndarray
) -> Mapping[str, np.ndarray]:
    """Return `VISIBILITY_COLUMNS` of N outlines, with sizes if the visible fraction is at least `MASKED_FRACTION`.

    A given state (None: not given) gets probability 1. An outline is a particle with probability 1 if its state is
    given, or if a person drew, changed or accepted it: `by_hand` (N,) bool.
    """
    probabilities = particles.state_probabilities.copy()
    for number, state in enumerate(given):
        if state is not None:
            probabilities[number] = [state == name for name in STATES]
    enough = particles.visible_fraction >= MASKED_FRACTION
    sizes = np.where(enough[:, None, None], particles.whole_sizes_px, np.nan)
    values = (
        *probabilities.T,
        np.where(by_hand | np.array([state is not None for state in given], bool), 1.0, particles.particle_probability),
        particles.visible_fraction,
        *(sizes[:, number, end] for number in range(len(SIZES)) for end in (MIDDLE, 0, -1)),
    )
    return dict(zip(VISIBILITY_COLUMNS, values, strict=True))
