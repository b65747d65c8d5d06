"""Writes tables as CSV, Excel workbook and Markdown; makes rows of particles, with or without truth."""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from semsize.metrology.border import touches_border
from semsize.metrology.comparison import ImageComparison, ImageFound, ImageTruth
from semsize.metrology.matching import NOT_COUNTED, RIGHT, WRONG, outcomes
from semsize.metrology.measurands import MEASURANDS, Measurands, centroids_px
from semsize.metrology.metrics import RESIDUAL_MEASURANDS
from semsize.structures.files import whole_file

PARTICLE_COLUMNS = ("image", "id", "score", "state", "touches_border", "x_px", "y_px", *MEASURANDS)
"""The first columns of every `particles.csv`; x and y are those of the centroid, pixel centres at integers + 0.5."""

TRUTH_COLUMNS = (
    "configuration",
    "match",
    "true_id",
    "dice",
    "iou",
    *(f"true_{name}" for name in MEASURANDS),
    *(f"{name.removesuffix('_px')}_residual_percent" for name in RESIDUAL_MEASURANDS),
)
"""Columns that a comparison with truth adds; ``match`` is matched, missed, false_positive or ignored."""

OUTCOME_LETTERS = {RIGHT: "1", WRONG: "0", NOT_COUNTED: "-"}

RESULT_COLUMNS = {
    "mask mAP": "coco/segm_mAP",
    "AP50": "coco/segm_AP50",
    "AP75": "coco/segm_AP75",
    "AP90": "coco/segm_AP90",
    "box mAP": "coco/bbox_mAP",
    "box AP50": "coco/bbox_AP50",
    "mask mAP, cap 100": "coco/segm_mAP_cap100",
    "its ceiling": "coco/segm_mAP_cap100_ceiling",
}
"""Column title to key of ``metrics.json``."""

MOST_ROWS = 1_048_575  # of an Excel sheet, below its header
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_FORMULA = re.compile(r"(?<![^;\t\r\n])'*[=+\-@\t\r]")
"""Starts of formulas: at the start of a text, or after a character that some spreadsheets take for a cell's end."""


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows under a header; missing values, None and NaN become empty cells, floats keep nine digits.

    Texts that a spreadsheet would take for a formula get an apostrophe (`inert`), which `csv_rows` removes.

    Raises:
        ValueError: a row has a key that is no column.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(_Lines(stream), columns)
            writer.writeheader()
            writer.writerows({name: _csv_cell(value) for name, value in row.items()} for row in rows)

    whole_file(path, write)


class _Lines:
    """A stream whose lines end with LF; `csv` quotes a cell that holds CR only if its own lines end with CR LF."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def write(self, line: str) -> None:
        self._stream.write(line.removesuffix("\r\n") + "\n")


def _csv_cell(value: object) -> object:
    if _is_missing(value):
        return ""
    if isinstance(value, str):
        return inert(value)
    return f"{value:.9g}" if isinstance(value, float) else value


def inert(text: str) -> str:
    """A text with an apostrophe before what a spreadsheet would take for a formula: `=`, `+`, `-`, `@`, tab, CR.

    >>> inert("=A1"), inert("'=A1"), inert("a=b"), inert("a;=b")
    ("'=A1", "''=A1", 'a=b', "a;'=b")
    """
    return _FORMULA.sub(lambda found: f"'{found[0]}", text)


def as_named(text: str) -> str:
    """Undo `inert`; a text without an apostrophe before a formula stays as it is.

    >>> as_named("'=A1"), as_named("=A1"), as_named("'a'")
    ('=A1', '=A1', "'a'")
    """
    return _FORMULA.sub(lambda found: found[0].removeprefix("'"), text) if "'" in text else text


def csv_rows(stream: Iterable[str], delimiter: str = ",") -> csv.DictReader[str]:
    """Read rows under a header, as `write_csv` wrote them; texts are as before `inert`."""
    return _Reader(stream, delimiter=delimiter)


class _Reader(csv.DictReader):
    def __next__(self) -> dict[str, str]:
        row = super().__next__()
        return {name: as_named(value) if isinstance(value, str) else value for name, value in row.items()}


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def read_rows_by_image(path: Path, error: type[ValueError]) -> dict[str, list[dict[str, str]]]:
    """Read the rows of a CSV file of a test, by the name of the image; a defaultdict, empty for an image without rows.

    Raises:
        error: the file cannot be read; the message is one line and names the file.
    """
    rows = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv_rows(stream):
                rows[row["image"]].append(row)
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}); test the run again with tools/test.py") from None
    return rows


def particle_rows(image: ImageComparison) -> Iterator[dict[str, object]]:
    """A row for each found particle, in the order of the predictions, then a row for each missed particle."""
    truth, matching = image.truth, image.matching
    partner = dict(zip(matching.found.tolist(), range(len(matching.found)), strict=True))
    base = found_rows(truth.file_name, image.found, image.found_measurands)
    for index, row in enumerate(base):
        row["configuration"] = truth.configuration
        if index in partner:
            pair = partner[index]
            number = matching.truth[pair]
            row |= _true_columns(image, number)
            row |= {"match": "matched", "dice": matching.dice[pair], "iou": matching.iou[pair]}
            for name in RESIDUAL_MEASURANDS:
                true, found = getattr(image.true_measurands, name)[number], getattr(image.found_measurands, name)[index]
                row[f"{name.removesuffix('_px')}_residual_percent"] = 100 * (found - true) / true
        else:
            row["match"] = "ignored" if index in matching.ignored else "false_positive"
        yield row
    for number in matching.missed:
        identity = {"image": truth.file_name, "configuration": truth.configuration, "match": "missed"}
        yield identity | _true_columns(image, number)


def found_rows(file_name: str, found: ImageFound, measurands: Measurands) -> Iterator[dict[str, object]]:
    """A row for each found particle, with the columns that need no truth."""
    centres_px = centroids_px(found.masks)
    borders = touches_border(found.masks.boxes, found.masks.image_shape)
    columns = measurands.columns()
    for index, score in enumerate(found.scores):
        row: dict[str, object] = {"image": file_name, "id": index + 1, "score": score}
        row |= {"touches_border": int(borders[index]), "x_px": centres_px[index, 1], "y_px": centres_px[index, 0]}
        yield row | {name: values[index] for name, values in columns.items()}


def detection_rows(truth: ImageTruth, found: ImageFound) -> Iterator[dict[str, object]]:
    """A row for each detection of any score; `outcomes` at IoU 0.50, 0.55 … 0.95 are 1 right, 0 wrong, - ignored."""
    of_image = outcomes(truth.masks, found.masks, found.scores, truth.ignored)
    for score, letters in zip(found.scores, of_image, strict=True):
        row = {"image": truth.file_name, "score": score}
        yield row | {"outcomes": "".join(OUTCOME_LETTERS[int(outcome)] for outcome in letters)}


def image_row(truth: ImageTruth) -> dict[str, object]:
    """The row of an image: its number of true particles, and of useful ones."""
    counts = {"particles": len(truth.masks), "useful": int(truth.members("useful").sum())}
    return {"image": truth.file_name, "configuration": truth.configuration, **counts}


def _true_columns(image: ImageComparison, number: int) -> dict[str, object]:
    columns = {"true_id": int(image.truth.particle_ids[number]), "state": image.truth.states[number]}
    return columns | {f"true_{name}": values[number] for name, values in image.true_measurands.columns().items()}


def write_workbook(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows under a header, on as many sheets as Excel's limit requires; None and NaN become empty cells.

    A text that begins like a formula stays a text, even after somebody edits the cell.
    """
    workbook = Workbook(write_only=True)
    rows = iter(rows)
    number = 0
    while (some := list(islice(rows, MOST_ROWS))) or number == 0:
        number += 1
        sheet = workbook.create_sheet(f"particles {number}" if number > 1 else "particles")
        sheet.freeze_panes = "A2"
        header = [WriteOnlyCell(sheet, name) for name in columns]
        for cell in header:
            cell.font = Font(bold=True)
        sheet.append(header)
        for row in some:
            sheet.append([_excel_cell(sheet, row[name]) for name in columns])
    whole_file(path, workbook.save)


def _excel_cell(sheet: object, value: object) -> object:
    if isinstance(value, str):
        cell = WriteOnlyCell(sheet, _NOT_IN_XML.sub("?", value))
        cell.data_type = "s"
        cell.quotePrefix = inert(value) != value
        return cell if value else None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, decimals: int = 3) -> str:
    """Return a Markdown table with padded columns, which also reads as plain text.

    Floats are rounded to `decimals`; columns of numbers are set right; None and NaN are shown as –. Each row has as
    many cells as the header.
    """

    def text(cell: object) -> str:
        shown = "–" if _is_missing(cell) else f"{cell:.{decimals}f}" if isinstance(cell, float) else str(cell)
        return shown.replace("|", "\\|").replace("\n", " ")

    texts = [[text(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*texts, strict=True)]
    right = [_is_numeric([row[column] for row in rows]) for column in range(len(header))]
    rule = ["-" * (width - 1) + (":" if set_right else "-") for width, set_right in zip(widths, right, strict=True)]

    def line(cells: Sequence[str]) -> str:
        columns = zip(cells, widths, right, strict=True)
        padded = [cell.rjust(width) if set_right else cell.ljust(width) for cell, width, set_right in columns]
        return f"| {' | '.join(padded)} |\n"

    return "".join(map(line, (texts[0], rule, *texts[1:])))


def _is_numeric(cells: Sequence[object]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)


def results_table(runs: Mapping[str, Mapping[str, object]]) -> str:
    """Markdown table with a row of `RESULT_COLUMNS` for each run; – if its ``metrics.json`` lacks a metric."""
    rows = [[name, *(metrics.get(key) for key in RESULT_COLUMNS.values())] for name, metrics in runs.items()]
    return markdown_table(["run", *RESULT_COLUMNS], rows)
