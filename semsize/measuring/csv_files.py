"""What a test leaves as CSV: a row a particle, a row a detection, a row an image."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from semsize.metrology.border import touches_border
from semsize.metrology.comparison import ImageComparison, ImageFound, ImageTruth
from semsize.metrology.matching import NOT_COUNTED, RIGHT, WRONG, outcomes
from semsize.metrology.measurands import MEASURANDS, Measurands, centroids_px
from semsize.metrology.metrics import RESIDUAL_MEASURANDS
from semsize.structures.files import whole_file

PARTICLE_COLUMNS = ("image", "id", "score", "state", "touches_border", "x_px", "y_px", *MEASURANDS)
"""The columns that `particles.csv` has everywhere; x and y are the centroid's, pixel centres at integers + 0.5."""

TRUTH_COLUMNS = (
    "configuration",
    "match",
    "true_id",
    "dice",
    "iou",
    *(f"true_{name}" for name in MEASURANDS),
    *(f"{name.removesuffix('_px')}_residual_percent" for name in RESIDUAL_MEASURANDS),
)
"""Those that a comparison with truth adds; ``match`` is matched, missed, false_positive or ignored."""

OUTCOME_LETTERS = {RIGHT: "1", WRONG: "0", NOT_COUNTED: "-"}


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Writes rows under a header; what a row lacks and NaN become an empty cell, floats keep nine digits.

    Raises:
        ValueError: a row has a value that is no column.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)

    whole_file(path, write)


def particle_rows(image: ImageComparison) -> Iterator[dict[str, object]]:
    """A row for each found particle, in the order of the predictions, then one for each that was missed."""
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
    """The columns that need no truth."""
    centres_px = centroids_px(found.masks)
    borders = touches_border(found.masks.boxes, found.masks.image_shape)
    columns = measurands.columns()
    for index, score in enumerate(found.scores):
        row: dict[str, object] = {"image": file_name, "id": index + 1, "score": score}
        row |= {"touches_border": int(borders[index]), "x_px": centres_px[index, 1], "y_px": centres_px[index, 0]}
        yield row | {name: values[index] for name, values in columns.items()}


def detection_rows(truth: ImageTruth, found: ImageFound) -> Iterator[dict[str, object]]:
    """A row for each detection of any score, with its outcome at IoU 0.50, 0.55 … 0.95: 1 right, 0 wrong, - ignored."""
    of_image = outcomes(truth.masks, found.masks, found.scores, truth.ignored)
    for score, letters in zip(found.scores, of_image, strict=True):
        row = {"image": truth.file_name, "score": score}
        yield row | {"outcomes": "".join(OUTCOME_LETTERS[int(outcome)] for outcome in letters)}


def image_row(truth: ImageTruth) -> dict[str, object]:
    """How many particles an image has, in all and useful ones."""
    counts = {"particles": len(truth.masks), "useful": int(truth.members("useful").sum())}
    return {"image": truth.file_name, "configuration": truth.configuration, **counts}


def _true_columns(image: ImageComparison, number: int) -> dict[str, object]:
    columns = {"true_id": int(image.truth.particle_ids[number]), "state": image.truth.states[number]}
    return columns | {f"true_{name}": values[number] for name, values in image.true_measurands.columns().items()}


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.9g}" if isinstance(value, float) else value
