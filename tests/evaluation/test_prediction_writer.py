"""The predictions file holds what was found, each image once."""

import numpy as np
from data_samples import data_sample
from mmdet.registry import METRICS

from scenes import disks, square_grid
from semsize.structures.masks import CroppedMasks
from semsize.structures.predictions import read_predictions


def test_what_was_found_is_read_back(tmp_path):
    outfile = tmp_path / "run" / "val" / "predictions.json"
    blobs = disks((60, 80), [(20, 20), (40.3, 60.7)], [9, 12.5])
    squares = square_grid(4)
    writer = METRICS.build({"type": "PredictionWriter", "outfile": str(outfile)})
    writer.process(None, [data_sample(7, blobs, [0.25, 0.75]), data_sample(2, squares, [0.5] * 4)])
    writer.process(None, [data_sample(7, blobs, [0.25, 0.75])])
    assert writer.evaluate(size=2) == {"predictions/images": 2, "predictions/particles": 6}
    predictions = read_predictions(outfile)
    assert [(p["image_id"], p["image"], p["score"]) for p in predictions] == [
        *[(2, "2.png", 0.5)] * 4,
        (7, "7.png", 0.25),
        (7, "7.png", 0.75),
    ]
    read = CroppedMasks.from_rles([p["segmentation"] for p in predictions[4:]])
    assert np.array_equal(read.to_full(), blobs.to_full())
    x, y, width, height = predictions[5]["bbox"]
    assert np.allclose([x, y, x + width, y + height], blobs.boxes[1])


def test_nothing_found_is_an_empty_file(tmp_path):
    writer = METRICS.build({"type": "PredictionWriter", "outfile": str(tmp_path / "predictions.json")})
    writer.process(None, [data_sample(1, square_grid(4)[:0], [])])
    assert writer.evaluate(size=1) == {"predictions/images": 1, "predictions/particles": 0}
    assert read_predictions(tmp_path / "predictions.json") == []
