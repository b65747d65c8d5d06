"""Overlays of all images, and their thumbnails for the report: drawn from the results, by several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tio2.measuring.exclusions import NOT_FULLY_IMAGED, STATE_UNKNOWN, is_detected
from tio2.measuring.images import ImageFile
from tio2.measuring.results_folder import ResultsFolder
from tio2.measuring.running import processes_for, quiet_process
from tio2.measuring.settings import Settings
from tio2.measuring.table import ParticleTable
from tio2.reporting.legend import Entry, add_legend
from tio2.reporting.overlays import png_bytes
from tio2.reporting.size_overlays import LEFT_OUT, SizeColours, draw_numbered, jpeg_thumbnail, state_colours
from tio2.sem import read_grey
from tio2.structures.whole_files import write_whole

THUMBNAIL_SIDE_PX = 560
THUMBNAILS_BYTES = 12_000_000  # of all together: in base64 16 MB of the report's 20
_MOST_BYTES = 60_000  # of one


def draw_pictures(
    files: Sequence[ImageFile],
    table: ParticleTable,
    unit: str,
    settings: Settings,
    folder: ResultsFolder,
    colour: str,
    jobs: int,
) -> Iterator[tuple[str, bytes]]:
    """Write overlays/<key>.png of each image; yields (image's name, JPEG thumbnail) in any order.

    Args:
        files: measured images.
        table: with exclusions.
        unit: of the sizes.
        settings: for reading.
        folder: where the pictures go.
        colour: ``size``, or ``state``.
        jobs: processes.
    """
    colours = SizeColours.of(table[f"ecd_{unit}"][table["excluded"] == ""], unit)
    most_bytes = min(_MOST_BYTES, THUMBNAILS_BYTES // max(len(files), 1))
    rows = _rows_of(table)
    tasks = []
    for file in files:
        of_image = table_part(table, rows.get(file.name, slice(0)))
        tasks.append((file, of_image, unit, settings, folder, colours if colour == "size" else None, most_bytes))
    if jobs == 1 or len(tasks) < 2:
        yield from (draw_picture(*task) for task in tasks)
        return
    with processes_for(min(jobs, len(tasks)), quiet_process) as run:
        yield from run(draw_picture, tasks)


def draw_picture(
    file: ImageFile,
    table: ParticleTable,
    unit: str,
    settings: Settings,
    folder: ResultsFolder,
    colours: SizeColours | None,
    most_bytes: int,
) -> tuple[str, bytes]:
    """One overlay, without what lies below the score threshold; see `draw_pictures`. No `colours`: states decide."""
    masks = folder.read_result(file).masks
    counted = is_detected(table)
    masks, table = masks[counted], table_part(table, counted)
    grey = read_grey(file.path, intensity_range=settings.intensity_range)
    kept = table["excluded"] == ""
    if colours is None:
        of_particles, entries = state_colours(table.states)
        kept = np.array([reason in ("", NOT_FULLY_IMAGED, STATE_UNKNOWN) for reason in table["excluded"]], bool)
    else:
        sizes = table[f"ecd_{unit}"]
        of_particles, entries = colours.colours(np.where(np.isnan(sizes), colours.low, sizes)), colours.entries()
    canvas = draw_numbered(grey, masks, of_particles, kept, table["id"])
    entries = [*entries, Entry(f"left out: {int((~kept).sum())}", LEFT_OUT)]
    caption = f"{file.name}: {int(kept.sum())} particles"
    write_whole(folder.overlays / f"{file.key}.png", png_bytes(add_legend(canvas, entries, caption)))
    return file.name, jpeg_thumbnail(canvas, THUMBNAIL_SIDE_PX, most_bytes)


def table_part(table: ParticleTable, rows: slice | np.ndarray) -> ParticleTable:
    """Some rows of a table."""
    return ParticleTable({name: values[rows] for name, values in table.columns.items()})


def _rows_of(table: ParticleTable) -> dict[str, slice]:
    """Image to its rows, which stand together."""
    names = table["image"]
    starts = np.flatnonzero(np.append(len(names) > 0, names[1:] != names[:-1]))
    ends = np.append(starts, len(names))[1:]
    return {names[start]: slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)}
