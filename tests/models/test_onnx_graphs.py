"""A detector finds the same on ONNX Runtime as on torch."""

import dataclasses

import numpy as np
import pytest

from semsize.detecting.archive import (
    ArchiveError,
    DetectionSettings,
    DetectorCard,
    ModelArchive,
    Normalisation,
    ProposalSettings,
)
from semsize.detecting.onnx import OnnxEngine
from semsize.structures.overlap import overlaps
from tio2.models.onnx_graphs import NotExportableError, export_graphs

DETECTIONS = {"score_thr": 0.05, "max_per_img": 30, "refine_boxes": True, "mask_scores": True}


def card(flips):
    return DetectorCard(
        licence="none",
        weights_sha256="0" * 64,
        config_sha256="0" * 64,
        precision="float32",
        settings={},
        bias_records={"records": []},
        scales=(2.0,),
        flips=tuple(flips),
        normalisation=Normalisation(127.0, 128.0, 32),
        proposals=ProposalSettings(200, 40, 0.7, 0.0, 0.1),
        detections=DetectionSettings(0.05, 0.5, 30, 0.5, True, True),
    )


@pytest.fixture(scope="module")
def model(build_model):
    """A network of random weights in float32, whose outputs are far enough apart for an order of theirs."""

    def edit(config):
        config.update(type="DenseMaskRCNN", precision="float32")
        config.test_cfg.rcnn.update(DETECTIONS)
        config.test_cfg.rpn.update(min_score=0.1)

    model = build_model(edit)
    for layer in (model.rpn_head.rpn_cls, model.roi_head.bbox_head.fc_cls, model.roi_head.mask_head.conv_logits):
        layer.weight.data *= 4
    model.roi_head.mask_head.conv_logits.bias.data += 0.3
    model.roi_head.bbox_head.fc_cls.bias.data[0] += 0.5
    for weights in model.parameters():  # as a checkpoint that ships has them
        weights.data = weights.data.half().float()
    return model.eval()


@pytest.fixture(scope="module")
def graphs(model):
    return export_graphs(model)


@pytest.mark.parametrize("flips", [[], ["horizontal"], ["vertical", "diagonal"]])
@pytest.mark.parametrize("size", [(96, 128), (75, 61)])
def test_boxes_scores_and_masks_are_torch_s(model, graphs, flips, size):
    window = np.random.default_rng(0).uniform(0, 255, size).astype(np.float32)
    model.test_cfg.flips = flips or None
    (expected,) = model.find([window], 2.0)
    (found,) = OnnxEngine(ModelArchive(card(flips), graphs), threads=1)([window], 2.0)
    assert len(expected.masks) > 2
    assert len(found.masks) == len(expected.masks)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    meeting = overlaps(found.masks, expected.masks)
    same = meeting.first == meeting.second
    areas = found.masks.areas, expected.masks.areas
    shared = np.zeros(len(areas[0]))
    shared[meeting.first[same]] = meeting.intersection_px[same]
    filled = areas[1] > 0
    assert (shared[filled] >= 0.98 * (areas[0] + areas[1] - shared)[filled]).all()


@pytest.mark.parametrize("scale", [0.7, 2.0])
def test_masks_in_given_boxes_are_torch_s(model, graphs, scale):
    window = np.random.default_rng(1).uniform(0, 255, (75, 61)).astype(np.float32)
    boxes = np.array([[5, 6, 40, 50], [20, 3, 60, 30]], np.float32)
    expected = model.draw(window, boxes, scale)
    found = OnnxEngine(ModelArchive(card([]), graphs), threads=1).draw(window, boxes, scale)
    assert found.image_shape == expected.image_shape == window.shape
    assert expected.areas.min() > 0
    for number in range(2):
        ours, theirs = (masks[[number]].union() > 0 for masks in (found, expected))
        assert (ours & theirs).sum() >= 0.98 * (ours | theirs).sum()
        reach = 0.5 * (boxes[number, 2:] - boxes[number, :2]) / 14 + 1  # half a cell and a pixel beyond the box
        assert (expected.boxes[number, :2] >= boxes[number, :2] - reach).all()
        assert (expected.boxes[number, 2:] <= boxes[number, 2:] + reach).all()


def test_an_image_without_any_box_has_no_particle(graphs):
    settings = dataclasses.replace(card([]), proposals=ProposalSettings(200, 40, 0.7, 0.0, 1.0))
    (found,) = OnnxEngine(ModelArchive(settings, graphs), threads=1)([np.zeros((64, 64), np.float32)], 1.0)
    assert len(found.masks) == len(found.scores) == len(found.boxes) == 0


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (lambda graphs: {"masks": graphs["boxes"]}, "graph masks has other inputs or outputs"),
        (lambda graphs: {"boxes": graphs["boxes"][:-9]}, "cannot load the model's graphs"),
        (lambda _: {"masks": b"no graph"}, "cannot load the model's graphs"),
    ],
)
def test_graphs_of_another_kind_are_refused(graphs, strange, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        OnnxEngine(ModelArchive(card([]), graphs | strange(graphs)), threads=1)
    assert "\n" not in str(caught.value)


def test_several_classes_are_refused(build_model):
    def edit(config):
        config.roi_head.bbox_head.num_classes = 3

    with pytest.raises(NotExportableError, match="3 classes"):
        export_graphs(build_model(edit))
