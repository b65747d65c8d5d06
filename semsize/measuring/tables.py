"""Markdown tables of results; figures are rounded here, for the eye, and nowhere before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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

UNKNOWN = "–"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, decimals: int = 3) -> str:
    """A Markdown table with its columns padded, so that it also reads as plain text.

    Args:
        header: column titles.
        rows: cells; floats are rounded to ``decimals`` and set right like integers, None and NaN are shown as –.
        decimals: digits after the point.

    Raises:
        ValueError: a row has another number of cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"row {list(row)} has {len(row)} cells, the header {len(header)}")
    texts = [[_text(cell, decimals) for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in texts)) for column in range(len(header))]
    numeric = [_is_numeric([row[column] for row in rows]) for column in range(len(header))]
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    lines = [_padded(row, widths, numeric) for row in texts]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (lines[0], rule, *lines[1:]))


def results_table(
    runs: Mapping[str, Mapping[str, object]],
    columns: Mapping[str, str] = RESULT_COLUMNS,
    *,
    first_column: str = "run",
    decimals: int = 3,
) -> str:
    """A row for each run, of the figures that ``columns`` names.

    Args:
        runs: name to the contents of its ``metrics.json``; a figure that a run lacks is shown as –.
        columns: title to key.
        first_column: title over the names.
        decimals: digits after the point.
    """
    rows = [[name, *(metrics.get(key) for key in columns.values())] for name, metrics in runs.items()]
    return markdown_table([first_column, *columns], rows, decimals=decimals)


def _text(cell: object, decimals: int) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return UNKNOWN
    text = f"{cell:.{decimals}f}" if isinstance(cell, float) else str(cell)
    return text.replace("|", "\\|").replace("\n", " ")


def _padded(texts: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> list[str]:
    columns = zip(texts, widths, numeric, strict=True)
    return [text.rjust(width) if right else text.ljust(width) for text, width, right in columns]


def _is_numeric(cells: Sequence[object]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)
