"""Found particles on disk: COCO's results form, with the file name of the image beside its id."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semsize.structures.files import is_number, read_json, whole_file
from semsize.structures.polygons import FARTHEST_PX, ShapeError
from semsize.structures.rle import first_damaged, plain_rle, rle_size

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
    return {
        "image_id": int(image_id),
        "image": file_name,
        "category_id": 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "score": float(score),
        "segmentation": plain_rle(rle),
    }


def write_predictions(path: str | Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records made by `prediction_record`, each as it comes; the file appears whole or not at all.

    Raises:
        ValueError: a record holds NaN or infinity, which JSON has no word for.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as stream:
            stream.write("[")
            for position, record in enumerate(records):
                text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
                stream.write(f",{text}" if position else text)
            stream.write("]")

    whole_file(path, write)


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """Records of a predictions file, in its order.

    Raises:
        PredictionError: the file is missing, not JSON, or an entry lacks a key or holds what no prediction holds.
    """
    records = read_json(path, PredictionError)
    if not isinstance(records, list):
        raise PredictionError(f"{path}: holds no list of predictions; give a predictions.json of the test program")
    for position, record in enumerate(records):
        missing = _KEYS - record.keys() if isinstance(record, dict) else _KEYS
        if missing:
            raise PredictionError(f"{path}: prediction {position} lacks {', '.join(sorted(missing))}; write it again")
        fault = _fault(record)
        if fault is not None:
            raise PredictionError(f"{path}: prediction {position}: {fault}; write the file again")
    damaged = first_damaged([record["segmentation"] for record in records]) if records else None
    if damaged is not None:
        raise PredictionError(f"{path}: prediction {damaged}: its RLE is damaged; write the file again")
    return records


def _fault(record: Mapping[str, Any]) -> str | None:
    """What is wrong with the values of a record that has all keys, its RLE's runs apart."""
    if type(record["image_id"]) is not int:
        return f"image_id must be a whole number, got {record['image_id']!r}"
    if not (isinstance(record["image"], str) and record["image"]):
        return f"image must name a file, got {record['image']!r}"
    if not (is_number(record["score"]) and 0 <= record["score"] <= 1):
        return f"score must lie in 0 to 1, got {record['score']!r}"
    box = record["bbox"]
    if not (isinstance(box, list) and len(box) == 4 and all(is_number(x) and abs(x) <= FARTHEST_PX for x in box)):
        return f"bbox must be x, y, width and height, got {box!r}"
    try:
        rle_size(record["segmentation"])
    except ShapeError as error:
        return str(error).replace("their", "its")
    return None
