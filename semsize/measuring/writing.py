"""The files of a measurement: table, predictions, ROIs, overlays, report; each appears whole or not at all.

What is large, masks and pictures, is read from the results folder and written image by image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tqdm import tqdm

from semsize.measuring.images import ImageFile
from semsize.measuring.pictures import Drawn, draw_pictures
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.settings import Settings, Wishes
from semsize.measuring.size_figures import size_figures
from semsize.measuring.size_report import Picture, size_report
from semsize.measuring.summary import Summary
from semsize.measuring.table import MEASURED_COLUMNS, ParticleTable, unit_of
from semsize.measuring.workbook import write_workbook
from semsize.structures.files import write_whole
from semsize.structures.predictions import write_predictions


def write_particles(folder: ResultsFolder, files: Sequence[ImageFile], table: ParticleTable, wishes: Wishes) -> None:
    """Write particles.csv, particles.xlsx if wished, and predictions.json of the images measured."""
    table.write(folder.path / "particles.csv")
    if wishes.xlsx:
        write_workbook(folder.path / "particles.xlsx", MEASURED_COLUMNS, table.rows())
    write_predictions(folder.path / "predictions.json", _predictions(folder, files))


def write_pictures(
    folder: ResultsFolder,
    files: Sequence[ImageFile],
    table: ParticleTable,
    settings: Settings,
    wishes: Wishes,
    *,
    states_known: bool,
) -> dict[str, Drawn]:
    """Write overlays/ and, if wished, rois/; gives what was drawn by the images' names."""
    colour = wishes.colour if wishes.colour != "auto" else ("state" if states_known else "size")
    drawn = draw_pictures(files, table, unit_of(table), settings, folder, colour, wishes)
    return {one.name: one for one in tqdm(drawn, total=len(files), desc="drawing", unit="image", disable=None)}


def write_report(
    folder: ResultsFolder, record: Mapping, summary: Summary, files: Sequence[ImageFile], drawn: Mapping[str, Drawn]
) -> None:
    """Write report.html."""
    pictures = [Picture(file.name, f"overlays/{file.key}.png", drawn[file.name].thumbnail) for file in files]
    figures = size_figures(summary.sample, summary.distribution, summary.unit)
    write_whole(folder.path / "report.html", size_report(record, figures, pictures).encode())


def _predictions(folder: ResultsFolder, files: Sequence[ImageFile]) -> Iterator[dict]:
    for number, file in enumerate(files, start=1):
        yield from folder.read_result(file).predictions(number)
