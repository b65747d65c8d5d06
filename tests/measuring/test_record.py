"""Each warning of a report appears where it holds, and nowhere else."""

import json
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np
import pytest
from measured_scenes import BrightSource, scene, write_scenes, write_zeiss
from vendor_files import hitachi_text, jeol_text

from semsize.measuring import InputError, MeasurementSettings, measure_images
from semsize.measuring.inputs import find_images
from semsize.measuring.measurement import read_measurement
from semsize.measuring.outline_files import outlines_from_coco
from semsize.measuring.report import lines_of
from semsize.measuring.summary import summarise
from semsize.measuring.warnings import warnings_of
from semsize.metrology import ModelUse
from semsize.metrology.bias_record import (
    BiasRecord,
    CoveredRanges,
    ResidualClass,
)
from semsize.metrology.occlusion import OcclusionClass
from semsize.structures.pixel_size import PixelSize

USE = ModelUse("0", "torch", "float32", {"model.test_cfg.rcnn.score_thr": 0.05, "tile": None})

BIAS = BiasRecord(
    checkpoint="disks.pth",
    model=USE,
    min_score=0.5,
    min_dice=0.75,
    sources=(),
    residuals=(ResidualClass(0.0, None, 20.0, 0.05, 0.01, 0.02, 100, 6),),
    occlusion=(OcclusionClass(0.0, 1.0, 6, 100, 80, -0.1, 0.0, 0.0, 5),),
    ranges=CoveredRanges((4.0, 6.0), (5.0, 60.0), (100.0, 200.0), (0.01, 0.9)),
)


@dataclass(frozen=True)
class Model(BrightSource):
    """The stand-in as a model, which can be validated."""

    use: ModelUse = USE

    def as_record(self):
        return {**super().as_record(), "kind": "model", "licence": "free", "model": asdict(self.use)}


class DarkModel(Model):
    """Finds dark particles where the ground is bright."""

    def outlines(self, frame):
        turned = 255 - frame.grey if np.median(frame.grey) > 128 else frame.grey
        return super().outlines(replace(frame, grey=turned))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    images = write_scenes(folder / "in", 7)
    return measure_images(
        images, folder / "out", Model(), MeasurementSettings(calibration_std=0.01), bias_records=[BIAS]
    )


def warned(measured, **changes):
    record, table = read_measurement(measured.folder)
    record = replace(record, **changes)
    return warnings_of(record, summarise(record, table), table)


def test_the_model_s_residual_is_corrected_and_the_uncorrected_value_kept(measured):
    budget = measured.summary.budgets["D50"]
    assert budget.value == pytest.approx(budget.uncorrected / 1.05)
    by_source = {line.source: line for line in budget.lines}
    assert by_source["model"].std == pytest.approx(budget.value * np.hypot(0.01, 0.02))
    assert by_source["calibration"].std == pytest.approx(0.01 * budget.value)
    assert by_source["occlusion"].std is None
    assert budget.population_high == pytest.approx((budget.value + budget.expanded) / 0.9)
    assert budget.population_low == pytest.approx(budget.value - budget.expanded)
    record, table = read_measurement(measured.folder)
    assert summarise(record, table).numbers() == measured.record["results"]


def test_the_share_below_100_nm_is_of_corrected_sizes_by_both_diameters(tmp_path):
    """Disks found with 102 nm, by a model that finds diameters a tenth too large."""
    grey = np.full((128, 200), 40, np.uint8)
    for x in (40, 90, 140):
        cv2.circle(grey, (x, 60), 10, 200, -1)
    image = write_zeiss(tmp_path / "a.tif", grey, 5.1)
    bias = replace(BIAS, residuals=(ResidualClass(0.0, None, 20.0, 0.1, 0.001, 0.001, 100, 6),))
    nano = measure_images([image], tmp_path / "out", Model(), bias_records=[bias]).summary.nano
    assert {name: share.share for name, share in nano.items()} == dict.fromkeys(nano, 1.0)
    as_found = measure_images([image], tmp_path / "found", Model()).summary.nano
    assert {share.share for share in as_found.values()} == {0.0}


def test_a_validated_model_within_its_ranges_gives_only_the_warning_of_hidden_parts(measured):
    (line,) = warned(measured)
    assert "partly hidden is not known" in line


def test_a_model_without_validation_is_said(measured):
    assert any("no bias record" in line for line in warned(measured, validation=None))


def test_another_score_than_in_validation_is_said_and_nothing_is_corrected(measured):
    record, table = read_measurement(measured.folder)
    settings = replace(record.settings, score=0.4)
    lines = warned(measured, settings=settings)
    assert any("NOT VALIDATED: particles count from score 0.4, validated from 0.5" in line for line in lines)
    assert summarise(replace(record, settings=settings), table).budgets["D50"].label == "model excluded"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "1"}, "the weights are others"),
        ({"precision": "bfloat16"}, "precision is bfloat16, validated float32"),
        ({"engine": "onnxruntime"}, "engine is onnxruntime, validated torch"),
        ({"settings": {**USE.settings, "tile": [64, 16]}}, "tile is [64, 16], validated off"),
    ],
)
def test_another_use_than_the_validated_gets_no_correction_and_screen_and_report_say_so(
    tmp_path, measured, change, said
):
    """Before, any weights under the record's name were corrected by it."""
    source = Model(use=replace(USE, **change))
    done = measure_images([measured.folder.parent / "in"], tmp_path / "out", source, bias_records=[BIAS])
    budget = done.summary.budgets["D50"]
    assert budget.value == budget.uncorrected == measured.summary.budgets["D50"].uncorrected
    assert {line.source: line.status for line in budget.lines}["model"] == "not given"
    assert "model excluded" in budget.label
    assert budget.population_high is None
    warning = done.record["warnings"][0]
    assert warning.startswith("NOT VALIDATED: ")
    assert said in warning
    assert f"WARNING: {warning}" in lines_of(done)
    html = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "<strong>not validated</strong>" in html
    assert html.count(said.replace("'", "&#39;")) == 2
    assert "as found, without" not in html
    record, table = read_measurement(done.folder)
    assert summarise(record, table).numbers() == done.record["results"]


def test_of_several_records_of_one_model_the_one_that_holds_is_applied(tmp_path, measured):
    other = replace(BIAS, model=replace(USE, precision="bfloat16"), residuals=())
    done = measure_images([measured.folder.parent / "in"], tmp_path / "out", Model(), bias_records=[other, BIAS])
    assert done.summary.budgets["D50"].value == measured.summary.budgets["D50"].value
    assert not done.record["not_validated"]


def test_predictions_of_a_model_that_is_not_known_are_not_taken_for_drawn_ones(tmp_path, measured):
    images = [measured.folder.parent / "in"]
    files = find_images(images, tmp_path)
    source = outlines_from_coco(measured.folder / "predictions.json", files)
    done = measure_images(images, tmp_path / "out", source, MeasurementSettings(calibration_std=0.01))
    assert done.summary.budgets["D50"].label == "model excluded"
    assert any("which model found these outlines" in line for line in done.record["warnings"])


@pytest.mark.parametrize(
    ("what", "limits", "message"),
    [
        ("nm_per_px", [7, 9], "pixel size of 7 of 7 images"),
        ("contrast_levels", [10, 20], "contrast of 7 of 7"),
        ("area_fraction", [0.8, 0.9], "area fraction of particles of 7 of 7"),
        ("ecd_px", [30, 60], "particle size: of 35 particles"),
    ],
)
def test_what_lies_outside_the_validated_ranges_is_said(measured, what, limits, message):
    ranges = replace(BIAS.ranges, **{what: limits})
    lines = warned(measured, validation=replace(BIAS, ranges=ranges))
    assert any(line.startswith(f"outside what the model was validated for: {message}") for line in lines)


def test_dark_particles_on_bright_ground_are_told_by_the_sign(tmp_path):
    dark = write_zeiss(tmp_path / "in" / "dark.tif", 255 - scene(0))
    images = [dark, write_zeiss(tmp_path / "in" / "bright.tif", scene(1))]
    for records in ([], [BIAS]):
        done = measure_images(images, tmp_path / f"{len(records)}", DarkModel(), bias_records=records)
        (line,) = [line for line in done.record["warnings"] if "DARKER than their surroundings" in line]
        assert "in 1 of 2 images (dark.tif; -160 grey levels)" in line
    ranges = replace(BIAS.ranges, contrast_levels=(-200.0, -100.0))
    lines = warned(done, validation=replace(BIAS, ranges=ranges))
    assert not any("DARKER" in line for line in lines)


def test_one_image_few_images_and_several_magnifications_are_said(tmp_path):
    one = measure_images(write_scenes(tmp_path / "one", 1), tmp_path / "out1", BrightSource())
    assert any("all particles are of one image" in line for line in one.record["warnings"])
    assert "within one image only" in one.summary.budgets["D50"].label
    write_scenes(tmp_path / "two", 1)
    write_zeiss(tmp_path / "two" / "other.tif", scene(5), 8.0)
    two = measure_images([tmp_path / "two"], tmp_path / "out2", BrightSource())
    lines = two.record["warnings"]
    assert any("different magnification are taken together: 5 to 8 nm a pixel" in line for line in lines)
    assert any("only 2 images" in line for line in lines)
    assert "calibration excluded" in two.summary.budgets["D50"].label


def test_each_quantile_has_the_pixels_of_its_own_particles(tmp_path):
    """The error of 0.6 px of an outline is 1.2 nm of the small particles, and 12 nm of the large ones."""
    for number, pixel_size_nm in enumerate((2.0, 20.0)):
        write_zeiss(tmp_path / "in" / f"{number}.tif", scene(number), pixel_size_nm)
    budgets = measure_images([tmp_path / "in"], tmp_path / "out", BrightSource()).summary.budgets
    of_reference = {
        name: next(line.std for line in budgets[name].lines if line.source == "reference") for name in ("D10", "D90")
    }
    assert of_reference == pytest.approx({"D10": 1.2, "D90": 12.0})


def test_particles_nearly_as_large_as_the_frame_are_said(tmp_path):
    grey = np.full((100, 100), 40, np.uint8)
    grey[10:75, 10:75] = 200
    grey[85:92, 85:92] = 200
    image = write_zeiss(tmp_path / "large.tif", grey)
    done = measure_images([image], tmp_path / "out", BrightSource(), MeasurementSettings(crop_rows=0))
    assert done.summary.large_weights == 1
    assert done.summary.largest_weight == pytest.approx(1 / 0.32**2)
    assert any("1 particles count for more than 3 each (up to 9.77)" in line for line in done.record["warnings"])


def said(folder, images, **settings):
    done = measure_images(images, folder, BrightSource(), MeasurementSettings(**settings))
    return done, "\n".join([*done.record["warnings"], *done.skipped.values()])


def test_a_scale_bar_s_whole_pixels_reach_the_calibration_line(tmp_path):
    images = write_scenes(tmp_path / "in", 3, None)
    for image in images:
        image.with_suffix(".Txt").write_text(jeol_text("50", "100nm", "200 128"))
    done, _ = said(tmp_path / "out", images)
    entry = done.record["images"][0]
    assert entry["pixel_size_nm"] == pytest.approx(100 / 50.5)
    assert entry["pixel_size_std_nm"] == pytest.approx(100 / 50.5**2 / np.sqrt(12))
    budget = done.summary.budgets["D50"]
    line = next(line for line in budget.lines if line.source == "calibration")
    assert line.std == pytest.approx(budget.value / 50.5 / np.sqrt(12))
    assert budget.label.startswith("calibration excluded")
    assert "only of a scale bar in whole pixels" in (done.folder / "report.html").read_text(encoding="utf-8")
    calibrated, _ = said(tmp_path / "calibrated", images, calibration_std=0.01)
    budget = calibrated.summary.budgets["D50"]
    line = next(line for line in budget.lines if line.source == "calibration")
    assert line.std == pytest.approx(budget.value * np.hypot(0.01, 1 / 50.5 / np.sqrt(12)))
    assert "calibration" not in budget.label


def test_what_is_odd_about_a_scale_is_said_on_the_screen_and_in_the_report(tmp_path):
    tilted = write_zeiss(tmp_path / "tilted.tif", scene(0), more="Stage at T = 54.0 °\r\nTilt Corrn. = Off\r\n")
    plain = write_zeiss(tmp_path / "plain.tif", scene(1), None)
    plain.with_suffix(".txt").write_text(hitachi_text(""))
    done, text = said(tmp_path / "out", [tilted, plain])
    assert "tilted.tif: the stage was tilted by 54° and tilt correction is off" in text
    assert "plain.txt is Hitachi's and states no pixel size" in text
    assert "tilted by 54°" in (done.folder / "report.html").read_text(encoding="utf-8")
    assert "WARNING: tilted.tif: the stage was tilted" in "\n".join(lines_of(done))


def test_a_resized_picture_is_left_out_unless_its_size_is_declared(tmp_path):
    images = [
        write_zeiss(tmp_path / "half.tif", scene(0), more="Store resolution = 400 * 256\r\n"),
        write_zeiss(tmp_path / "whole.tif", scene(1), more="Store resolution = 200 * 128\r\n"),
    ]
    done, text = said(tmp_path / "out", images)
    assert list(done.skipped) == ["half.tif"]
    assert "was written for an image 400 px wide, but this one has 200" in text
    declared, text = said(tmp_path / "declared", images, pixel_size=PixelSize(10.0, source="--pixel-size"))
    assert not declared.skipped
    assert "whole.tif: states 5 nm a pixel (Zeiss tag 34118, Image Pixel Size), not the 10 nm declared" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda contents: contents.pop("outlines"), "no record of a measurement .'outlines'."),
        (lambda contents: contents["images"][0].pop("contrast"), "images 1 lacks or has in excess: contrast"),
        (lambda contents: contents["settings"].update(score="high"), "score of settings is 'high', not a number"),
    ],
)
def test_a_record_that_is_damaged_or_of_another_version_is_refused_in_one_line(measured, tmp_path, change, message):
    contents = json.loads((measured.folder / "record.json").read_text(encoding="utf-8"))
    change(contents)
    (tmp_path / "record.json").write_text(json.dumps(contents), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_measurement(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'record.json'}: ")
    assert "\n" not in str(caught.value)
