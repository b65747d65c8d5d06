"""mmdet's own transforms work on cropped masks as on full frames, and particles keep their fields."""

import random

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules

from semsize.structures import CroppedMasks
from tio2.datasets import LoadParticleAnnotations

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under numpy 2

HEIGHT, WIDTH, COUNT = 120, 160, 40


@pytest.fixture(scope="module", autouse=True)
def mmdet_scope():
    register_all_modules()


@pytest.fixture(scope="module")
def info() -> dict:
    """An image of particles whose state is the parity of their annotation's id, every fifth to be ignored."""
    rng = np.random.default_rng(2)
    stack = np.zeros((COUNT, HEIGHT, WIDTH), np.uint8)
    for mask in stack:
        centre = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        cv2.ellipse(mask, centre, tuple(rng.integers(2, 14, 2).tolist()), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    masks = CroppedMasks.from_full(stack)
    states = ["complete", "masked"]
    instances = [
        {
            "bbox": box.tolist(),
            "bbox_label": 0,
            "ignore_flag": int(number % 5 == 0),
            "mask": rle,
            "fields": {"annotation_id": number, "state": states[number % 2]},
        }
        for number, (box, rle) in enumerate(zip(masks.boxes, masks.to_rles(), strict=True))
    ]
    img = rng.uniform(0, 255, (HEIGHT, WIDTH, 3)).astype(np.float32)
    shape = (HEIGHT, WIDTH)
    return {"img": img, "img_shape": shape, "ori_shape": shape, "img_path": "scene.png", "instances": instances}


def run(info: dict, load, steps: list[dict], seed: int) -> dict | None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what mmdet's transforms draw from
    results = load.transform({**info, "img": info["img"].copy()})
    return Compose([TRANSFORMS.build(step) for step in steps])(results)


def ours_and_stock(info: dict, steps: list[dict], seed: int) -> tuple[dict, dict]:
    stock = LoadAnnotations(with_bbox=True, with_mask=True)
    return run(info, LoadParticleAnnotations(), steps, seed), run(info, stock, steps, seed)


SAME_PIXELS = {
    "flip": [{"type": "RandomFlip", "prob": [0.3, 0.3, 0.3], "direction": ["horizontal", "vertical", "diagonal"]}],
    "resize": [{"type": "Resize", "scale": (200, 90), "keep_ratio": True}],
    "resize freely": [{"type": "Resize", "scale": (200, 90), "keep_ratio": False}],
    "random resize": [{"type": "RandomResize", "scale": (160, 120), "ratio_range": (0.5, 2.0), "keep_ratio": True}],
    "crop": [{"type": "RandomCrop", "crop_size": (64, 64), "allow_negative_crop": True}],
    "crop, boxes anew": [{"type": "RandomCrop", "crop_size": (64, 64), "recompute_bbox": True}],
    "pad": [{"type": "Pad", "size_divisor": 64}],
    "expand": [{"type": "Expand", "ratio_range": (1.5, 2)}],
    "photometric": [{"type": "PhotoMetricDistortion"}],
    "whole": [
        {"type": "RandomCrop", "crop_size": (96, 96), "allow_negative_crop": True},
        {"type": "RandomResize", "scale": (96, 96), "ratio_range": (0.5, 2.0), "keep_ratio": True},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PhotoMetricDistortion"},
        {"type": "Pad", "size_divisor": 32},
        {"type": "FilterAnnotations", "by_mask": True, "min_gt_mask_area": 4, "keep_empty": False},
    ],
}


@pytest.mark.parametrize("name", SAME_PIXELS)
def test_stock_transforms_give_the_same_pixels(info, name):
    for seed in range(6):
        ours, stock = ours_and_stock(info, SAME_PIXELS[name], seed)
        np.testing.assert_array_equal(ours["img"], stock["img"])
        np.testing.assert_array_equal(ours["gt_masks"].to_ndarray(), stock["gt_masks"].to_ndarray())
        assert torch.equal(ours["gt_bboxes"].tensor, stock["gt_bboxes"].tensor)
        numbers = ours["gt_masks"].fields["annotation_id"]
        assert [bool(number % 5 == 0) for number in numbers] == ours["gt_ignore_flags"].tolist()


@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
def test_stock_geometry_differs_in_a_pixel_at_most(info, name):
    for seed in range(4):
        ours, stock = ours_and_stock(info, [{"type": name, "prob": 1.0}], seed)
        numbers = ours["gt_masks"].fields["annotation_id"]
        assert len(numbers) == len(stock["gt_masks"]) > 0
        difference = ours["gt_masks"].to_ndarray() != stock["gt_masks"].to_ndarray()
        assert difference.sum(axis=(1, 2)).max() <= 1


def test_fields_follow_their_particle_to_the_model(info):
    """Also through RandomCrop, FilterAnnotations and the split into truths and regions to ignore."""
    steps = [*SAME_PIXELS["whole"], {"type": "PackDetInputs", "meta_keys": ("img_path", "img_shape")}]
    for seed in range(6):
        packed = run(info, LoadParticleAnnotations(), steps, seed)
        sample = packed["data_samples"]
        assert packed["inputs"].dtype == torch.float32
        for instances, ignored in ((sample.gt_instances, False), (sample.ignored_instances, True)):
            fields = instances.masks.fields
            assert len(instances) == len(fields["annotation_id"])
            assert all((number % 5 == 0) == ignored for number in fields["annotation_id"])
            assert fields["state"].tolist() == [["complete", "masked"][n % 2] for n in fields["annotation_id"]]


def test_a_crop_without_particles_is_background_to_learn_from(info):
    steps = [
        {"type": "RandomCrop", "crop_size": (32, 32), "allow_negative_crop": True},
        {"type": "FilterAnnotations", "keep_empty": False},
        {"type": "PackDetInputs", "meta_keys": ()},
    ]
    empty = run({**info, "instances": []}, LoadParticleAnnotations(), steps, seed=0)
    assert len(empty["data_samples"].gt_instances) == 0
    assert empty["data_samples"].gt_instances.masks.height == 32


def test_the_preprocessor_pads_them_with_the_image(info):
    packed = run(info, LoadParticleAnnotations(), [{"type": "PackDetInputs", "meta_keys": ("img_shape",)}], seed=0)
    preprocessor = MODELS.build({"type": "DetDataPreprocessor", "pad_mask": True, "pad_size_divisor": 64})
    batch = preprocessor({"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}, training=True)
    masks = batch["data_samples"][0].gt_instances.masks
    assert batch["inputs"].shape[2:] == (masks.height, masks.width) == (128, 192)


def test_masks_take_a_fortieth_of_the_memory_of_full_frames(info):
    masks = run(info, LoadParticleAnnotations(), [], seed=0)["gt_masks"]
    full = BitmapMasks(masks.to_ndarray(), HEIGHT, WIDTH)
    assert 40 * sum(crop.nbytes for crop in masks.cropped.crops) <= full.masks.nbytes
