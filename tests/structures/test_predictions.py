import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from semsize.structures import (
    CroppedMasks,
    PredictionError,
    dataset,
    image_entry,
    prediction_entry,
    read_predictions,
    write_predictions,
)

MASK = np.zeros((20, 30), np.uint8)
MASK[4:9, 10:17] = 1


def record():
    return prediction_entry(3, "a.png", np.array([10, 4, 17, 9], np.float32), np.float32(0.5), coco_rle())


def coco_rle():
    """RLE with counts as bytes, as pycocotools makes it."""
    return coco_mask.encode(np.asfortranarray(MASK))


def test_box_becomes_xywh_and_counts_text():
    found = record()
    assert found["bbox"] == [10, 4, 7, 5]
    assert found["score"] == 0.5
    assert isinstance(found["segmentation"]["counts"], str)
    np.testing.assert_array_equal(CroppedMasks.from_rles([found["segmentation"]]).to_full()[0], MASK)


def test_round_trip(tmp_path):
    path = tmp_path / "run" / "predictions.json"
    write_predictions(path, (entry for entry in [record(), record()]))
    assert read_predictions(path) == [record(), record()]
    write_predictions(path, [])
    assert read_predictions(path) == []


def test_pycocotools_takes_them_as_results(tmp_path):
    truth = COCO()
    truth.dataset = dataset([image_entry(id=3, file_name="a.png", height=20, width=30)], [])
    truth.createIndex()
    path = tmp_path / "predictions.json"
    write_predictions(path, [record()])
    (loaded,) = truth.loadRes(str(path)).loadAnns([1])
    assert coco_mask.area(loaded["segmentation"]) == 35


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "not a JSON file"),
        ("{}", "not a list of predictions"),
        (json.dumps([{"image_id": 1}]), "prediction 0 lacks bbox, category_id"),
        ("[3]", "prediction 0 lacks"),
    ],
)
def test_unreadable_files_are_named(tmp_path, content, message):
    path = tmp_path / "predictions.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PredictionError, match=rf"predictions\.json: .*{message}") as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)


FAULTS = {
    "image_id": (True, "image_id must be a whole number"),
    "image": (7, "image must name a file"),
    "score": (95, "score must lie in 0 to 1"),
    "bbox": ([1, 2, 3], "bbox must be x, y, width and height"),
    "segmentation": ([[1, 2, 3, 4, 5, 6]], "its mask is neither a list of polygons nor an RLE"),
}


@pytest.mark.parametrize("key", FAULTS)
def test_values_that_no_prediction_has_are_named(tmp_path, key):
    value, message = FAULTS[key]
    (tmp_path / "p.json").write_text(json.dumps([record(), {**record(), key: value}]))
    with pytest.raises(PredictionError, match=rf"p\.json: prediction 1: {message}"):
        read_predictions(tmp_path / "p.json")


@pytest.mark.parametrize("counts", ["???", "11", "\x7f", [5, 3], [-1, 601], ["a"]])
@pytest.mark.parametrize("position", [0, 3, 6])
def test_the_damaged_rle_is_named(tmp_path, counts, position):
    records = [record() for _ in range(7)]
    records[position]["segmentation"]["counts"] = counts
    (tmp_path / "p.json").write_text(json.dumps(records))
    with pytest.raises(PredictionError, match=rf"p\.json: prediction {position}: its RLE"):
        read_predictions(tmp_path / "p.json")
