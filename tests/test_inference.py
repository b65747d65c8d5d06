"""Images to predictions: as MMDetection's own inference, in any batches; tiles lose, split and double no particle."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from scipy.ndimage import find_objects

from scenes import disks
from semsize.measuring.outlines import Outlines
from semsize.sem import read_grey
from semsize.structures.masks import CroppedMasks
from tio2.engine import CheckpointError, ConfigError, precision_name
from tio2.inference import detect_tiled, read_detector
from tio2.models.results import DenseDetInferencer

CONFIGS = Path(__file__).parents[1] / "configs"
SMALL = """
_base_ = "{configs}/tio2/light_stage1.py"
channels = 32
model = dict(
    precision="float32",  # bfloat16 rounds differently in batches of another size
    backbone=dict(pretrained=False),
    neck=dict(out_channels=channels, norm_cfg=dict(num_groups=8)),
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=dict(in_channels=channels, fc_out_channels=32),
        mask_roi_extractor=dict(out_channels=channels),
        mask_head=dict(num_convs=1, in_channels=channels, conv_out_channels=16),
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=60), rcnn=dict(score_thr=0.0, max_per_img=25)),
)
visualizer = dict(type="DenseDetVisualizer", vis_backends=[])
"""


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector with small heads and random weights, read as a trained one is."""
    folder = tmp_path_factory.mktemp("detector")
    config, checkpoint = folder / "small.py", folder / "epoch_1.pth"
    config.write_text(SMALL.format(configs=CONFIGS), encoding="utf-8")
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules()
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    model.roi_head.mask_head.init_weights()
    torch.save({"state_dict": model.state_dict(), "meta": {}}, checkpoint)
    return read_detector(config, checkpoint), config


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
        (found,) = detect([read_grey(path)])
        expected = inference_detector(detect.model, str(path)).pred_instances
        assert len(found.masks) == len(expected) == 25
        assert found.notes == (
            "25 particles, the model's limit: others may be lost; raise its max_per_img, or give --tile",
        )
        assert found.masks.image_shape == cv2.imread(str(path)).shape[:2]
        np.testing.assert_array_equal(found.boxes, expected.bboxes)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert found.masks.to_rles() == expected.masks
        assert found.masks.areas.any()


def test_batches_change_nothing(detector, images):
    detect, _ = detector
    greys = [read_grey(path) for path in images[:2]]
    for a, b in zip([detect([grey])[0] for grey in greys], detect(greys), strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-3)


def test_one_tile_as_large_as_the_image_is_the_image(detector, images):
    detect, _ = detector
    for path in images:
        (whole,) = detect([read_grey(path)])
        tiled = detect_tiled(detect, read_grey(path), (200, 40))
        filled = whole.masks.areas > 0
        assert tiled.masks.to_rles() == whole.masks[filled].to_rles()
        np.testing.assert_array_equal(tiled.scores, whole.scores[filled])
        np.testing.assert_array_equal(tiled.boxes, whole.boxes[filled])


def test_mmdetection_s_inferencer_finds_the_same(detector, images, tmp_path):
    detect, config = detector
    inferencer = DenseDetInferencer(
        str(config), str(config.with_name("epoch_1.pth")), device="cpu", show_progress=False
    )
    written = inferencer([str(path) for path in images], out_dir=str(tmp_path), no_save_pred=False, pred_score_thr=0)
    for path, result in zip(images, written["predictions"], strict=True):
        (found,) = detect([read_grey(path)])
        assert result["masks"] == found.masks.to_rles()
        np.testing.assert_array_equal(np.array(result["scores"], np.float32), found.scores)
        assert (tmp_path / "vis" / path.name).is_file()
        assert (tmp_path / "preds" / f"{path.stem}.json").is_file()


def test_wrong_files_are_named(detector, tmp_path):
    _, config = detector
    with pytest.raises(ConfigError, match="does not exist"):
        read_detector(tmp_path / "none.py", tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="does not exist"):
        read_detector(config, tmp_path / "none.pth")
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "meta": {}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other.pth does not fit .*small.py"):
        read_detector(config, tmp_path / "other.pth")


def oracle(images):
    """A perfect detector of images whose grey levels are the particles' numbers; their scores tell them apart."""
    found = []
    for image in images:
        windows = find_objects(image.astype(np.int32))
        numbers = [number for number, window in enumerate(windows, start=1) if window is not None]
        crops = [(image[windows[n - 1]] == n, (windows[n - 1][0].start, windows[n - 1][1].start)) for n in numbers]
        masks = CroppedMasks.from_crops(crops, image.shape)
        found.append(Outlines(masks, np.array(numbers, np.float32), masks.boxes, (None,) * len(masks)))
    return found


def test_a_field_of_6000_px_has_each_particle_exactly_once():
    """2000 particles of up to 100 px, touching and hiding one another, in 49 tiles that share 100 px and more."""
    side, largest = 6000, 100
    rng = np.random.default_rng(0)
    particles = disks((side, side), rng.uniform(0, side, (2000, 2)), rng.uniform(4, largest / 2, 2000))
    field = np.zeros((side, side), np.float32)
    for number, (crop, (row, column)) in enumerate(particles, start=1):
        field[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = number
    (truth,) = oracle([field])
    found = detect_tiled(oracle, field, (1024, largest), batch_size=4)
    order = np.argsort(found.scores)
    np.testing.assert_array_equal(found.scores[order], truth.scores)  # every number once
    assert found.masks[order].to_rles() == truth.masks.to_rles()  # each mask whole and in its place: IoU 1
    np.testing.assert_array_equal(found.boxes[order], truth.boxes)


def test_masks_that_only_tiles_edges_show_are_a_note():
    field = np.zeros((300, 300), np.float32)
    field[20:280, 20:280] = 1
    found = detect_tiled(oracle, field, (100, 20))
    assert len(found.masks) == 0
    assert found.boxes.shape == (0, 4)
    assert found.notes == ("16 masks cut by a tile's edge and whole in no other tile; raise --overlap",)
