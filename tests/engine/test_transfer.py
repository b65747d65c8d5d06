"""COCO's 80-class Mask R-CNN loads into the one-class model: only the class-dependent tensors differ."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.hub import get_config
from torch import nn

import tio2.models  # noqa: F401  registers the head
from tio2.engine.checkpoints import (
    COCO_DIFFERENCES,
    CheckpointError,
    TransferCheckHook,
    check_transfer,
    compare_state_dicts,
)


def mask_rcnn_state(classes, head_type):
    """Return the state dict of a ResNet-50-FPN Mask R-CNN, without memory behind it."""
    config = get_config("mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py").model
    config.backbone.init_cfg = None
    config.roi_head.bbox_head.num_classes = classes
    config.roi_head.mask_head.num_classes = classes
    config.roi_head.mask_head.type = head_type
    with torch.device("meta"):
        return MODELS.build(config).state_dict()


@pytest.fixture(scope="module")
def states():
    register_all_modules()
    return mask_rcnn_state(1, "HighResFCNMaskHead"), mask_rcnn_state(80, "FCNMaskHead")


def test_coco_differs_in_the_class_dependent_tensors_only(states):
    model, coco = states
    assert len(coco) == 360
    found = compare_state_dicts(model, coco)
    assert found == COCO_DIFFERENCES
    assert sorted(found.values()) == ["missing"] * 2 + ["of another shape"] * 6
    check_transfer(model, coco, "coco.pth")


def test_the_same_model_differs_in_nothing(states):
    assert compare_state_dicts(states[0], states[0]) == {}
    check_transfer(states[0], states[0], "epoch_42.pth")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda state: state.pop("neck.lateral_convs.0.conv.weight"), "missing: neck.lateral_convs.0.conv.weight"),
        (lambda state: state.update({"neck.typo": torch.zeros(1)}), "unexpected: neck.typo"),
        (
            lambda state: state.update({"backbone.conv1.weight": torch.zeros(1)}),
            "of another shape: backbone.conv1.weight",
        ),
        (lambda state: state.clear(), "missing: backbone.bn1.bias, .* and 35"),
    ],
)
def test_any_other_difference_is_one_line_that_names_file_and_tensor(states, change, expected):
    model, coco = states
    changed = dict(coco)
    change(changed)
    with pytest.raises(CheckpointError, match=expected) as raised:
        check_transfer(model, changed, "somewhere/coco.pth")
    assert str(raised.value).startswith("somewhere/coco.pth does not fit")
    assert "\n" not in str(raised.value)


def test_a_tensor_that_should_differ_and_does_not_is_said(states):
    model, coco = states
    changed = {**coco, "roi_head.bbox_head.fc_cls.bias": model["roi_head.bbox_head.fc_cls.bias"]}
    with pytest.raises(CheckpointError, match=r"not different as expected: roi_head\.bbox_head\.fc_cls\.bias"):
        check_transfer(model, changed, "coco.pth")


@pytest.mark.parametrize("meta", [{"left_out": ["head.mask"]}, {"left_out": ["head.box"]}, {}, None])
def test_modules_that_the_checkpoint_leaves_out_on_purpose_may_be_missing(meta):
    model = nn.ModuleDict({"head": nn.ModuleDict({"mask": nn.Linear(2, 2), "masks": nn.Linear(2, 2)})})
    checkpoint = {"meta": meta, "state_dict": {k: v for k, v in model.state_dict().items() if "masks" in k}}
    runner = SimpleNamespace(model=model, _load_from="start.pth")
    if meta == {"left_out": ["head.mask"]}:
        TransferCheckHook().after_load_checkpoint(runner, checkpoint)
        del checkpoint["state_dict"]["head.masks.bias"]
    with pytest.raises(CheckpointError, match=r"missing: head\.mask"):
        TransferCheckHook().after_load_checkpoint(runner, checkpoint)


def test_compare_state_dicts_by_hand():
    model = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1)}
    checkpoint = {"a": torch.ones(2), "b": torch.zeros(4), "d": torch.zeros(1)}
    assert compare_state_dicts(model, checkpoint) == {"c": "missing", "d": "unexpected", "b": "of another shape"}
