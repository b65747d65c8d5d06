"""What a config changes, and what its network starts from, is computed from the resolved configs."""

from pathlib import Path

import pytest
from mmengine.config import Config

from tio2.engine.config import config_changes, effective_settings, initial_weights

CONFIGS = Path(__file__).parents[2] / "configs" / "tio2"
BASE = CONFIGS / "ablations" / "light_base.py"


def test_a_value_is_named_with_the_base_s():
    changes = config_changes(CONFIGS / "ablations" / "light_sampled_anchors_256.py", BASE)
    assert changes == ["model.train_cfg.rpn.sampler.num: 256 (512)"]


def test_of_a_pipeline_the_steps_added_and_removed_are_named():
    (change,) = config_changes(CONFIGS / "ablations" / "light_sem.py", BASE)
    assert change == "train_dataloader.dataset.dataset.pipeline: +OneOrMoreOf, -PhotoMetricDistortion"


def test_of_data_sets_that_are_joined_the_folders_are_named():
    changed = CONFIGS / "ablations" / "light_simulated.py"
    key = "train_dataloader.dataset.dataset"
    assert config_changes(changed, BASE) == [f"{key}: data/bam-tio2-sem + data/simulated (one data set)"]
    assert config_changes(BASE, changed) == [f"{key}: one data set (data/bam-tio2-sem + data/simulated)"]


def test_a_config_changes_nothing_from_itself():
    assert config_changes(BASE, BASE) == []


def test_seed_folder_and_start_are_no_changes(tmp_path):
    config = Config.fromfile(BASE)
    config.merge_from_dict({"randomness.seed": 7, "work_dir": "elsewhere", "load_from": "other.pth"})
    file = tmp_path / BASE.name
    file.write_text(config.pretty_text)
    assert config_changes(file, BASE) == []
    assert effective_settings(file) == effective_settings(BASE)


@pytest.mark.parametrize(
    ("config", "initial"),
    [
        ("light_stage1.py", "ImageNet"),
        ("light_stage2.py", "none"),
        ("ablations/light_no_pretraining.py", "ImageNet"),
        ("mask_rcnn_stage1.py", "none"),
    ],
)
def test_what_a_network_starts_from_without_a_checkpoint(config, initial):
    assert initial_weights(CONFIGS / config) == initial


def test_weights_that_a_backbone_loads_by_its_own_are_named(tmp_path):
    file = tmp_path / "some.py"
    file.write_text(
        "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')))"
    )
    assert initial_weights(file) == "torchvision://resnet50"


def test_averaging_weights_is_a_change_and_hooks_that_watch_are_none():
    changes = config_changes(CONFIGS / "ablations" / "light_ema.py", BASE)
    assert changes == ["AveragedWeightsHook.momentum: 0.02 (None)"]
