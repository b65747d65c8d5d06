"""Average precision against closed forms and against pycocotools."""

import copy

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from scenes import coco_found, coco_truth, shifted, square_grid, squares
from semsize.metrology.matching import AVERAGE_PRECISIONS
from tio2.evaluation.average_precision import average_precision

ONES = dict.fromkeys(AVERAGE_PRECISIONS, 1.0)
ZEROS = dict.fromkeys(AVERAGE_PRECISIONS, 0.0)
IOU_TYPES = ("bbox", "segm")


def perfect(masks):
    return coco_found([masks], [np.linspace(0.9, 0.1, len(masks))])


def random_case(rng):
    """Two images, 130 and 40 particles: specks, jittered detections, misses, doubles, false positives, tied scores."""
    truths, specks, found, scores = [], [], [], []
    for count in (130, 40):
        grid = square_grid(count + 20, side_px=12, gap_px=8)
        chosen = rng.permutation(len(grid))
        truth, rest = grid[np.sort(chosen[:count])], chosen[count:]
        kept = truth[np.nonzero(rng.random(count) < 0.85)[0]]
        moved = [shifted(kept[i], *rng.integers(0, 5, 2)) for i in range(len(kept))]
        candidates = type(truth).cat([*moved, grid[rest[:10]], truth[:5]])  # + false positives and doubles
        truths.append(truth)
        specks.append(grid[rest[6:14]])
        found.append(candidates)
        scores.append(np.round(rng.random(len(candidates)), 2))
    return coco_truth(truths, specks), coco_found(found, scores)


def pycocotools_ap(truth, found, iou_type, max_detections):
    truth_api = COCO()
    truth_api.dataset = copy.deepcopy(truth)
    truth_api.createIndex()
    evaluation = COCOeval(truth_api, truth_api.loadRes(copy.deepcopy(found)), iou_type)
    evaluation.params.maxDets = [1, 10, max_detections]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, -1]
    nearest = [np.argmin(abs(evaluation.params.iouThrs - threshold)) for threshold in (0.5, 0.75, 0.9)]
    return [precision.mean(), *(precision[index].mean() for index in nearest)]


@pytest.mark.parametrize("iou_type", IOU_TYPES)
def test_150_perfect_detections_score_one_and_67_of_101_recalls_under_cocos_cap(iou_type):
    masks = square_grid(150)
    result = average_precision(coco_truth([masks]), perfect(masks), iou_type)
    assert result.uncapped == ONES
    # recall stops at 100/150: of the recalls 0, 0.01 ... 1 those up to 0.66 have precision 1
    assert list(result.capped.values()) == pytest.approx([67 / 101] * 4, abs=1e-12)
    assert result.ceiling == pytest.approx(67 / 101, abs=1e-12)


@pytest.mark.parametrize("iou_type", IOU_TYPES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_pycocotools_at_a_cap_of_100_and_without_one(iou_type, seed):
    truth, found = random_case(np.random.default_rng(seed))
    result = average_precision(truth, found, iou_type)
    capped, uncapped = list(result.capped.values()), list(result.uncapped.values())
    assert capped == pytest.approx(pycocotools_ap(truth, found, iou_type, 100), abs=1e-12)
    assert uncapped == pytest.approx(pycocotools_ap(truth, found, iou_type, 100_000), abs=1e-12)
    assert 0.05 < uncapped[0] < uncapped[1] < 0.95
    assert capped[0] < uncapped[0]


@pytest.mark.parametrize("iou_type", IOU_TYPES)
def test_the_ceiling_is_what_the_true_particles_themselves_score_under_the_cap(iou_type):
    truth, _ = random_case(np.random.default_rng(5))  # 130 and 40 particles, specks
    found = [{**particle, "score": 1.0} for particle in truth["annotations"] if not particle["iscrowd"]]
    for cap in (10, 39, 100, 130):
        result = average_precision(truth, found, iou_type, cap=cap)
        assert result.ceiling == pytest.approx(result.capped["mAP"], abs=1e-12)
        reached = sum(100 * (min(130, cap) + min(40, cap)) >= 170 * k for k in range(101)) / 101
        assert result.ceiling == pytest.approx(reached, abs=1e-12)


def test_a_known_overlap_passes_exactly_the_thresholds_below_it():
    truth = squares((40, 40), [(5, 5)], 19)
    found = shifted(truth, 0, 1)  # 18 of 20 columns shared: IoU 0.9, in COCO's thresholds 0.8999…
    result = average_precision(coco_truth([truth]), perfect(found), "segm").uncapped
    assert result == ONES | {"mAP": pytest.approx(0.9)}
    further = average_precision(coco_truth([truth]), perfect(shifted(truth, 0, 3)), "segm").uncapped  # IoU 16/22
    assert further == ZEROS | {"mAP": pytest.approx(0.5), "AP50": 1.0}


@pytest.mark.parametrize("iou_type", IOU_TYPES)
def test_no_detections_score_zero_and_no_truth_is_not_a_number(iou_type):
    masks = square_grid(3)
    nothing_found = average_precision(coco_truth([masks]), [], iou_type)
    assert (nothing_found.uncapped, nothing_found.capped, nothing_found.ceiling) == (ZEROS, ZEROS, 1.0)
    for found in ([], perfect(masks)):
        no_truth = average_precision(coco_truth([masks[:0]], crowds=[masks[:1]]), found, iou_type)
        assert np.isnan([*no_truth.uncapped.values(), *no_truth.capped.values(), no_truth.ceiling]).all()


@pytest.mark.parametrize("iou_type", IOU_TYPES)
def test_specks_count_for_and_against_nobody(iou_type):
    masks = square_grid(8)
    truth = coco_truth([masks[:5]], crowds=[masks[5:]])
    for found in (masks, masks[:5], masks[2:]):
        with_specks = average_precision(truth, perfect(found), iou_type)
        kept = found[np.isin(found.origins[:, 1] + 1000 * found.origins[:, 0], masks[:5].origins @ [1000, 1])]
        without = average_precision(coco_truth([masks[:5]]), perfect(kept), iou_type)
        assert with_specks == without


def test_ids_order_and_arguments_do_not_matter_and_stay_untouched():
    truth, found = random_case(np.random.default_rng(3))
    truth_before, found_before = copy.deepcopy(truth), copy.deepcopy(found)
    result = average_precision(truth, found, "segm")
    assert (truth, found) == (truth_before, found_before)
    renumbered = {**truth, "annotations": [{**a, "id": i} for i, a in enumerate(truth["annotations"])]}  # from 0
    assert average_precision(renumbered, found, "segm") == result


def test_only_the_images_asked_for_count():
    first, second = square_grid(9), square_grid(4)
    truth, found = coco_truth([first, second]), perfect(first)
    assert average_precision(truth, found, "segm", image_ids=[1]).uncapped == ONES
    everywhere = average_precision(truth, found, "segm").uncapped
    assert pytest.approx(70 / 101) == everywhere["AP50"]  # recall 9/13 = 0.692: recalls 0 … 0.69
    with pytest.raises(ValueError, match="image 1, which is not among"):
        average_precision(truth, found, "segm", image_ids=[2])
    with pytest.raises(ValueError, match=r"\[7\] are not in the truth"):
        average_precision(truth, [], "segm", image_ids=[1, 7])


def test_a_mask_of_another_size_and_a_score_that_is_no_number_are_refused():
    masks = square_grid(4)
    truth, found = coco_truth([masks]), perfect(masks)
    taller = perfect(type(masks)(masks.crops, masks.origins, (99, masks.image_shape[1])))
    with pytest.raises(ValueError, match="predict on the images"):
        average_precision(truth, taller, "segm")
    found[2]["score"] = float("nan")
    with pytest.raises(ValueError, match="scores nan"):
        average_precision(truth, found, "bbox")


def test_prints_nothing(capfd):
    truth, found = random_case(np.random.default_rng(4))
    average_precision(truth, found, "segm")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
