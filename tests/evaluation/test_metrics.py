"""The registered metrics equal the pure functions, on one process and on two; each image counts once."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from data_samples import data_sample
from mmdet.registry import METRICS
from processes import ForkedProgram, finish

from scenes import coco_found, coco_truth, disks, shifted, square_grid
from semsize.metrology.comparison import compare_split
from semsize.metrology.metrics import HEADLINES, particle_metrics
from semsize.structures import read_predictions
from semsize.structures.masks import CroppedMasks
from tio2.evaluation import DenseCocoMetric
from tio2.evaluation.average_precision import average_precision

WORKER = Path(__file__).with_name("metric_worker.py")


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
        for name, value in expected.uncapped.items():
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


def test_what_is_gathered_is_small_and_picklable(truth_file):
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
    workers = [ForkedProgram([WORKER, rank, tmp_path], tmp_path / f"log{rank}") for rank in (0, 1)]
    try:
        for rank, worker in enumerate(workers):
            finish(worker, tmp_path / f"log{rank}")
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


def test_particle_metric_reports_the_headlines_and_keeps_all_metrics_and_comparisons(scene):
    path, truth, found, scores = scene
    metric = METRICS.build({"type": "ParticleMetric", "ann_file": str(path)})
    for image_id in (1, 1, 2):
        metric.process(None, [data_sample(image_id, found[image_id - 1], scores[image_id - 1])])
    metrics = metric.evaluate(size=3)
    expected = particle_metrics(compare_split(truth, coco_found(found, scores)))
    assert set(metrics) == {f"particles/{name}" for name in HEADLINES}
    for name in HEADLINES:
        assert metrics[f"particles/{name}"] == pytest.approx(expected[name]), name
    assert metric.all_metrics == pytest.approx(expected, nan_ok=True)
    assert [len(image.detections.masks) for image in metric.comparisons] == [11, 4]
    assert metrics["particles/useful_found_percent"] == pytest.approx(100 * 15 / 17)
    assert metrics["particles/useful_dice_mean"] == pytest.approx(0.9)
    assert metrics["particles/useful_ecd_residual_mean"] == pytest.approx(0, abs=1e-9)


def test_only_images_predicted_count_and_scores_below_the_operating_point_do_not(scene):
    path, _, found, _ = scene
    metric = METRICS.build({"type": "ParticleMetric", "ann_file": str(path), "min_score": 0.6})
    metric.process(None, [data_sample(2, found[1], [0.5, 0.7, 0.9, 0.9])])
    metrics = metric.evaluate(size=1)
    assert (metrics["particles/found"], metrics["particles/all_found_percent"]) == (3, 60)


def test_predictions_are_read_back_as_they_were_found(tmp_path):
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


def test_nothing_found_is_an_empty_predictions_file(tmp_path):
    writer = METRICS.build({"type": "PredictionWriter", "outfile": str(tmp_path / "predictions.json")})
    writer.process(None, [data_sample(1, square_grid(4)[:0], [])])
    assert writer.evaluate(size=1) == {"predictions/images": 1, "predictions/particles": 0}
    assert read_predictions(tmp_path / "predictions.json") == []
