"""Validation against rendered scenes recovers a model's known errors, and the steps nest."""

import dataclasses
import json

import numpy as np
import pytest
from predicted_scenes import RATIO, USE, make

from semsize.metrology import statistics
from semsize.metrology.bias_record import ResidualClass
from semsize.metrology.size_distribution import SizeSample
from semsize.visibility.budgets import nested_effects
from semsize.visibility.record import (
    VisibilityRecordError,
    read_visibility_records,
    record_path,
    write_visibility_records,
)
from semsize.visibility.truth import SIZES
from semsize.visibility.validation import fit_calibration, reported_steps


@pytest.fixture(scope="module")
def record(images):
    return make(images)


def pooled(steps, number):
    parts = [image.populations[number] for image in steps]
    sizes, weights = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "weights"))
    return statistics(SizeSample(sizes, weights, np.zeros(len(sizes), int)))


@pytest.mark.parametrize("kind", ["fully_imaged", "completed"])
def test_the_product_of_all_steps_is_the_total_error(images, record, kind):
    judged = images[1::2]
    steps = [reported_steps(image, (), record.calibration())[kind == "completed"] for image in judged]
    effects = getattr(record, kind)
    total = pooled(steps, -1) / pooled(steps, 0)
    products = [np.exp(sum(step.of(name).effect for step in effects)) for name in ("D10", "D50", "D90", "mean")]
    np.testing.assert_allclose(products, total, rtol=1e-12)


def test_exact_outlines_have_no_error_and_too_large_ones_show_as_completion(record):
    assert [step.name for step in record.completed] == ["overlooked", "outline", "completion", "states", "false"]
    outline, completion = record.completed[1:3]
    assert abs(outline.of("mean").effect) < 1e-9
    assert 0 < completion.of("mean").effect < np.log(RATIO), "only the masked ones are completed"
    assert record.errors[0].error_percent == pytest.approx(5, abs=2)
    assert record.errors[0].covered_percent is None, "so few are alike that none gets an interval"
    assert record.errors[-1].covered_percent > 85


def test_a_detector_that_draws_too_large_is_corrected_before(images):
    large = [ResidualClass(0, None, 20.0, 0.1, 0.001, 0.001, 99, 6)]
    outline = make(images, large).fully_imaged[1]
    assert outline.of("D50").effect == pytest.approx(-np.log(1.1), rel=1e-6)


def test_a_model_too_sure_of_itself_gets_a_temperature(images, record):
    assert record.class_temperature > 1.5
    assert record.calibration_error < 0.08
    assert 0.85 < record.states_right < 0.98
    own = np.concatenate([image.classes_by_rule.max(axis=1) for image in images])
    assert own.mean() > 0.99


@pytest.mark.parametrize("size", range(len(SIZES)), ids=SIZES)
def test_intervals_hold_the_true_sizes(images, size):
    calibration = fit_calibration(images[::2])
    inside, count = 0, 0
    for image in images[1::2]:
        true = image.truth.sizes_px[:, size]
        ends = calibration.sizes(image.fractions, image.whole_sizes_px)[:, size]
        known = ~np.isnan(true) & ~np.isnan(ends[:, 0]) & (image.fractions >= 0.4)
        inside += int(((ends[:, 0] <= true) & (true <= ends[:, 2]))[known].sum())
        count += int(known.sum())
    assert count > 20
    assert inside / count > 0.85


def test_it_comes_back_from_its_file_and_is_bound_to_its_use(record, tmp_path):
    write_visibility_records(tmp_path / "seen.pth", [record])
    [read] = read_visibility_records(tmp_path / "seen.pth")
    assert read == record
    use = ("a" * 64, "torch", "float32", USE, 0.5)
    assert record.differences(*use) == ()
    for place, other in enumerate(("b" * 64, "onnx", "bfloat16", dataclasses.replace(USE, settings={}), 0.3)):
        assert len(record.differences(*use[:place], other, *use[place + 1 :])) == 1
    assert "no model" in record.differences("a" * 64, "torch", "float32", None, 0.5)[0]
    assert read_visibility_records(tmp_path / "other.pth") == ()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data["records"][0].pop("selection"),
        lambda data: data["records"][0]["intervals"]["low"].pop(),
        lambda data: data["records"][0]["intervals"]["size_edges_px"].reverse(),
        lambda data: data["records"][0].update(class_temperature=0),
        lambda data: data["records"][0]["feret"].pop(),
        lambda data: data["records"][0]["feret"][1]["intervals"]["low"].pop(),
        lambda data: data.update(more=1),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(record, tmp_path, damage):
    write_visibility_records(tmp_path / "seen.pth", [record])
    file = record_path(tmp_path / "seen.pth")
    data = json.loads(file.read_text())
    damage(data)
    file.write_text(json.dumps(data))
    with pytest.raises(VisibilityRecordError, match="make it again") as error:
        read_visibility_records(tmp_path / "seen.pth")
    assert "\n" not in str(error.value)


def test_budget_lines_leave_out_the_outlines(record):
    lines = nested_effects(record.completed)["D50"]
    assert [line.source for line in lines] == ["overlooked", "completion", "states", "false"]
    for line, step in zip(lines, [s for s in record.completed if s.name != "outline"], strict=True):
        assert line.log_std >= abs(step.of("D50").effect), "what is not corrected counts in full"


def test_too_few_images_are_refused(images):
    with pytest.raises(ValueError, match="four or more"):
        make(images[:3])
