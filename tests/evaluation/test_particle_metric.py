"""The registered metric gives the headlines of the pure function, each image once; two processes: see metric_worker."""

import json

import pytest
from data_samples import data_sample
from mmdet.registry import METRICS

from scenes import coco_found, coco_truth, shifted, square_grid
from semsize.metrology.comparison import compare_split
from semsize.metrology.figures_of_merit import HEADLINES, figures_of_merit


@pytest.fixture
def scene(tmp_path):
    truths = [square_grid(12, side_px=10), square_grid(5, side_px=10)]
    found = [shifted(masks[:-1], 0, 1) for masks in truths]
    scores = [[0.75] * len(masks) for masks in found]
    truth = coco_truth(truths)
    for annotation in truth["annotations"]:
        annotation["state"] = "complete"
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    return tmp_path / "truth.json", truth, found, scores


def test_equals_the_pure_function(scene):
    path, truth, found, scores = scene
    metric = METRICS.build({"type": "ParticleMetric", "ann_file": str(path)})
    for image_id in (1, 1, 2):
        metric.process(None, [data_sample(image_id, found[image_id - 1], scores[image_id - 1])])
    metrics = metric.evaluate(size=3)
    expected = figures_of_merit(compare_split(truth, coco_found(found, scores)))
    assert set(metrics) == {f"particles/{name}" for name in HEADLINES}
    for name in HEADLINES:
        assert metrics[f"particles/{name}"] == pytest.approx(expected[name]), name
    assert metrics["particles/useful_found_percent"] == pytest.approx(100 * 15 / 17)
    assert metrics["particles/useful_dice_mean"] == pytest.approx(0.9)
    assert metrics["particles/useful_ecd_residual_mean"] == pytest.approx(0, abs=1e-9)


def test_only_images_predicted_count_and_scores_below_the_operating_point_do_not(scene):
    path, _, found, _ = scene
    metric = METRICS.build({"type": "ParticleMetric", "ann_file": str(path), "min_score": 0.6})
    metric.process(None, [data_sample(2, found[1], [0.5, 0.7, 0.9, 0.9])])
    metrics = metric.evaluate(size=1)
    assert (metrics["particles/found"], metrics["particles/all_found_percent"]) == (3, 60)
