"""Overlays, ROI sets and thumbnails of all images: made from the results, one image at a time, by several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.exchange import roi_zip
from semsize.measuring.images import ImageFile
from semsize.measuring.legend import Entry, add_legend
from semsize.measuring.overlays import png_bytes
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.running import processes_for, quiet_process
from semsize.measuring.settings import Settings, Wishes
from semsize.measuring.size_overlays import LEFT_OUT, SizeColours, draw_numbered, jpeg_thumbnail, state_colours
from semsize.measuring.table import CAPTION, NOT_FULLY_IMAGED, STATE_UNKNOWN, ParticleTable, is_detected
from semsize.sem.contrast import particle_contrast
from semsize.structures.files import whole_file, write_whole

THUMBNAIL_SIDE_PX = 560
THUMBNAILS_BYTES = 12_000_000  # of all together: in base64 16 MB of the report's 20
_MOST_BYTES = 60_000  # of one


@dataclass(frozen=True)
class Drawn:
    """What is known of an image once it has been drawn.

    Attributes:
        name: of the image.
        thumbnail: JPEG.
        contrast: grey levels between detected particles and what lies around them; None where there is no such pair.
    """

    name: str
    thumbnail: bytes
    contrast: float | None


def draw_pictures(
    files: Sequence[ImageFile],
    table: ParticleTable,
    unit: str,
    settings: Settings,
    folder: ResultsFolder,
    colour: str,
    wishes: Wishes,
) -> Iterator[Drawn]:
    """Write overlays/<key>.png of each image, and rois/<image>.zip if wished; yields them in any order.

    Args:
        files: measured images.
        table: with exclusions.
        unit: of the sizes.
        settings: for reading.
        folder: where the pictures go.
        colour: ``size``, or ``state``.
        wishes: how many processes, and whether ROI sets.
    """
    colours = SizeColours.of(table[f"ecd_{unit}"][table["excluded"] == ""], unit)
    most_bytes = min(_MOST_BYTES, THUMBNAILS_BYTES // max(len(files), 1))
    rows = _rows_of(table)
    shared = (unit, settings, folder, colours if colour == "size" else None, most_bytes, wishes.rois)
    tasks = ((file, table_part(table, rows.get(file.name, slice(0))), *shared) for file in files)
    jobs = min(wishes.jobs, len(files))
    if jobs < 2:
        yield from (draw_picture(*task) for task in tasks)
        return
    with processes_for(jobs, quiet_process) as run:
        yield from run(draw_picture, tasks)


def draw_picture(
    file: ImageFile,
    table: ParticleTable,
    unit: str,
    settings: Settings,
    folder: ResultsFolder,
    colours: SizeColours | None,
    most_bytes: int,
    rois: bool,
) -> Drawn:
    """One overlay, without what lies below the score threshold; see `draw_pictures`. No `colours`: states decide."""
    result, image = folder.read_result(file), settings.read(file.path)
    detected = is_detected(table)
    on_particles = result.masks[detected & (table["excluded"] != CAPTION)]
    contrast = particle_contrast(image.grey[result.top :], on_particles)
    masks, table = result.file_masks[detected], table_part(table, detected)
    if rois:
        whole_file(folder.roi_set(file), lambda part: roi_zip(part, masks, table.states))
    kept = table["excluded"] == ""
    if colours is None:
        of_particles, entries = state_colours(table.states)
        kept = np.array([reason in ("", NOT_FULLY_IMAGED, STATE_UNKNOWN) for reason in table["excluded"]], bool)
    else:
        sizes = table[f"ecd_{unit}"]
        of_particles, entries = colours.colours(np.where(np.isnan(sizes), colours.low, sizes)), colours.entries()
    canvas = draw_numbered(image.grey, masks, of_particles, kept, table["id"])
    entries = [*entries, Entry(f"left out: {int((~kept).sum())}", LEFT_OUT)]
    caption = f"{file.name}: {int(kept.sum())} particles"
    write_whole(folder.overlays / f"{file.key}.png", png_bytes(add_legend(canvas, entries, caption)))
    thumbnail = jpeg_thumbnail(canvas, THUMBNAIL_SIDE_PX, most_bytes)
    return Drawn(file.name, thumbnail, contrast if np.isfinite(contrast) else None)


def table_part(table: ParticleTable, rows: slice | np.ndarray) -> ParticleTable:
    """Some rows of a table."""
    return ParticleTable({name: values[rows] for name, values in table.columns.items()})


def _rows_of(table: ParticleTable) -> dict[str, slice]:
    """Image to its rows, which stand together."""
    names = table["image"]
    starts = np.flatnonzero(np.append(len(names) > 0, names[1:] != names[:-1]))
    ends = np.append(starts, len(names))[1:]
    return {names[start]: slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)}
