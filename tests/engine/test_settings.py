"""What a config says of this package's classes is held against them before anything is built."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from mmdet.utils import register_all_modules
from mmengine.config import Config

from tio2.engine import ConfigError
from tio2.engine.config import check_options, check_settings
from tio2.typed_settings import fits

CONFIGS = Path(__file__).parents[2] / "configs"


def config_with(changes):
    register_all_modules()
    config = Config.fromfile(CONFIGS / "tio2" / "light_stage1.py")
    config.merge_from_dict(changes)
    return config


@pytest.mark.parametrize(
    "path", sorted([*CONFIGS.glob("tio2/**/*.py"), *CONFIGS.glob("demo/*.py")]), ids=lambda path: path.stem
)
def test_our_own_configs_pass(path):
    register_all_modules()
    check_settings(Config.fromfile(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_dataloader.sampler.num_batch": 3},
         r"light_stage1\.py: train_dataloader\.sampler\.num_batch is unknown: FixedLengthSampler .*mean num_batches\?"),
        ({"train_dataloader.sampler.num_batches": "many"},
         r"train_dataloader\.sampler\.num_batches = 'many' has the wrong type: FixedLengthSampler takes int"),
        ({"train_dataloader.sampler.num_batches": True}, r"num_batches = True has the wrong type"),
        ({"default_hooks.checkpoint.max_keep_ckpt": 2}, r"default_hooks\.checkpoint\.max_keep_ckpt .*max_keep_ckpts\?"),
        ({"model.backbone.frozen_stages": 1.5}, r"model\.backbone\.frozen_stages = 1\.5 .*EfficientNetLite takes int"),
        ({"model.backbone.depth": 50}, r"model\.backbone\.depth is unknown: EfficientNetLite"),
        ({"train_dataloader.dataset.dataset.pipeline.2.ratio_range": 1.5},
         r"train_dataloader\.dataset\.dataset\.pipeline\.2\.ratio_range = 1\.5 .*RandomRescale takes tuple"),
        ({"custom_hooks.0.interval": 3}, r"custom_hooks\.0\.interval is unknown: StepSeedHook"),
        ({"visualizer": {"type": "DenseDetVisualizer", "alpha": "much"}}, r"visualizer\.alpha = 'much' .*float"),
        ({"visualizer": {"type": "DenseDetVisualizer", "backends": []}}, r"visualizer\.backends is unknown"),
        ({"val_evaluator.ann_file": 3}, r"val_evaluator\.ann_file = 3 .*takes str"),
        ({"model.test_cfg.rcnn.mask_score": True},
         r"light_stage1\.py: model\.test_cfg\.rcnn\.mask_score is unknown: .*did you mean mask_scores\?"),
        ({"model.test_cfg.rcnn.mask_scores": "yes"}, r"model\.test_cfg\.rcnn\.mask_scores = 'yes' .*bool"),
        ({"model.test_cfg.flips": ["horizonal"]}, r"model\.test_cfg\.flips = \['horizonal'\] has the wrong type"),
        ({"model.test_cfg.rcnn.nms.iou_thr": 0.3}, r"model\.test_cfg\.rcnn\.nms\.iou_thr is .*mean iou_threshold\?"),
        ({"model.train_cfg.rpn.sampler.nums": 3}, r"model\.train_cfg\.rpn\.sampler\.nums is unknown.*mean num\?"),
        ({"model.precision": "half"}, r"model\.precision = 'half' .*takes Literal"),
        ({"optim_wrapper.clip_grads": None}, r"optim_wrapper\.clip_grads is unknown: .*mean clip_grad\?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_place(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        check_settings(config_with(changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"custom_hooks.0.priority": "LOW"},
        {"train_dataloader.dataset.dataset.pipeline.2.ratio_range": [1, 2]},
        {"train_dataloader.dataset.seed": None},
        {
            "optim_wrapper.paramwise_cfg": {"bias_lr_mult": 2.0},
            "optim_wrapper.constructor": "DefaultOptimWrapperConstructor",
        },
        {"model.test_cfg.flips": ["vertical"], "model.test_cfg.rcnn.nms": {"type": "soft_nms", "iou_threshold": 0.5}},
        {"model.train_cfg.rcnn.sampler.rng": 3},
        {"visualizer": {"type": "DenseDetVisualizer", "vis_backends": [{"type": "LocalVisBackend"}], "alpha": 0.5}},
    ],
)
def test_what_is_allowed_passes(changes):
    check_settings(config_with(changes))


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, float, True), (1.0, int, False), (False, float, False), (None, int | None, True), ("a", int | None, False),
        ([1, 2], tuple[float, float], True), ((1,), tuple[float, float], False), ([1, "a"], list[int], False),
        ([1, 2, 3], tuple[int, ...], True), ("ab", Sequence[str], False), ({}, dict, True), ([], dict, False),
        ("x", Literal["x", "y"], True), ("z", Literal["x", "y"], False), (object(), Any, True),
        ({"type": "A"}, Path, True),
    ],
)  # fmt: skip
def test_types_as_a_config_writes_them(value, hint, expected):
    assert fits(value, hint) is expected


def test_an_option_that_nothing_reads_is_refused():
    config = config_with({})
    check_options(
        config, {"randomness.seed": 1, "find_unused_parameters": True, "param_scheduler.0.end": 3, "work_dir": "x"}
    )
    for option, meant in (("tran_cfg.max_epochs", "train_cfg"), ("modell.precision", "model"), ("seed", None)):
        with pytest.raises(
            ConfigError, match=rf"--cfg-options {option}: .*light_stage1\.py has no {option.split('.')[0]}"
        ) as error:
            check_options(config, {option: 1})
        assert meant is None or f"did you mean {meant}?" in str(error.value)
