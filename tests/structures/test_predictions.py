import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tio2.structures import (
    CroppedMasks,
    PredictionError,
    dataset,
    image_record,
    prediction_record,
    read_predictions,
    write_predictions,
)

MASK = np.zeros((20, 30), np.uint8)
MASK[4:9, 10:17] = 1


def record():
    return prediction_record(3, "a.png", np.array([10, 4, 17, 9], np.float32), np.float32(0.5), coco_rle())


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
    truth.dataset = dataset([image_record(id=3, file_name="a.png", height=20, width=30)], [])
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
        ("{}", "no list of predictions"),
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
