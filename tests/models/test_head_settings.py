"""`train_cfg` and `test_cfg` accept exactly the settings that the code reads."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
from mmcv.ops import nms, soft_nms
from mmdet.models.dense_heads import anchor_head, rpn_head
from mmdet.models.roi_heads import standard_roi_head
from mmdet.models.roi_heads.bbox_heads import bbox_head
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from mmdet.structures.mask import mask_target

from tio2.models import heads as our_heads
from tio2.models.heads import Proposals, RoITest, RoITraining, RPNTraining, Suppression, settings_of
from tio2.typed_settings import SettingError

OWN = {"refine_boxes", "mask_scores", "min_score"}
REMOVED = ("mask_edge", "mask_box_scale", "resolve_overlaps", "probability_crops", "mask_rois_per_batch")
READ = re.compile(
    r"(?:rcnn_train_cfg|rcnn_test_cfg|self\.train_cfg|self\.test_cfg|\bcfg)(?:\.get\('(\w+)'|\['(\w+)'\]|\.(\w+))"
)


def read_by(*modules) -> set[str]:
    """Keys of settings that the code of some modules asks for."""
    code = "\n".join(re.sub(r'""".*?"""', "", inspect.getsource(module), flags=re.DOTALL) for module in modules)
    return {name for found in READ.findall(code) for name in found if name} - {"get", "copy"}


def names(kind) -> set[str]:
    return {field.name for field in fields(kind)}


def test_the_settings_known_are_those_that_mmdetection_reads_and_our_own():
    heads = standard_roi_head, bbox_head, fcn_mask_head, mask_target
    assert names(Proposals) - OWN == read_by(rpn_head)
    assert names(RPNTraining) - {"debug"} == read_by(anchor_head)
    assert (names(RoITraining) | names(RoITest)) - OWN - {"debug"} == read_by(*map(inspect.getmodule, heads))
    operators = (inspect.signature(inspect.unwrap(each)).parameters for each in (nms, soft_nms))
    taken = {name for parameters in operators for name in parameters} | {"type", "class_agnostic", "split_thr"}
    assert names(Suppression) == taken - {"boxes", "scores"}


def test_each_of_our_own_settings_is_read():
    code = "\n".join(path.read_text() for path in Path(our_heads.__file__).parent.glob("*.py"))
    assert {name for name in OWN | {"flips", "scales"} if not re.search(rf"(settings|\))\.{name}\b", code)} == set()


@pytest.mark.parametrize(
    ("place", "name", "meant"),
    [
        ("test_cfg", "flip", "flips"),
        ("test_cfg", "rcn", "rcnn"),
        ("test_cfg.rpn", "nms_pr", "nms_pre"),
        ("test_cfg.rpn.nms", "iou_thr", "iou_threshold"),
        ("test_cfg.rcnn", "mask_score", "mask_scores"),
        ("test_cfg.rcnn", "score_threshold", "score_thr"),
        ("test_cfg.rcnn.nms", "iou_treshold", "iou_threshold"),
        ("train_cfg", "rpn_proposals", "rpn_proposal"),
        ("train_cfg.rpn", "pos_weights", "pos_weight"),
        ("train_cfg.rpn.sampler", "nums", "num"),
        ("train_cfg.rpn_proposal", "max_per_image", "max_per_img"),
        ("train_cfg.rcnn", "soft_mask_targets", "soft_mask_target"),
        ("train_cfg.rcnn.sampler", "pos_fractions", "pos_fraction"),
    ],
)
def test_a_misspelt_setting_is_refused_where_the_model_is_built(build_model, place, name, meant):
    def misspelt(config):
        config.type = "DenseMaskRCNN"
        node = config
        for part in place.split("."):
            node = node[part]
        node[name] = True

    with pytest.raises(ValueError, match=rf"^model\.{place}\.{name} is unknown: .*\(did you mean {meant}\?\)$"):
        build_model(misspelt)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mask_scores", "yes"), ("refine_boxes", 1), ("max_per_img", 2.5), ("score_thr", "0,5"), ("nms", [])],
)
def test_a_value_of_a_wrong_type_is_refused_where_the_model_is_built(build_model, name, value):
    def wrong(config):
        config.type = "DenseMaskRCNN"
        config.test_cfg.rcnn[name] = value

    with pytest.raises(ValueError, match=rf"^model\.test_cfg\.rcnn\.{name} = .* has the wrong type: RoITest takes"):
        build_model(wrong)


@pytest.mark.parametrize("name", REMOVED)
def test_a_setting_of_an_older_version_is_refused_in_one_line(build_model, name):
    def outdated(config):
        config.type = "DenseMaskRCNN"
        config.test_cfg.rcnn[name] = True

    with pytest.raises(ValueError, match=rf"^model\.test_cfg\.rcnn\.{name} is unknown: .*\)$"):
        build_model(outdated)


def test_defaults_stand_for_what_a_config_leaves_out_and_later_misspellings_are_refused():
    assert settings_of(RoITest, {"mask_scores": True, "_scope_": "mmdet"}) == RoITest(mask_scores=True)
    with pytest.raises(SettingError, match="did you mean mask_scores"):
        settings_of(RoITest, {"mask_score": True})
