"""All readers of a detector's results accept masks as a list of RLE, of any length."""

import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.evaluator import DumpResults
from mmengine.structures import InstanceData

from scenes import disks, square_grid
from semsize.structures.masks import CroppedMasks
from tio2.models.results import DenseDetInferencer, DenseDetVisualizer, draw_masks

COUNTS = [0, 1, 513, 3000]


def results(count):
    """The data sample of an image in which a square grid of particles was found."""
    masks = square_grid(count) if count else CroppedMasks.empty((20, 30))
    sample = DetDataSample(metainfo={"img_path": "somewhere/grid.png", "img_id": 1, "ori_shape": masks.image_shape})
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(masks.boxes),
        scores=torch.linspace(0.9, 0.1, count),
        labels=torch.zeros(count, dtype=torch.long),
        masks=masks.to_rles(),
    )
    return sample, masks


@pytest.mark.parametrize("count", COUNTS)
def test_the_visualizer_draws_the_masks_above_the_threshold_and_nothing_else(count, tmp_path):
    sample, masks = results(count)
    image = np.full((*masks.image_shape, 3), 90, np.uint8)
    file = tmp_path / "drawn.png"
    DenseDetVisualizer().add_datasample("grid", image, sample, draw_gt=False, pred_score_thr=0.5, out_file=str(file))
    shown = masks[np.flatnonzero(sample.pred_instances.scores.numpy() > 0.5)]
    changed = (cv2.imread(str(file)) != 90).any(axis=2)
    expected = np.zeros(masks.image_shape, bool)
    for crop, (row, column) in shown:
        expected[row : row + crop.shape[0], column : column + crop.shape[1]] |= crop > 0
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize("count", COUNTS)
def test_the_dumped_pickle_has_the_masks(count, tmp_path):
    sample, masks = results(count)
    file = tmp_path / "out.pkl"
    dump = DumpResults(str(file))
    dump.process({}, [sample.to_dict()])
    dump.evaluate(1)
    (read,) = pickle.loads(file.read_bytes())
    assert read["pred_instances"]["masks"] == masks.to_rles()


@pytest.mark.parametrize("count", COUNTS)
def test_the_inferencer_s_results_are_json_with_the_masks(count, tmp_path):
    sample, masks = results(count)
    inferencer = DenseDetInferencer.__new__(DenseDetInferencer)  # its model plays no part here
    inferencer.num_predicted_imgs = 0
    result = inferencer.pred2dict(sample, str(tmp_path))
    assert result["masks"] == masks.to_rles() == sample.pred_instances.masks
    assert result == json.loads((tmp_path / "preds" / "grid.json").read_text())
    assert len(result["scores"]) == len(result["bboxes"]) == count


def test_upstream_s_inferencer_would_not_take_them():
    """If this fails, DenseDetInferencer.pred2dict is no longer needed."""
    sample, _ = results(1)
    with pytest.raises((TypeError, KeyError)):
        DetInferencer.pred2dict(DetInferencer.__new__(DetInferencer), sample)


def test_borders_are_drawn_on_the_particles_own_pixels_and_stock_masks_as_before(tmp_path):
    masks = disks((40, 40), [(20, 20)], [10])
    image = np.full((40, 40, 3), 50, np.uint8)
    drawn = draw_masks(image, masks)
    inside = masks.to_full()[0] > 0
    assert (drawn[~inside] == 50).all()
    assert (image == 50).all()
    assert len(np.unique(drawn[inside].reshape(-1, 3), axis=0)) == 2  # tint and border
    stock = InstanceData(
        bboxes=torch.from_numpy(masks.boxes), labels=torch.zeros(1, dtype=torch.long), scores=torch.ones(1)
    )
    stock.masks = torch.from_numpy(masks.to_full()).bool()
    sample = DetDataSample(pred_instances=stock)
    DenseDetVisualizer().add_datasample("disk", image, sample, draw_gt=False, out_file=str(tmp_path / "stock.png"))
    assert (cv2.imread(str(tmp_path / "stock.png")) != 50).any()
