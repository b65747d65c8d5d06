"""The visibility model's metric with and without a calibration, on answers with known errors."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from scenes import square_grid, squares
from semsize.metrology import ModelUse
from semsize.structures.files import file_sha256
from semsize.visibility.conformal import SizeIntervals
from semsize.visibility.judging import errors_by_true_fraction
from semsize.visibility.prediction import Calibration
from semsize.visibility.record import read_visibility_records
from semsize.visibility.states import BINS
from semsize.visibility.truth import SIZES, outline_truth, sizes_px
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.engine.config import ConfigError
from tio2.engine.testing import record_calibration
from tio2.evaluation import VisibilityMetric

WEIGHTS = Path("checkpoints/visibility_free.pth")
GROWN = 1.1  # true sizes / those of the outlines


def sample():
    """100 squares, 90 of them particles, 81 of these fully imaged; the network states 0.99 of both everywhere.

    It takes the outline for the whole particle, within 1 %.
    """
    masks = square_grid(100)
    larger = squares(masks.image_shape, masks.origins, side_px=7)  # of which the squares are 36 / 49
    sizes = GROWN * sizes_px(masks)
    particles = [
        {
            "segmentation": rle, "iscrowd": 0, "truncated": False,
            "amodal_segmentation": rle if number < 81 else whole, "visible_fraction": 1.0 if number < 81 else 36 / 49,
            **{f"{name}_nm": float(size) for name, size in zip(SIZES, sizes[number], strict=True)},
        }
        for number, (rle, whole) in enumerate(zip(masks[:90].to_rles(), larger[:90].to_rles(), strict=True))
    ]  # fmt: skip
    fractions = torch.zeros((100, BINS))
    fractions[:, [BINS // 2, -1]] = torch.tensor([0.01, 0.99])
    found = InstanceData(
        fractions=fractions,
        is_particle=torch.full((100,), 0.99),
        whole=torch.zeros((100, 64, 64)),
        size_ratios=torch.ones((100, 3, 3)) * torch.tensor([0.99, 1, 1.01]),
    )
    image = DetDataSample(metainfo={"img_id": 1, "pixel_size_nm": 1.0})
    image.pred_instances = found
    image.gt_instances = InstanceData(masks=InstanceCroppedMasks(masks))
    return image.to_dict() | {
        "thresholds": (0.98, 0.4), "truth": outline_truth(masks, particles, 1.0), "particles": particles,
        "grey": np.zeros(masks.image_shape, np.float32),
    }  # fmt: skip


def judged(calibration=None):
    metric = VisibilityMetric()
    metric.calibration = calibration
    metric.process(None, [sample()])
    return metric, metric.evaluate(size=1)


def intervals(high):
    edges = np.array([0.4, 1.0]), np.array([0.0, 1000.0])
    return SizeIntervals(*edges, np.array([[0.8]]), np.array([[high]]), np.array([[99]]), 0.95)


def test_a_calibration_turns_what_was_too_sure_into_what_was_observed():
    """0.99 was said where 0.9 was right, which the temperature log 99 / log 9 mends."""
    _, own = judged()
    assert own["visibility/states_right"] == 0.9
    assert own["visibility/states_ece"] == pytest.approx(0.09, abs=1e-6)
    assert own["visibility/particle_ece"] == pytest.approx(0.09, abs=1e-6)
    assert own["visibility/masked_network_number_interval_holds_percent"] == 0
    temperature = np.log(99) / np.log(9)
    metric, mended = judged(Calibration(temperature, temperature, [intervals(1.2)] * 3))
    assert mended["visibility/states_right"] == 0.9
    assert mended["visibility/states_ece"] == pytest.approx(0, abs=1e-6)
    assert mended["visibility/particle_ece"] == pytest.approx(0, abs=1e-6)
    assert mended["visibility/masked_network_number_interval_holds_percent"] == 100
    assert mended["visibility/masked_network_number_ecd_error_percent"] == pytest.approx(100 * (1 / GROWN - 1))
    classes = metric.judged.class_probabilities[0]
    np.testing.assert_allclose(classes, [0.9, 0.1, 0], atol=1e-6)
    expected = 0.9 * 0.9  # of P(fully imaged) · P(particle), which weigh the sizes of what is fully imaged
    np.testing.assert_allclose(
        metric.sizes[0].found.weights.sum() / judged()[0].sizes[0].found.weights.sum(), expected / 0.99**2
    )


def test_where_a_calibration_has_no_interval_none_is_counted():
    metric, figures = judged(Calibration(intervals=[intervals(np.inf)] * 3))
    assert np.isnan(figures["visibility/masked_network_number_interval_holds_percent"])
    rows = errors_by_true_fraction(metric.judged)["ecd"]
    assert [(row.low, row.particles, row.covered_percent) for row in rows] == [(0.6, 9, None), (0.98, 81, None)]


@pytest.fixture
def tested(tmp_path):
    """A config's test and how its network is used, for which a record beside the weights holds; and that record."""
    record = next(r for r in read_visibility_records(WEIGHTS) if (r.engine, r.precision) == ("torch", "float32"))
    found = tmp_path / "predictions.json"
    found.write_text("[]")
    metrics = {"model": dataclasses.asdict(record.detector), "predictions_sha256": file_sha256(found)}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    outlines = {"predictions": str(found)}
    config = Config({"model": {"type": "VisibilityNet"}, "test_dataloader": {"dataset": outlines}})
    return config, ModelUse(record.sha256, record.engine, record.precision, {}), record


def test_the_record_that_holds_calibrates(tested):
    config, use, record = tested
    calibration = record_calibration(config, WEIGHTS, use)
    assert (calibration.class_temperature, calibration.particle_temperature) == (
        record.class_temperature,
        record.particle_temperature,
    )
    assert len(calibration.intervals) == len(SIZES)


def test_no_other_record_calibrates(tested, tmp_path):
    config, use, _ = tested

    def refusal(**changes):
        with pytest.raises(ConfigError) as error:
            record_calibration(config, WEIGHTS, dataclasses.replace(use, **changes))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "the visibility weights are others" in refusal(sha256="0" * 64)
    (tmp_path / "predictions.json").write_text("[ ]")
    assert "is of other predictions" in refusal()
    config.test_dataloader.dataset.predictions = None
    assert "no model whose use is known found these outlines" in refusal()
    with pytest.raises(ConfigError, match="is missing; make it with"):
        record_calibration(config, tmp_path / "other.pth", use)
    config.model.roi_head = {}
    assert "this config is a detector's" in refusal()
