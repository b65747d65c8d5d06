"""Tables as an Excel workbook."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from semsize.structures.files import whole_file

MOST_ROWS = 1_048_575  # of a sheet, below its header
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def write_workbook(
    path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]], *, most_rows: int = MOST_ROWS
) -> None:
    """Write rows under a header, on as many sheets as Excel's limit asks for; None and NaN become empty cells.

    Texts stay texts, even where they begin as a formula does.
    """
    workbook = Workbook(write_only=True)
    rows = iter(rows)
    number = 0
    while (some := list(islice(rows, most_rows))) or number == 0:
        number += 1
        sheet = workbook.create_sheet(f"particles {number}" if number > 1 else "particles")
        sheet.freeze_panes = "A2"
        header = [WriteOnlyCell(sheet, name) for name in columns]
        for cell in header:
            cell.font = Font(bold=True)
        sheet.append(header)
        for row in some:
            sheet.append([_cell(sheet, row[name]) for name in columns])
    whole_file(path, workbook.save)


def _cell(sheet: object, value: object) -> object:
    if isinstance(value, str):
        cell = WriteOnlyCell(sheet, _NOT_IN_XML.sub("?", value))
        cell.data_type = "s"
        return cell if value else None
    return None if isinstance(value, float) and not math.isfinite(value) else value
