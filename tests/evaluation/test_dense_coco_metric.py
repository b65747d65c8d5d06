"""The registered metric equals the pure function, on one process and on two."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_samples import data_sample
from mmdet.registry import METRICS

from scenes import coco_found, coco_truth, shifted, square_grid
from semsize.structures.predictions import read_predictions
from tio2.evaluation import DenseCocoMetric
from tio2.evaluation.coco_ap import average_precision

TESTS = Path(__file__).parents[1]


@pytest.fixture
def truth_file(tmp_path):
    def write(truth):
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(truth))
        return str(path)

    return write


def test_150_perfect_detections_score_one_and_the_cap_is_reported_beside(truth_file):
    masks = square_grid(150)
    metric = METRICS.build({"type": "DenseCocoMetric", "ann_file": truth_file(coco_truth([masks]))})
    metric.process(None, [data_sample(1, masks, [0.5] * 150)])
    metrics = metric.evaluate(size=1)
    names = [f"coco/{kind}_{name}" for kind in ("segm", "bbox") for name in ("mAP", "AP50", "AP75", "AP90")]
    capped = [f"{name}_cap100" for name in names]
    ceilings = ["coco/segm_mAP_cap100_ceiling", "coco/bbox_mAP_cap100_ceiling"]
    table1 = [f"{name}_table1" for name in names]
    assert set(metrics) == {*names, *capped, *ceilings, *table1, "coco/images"}
    assert [metrics[name] for name in names + table1] == [1.0] * 16
    assert [metrics[name] for name in capped + ceilings] == pytest.approx([67 / 101] * 10)
    assert metrics["coco/images"] == 1


@pytest.mark.parametrize("dense", [True, False])
def test_equals_the_pure_function_for_rle_and_for_tensor_masks(truth_file, dense):
    rng = np.random.default_rng(0)
    truths = [square_grid(30, side_px=8), square_grid(12, side_px=8)]
    found = [shifted(masks[3:], 0, 1) for masks in truths]
    scores = [rng.random(len(masks)).astype(np.float32) for masks in found]
    metric = DenseCocoMetric(truth_file(coco_truth(truths)), prefix="p")
    for image_id, (masks, of_image) in enumerate(zip(found, scores, strict=True), start=1):
        metric.process(None, [data_sample(image_id, masks, of_image, dense=dense)])
    metrics = metric.evaluate(size=2)
    for iou_type in ("segm", "bbox"):
        expected = average_precision(coco_truth(truths), coco_found(found, scores), iou_type)
        for name, value in vars(expected.uncapped).items():
            assert metrics[f"p/{iou_type}_{name}"] == pytest.approx(value, abs=1e-12)
    # 36 of 42 found, each with 7 of 9 columns shared: recalls 0 … 0.85, at thresholds up to 7/9
    assert metrics["p/segm_AP75"] == pytest.approx(86 / 101)
    assert metrics["p/segm_AP90"] == 0.0


def as_plain_coco(truth):
    """The same truth as any other program writes it: none of our keys, ids from 0, a category of its own."""
    keys = ("image_id", "segmentation")
    return {
        "images": [{key: image[key] for key in ("id", "file_name", "height", "width")} for image in truth["images"]],
        "categories": [{"id": 5, "name": "bead"}],
        "annotations": [
            {"id": number, "category_id": 5, **{key: one[key] for key in keys}}
            for number, one in enumerate(truth["annotations"])
        ],
    }


def test_a_coco_file_of_another_program_is_the_same_truth(truth_file):
    masks = square_grid(30, side_px=8)
    found, scores = shifted(masks[3:], 0, 1), np.linspace(0.9, 0.6, 27)
    metrics = []
    for truth in (coco_truth([masks]), as_plain_coco(coco_truth([masks]))):
        for kind in ("DenseCocoMetric", "ParticleMetric"):
            metric = METRICS.build({"type": kind, "ann_file": truth_file(truth)})
            metric.process(None, [data_sample(1, found, scores)])
            metrics.append(metric.evaluate(size=1))
    for ours, plain in ((metrics[0], metrics[2]), (metrics[1], metrics[3])):
        np.testing.assert_equal(plain, ours)
    assert metrics[2]["coco/segm_AP50"] == pytest.approx(0.9, abs=0.01)


def test_no_detections_score_zero_and_the_next_evaluation_starts_afresh(truth_file):
    masks = square_grid(5)
    metric = DenseCocoMetric(truth_file(coco_truth([masks])))
    metric.process(None, [data_sample(1, masks[:0], [])])
    empty = metric.evaluate(size=1)
    assert {empty[f"coco/{kind}_{name}"] for kind in ("segm", "bbox") for name in ("mAP", "AP50", "AP90")} == {0.0}
    metric.process(None, [data_sample(1, masks, [0.5] * 5)])
    assert metric.evaluate(size=1)["coco/segm_mAP"] == 1.0


def test_an_image_repeated_counts_once(truth_file):
    first, second = square_grid(6), square_grid(7)
    metric = DenseCocoMetric(truth_file(coco_truth([first, second])))
    metric.process(None, [data_sample(i, m, [0.5] * len(m)) for i, m in ((1, first), (1, first), (2, second))])
    metrics = metric.evaluate(size=2)
    assert metrics["coco/segm_mAP"] == 1.0
    assert metrics["coco/images"] == 2


def test_records_are_small_and_picklable(truth_file):
    masks = square_grid(100)
    metric = DenseCocoMetric(truth_file(coco_truth([masks])))
    metric.process(None, [data_sample(1, masks, [0.5] * 100, dense=False)])
    (record,) = metric.results
    packed = pickle.dumps(record)
    assert pickle.loads(packed) == record
    assert len(packed) < 300 * len(masks)  # bytes


def test_predictions_without_masks_are_refused_by_name(truth_file):
    masks = square_grid(2)
    sample = data_sample(1, masks, [0.5, 0.5])
    del sample["pred_instances"]["masks"]
    with pytest.raises(ValueError, match=r"1\.png: the predictions carry no masks"):
        DenseCocoMetric(truth_file(coco_truth([masks]))).process(None, [sample])


def test_two_processes_give_what_one_gives(truth_file, tmp_path):
    truth_file(coco_truth([square_grid(50)] * 3))
    command = [sys.executable, str(Path(__file__).with_name("metric_worker.py"))]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    try:
        for worker in workers:
            errors = worker.communicate(timeout=120)[1]
            assert worker.returncode == 0, errors.decode()
    finally:
        for worker in workers:
            worker.kill()  # the other one would wait for a process that failed
    first, second = (json.loads((tmp_path / f"metrics{rank}.json").read_text()) for rank in (0, 1))
    assert first == pytest.approx(second, nan_ok=True)
    assert first["coco/segm_mAP"] == first["coco/bbox_mAP"] == 1.0
    assert (first["particles/found"], first["particles/all_found_percent"], first["particles/f1"]) == (150, 100, 1)
    assert (first["coco/images"], first["predictions/images"], first["predictions/particles"]) == (3, 3, 150)
    written = read_predictions(tmp_path / "predictions.json")
    assert [prediction["image_id"] for prediction in written] == [1] * 50 + [2] * 50 + [3] * 50
