"""Corrected outlines as a source for a measurement; images are recognised by the contents of their files."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semsize.correcting.operations import Corrections, Outline
from semsize.correcting.results import FOLDER, CorrectedResults, DetectedImage, as_detected, scores_now
from semsize.correcting.shapes import CorrectionError
from semsize.measuring.corrected import Changes
from semsize.measuring.inputs import ImageFile, MeasurementSettings
from semsize.measuring.outlines import Find, Frame, NoOutlinesError, Outlines
from semsize.measuring.results_folder import ImageResult
from semsize.structures.files import file_sha256, files_sha256
from semsize.structures.pixel_size import PixelSize

_DECIDE = {  # settings that decide sizes, and their names for people
    "score": "score",
    "min_size_px": "smallest size in px",
    "intensity_range": "intensity range",
    "crop_rows": "rows cropped at the bottom",
    "crop_top": "rows cropped at the top",
    "pixel_size": "pixel size declared",
    "calibration_factor": "calibration factor",
    "calibration_std": "calibration uncertainty",
    "reference_std_px": "reference uncertainty in px",
}


def settings_before(folder: str | Path) -> MeasurementSettings:
    """The settings of the measurement that was corrected, but `auto` for the states that count.

    Raises:
        CorrectionError: no measurement stands there.
    """
    return replace(CorrectedResults(folder).record.settings, states="auto", states_file=None)


class CorrectedOutlines:
    """The outlines of a results folder as they stand after a person's corrections.

    An outline that somebody drew, changed or accepted has score 1; one that nobody touched keeps the detector's.
    """

    def __init__(self, folder: str | Path):
        """Open a results folder; CorrectionError if it holds no measurement."""
        self._results = CorrectedResults(folder)
        self._of_contents: dict[str, list[DetectedImage]] = defaultdict(list)
        for image in self._results.images:
            self._of_contents[image.measured.sha256].append(image)

    def rows_of(self, file: ImageFile) -> tuple[int, int]:
        """Rows of the file that were measured before, see `semsize.measuring.outlines.FramedSource`."""
        measured = self._image(file).measured
        return measured.top, measured.top + measured.frame_rows

    def open(self, processes: int) -> Find:  # noqa: ARG002 - a detector asks for it
        """The function that finds the corrected outlines of an image; nothing has to be loaded."""
        return self._of

    def as_record(self) -> dict:
        """The source for the record: its SHA-256 covers detections and corrections, its licence is the detector's."""
        files = [path for image in self._results.images for path in self._results.files_of(image)]
        digest = files_sha256((path.name, path) for path in files)
        record = {"kind": "corrections", "path": str(self._results.folder), "sha256": digest}
        licence = self._results.record.outlines.get("licence")
        return record if licence is None else {**record, "licence": licence}

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on logs of corrections that belong to no image of this measurement; empty without such logs."""
        known = {self._results.log_path(image) for image in self._results.images}
        strange = sorted(set((self._results.folder / FOLDER).glob("*.jsonl")) - known)
        names = ", ".join(path.name for path in strange[:4])
        return (f"{len(strange)} logs of corrections belong to no image that was measured: {names}",) if strange else ()

    def measured_otherwise(self, settings: MeasurementSettings) -> list[str]:
        """Lines for people about settings that differ from those of the measurement before the corrections."""
        now, before = settings, self._results.record.settings
        differing = [
            f"{of_people} {_said(getattr(now, name))}, before {_said(getattr(before, name))}"
            for name, of_people in _DECIDE.items()
            if getattr(now, name) != getattr(before, name)
        ]
        notes = [f"measured otherwise than before the corrections: {'; '.join(differing)}"] if differing else []
        if now.states_file is not None:
            numbers = "the numbers of this measurement's particles.csv, which corrections change"
            notes.append(f"the states file {now.states_file} refers to {numbers}")
        return notes

    @property
    def states_were_predicted(self) -> bool:
        """Whether the measurement that was corrected predicted states."""
        return "visibility" in self._results.record.outlines

    def before(self, file: ImageFile, least_score: float, rows: tuple[int, int]) -> tuple[ImageResult, Changes]:
        """The detections of an image, and the corrections in its measured rows."""
        image = self._image(file)
        result = self._results.detected(image)
        return result, changes_of(result, self._results.corrected(image, result), least_score, rows)

    def _of(self, frame: Frame) -> Outlines:
        image = self._image(frame.file)
        try:
            result = self._results.detected(image)
            corrections = self._results.corrected(image, result)
            scale = self._results.scale(image)
        except CorrectionError as cause:
            raise NoOutlinesError(str(cause)) from None
        scores = scores_now(corrections, result.scores)
        masks = corrections.masks(list(scores)).crop((0, frame.top, frame.grey.shape[1], frame.bottom))
        states = tuple(corrections.outlines[number].state for number in scores)
        size = result.pixel_size if scale is None else scale.pixel_size
        return Outlines(masks, np.array(list(scores.values()), np.float32), masks.boxes, states, pixel_size=size)

    def _image(self, file: ImageFile) -> DetectedImage:
        """The image of the results with the contents of a file; of several copies, the one at its place or of its name.

        Raises:
            NoOutlinesError: no image has these contents, or several copies are left.
        """
        same = self._of_contents.get(file_sha256(file.path), [])
        here = [image for image in same if image.file.path.absolute() == file.path.absolute()]
        named = [image for image in same if image.file.name == file.name]
        for found in (here, named, same):
            if len(found) == 1:
                return found[0]
        why = "several copies of it" if same else "no image of these contents"
        raise NoOutlinesError(f"{file.path}: {why} in {self._results.folder}")


def _said(value: Any) -> str:
    value = value.value_nm if isinstance(value, PixelSize) else value
    return "not given" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def changes_of(
    result: ImageResult, corrections: Corrections, least_score: float, rows: tuple[int, int] | None = None
) -> Changes:
    """Count the corrections of an image's outlines.

    Args:
        result: what was detected; its outlines have the ids from 1 on.
        corrections: the outlines as they are now.
        least_score: score from which on a detected outline counted.
        rows: first row, and the row below the last one, that an outline must reach into; None: all outlines.
    """
    first, now = (_within(each, rows) for each in (as_detected(result), corrections))
    made, removed, filled = {}, {}, set()
    for operation in corrections.done:
        if operation.source is not None:
            filled |= operation.after.keys()
        made |= dict.fromkeys(operation.after.keys() - operation.before.keys(), operation.kind)
        removed |= dict.fromkeys(operation.before.keys() - operation.after.keys(), operation.kind)
    touched = corrections.touched()
    counted = set((np.flatnonzero(result.scores >= least_score) + 1).tolist()) & first.keys()
    there = first.keys() & now.keys()
    by_kind = {
        kind: sum(now[number].is_particle for number in now if made.get(number) == kind)
        for kind in ("add", "split", "merge")
    }
    return Changes(
        deleted=sum(removed.get(number) == "delete" for number in counted),
        not_particles=sum(not now[number].is_particle for number in counted & there),
        added=by_kind["add"],
        split=sum(removed.get(number) == "split" for number in first),
        parts=by_kind["split"],
        merged=sum(removed.get(number) == "merge" for number in first),
        joined=by_kind["merge"],
        redrawn=sum(now[number].counts != first[number].counts for number in there if now[number].is_particle),
        restated=sum(now[number].state != first[number].state for number in there if now[number].is_particle),
        filled=sum(now[number].is_particle for number in now.keys() & filled),
        accepted=sum(now[number].is_particle for number in (there & touched) - counted),
        confirmed=sum(now[number] == first[number] for number in counted & there & touched),
        untouched=len((counted & there) - touched),
    )


def _within(corrections: Corrections, rows: tuple[int, int] | None) -> dict[int, Outline]:
    """Id → outline, of the outlines whose box reaches into the rows."""
    outlines = corrections.outlines
    if rows is None or not outlines:
        return dict(outlines)
    boxes = corrections.masks(numbers := sorted(outlines)).boxes
    is_in = (boxes[:, 1] < rows[1]) & (boxes[:, 3] > rows[0])
    return {number: outlines[number] for number, each in zip(numbers, is_in, strict=True) if each}
