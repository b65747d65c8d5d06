"""A model held against rendered scenes: what is known of it beforehand is found again, and the steps nest."""

import dataclasses
import json

import numpy as np
import pytest

from semsize.metrology import ModelUse, statistics
from semsize.metrology.bias_record import ResidualClass
from semsize.metrology.comparison import ImageFound, ImageTruth, compare_image
from semsize.metrology.size_distribution import SizeSample
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.budgets import nested_effects
from semsize.visibility.model import CropAnswers
from semsize.visibility.record import (
    VisibilityRecordError,
    read_visibility_records,
    record_path,
    write_visibility_records,
)
from semsize.visibility.seeing import CalibratedModel, Calibration
from semsize.visibility.states import BINS, Thresholds, fraction_bins
from semsize.visibility.truth import SIZES, sizes_px
from semsize.visibility.validation import fit_calibration, make_visibility_record, reported_steps, see_compared

USE = ModelUse("d" * 64, "torch", "float32", {"scales": [1.0]})
SETTINGS = RenderSettings(seed=5, shape=(520, 700), preset="agglomerated", particles=220)
RATIO = 1.05  # by which the model's whole sizes are too large


class Oracle:
    """Knows the fraction of the next outline in nine of ten cases, is sure of it, and states sizes 5 % too large."""

    def __init__(self, outlines, truth, particle, rng):
        fractions = np.where(rng.random(len(outlines)) < 0.9, truth, rng.uniform(0.2, 1, len(outlines)))
        self.asked, self.count = 0, len(outlines)
        sure = np.full((len(outlines), BINS), 0.001 / BINS)
        sure[np.arange(len(outlines)), fraction_bins(fractions)] += 0.999
        whole = RATIO / np.sqrt(truth) * rng.normal(1, 0.03, len(outlines))
        ratios = whole[:, None, None] * np.broadcast_to([0.99, 1, 1.01], (len(outlines), len(SIZES), 3))
        self.answers = CropAnswers(sure, particle, np.zeros((len(outlines), 64, 64)), ratios)

    def __call__(self, crops):
        part = self.answers[self.asked : self.asked + len(crops)]
        self.asked += len(crops)
        return part


def seen_image(number, rng):
    """A rendered scene: a tenth of the particles overlooked, and as many outlines that are no particle."""
    rendered = render_image(SETTINGS, number)
    truth, pixel_nm = rendered.truth, SETTINGS.pixel_size_nm
    visible, shape = truth.visible, truth.visible.image_shape
    whole_nm = sizes_px(truth.full) * pixel_nm
    particles = [
        {
            "segmentation": rle, "iscrowd": 0, "state": state, "visible_fraction": fraction, "truncated": False,
            "ecd_nm": sizes[0], "feret_min_nm": sizes[1], "feret_max_nm": sizes[2], "amodal_segmentation": whole,
        }
        for rle, whole, state, fraction, sizes in zip(
            visible.to_rles(), truth.full.to_rles(), truth.states, truth.visible_fractions.tolist(), whole_nm.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    found = np.flatnonzero(rng.random(len(visible)) < 0.9)
    nothing = [(np.ones((9, 9), np.uint8), tuple(rng.integers(20, 290, 2).tolist())) for _ in range(len(visible) // 10)]
    masks = CroppedMasks.from_crops([*visible[found], *nothing], shape)
    count = len(masks)
    fractions = np.append(truth.visible_fractions[found], np.ones(len(nothing)))
    particle = np.append(np.full(len(found), 0.95), np.full(len(nothing), 0.3))
    image_truth = ImageTruth(
        number, f"{number}.png", None, PixelSize(pixel_nm), np.arange(len(visible)), visible, tuple(truth.states),
        np.zeros(len(visible), bool), CroppedMasks.empty(shape),
    )  # fmt: skip
    compared = compare_image(image_truth, ImageFound(masks, np.ones(count)))
    model = CalibratedModel(Oracle(masks, fractions, particle, rng), Thresholds(), Calibration())
    return see_compared(compared, particles, rendered.pixels, model)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [seen_image(number, rng) for number in range(4)]


def make(images, residuals=()):
    return make_visibility_record(
        images, residuals, checkpoint="seen.pth", sha256="a" * 64, engine="torch", precision="float32", detector=USE,
        min_score=0.5, sources=[],
    )  # fmt: skip


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
