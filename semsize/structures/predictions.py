"""Read and write predictions: COCO's results format plus the file name of each image."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semsize.structures.annotations import is_box
from semsize.structures.coco_files import by_image
from semsize.structures.files import is_number, read_json, whole_file
from semsize.structures.polygons import FARTHEST_PX, ShapeError
from semsize.structures.rle import first_damaged, plain_rle, rle_size

_PREDICTION_KEYS = {"image_id", "image", "category_id", "bbox", "score", "segmentation"}


class PredictionError(ValueError):
    """A predictions file is missing or does not hold predictions; the message names the file."""


def prediction_entry(
    image_id: int, file_name: str, box_xyxy: Sequence[float], score: float, rle: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the entry of a detected particle: COCO's results format plus the image's file name.

    Args:
        image_id: id of the image in the annotation file, or a running number if there is no such file.
        file_name: the image file, as readers of the predictions look it up.
        box_xyxy: x1, y1, x2, y2 in pixels of the image; stored as x, y, width, height.
        score: 0 to 1.
        rle: COCO RLE of the image's size.

    >>> prediction_entry(1, "a.png", (0, 1, 1, 3), 0.9, {"size": [4, 3], "counts": b"129"})["bbox"]
    [0.0, 1.0, 1.0, 2.0]
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


def write_predictions(path: str | Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write entries of `prediction_entry` one by one, as they come; the file appears whole or not at all.

    Raises:
        ValueError: an entry holds NaN or infinity, which JSON cannot hold.

    >>> from tempfile import TemporaryDirectory
    >>> found = prediction_entry(1, "a.png", (0, 1, 1, 3), 0.9, {"size": [4, 3], "counts": "129"})
    >>> with TemporaryDirectory() as folder:
    ...     write_predictions(f"{folder}/predictions.json", [found])
    ...     read_predictions(f"{folder}/predictions.json") == [found]
    True
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as stream:
            stream.write("[")
            for position, entry in enumerate(entries):
                text = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
                stream.write(f",{text}" if position else text)
            stream.write("]")

    whole_file(path, write)


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """Read the entries of a predictions file, in its order.

    Raises:
        PredictionError: the file is missing or not JSON, or an entry lacks a key or has an invalid value.

    >>> from semsize.structures.files import write_json
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_json(f"{folder}/predictions.json", [])
    ...     read_predictions(f"{folder}/predictions.json")
    []
    """
    entries = read_json(path, PredictionError)
    if not isinstance(entries, list):
        raise PredictionError(f"{path}: is not a list of predictions; give a predictions.json of the test program")
    for position, entry in enumerate(entries):
        missing = _PREDICTION_KEYS - entry.keys() if isinstance(entry, dict) else _PREDICTION_KEYS
        if missing:
            raise PredictionError(f"{path}: prediction {position} lacks {', '.join(sorted(missing))}; write it again")
        fault = _fault(entry)
        if fault is not None:
            raise PredictionError(f"{path}: prediction {position}: {fault}; write the file again")
    damaged = first_damaged([entry["segmentation"] for entry in entries]) if entries else None
    if damaged is not None:
        raise PredictionError(f"{path}: prediction {damaged}: its RLE is damaged; write the file again")
    return entries


def predictions_by_image(
    predictions: Iterable[Mapping[str, Any]], names: Mapping[int, str], source: str | Path = "predictions"
) -> defaultdict[int, list[Mapping[str, Any]]]:
    """Group predictions by image id, as `by_image`; `names` maps ids to file names, `source` is named in errors.

    Raises:
        PredictionError: a prediction has the id of no image, or another file name than the image of its id.

    >>> predictions_by_image([{"image_id": 7, "image": "sem/a.png"}], {7: "a.png"})[7]
    [{'image_id': 7, 'image': 'sem/a.png'}]
    """
    groups = by_image(predictions)
    for number in groups:
        for stated in {entry.get("image", names.get(number, "without a name")) for entry in groups[number]}:
            if number not in names or Path(stated).name != Path(names[number]).name:
                found = f"{source}: image {number} is {stated}, and {names.get(number, 'none')} in the annotations"
                raise PredictionError(f"{found}; give the predictions of these images")
    return groups


def _fault(entry: Mapping[str, Any]) -> str | None:
    """Describe the first invalid value of an entry that has all keys, None if there is none; ignores RLE runs."""
    if type(entry["image_id"]) is not int:
        return f"image_id must be a whole number, got {entry['image_id']!r}"
    if not (isinstance(entry["image"], str) and entry["image"]):
        return f"image must name a file, got {entry['image']!r}"
    if not (is_number(entry["score"]) and 0 <= entry["score"] <= 1):
        return f"score must lie in 0 to 1, got {entry['score']!r}"
    box = entry["bbox"]
    if not (is_box(box) and all(abs(value) <= FARTHEST_PX for value in box)):
        return f"bbox must be x, y, width and height, got {box!r}"
    try:
        rle_size(entry["segmentation"])
    except ShapeError as error:
        return str(error).replace("their", "its")
    return None
