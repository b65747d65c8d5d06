"""The files of a measurement: table, predictions, ROIs, overlays, report; each appears whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tqdm import tqdm

from tio2.exchange import roi_zip
from tio2.measuring.exclusions import is_detected, unit_of
from tio2.measuring.image_result import ImageResult
from tio2.measuring.pictures import draw_pictures
from tio2.measuring.results_folder import ResultsFolder
from tio2.measuring.settings import Settings, Wishes
from tio2.measuring.summary import Summary
from tio2.measuring.table import MEASURED_COLUMNS, ParticleTable
from tio2.reporting.size_figures import size_figures
from tio2.reporting.size_report import Picture, size_report
from tio2.reporting.workbook import write_workbook
from tio2.structures.predictions import write_predictions
from tio2.structures.whole_files import whole_file, write_whole


def write_results(
    folder: ResultsFolder,
    record: Mapping,
    table: ParticleTable,
    summary: Summary,
    results: Sequence[ImageResult],
    settings: Settings,
    wishes: Wishes,
) -> None:
    """Write all files of a measurement but its record, each whole."""
    table.write(folder.path / "particles.csv")
    if wishes.xlsx:
        write_workbook(folder.path / "particles.xlsx", MEASURED_COLUMNS, table.rows())
    predictions = (one for number, result in enumerate(results, start=1) for one in result.predictions(number))
    write_predictions(folder.path / "predictions.json", predictions)
    if wishes.rois:
        _write_rois(folder, results, table)
    colour = wishes.colour if wishes.colour != "auto" else ("state" if summary.states_known else "size")
    drawn = draw_pictures(
        [result.file for result in results], table, unit_of(table), settings, folder, colour, wishes.jobs
    )
    thumbnails = dict(tqdm(drawn, total=len(results), desc="drawing", unit="image", disable=None))
    pictures = [
        Picture(result.file.name, f"overlays/{result.file.key}.png", thumbnails[result.file.name]) for result in results
    ]
    figures = size_figures(summary.sample, summary.distribution, summary.unit)
    write_whole(folder.path / "report.html", size_report(record, figures, pictures).encode())


def _write_rois(folder: ResultsFolder, results: Sequence[ImageResult], table: ParticleTable) -> None:
    """rois/<image>.zip, outlines at the size of its file; those below the score threshold are left out."""
    states, detected = table.states, is_detected(table)
    start = 0
    for result in results:
        rows = range(start, start + len(result.masks))
        start += len(result.masks)
        kept = [row - rows.start for row in rows if detected[row]]
        masks = result.masks.pad(result.file_shape)[kept]
        of_kept = [states[rows.start + index] for index in kept]
        path = folder.rois / f"{result.file.name}.zip"
        whole_file(path, lambda part, masks=masks, of_kept=of_kept: roi_zip(part, masks, of_kept))
