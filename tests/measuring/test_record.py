"""What a reader is warned of: each warning appears where it holds, and nowhere else."""

import numpy as np
import pytest
from measured_scenes import BrightSource, scene, write_scenes, write_zeiss

from tio2.measuring import Settings, measure_images
from tio2.measuring.record import in_json, read_measurement, summary_of, warnings_of
from tio2.metrology.validation import (
    ModelValidation,
    OcclusionClass,
    ResidualClass,
    ValidatedRanges,
    validation_to_dict,
)

VALIDATION = ModelValidation(
    checkpoint="disks.pth",
    min_score=0.5,
    min_dice=0.75,
    sources=(),
    residuals=(ResidualClass(0.0, None, 20.0, 0.05, 0.01, 0.02, 100, 6),),
    occlusion=(OcclusionClass(0.0, 1.0, 6, 100, 80, -0.1),),
    ranges=ValidatedRanges((4.0, 6.0), (5.0, 60.0), (100.0, 200.0), (0.01, 0.9)),
)


class Model(BrightSource):
    """The stand-in as a model, which can be validated."""

    def as_record(self):
        return {**super().as_record(), "kind": "model", "licence": "free"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    images = write_scenes(folder / "in", 7)
    return measure_images(images, folder / "out", Model(), Settings(calibration_std=0.01), validation=VALIDATION)


def warned(measured, **changes):
    record, table = read_measurement(measured.folder)
    record |= changes
    return warnings_of(record, summary_of(record, table), table)


def test_the_model_s_residual_is_corrected_and_the_uncorrected_value_kept(measured):
    budget = measured.summary.budgets["D50"]
    assert budget.value == pytest.approx(budget.uncorrected / 1.05)
    by_source = {line.source: line for line in budget.lines}
    assert by_source["model"].std == pytest.approx(budget.value * np.hypot(0.01, 0.02))
    assert by_source["calibration"].std == pytest.approx(0.01 * budget.value)
    assert by_source["occlusion"].std is None
    assert budget.population_high == pytest.approx(budget.value / 0.9 + budget.expanded)
    assert budget.population_low == pytest.approx(budget.value - budget.expanded)
    record, table = read_measurement(measured.folder)
    assert in_json(summary_of(record, table).numbers()) == record["results"]


def test_a_validated_model_within_its_ranges_gives_only_the_warning_of_hidden_parts(measured):
    (line,) = warned(measured)
    assert "hidden in part is not known" in line


def test_a_model_without_validation_is_said(measured):
    assert any("no validation record" in line for line in warned(measured, validation=None))


def test_another_score_than_in_validation_is_said(measured):
    record, _ = read_measurement(measured.folder)
    lines = warned(measured, settings={**record["settings"], "score": 0.4})
    assert any("validated from a score of 0.5 on, not 0.4" in line for line in lines)


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
    validation = in_json(validation_to_dict(VALIDATION))
    validation["ranges"] = {**validation["ranges"], what: limits}
    lines = warned(measured, validation=validation)
    assert any(line.startswith(f"outside what the model was validated for: {message}") for line in lines)


def test_one_image_few_images_and_several_magnifications_are_said(tmp_path):
    one = measure_images(write_scenes(tmp_path / "one", 1), tmp_path / "out1", BrightSource())
    assert any("all particles are of one image" in line for line in one.record["warnings"])
    assert "within one image only" in one.summary.budgets["D50"].label
    write_scenes(tmp_path / "two", 1)
    write_zeiss(tmp_path / "two" / "other.tif", scene(5), 8.0)
    two = measure_images([tmp_path / "two"], tmp_path / "out2", BrightSource())
    lines = two.record["warnings"]
    assert any("different magnification are taken together: 5 to 8 nm a pixel" in line for line in lines)
    assert any("2 images are few" in line for line in lines)
    assert "calibration excluded" in two.summary.budgets["D50"].label


def test_particles_nearly_as_large_as_the_frame_are_said(tmp_path):
    grey = np.full((100, 100), 40, np.uint8)
    grey[10:75, 10:75] = 200
    grey[85:92, 85:92] = 200
    image = write_zeiss(tmp_path / "large.tif", grey)
    done = measure_images([image], tmp_path / "out", BrightSource(), Settings(crop_rows=0))
    assert done.summary.large_weights == 1
    assert done.summary.largest_weight == pytest.approx(1 / 0.35**2)
    assert any("1 particles count for more than 3 each (up to 8.16)" in line for line in done.record["warnings"])
