"""Found particles on disk: COCO's results form, with the file name of the image beside its id."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tio2.structures.json_files import read_json, write_json

_KEYS = {"image_id", "image", "category_id", "bbox", "score", "segmentation"}


class PredictionError(ValueError):
    """A predictions file is missing or does not hold predictions; the message names the file."""


def prediction_record(
    image_id: int, file_name: str, box_xyxy: Sequence[float], score: float, rle: Mapping[str, Any]
) -> dict[str, Any]:
    """One found particle.

    Args:
        image_id: id of the image in the annotation file, or a running number where there is none.
        file_name: the image file, as the reader of the predictions should look it up.
        box_xyxy: x1, y1, x2, y2 in pixels of that file; stored as x, y, width, height.
        score: 0 to 1.
        rle: COCO RLE at the size of that file; `counts` may be bytes or str and is stored as str.
    """
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    counts = rle["counts"]
    return {
        "image_id": int(image_id),
        "image": file_name,
        "category_id": 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "score": float(score),
        "segmentation": {
            "size": [int(length) for length in rle["size"]],
            "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
        },
    }


def write_predictions(path: str | Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records made by `prediction_record`; the file appears whole or not at all."""
    write_json(path, list(records))


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """Records of a predictions file, in its order.

    Raises:
        PredictionError: the file is missing, not JSON, or an entry lacks a key.
    """
    records = read_json(path, PredictionError)
    if not isinstance(records, list):
        raise PredictionError(f"{path}: holds no list of predictions; give a predictions.json of the test program")
    for position, record in enumerate(records):
        missing = _KEYS - record.keys() if isinstance(record, dict) else _KEYS
        if missing:
            raise PredictionError(f"{path}: prediction {position} lacks {', '.join(sorted(missing))}; write it again")
    return records
