"""Images to their results: read, cut off data bars, find the particles, keep what was found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from semsize.measuring.image_result import ImageResult
from semsize.measuring.images import ImageFile
from semsize.measuring.outlines import Find, Frame, NoOutlinesError, Outlines
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.settings import Settings
from semsize.sem import SEMReadError, find_captions, read_scale
from semsize.sem.statements import AGREEMENT
from semsize.structures.files import file_sha256
from semsize.structures.pixel_size import PixelSize


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image file that could be read: its frame and SHA-256."""

    frame: Frame
    sha256: str


def measure_files(files: Sequence[ImageFile], find: Find, settings: Settings, folder: ResultsFolder) -> Iterator[int]:
    """Find the particles of some images together and keep each result; those that stand already are left alone.

    Images of different sizes are not looked at together, so that none is padded and results do not depend on company.

    Yields:
        Particles of each image from the score threshold on; 0 for one that was left out, of which the folder says why.
    """
    todo = []
    for file in files:
        done = folder.read_current(file)
        if done is not None:
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
    """Read an image between its data bars.

    Raises:
        SEMReadError: it cannot be read, states two pixel sizes, or has no row left between data bars.
    """
    digest = file_sha256(file.path)
    image = settings.read(file.path)
    scale_of(file, None, settings)  # before anything is looked for in it
    return LoadedImage(Frame(file, image.specimen, len(image.grey), image.top), digest)


def scale_of(file: ImageFile, other: PixelSize | None, settings: Settings) -> tuple[PixelSize | None, tuple[str, ...]]:
    """The pixel size that is declared, else the file's, else that of the outlines' source; and what is odd about it.

    Args:
        file: the image.
        other: what the source of outlines states.
        settings: of the measurement.

    Returns:
        Calibrated; None where nothing is stated. Notes in words.

    Raises:
        SEMReadError: what the file states cannot be understood, or file and source contradict each other.
    """
    size, notes = read_scale(file.path, settings.pixel_size)
    both = settings.pixel_size is None and size is not None and other is not None
    if both and abs(size.value_nm / other.value_nm - 1) > AGREEMENT:
        raise SEMReadError(
            f"{file.path}: two pixel sizes, {size.value_nm:g} nm ({size.source}) and {other.value_nm:g} nm "
            f"({other.source}); find out which holds and give --pixel-size"
        )
    return settings.calibrated(size or other), notes


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
        result = _result(image, outlines, seconds)
        folder.write_result(result)
        yield result.counted(settings.score)


def _result(image: LoadedImage, outlines: Outlines, seconds: float) -> ImageResult:
    frame = image.frame
    filled = outlines.masks.areas > 0
    notes = list(outlines.notes)
    if not filled.all():
        notes.append(f"{int((~filled).sum())} outlines without a pixel in the frame are not measured")
    masks = outlines.masks[filled]
    captions = find_captions(frame.grey)
    file_shape = (frame.file_rows, frame.grey.shape[1])
    return ImageResult(
        file=frame.file,
        sha256=image.sha256,
        file_shape=file_shape,
        top=frame.top,
        frame_rows=masks.image_shape[0],
        rles=masks.expand(file_shape, frame.top, 0).to_rles(),
        scores=outlines.scores[filled],
        boxes=outlines.boxes[filled] + np.float32((0, frame.top, 0, frame.top)),
        states=tuple(state for state, keep in zip(outlines.states, filled, strict=True) if keep),
        on_caption=masks.touched_by(captions),
        caption_px=int(captions.sum()),
        pixel_size=outlines.pixel_size,
        notes=tuple(notes),
        seconds=seconds,
    )


def _shape(image: LoadedImage) -> tuple[int, int]:
    return image.frame.grey.shape


def _one_line(cause: Exception) -> str:
    return str(cause).splitlines()[0]
