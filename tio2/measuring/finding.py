"""Images to their results: read, cut off the data bar, find the particles, keep what was found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from tio2.measuring.image_result import ImageResult
from tio2.measuring.images import ImageFile
from tio2.measuring.outlines import Find, Frame, NoOutlinesError, Outlines
from tio2.measuring.results_folder import ResultsFolder
from tio2.measuring.settings import Settings
from tio2.sem import SEMReadError, find_data_bar, read_grey, read_pixel_size
from tio2.sem.contrast import particle_contrast
from tio2.sem.statements import AGREEMENT
from tio2.structures.pixel_size import PixelSize
from tio2.structures.whole_files import file_sha256


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image file that could be read: its frame, pixel size as declared or stated, and SHA-256."""

    frame: Frame
    pixel_size: PixelSize | None
    sha256: str


def measure_files(files: Sequence[ImageFile], find: Find, settings: Settings, folder: ResultsFolder) -> Iterator[int]:
    """Find the particles of some images together and keep each result; those that stand already are left alone.

    Images of different sizes are not looked at together, so that none is padded and results do not depend on company.

    Yields:
        Particles of each image from the score threshold on; 0 for one that was left out, of which the folder says why.
    """
    todo = []
    for file in files:
        done = folder.read_result(file)
        if done is not None and done.sha256 == _sha256_or_none(file.path):
            yield done.counted(settings.score)
            continue
        try:
            todo.append(load(file, settings))
        except (SEMReadError, OSError) as cause:
            folder.write_failure(file, _one_line(cause))
            yield 0
    for _, alike in groupby(sorted(todo, key=_shape), key=_shape):
        yield from _measure_alike(list(alike), find, settings, folder)


def load(file: ImageFile, settings: Settings) -> LoadedImage:
    """Read an image, its pixel size and where its data bar begins.

    Raises:
        SEMReadError: it cannot be read, states two pixel sizes, or has no row left above the data bar.
    """
    digest = file_sha256(file.path)
    grey = read_grey(file.path, intensity_range=settings.intensity_range)
    size = settings.pixel_size if settings.pixel_size is not None else read_pixel_size(file.path)
    rows = len(grey)
    if settings.crop_rows is None:
        bar = find_data_bar(grey)
        rows = len(grey) if bar is None else bar
    elif settings.crop_rows < rows:
        rows -= settings.crop_rows
    else:
        raise SEMReadError(f"{file.path}: has {rows} rows, {settings.crop_rows} are to be cropped; lower --crop-rows")
    frame = Frame(file, grey[:rows], len(grey))
    return LoadedImage(frame, size, digest)


def _measure_alike(
    images: Sequence[LoadedImage], find: Find, settings: Settings, folder: ResultsFolder
) -> Iterator[int]:
    began = time.monotonic()
    try:
        found = find([image.frame for image in images])
    except NoOutlinesError as cause:
        for image in images:  # sources of drawn outlines look at one image at a time
            folder.write_failure(image.frame.file, str(cause))
            yield 0
        return
    seconds = (time.monotonic() - began) / len(images)
    for image, outlines in zip(images, found, strict=True):
        try:
            result = _result(image, outlines, settings, seconds)
        except SEMReadError as cause:
            folder.write_failure(image.frame.file, str(cause))
            yield 0
        else:
            folder.write_result(result)
            yield result.counted(settings.score)


def _result(image: LoadedImage, outlines: Outlines, settings: Settings, seconds: float) -> ImageResult:
    frame = image.frame
    filled = outlines.masks.areas > 0
    notes = list(outlines.notes)
    if not filled.all():
        notes.append(f"{int((~filled).sum())} outlines without a pixel in the frame are not measured")
    masks = outlines.masks[filled]
    contrast = particle_contrast(frame.grey, masks[outlines.scores[filled] >= settings.score])
    return ImageResult(
        file=frame.file,
        sha256=image.sha256,
        file_shape=(frame.file_rows, frame.grey.shape[1]),
        frame_rows=masks.image_shape[0],
        pixel_size=settings.calibrated(_agreed_size(image, outlines.pixel_size, settings)),
        masks=masks,
        scores=outlines.scores[filled],
        boxes=outlines.boxes[filled],
        states=tuple(state for state, keep in zip(outlines.states, filled, strict=True) if keep),
        contrast=contrast if np.isfinite(contrast) else None,
        notes=tuple(notes),
        seconds=seconds,
    )


def _agreed_size(image: LoadedImage, other: PixelSize | None, settings: Settings) -> PixelSize | None:
    """The pixel size that was declared or the file states, else that of the outlines' source; both must agree."""
    size = image.pixel_size
    if settings.pixel_size is not None or size is None or other is None:
        return size or other
    if abs(size.value_nm / other.value_nm - 1) > AGREEMENT:
        raise SEMReadError(
            f"{image.frame.file.path}: two pixel sizes, {size.value_nm:g} nm ({size.source}) and {other.value_nm:g} nm "
            f"({other.source}); find out which holds and give --pixel-size"
        )
    return size


def _shape(image: LoadedImage) -> tuple[int, int]:
    return image.frame.grey.shape


def _sha256_or_none(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None


def _one_line(cause: Exception) -> str:
    return str(cause).splitlines()[0]
