"""A results folder opened for correcting: its images, their outlines as detected and as corrected, `corrections.json`.

The measurement's own files are never changed. The folder `corrections` beside its record holds a log for each image
that was corrected and a file for each scale bar that was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semsize.correcting.drawn_scale import DrawnScale, read_scale_file, write_scale
from semsize.correcting.log import CorrectionLog, read_log
from semsize.correcting.operations import Corrections
from semsize.correcting.picture_files import PictureFiles
from semsize.correcting.shapes import CorrectionError
from semsize.measuring.inputs import ImageFile, MeasuringError
from semsize.measuring.record import MeasuredImage, read_record
from semsize.measuring.results_folder import ImageResult, ResultsFolder
from semsize.sem import SEMReadError
from semsize.structures import dataset, image_entry, write_annotations
from semsize.structures.files import file_sha256

FOLDER = "corrections"
FILE = "corrections.json"
MOST_SHOWN_PX = 2**27
"""Pixels of the largest image that the page shows."""


@dataclass(frozen=True)
class DetectedImage:
    """An image of a measurement; the page asks for it by its number."""

    number: int  # from 1, in the record's order
    measured: MeasuredImage  # what the record says of it

    @property
    def file(self) -> ImageFile:
        """The image file as the measurement names it."""
        return ImageFile(Path(self.measured.path), self.measured.image)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the file, data bars included."""
        return self.measured.rows, self.measured.columns


class CorrectedResults:
    """A measurement's results with the corrections that stand beside them."""

    def __init__(self, folder: str | Path, roots: Sequence[str | Path] = ()):
        """Read the record of a measurement.

        Args:
            folder: the results folder.
            roots: folders below which image files may lie; none is read without them.

        Raises:
            CorrectionError: there is no measurement, or another version made it.
        """
        self.folder, self.roots = Path(folder), [Path(root) for root in roots]
        self._pictures = PictureFiles(self.folder, self.roots)
        self._parts = ResultsFolder(folder)
        try:
            self._parts.settings()
            self.record = read_record(self.folder / "record.json")
        except MeasuringError as cause:
            raise CorrectionError(f"{cause}; correct takes the --out folder of a measurement") from None
        self.images = [DetectedImage(number, entry) for number, entry in enumerate(self.record.images, 1)]

    def image(self, number: Any) -> DetectedImage:
        """The image that the page calls by a number.

        Raises:
            CorrectionError: there is no such image.
        """
        if type(number) is not int or not 1 <= number <= len(self.images):
            raise CorrectionError(f"there is no image {number!r}; load the page anew")
        return self.images[number - 1]

    def detected(self, image: DetectedImage) -> ImageResult:
        """The result of an image before any correction: outlines found or drawn.

        Raises:
            CorrectionError: the result is missing, damaged or of an image file with other contents.
        """
        result = self._parts.read_result(image.file)
        if result is None or result.sha256 != image.measured.sha256 or result.file_shape != image.shape:
            missing = f"{self._parts.part(image.file)}: not the result of {image.file.name} that the record lists"
            raise CorrectionError(f"{missing}; measure again")
        return result

    def log_path(self, image: DetectedImage) -> Path:
        """Path of the log that keeps the image's corrections."""
        return self.folder / FOLDER / f"{image.file.key}.jsonl"

    def files_of(self, image: DetectedImage) -> list[Path]:
        """The files that decide the outlines and the scale of an image: the detected result, the log, the scale bar."""
        files = [self._parts.part(image.file), self.log_path(image), self._scale_path(image)]
        return [path for path in files if path.is_file()]

    def corrected(self, image: DetectedImage, result: ImageResult | None = None) -> Corrections:
        """Outlines of an image after its log; detected ones have their ids of `particles.csv`.

        `result` saves reading it again: what `detected` returned.

        Raises:
            CorrectionError: the log is damaged or of another image; see `detected`.
        """
        result = self.detected(image) if result is None else result
        return read_log(self.log_path(image), as_detected(result), **_identity(image))

    def open_log(self, image: DetectedImage, result: ImageResult) -> CorrectionLog:
        """Open the log of an image for further operations; raises as `CorrectionLog`."""
        return CorrectionLog(self.log_path(image), as_detected(result), **_identity(image))

    def scale(self, image: DetectedImage) -> DrawnScale | None:
        """The scale bar that a person drew; None if there is none, or if the pixel size was known anyway."""
        return None if image.measured.pixel_size_nm is not None else read_scale_file(self._scale_path(image))

    def keep_scale(self, image: DetectedImage, scale: DrawnScale) -> None:
        """Keep a scale bar that a person drew on an image.

        Raises:
            CorrectionError: the pixel size is known, or the disk is full.
        """
        if image.measured.pixel_size_nm is not None:
            source = f"{image.measured.pixel_size_nm:.6g} nm from {image.measured.pixel_size_source}"
            raise CorrectionError(f"the pixel size of {image.file.name} is known, {source}; no scale bar is needed")
        write_scale(self._scale_path(image), scale)

    def _scale_path(self, image: DetectedImage) -> Path:
        return self.folder / FOLDER / f"{image.file.key}.scale.json"

    def grey(self, image: DetectedImage) -> np.ndarray:
        """(H, W) uint8 grey levels of the image file, data bars included, stretched as they were measured.

        Raises:
            CorrectionError: the file is not the one that was measured, does not lie below a root, or is too large to
                be shown.
        """
        if image.shape[0] * image.shape[1] > MOST_SHOWN_PX:
            raise CorrectionError(f"{image.file.name}: has too many pixels for the page; cut it and measure the parts")
        path = self.picture_file(image)
        try:
            grey = self.record.settings.read(path).grey
            unchanged = file_sha256(path) == image.measured.sha256
        except (SEMReadError, OSError) as cause:
            raise CorrectionError(str(cause).splitlines()[0]) from None
        if not unchanged or grey.shape != image.shape:
            raise CorrectionError(f"{path}: changes while it is read; wait, and load the image anew")
        return np.rint(grey).astype(np.uint8)

    def picture_file(self, image: DetectedImage) -> Path:
        """Find the file of an image by its SHA-256, see `PictureFiles.find`."""
        return self._pictures.find(image.file.path, image.file.name, image.measured.sha256)

    def write_annotations(self) -> Path:
        """Write `corrections.json` with all images and their outlines that count.

        Raises:
            CorrectionError: a log or a part is damaged, or the disk is full.
        """
        records, particles, operations, left_out = [], [], 0, 0
        for image in self.images:
            result = self.detected(image)
            corrections = self.corrected(image, result)
            counted = self.counted(corrections, result.scores)
            height, width = image.shape
            of_image = {"height": height, "width": width, "pixel_size_nm": self.stated_nm(image)}
            records.append(image_entry(id=image.number, file_name=image.file.name, **of_image))
            particles += corrections.particle_entries(counted, image_id=image.number, first_id=len(particles) + 1)
            operations += len(corrections.done)
            left_out += len(corrections.outlines) - len(counted)
        info = {"description": "corrected outlines", "operations": operations, "outlines_left_out": left_out}
        path = self.folder / FILE
        try:
            write_annotations(path, dataset(records, particles, info))
        except OSError as cause:
            raise CorrectionError(f"{path}: cannot be written ({cause.strerror}); free space") from None
        return path

    def is_outdated(self) -> bool:
        """Whether `corrections.json` is missing or not newer than a log or a scale bar, whose contents it may lack."""
        file, kept = self.folder / FILE, [self.log_path(image) for image in self.images]
        kept = [path for path in (*kept, *map(self._scale_path, self.images)) if path.is_file()]
        return any(not file.is_file() or path.stat().st_mtime_ns >= file.stat().st_mtime_ns for path in kept)

    def stated_nm(self, image: DetectedImage) -> float | None:
        """Nanometres a pixel before any calibration, which a measurement of `corrections.json` applies again."""
        scale = self.scale(image)
        if scale is not None:
            return scale.pixel_size.value_nm
        size_nm = image.measured.pixel_size_nm
        return None if size_nm is None else size_nm / self.record.settings.calibration_factor

    def counted(self, corrections: Corrections, scores: np.ndarray) -> list[int]:
        """Ids of outlines that count as particles, ascending.

        A detected outline needs the score of the measurement, unless somebody changed or accepted it.
        """
        scores_of = scores_now(corrections, scores)
        return [number for number, score in scores_of.items() if score >= self.record.settings.score]


def scores_now(corrections: Corrections, detected: np.ndarray) -> dict[int, float]:
    """Id → score of each outline that is a particle, ascending: 1 if somebody drew, changed or accepted it.

    An outline that nobody touched keeps its detected score; that of outline n is ``detected[n - 1]``.
    """
    touched = corrections.touched()
    return {
        number: 1.0 if number in touched else float(detected[number - 1])
        for number, outline in sorted(corrections.outlines.items())
        if outline.is_particle
    }


def as_detected(result: ImageResult) -> Corrections:
    """The outlines of an image as they were detected, with ids from 1."""
    return Corrections.from_masks(result.file_masks, result.states)


def _identity(image: DetectedImage) -> dict[str, str]:
    return {"image": image.file.name, "sha256": image.measured.sha256}
