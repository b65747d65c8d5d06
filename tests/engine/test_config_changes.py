"""What a config changes is computed from the resolved configs."""

from pathlib import Path

from tio2.engine.config_changes import config_changes

CONFIGS = Path(__file__).parents[2] / "configs" / "tio2"
BASE = CONFIGS / "light_stage2.py"


def test_a_value_is_named_with_the_base_s():
    changes = config_changes(CONFIGS / "ablations" / "light_sampled_anchors_256.py", BASE)
    assert changes == ["model.train_cfg.rpn.sampler.num: 256 (512)"]


def test_of_a_pipeline_the_steps_added_and_removed_are_named():
    (change,) = config_changes(CONFIGS / "ablations" / "light_sem.py", BASE)
    assert change == "train_dataloader.dataset.dataset.pipeline: +OneOrMoreOf, -PhotoMetricDistortion"


def test_a_config_changes_nothing_from_itself():
    assert config_changes(BASE, BASE) == []
