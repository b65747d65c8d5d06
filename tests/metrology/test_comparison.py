"""Tables, residuals, sizes and thresholds on scenes whose values are known by hand."""

import numpy as np
import pytest

from scenes import coco_found, coco_truth, disks, shifted, square_grid, squares
from semsize.metrology import compare_split, metrics, particle_metrics
from semsize.metrology.comparison import (
    ImageFound,
    ImageTruth,
    compare_image,
    found_by_image,
    image_truths,
    score_curve,
)
from semsize.metrology.metrics import diameter_differences, diameter_spread
from semsize.metrology.size_distribution import distribution_errors, kolmogorov_distance, quantiles
from semsize.structures import PredictionError
from semsize.structures.masks import CroppedMasks

STATES = ["isolated", "complete", "touch_complete", "masked", "unusable", None]


def with_states(truth, states):
    for annotation, state in zip(truth["annotations"], states, strict=False):
        annotation["state"] = state
    return truth


def test_table_2_counts_states_with_isolated_among_the_complete_ones():
    grid = square_grid(6, side_px=10)
    truth = with_states(coco_truth([grid]), STATES)
    images = compare_split(truth, coco_found([grid[[0, 2, 4, 5]]], [[0.9] * 4]))
    counts = {group: metrics.found_counts(images, group) for group in summaries_groups()}
    assert (counts["all"].reference, counts["all"].measured) == (6, 4)
    assert (counts["useful"].reference, counts["useful"].measured) == (4, 2)
    assert (counts["complete"].reference, counts["complete"].measured, counts["complete"].percentage) == (2, 1, 50)
    assert (counts["touch_complete"].measured, counts["masked"].measured, counts["unusable"].measured) == (1, 0, 1)


def summaries_groups():
    return ("all", "useful", "complete", "touch_complete", "masked", "unusable")


def test_dice_of_disks_shifted_by_known_amounts():
    radius, shifts = 30.0, (0, 4, 8)
    truth = disks((400, 400), [(60, 60), (60, 180), (60, 300)], [radius] * 3)
    found = CroppedMasks.cat([shifted(truth[i], 0, s) for i, s in enumerate(shifts)])
    images = compare_split(coco_truth([truth]), coco_found([found], [[0.9] * 3]))
    half = np.array(shifts) / (2 * radius)
    lens = (2 / np.pi) * (np.arccos(half) - half * np.sqrt(1 - half**2))  # shared area of two equal disks / area
    np.testing.assert_allclose(images[0].matching.dice, lens, atol=0.005)
    spread = metrics.dice_spread(images, "all")
    assert (spread.mean, spread.median, spread.min, spread.max) == pytest.approx(
        (lens.mean(), lens[1], lens[2], 1.0), abs=0.005
    )
    for name in metrics.RESIDUAL_MEASURANDS:  # moved, not changed
        assert metrics.residuals(images, "all", name).mean == pytest.approx(0, abs=1e-9)


def test_residuals_of_squares_of_another_size():
    truth = squares((100, 100), [(5, 5), (55, 55)], 40)
    found = CroppedMasks.cat([squares((100, 100), [(5, 5)], 40), squares((100, 100), [(55, 55)], 41)])
    images = compare_split(coco_truth([truth]), coco_found([found], [[0.9, 0.8]]))
    area = metrics.residuals(images, "all", "area_px")
    assert (area.mean, area.within_1, area.within_5, area.count) == (
        pytest.approx(100 * (1681 / 1600 - 1) / 2),
        50,
        50,
        2,
    )
    assert area.std == pytest.approx(100 * (1681 / 1600 - 1) / np.sqrt(2))
    ecd = metrics.residuals(images, "all", "ecd_px")
    assert (ecd.mean, ecd.within_5) == (pytest.approx(1.25), 100)
    assert metrics.residuals(images, "all", "feret_min_px").mean == pytest.approx(1.25)


def test_specks_scores_and_false_positives():
    grid = square_grid(9, side_px=10)
    truth = coco_truth([grid[:4]], crowds=[grid[4:5]])
    images = compare_split(truth, coco_found([grid], [[0.9] * 6 + [0.1] * 3]))
    counts = metrics.detection_counts(images)
    assert (counts.found, counts.false_positives, counts.precision) == (5, 1, pytest.approx(0.8))
    quality = metrics.instance_quality(images)
    assert quality.f1 == quality.panoptic_quality == pytest.approx(8 / 9)
    assert (quality.iou_over_predictions, quality.iou_over_truths) == (pytest.approx(0.8), 1.0)
    assert quality.foreground_iou == pytest.approx(4 / 5)
    assert quality.foreground_dice == pytest.approx(8 / 9)


def test_both_directions_of_instance_iou_differ():
    grid = square_grid(10, side_px=10)
    quality = metrics.instance_quality(compare_split(coco_truth([grid]), coco_found([grid[:2]], [[0.9] * 2])))
    assert (quality.iou_over_predictions, quality.iou_over_truths) == (1.0, pytest.approx(0.2))


def test_size_errors_in_closed_form():
    true, measured = np.arange(1.0, 102), np.arange(1.0, 102) * 1.1
    errors = distribution_errors(true, measured)
    assert (errors.d10_percent, errors.d50_percent, errors.d90_percent) == pytest.approx((10, 10, 10))
    assert quantiles(true).tolist() == [11, 51, 91]
    assert kolmogorov_distance(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])) == 0.5
    assert np.isnan(kolmogorov_distance(true, np.array([])))
    assert np.isnan(quantiles(np.array([]))).all()


def test_truncated_particles_are_left_out_of_sizes_only():
    grid = square_grid(4, side_px=10)
    truth = coco_truth([grid])
    truth["annotations"][0]["truncated"] = True
    images = compare_split(truth, coco_found([grid], [[0.9] * 4]))
    assert len(metrics.true_sizes(images, "all")) == len(metrics.measured_sizes(images, "all")) == 3
    assert metrics.found_counts(images, "all").measured == 4


def test_metrics_by_configuration_and_nan_where_there_is_nothing():
    grid = square_grid(4, side_px=10)
    truth = coco_truth([grid, grid])
    truth["images"][0]["configuration"], truth["images"][1]["configuration"] = "matrix", "scattered"
    metrics = particle_metrics(compare_split(truth, coco_found([grid[:2], grid], [[0.9] * 2, [0.9] * 4])))
    assert (metrics["all_found_percent"], metrics["matrix/all_found_percent"]) == (75, 50)
    assert metrics["scattered/all_found_percent"] == 100
    assert metrics["matrix/false_positives"] == 0
    assert not any(name.startswith("agglomerated") for name in metrics)
    assert np.isnan(metrics["useful_dice_mean"])
    nothing = particle_metrics(compare_split(truth, []))
    assert (nothing["all_found"], nothing["f1"], nothing["iou_over_truths"]) == (0, 0, 0)
    assert np.isnan([nothing["precision"], nothing["all_dice_mean"], nothing["all_D50_error_percent"]]).all()


def test_the_threshold_suggested_finds_all_useful_ones_and_nothing_false():
    grid = square_grid(10, side_px=10)
    truth = with_states(coco_truth([grid[:6]]), ["complete"] * 5 + ["unusable"])
    found = coco_found([grid], [[0.9, 0.8, 0.7, 0.7, 0.66, 0.3, 0.4, 0.4, 0.2, 0.6]])
    truths = image_truths(truth)
    curve = score_curve(truths, found_by_image(found, truths))
    assert curve.suggested == 0.65
    at = dict(zip(curve.scores.tolist(), zip(curve.useful_found, curve.false_positives, strict=True), strict=True))
    assert (at[0.65], at[0.6], at[0.4], at[0.75]) == ((5, 0), (5, 1), (5, 3), (2, 0))
    assert curve.d50[:-1] == pytest.approx(curve.true_d50)
    assert np.isnan(curve.d50[-1])  # nothing scores 0.95
    assert curve.d50_errors_percent[:-1] == pytest.approx(0, abs=1e-9)
    # F is 10 / (5 + 5 + false): 1 at 0.65, 10/11 with one false; 2·4/(5 + 4) at 0.7
    point = curve.operating_point
    assert (point.score, point.agreement, point.plateau_from, point.plateau_to) == (0.65, 1.0, 0.65, 0.65)
    assert (point.useful_found_percent, point.false_positives, point.false_per_useful_found) == (100, 0, 0)


def test_no_threshold_is_suggested_where_nothing_useful_is_found():
    grid = square_grid(2, side_px=10)
    truths = image_truths(coco_truth([grid[:1]]))
    point = score_curve(truths, found_by_image(coco_found([grid[1:]], [[0.9]]), truths)).operating_point
    assert np.isnan([point.score, point.plateau_from, point.plateau_to, point.d50_error_percent]).all()
    assert (point.agreement, point.useful_found_percent) == (0, 0)


def test_a_false_particle_and_a_lost_one_count_alike_and_of_equals_the_highest_score_is_taken():
    grid = square_grid(12, side_px=10)
    truth = with_states(coco_truth([grid[:10]]), ["complete"] * 10)
    # at 0.7: 9 found, 0 false, F = 18/19; at 0.5: 10 found, 1 false, F = 20/21; at 0.3: 10 and 2, F = 20/22
    found = coco_found([grid], [[0.7] * 9 + [0.5, 0.5, 0.3]])
    truths = image_truths(truth)
    point = score_curve(truths, found_by_image(found, truths)).operating_point
    assert (point.score, point.agreement) == (0.5, pytest.approx(20 / 21))
    assert (point.plateau_from, point.plateau_to) == (0.35, 0.7)  # 18/19 is lower by 0.005
    assert point.false_per_useful_found == 0.1


def test_the_d50_error_beside_the_score_is_that_of_the_table():
    """Before, truncated particles counted in the one and not in the other."""
    centres = [(30, 30), (30, 80), (30, 130), (90, 30), (90, 90)]
    true, found = (disks((130, 160), centres, radii) for radii in ([8.0, 10, 12, 20, 24], [9.0, 10, 13, 20, 25]))
    truth = coco_truth([true])
    truth["annotations"][3]["truncated"] = truth["annotations"][4]["truncated"] = True
    predictions = coco_found([found], [[0.9] * 5])
    truths = image_truths(truth)
    curve = score_curve(truths, found_by_image(predictions, truths))
    errors = metrics.size_errors(compare_split(truth, predictions), "all")
    assert curve.d50_errors_percent[0] == errors.d50_percent == pytest.approx(0)


def test_predictions_of_unknown_images_are_refused():
    grid = square_grid(2)
    with pytest.raises(ValueError, match=r"image 2 is without a name, and none in the annotations"):
        compare_split(coco_truth([grid]), coco_found([grid, grid], [[0.9] * 2] * 2))


def test_predictions_of_other_images_with_the_same_numbers_are_refused():
    """Before, what was found in one set was counted against the truth of another."""
    grid = square_grid(2)
    truth, found = coco_truth([grid]), coco_found([grid], [[0.9] * 2])
    assert len(compare_split(truth, [each | {"image": "elsewhere/1.png"} for each in found])) == 1
    with pytest.raises(PredictionError, match=r"image 1 is elsewhere/other\.png, and 1\.png in the annotations; give"):
        compare_split(truth, [each | {"image": "elsewhere/other.png"} for each in found])


SHAPE = (60, 80)


def test_differences_are_those_of_the_pairs():
    """A square of 20 px found as one of 19 and one found as it is: 2 / √π of the side's difference."""
    masks = squares(SHAPE, [(5, 5), (5, 40)], 20)
    truth = ImageTruth(1, "1.png", None, None, np.arange(2), masks, ("complete",) * 2, np.zeros(2, bool), masks[:0])
    found = CroppedMasks.cat([masks[1], squares(SHAPE, [(5, 5)], 19)])
    image = compare_image(truth, ImageFound(found, np.ones(2)))
    np.testing.assert_allclose(diameter_differences(image), [-2 / np.sqrt(np.pi), 0], atol=1e-12)


def test_the_middle_is_the_normal_distributions_and_leaves_tails_out():
    rng = np.random.default_rng(0)
    normal = rng.normal(1, 2, 20000)
    spread = diameter_spread(normal)
    assert (spread.mean_px, spread.std_px, spread.middle_std_px) == pytest.approx((1, 2, 2), rel=0.03)
    tailed = diameter_spread(np.append(normal, np.full(400, 60.0)))
    assert tailed.std_px > 4 * tailed.middle_std_px / 2
    assert tailed.middle_std_px == pytest.approx(2, rel=0.06)


@pytest.mark.parametrize("few", [[], [1.0]])
def test_fewer_than_two_have_no_spread(few):
    assert np.isnan(list(vars(diameter_spread(np.array(few))).values())).all()
