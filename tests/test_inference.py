"""Images to predictions: as MMDetection's own inference, in any batches."""

import cv2
import numpy as np
import pytest
import tiny_network
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config

from semsize.sem import read_grey
from tio2.engine import CheckpointError, ConfigError, precision_name
from tio2.inference import Detector
from tio2.models.results import DenseDetInferencer

WITHOUT_FILES = 'visualizer = dict(type="DenseDetVisualizer", vis_backends=[])\n'


def read_detector(config, checkpoint):
    return Detector(Config.fromfile(config), checkpoint)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector with small heads and random weights, read as a trained one is."""
    folder = tmp_path_factory.mktemp("detector")
    # bfloat16 rounds differently in batches of another size
    config = tiny_network.write_config(folder / "small.py", WITHOUT_FILES, precision="float32")
    model = tiny_network.build(config)
    model.roi_head.mask_head.init_weights()
    return read_detector(config, tiny_network.save(model, folder / "epoch_1.pth")), config


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three images of noise, two sizes."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(3)]
    for path, shape in zip(paths, [(96, 128), (96, 128), (128, 112)], strict=True):
        cv2.imwrite(str(path), cv2.resize(rng.integers(0, 256, (9, 9), np.uint8), shape[::-1]))
    return paths


def test_a_detector_says_its_precision_and_a_config_s_misspelt_setting_is_named(detector, tmp_path):
    detect, config = detector
    assert precision_name(detect.model) == "float32"
    misspelt = tmp_path / "misspelt.py"
    misspelt.write_text(f'_base_ = "{config}"\nmodel = dict(test_cfg=dict(rcnn=dict(mask_score=True)))\n')
    with pytest.raises(ConfigError, match=r"misspelt\.py: model\.test_cfg\.rcnn\.mask_score is .*mean mask_scores\?"):
        read_detector(misspelt, "none.pth")


def test_predictions_are_those_of_mmdetection_s_inference(detector, images):
    detect, config = detector
    from mmengine.config import Config

    detect.model.cfg = Config.fromfile(config)
    for path in images:
        found = detect(read_grey(path))
        sample = inference_detector(detect.model, str(path))
        expected = sample.pred_instances
        assert len(found.masks) == len(expected) == 25
        assert found.scales == (1.5,)
        assert found.masks.image_shape == cv2.imread(str(path)).shape[:2]
        np.testing.assert_allclose(found.boxes, expected.bboxes, atol=1e-3)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        assert found.masks.areas.any()


def test_a_resize_in_the_pipeline_beside_scales_is_refused_and_alone_it_is_mmdetection_s_way(
    detector, images, tmp_path
):
    detect, config = detector
    twice, alone = tmp_path / "twice.py", tmp_path / "alone.py"
    pipeline = """
pipeline = [dict(type="LoadSEMImage"), dict(type="Resize", scale_factor=1.5), _base_.pack_test]
test_dataloader = dict(dataset=dict(pipeline=pipeline))
"""
    twice.write_text(f'_base_ = "{config}"\n{pipeline}')
    with pytest.raises(ConfigError, match=r"twice\.py: Resize in the pipeline .* and .*scales both resize"):
        read_detector(twice, "none.pth")
    alone.write_text(f'_base_ = "{config}"\nmodel = dict(test_cfg=dict(scales=None))\n{pipeline}')
    other = read_detector(alone, config.with_name("epoch_1.pth"))
    for path in images:
        ours, theirs = detect(read_grey(path)), other(read_grey(path))
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-3)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
        assert any("at ×1 25 boxes reach the limit model.test_cfg.rcnn.max_per_img" in note for note in theirs.notes)


def test_windows_together_give_what_each_gives_alone(detector, images):
    detect, _ = detector
    greys = [read_grey(path) for path in images[:2]]
    for alone, together in zip(
        [detect.model.find([g], 1.5)[0] for g in greys], detect.model.find(greys, 1.5), strict=True
    ):
        np.testing.assert_allclose(alone.scores, together.scores, atol=1e-5)
        np.testing.assert_allclose(alone.boxes, together.boxes, atol=1e-3)


def test_mmdetection_s_inferencer_finds_the_same(detector, images, tmp_path):
    detect, config = detector
    inferencer = DenseDetInferencer(
        str(config), str(config.with_name("epoch_1.pth")), device="cpu", show_progress=False
    )
    written = inferencer([str(path) for path in images], out_dir=str(tmp_path), no_save_pred=False, pred_score_thr=0)
    for path, result in zip(images, written["predictions"], strict=True):
        found = detect(read_grey(path))
        assert result["masks"] == found.masks.to_rles()
        np.testing.assert_array_equal(np.array(result["scores"], np.float32), found.scores)
        assert (tmp_path / "vis" / path.name).is_file()
        assert (tmp_path / "preds" / f"{path.stem}.json").is_file()


def test_wrong_files_are_named(detector, tmp_path):
    _, config = detector
    with pytest.raises(CheckpointError, match="does not exist"):
        read_detector(config, tmp_path / "none.pth")
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "meta": {}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other.pth does not fit .*small.py"):
        read_detector(config, tmp_path / "other.pth")
