"""Config readers: wrong settings, the tested split, settings that decide detections, differences from a base."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from mmdet.utils import register_all_modules
from mmengine.config import Config

from semsize.detecting.models import SHIPPED
from tio2.engine import ConfigError
from tio2.engine.config import (
    check_options,
    check_settings,
    config_changes,
    detection_settings,
    effective_settings,
    initial_weights,
    model_use,
)
from tio2.engine.testing import require_trained_boxes, select_split, split_files, split_folder
from tio2.typed_settings import fits

CONFIGS = Path(__file__).parents[2] / "configs" / "tio2"
BASE = CONFIGS / "ablations" / "light_base.py"


def config_with(changes):
    register_all_modules()
    config = Config.fromfile(CONFIGS / "light_stage1.py")
    config.merge_from_dict(changes)
    return config


@pytest.mark.parametrize(
    "path", sorted([*CONFIGS.glob("**/*.py"), *CONFIGS.parent.glob("demo/*.py")]), ids=lambda path: path.stem
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
    for variable in ("epochs", "data_root"):
        assert variable in config
        with pytest.raises(ConfigError, match=f"{variable} is a variable that .*light_stage1"):
            check_options(config, {variable: 1})


def selected(split, config="light_stage2.py", **options):
    """Images folder, annotation file, and the annotation files of all evaluators."""
    config = Config.fromfile(CONFIGS / config)
    select_split(config, split, Path("out"), **options)
    images, annotations = split_files(config)
    judged = {Path(each.ann_file) for each in config.test_evaluator if "ann_file" in each}
    return str(images), str(annotations), {str(path) for path in judged}, config


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("data", [None, "data/rendered"])
@pytest.mark.parametrize("name", ["light_stage2.py", "ablations/light_simulated.py"])
def test_a_split_is_judged_in_its_own_folder_by_every_evaluator(split, data, name):
    root = data or "data/bam-tio2-sem"
    images, annotations, judged, config = selected(split, name, data=data)
    assert (images, annotations) == (f"{root}/images/{split}", f"{root}/annotations/{split}.json")
    assert judged == {annotations}
    assert [each.type for each in config.test_evaluator] == ["DenseCocoMetric", "ParticleMetric", "PredictionWriter"]
    steps = [step.type for step in config.test_dataloader.dataset.pipeline]
    assert steps == ["LoadSEMImage", "PackDetInputs"], "the test's pipeline, not the training's"
    assert config.test_dataloader.dataset.test_mode


def test_a_pickle_is_written_where_one_is_wanted():
    config = selected("val", dump="samples.pkl")[3]
    assert config.test_evaluator[-1] == {"type": "DumpResults", "out_file_path": "samples.pkl"}


def test_results_of_another_data_set_stand_apart():
    config = Config(dict(work_dir="work_dirs/x"))
    assert split_folder(config, "val", None) == Path("work_dirs/x/val")
    assert split_folder(config, "test", "data/rendered/") == Path("work_dirs/x/rendered-test")


def settings_of(name, tile=None, **changes):
    config = Config.fromfile(CONFIGS / name)
    config.merge_from_dict(changes)
    return detection_settings(config, tile)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"model.test_cfg.rcnn.score_thr": 0.2}, {"model.test_cfg.rcnn.score_thr"}),
        ({"model.test_cfg.flips": ["vertical"]}, {"model.test_cfg.flips"}),
        ({"model.test_cfg.rcnn.max_per_img": 7}, {"model.test_cfg.rcnn.max_per_img"}),
        ({"model.test_cfg.rcnn.refine_boxes": False}, {"model.test_cfg.rcnn.refine_boxes"}),
        ({"model.test_cfg.scales": [2.0]}, {"model.test_cfg.scales"}),
        (
            {"model.rpn_head.anchor_generator.base_sizes": [1, 2, 3, 4, 5]},
            {"model.rpn_head.anchor_generator.base_sizes"},
        ),
        ({"model.data_preprocessor.mean": [1.0] * 3}, {"model.data_preprocessor.mean"}),
        ({"tile": (512, 128)}, {"tile"}),
    ],
)
def test_what_decides_detections_is_a_setting_that_validation_is_bound_to(change, names):
    before, after = settings_of("light_nc.py"), settings_of("light_nc.py", **change)
    assert {name for name in {**before, **after} if before.get(name) != after.get(name)} == names


def test_what_decides_nothing_is_no_such_setting():
    before = settings_of("light_nc.py")
    trained = {
        "train_cfg.max_epochs": 3,
        "model.train_cfg.rcnn.sampler.num": 9,
        "work_dir": "x",
        "model.precision": "float32",
    }
    assert settings_of("light_nc.py", **trained, **{"test_dataloader.dataset.data_root": "elsewhere/"}) == before
    assert settings_of("light_nc.py")["model.test_cfg.scales"] == [1.5]
    assert before["model.test_cfg.rcnn.nms.iou_threshold"] == 0.5


def test_a_config_that_inherits_the_same_settings_under_another_name_is_the_same_use(tmp_path):
    (tmp_path / "mine.py").write_text(f'_base_ = "{CONFIGS / "light_nc.py"}"\n')
    one, other = (
        model_use(Config.fromfile(path), "ba7816bf", "float32")
        for path in (CONFIGS / "light_nc.py", tmp_path / "mine.py")
    )
    assert one == other
    flips = model_use(Config.fromfile(CONFIGS / "light_nc_flips.py"), "ba7816bf", "float32")
    assert flips.differences(one) == (
        "model.test_cfg.flips is ['horizontal', 'vertical', 'diagonal'], validated ['horizontal']",
    )


def changes_of(config, base):
    return config_changes(Config.fromfile(config), Config.fromfile(base))


def test_a_value_is_named_with_the_base_s():
    changes = changes_of(CONFIGS / "ablations" / "light_box_nms_03.py", BASE)
    assert changes == ["model.test_cfg.rcnn.nms.iou_threshold: 0.3 (0.5)"]


def test_of_a_pipeline_the_steps_added_and_removed_are_named():
    (change,) = changes_of(CONFIGS / "ablations" / "light_sem.py", BASE)
    assert change == "train_dataloader.dataset.dataset.pipeline: +OneOrMoreOf, -PhotoMetricDistortion"


def test_of_data_sets_that_are_joined_the_folders_are_named():
    changed = CONFIGS / "ablations" / "light_simulated.py"
    key = "train_dataloader.dataset.dataset"
    assert changes_of(changed, BASE) == [f"{key}: data/bam-tio2-sem + data/simulated (one data set)"]
    assert changes_of(BASE, changed) == [f"{key}: one data set (data/bam-tio2-sem + data/simulated)"]


def test_a_config_changes_nothing_from_itself():
    assert changes_of(BASE, BASE) == []


def test_seed_folder_and_start_are_no_changes(tmp_path):
    config = Config.fromfile(BASE)
    config.merge_from_dict({"randomness.seed": 7, "work_dir": "elsewhere", "load_from": "other.pth"})
    file = tmp_path / BASE.name
    file.write_text(config.pretty_text)
    assert changes_of(file, BASE) == []
    assert effective_settings(Config.fromfile(file)) == effective_settings(Config.fromfile(BASE))


def base_with(**changes):
    config = Config.fromfile(BASE)
    config.merge_from_dict({name.replace("__", "."): value for name, value in changes.items()})
    return config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"train_dataloader__dataset__dataset__data_root": "data/others/"},
            "train_dataloader.dataset.dataset.data_root: data/others/ (data/bam-tio2-sem/)",
        ),
        (
            {"train_dataloader__dataset__dataset__ann_file": "annotations/corrected.json"},
            "train_dataloader.dataset.dataset.ann_file: annotations/corrected.json (annotations/train.json)",
        ),
        ({"auto_scale_lr": {"enable": True, "base_batch_size": 8}}, "auto_scale_lr.base_batch_size: 8 (None)"),
    ],
)
def test_other_data_and_a_scaled_rate_are_changes(changes, said):
    """Before, trainings on two data sets were seeds of one recipe."""
    assert config_changes(base_with(**changes), base_with())[0] == said


def test_the_number_of_processes_is_a_change_and_a_scale_that_is_off_is_none():
    assert config_changes(base_with(), base_with(), (2, 1)) == ["processes: 2 (1)"]
    off = base_with(auto_scale_lr={"enable": False, "base_batch_size": 8})
    assert effective_settings(off) == effective_settings(base_with())


def fold_config(folder, number, **changes):
    """The config of a fold as it lies in its folder."""
    place = f"{folder}/cv/fold_{number}"
    named = {
        "dataset__dataset__ann_file": f"{place}/train.json",
        "dataset__dataset__cut": f"data/cut/fold_{number}/a.zip",
    }
    named = {f"train_dataloader__{name}": value for name, value in named.items()}
    return base_with(work_dir=f"{place}/run", val_dataloader__dataset__ann_file=f"{place}/val.json", **named | changes)


def test_folds_are_of_one_recipe_wherever_their_folder_lies():
    first = effective_settings(fold_config("work_dirs/base_0", 0))
    assert (
        first == effective_settings(fold_config("work_dirs/base_0", 3)) == effective_settings(fold_config("/moved", 1))
    )
    assert first["train_dataloader.dataset.dataset.ann_file"] == "train.json"
    others = {"train_dataloader__dataset__dataset__data_root": "data/others/"}
    assert first != effective_settings(fold_config("work_dirs/base_0", 0, **others))


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
    assert initial_weights(Config.fromfile(CONFIGS / config)) == initial


def test_weights_that_a_backbone_loads_by_its_own_are_named(tmp_path):
    file = tmp_path / "some.py"
    file.write_text(
        "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')))"
    )
    assert initial_weights(Config.fromfile(file)) == "torchvision://resnet50"


def test_averaging_weights_is_a_change_and_hooks_that_watch_are_none(tmp_path):
    config = Config.fromfile(BASE)
    config.custom_hooks.append({"type": "EMAHook", "momentum": 0.02})
    (tmp_path / BASE.name).write_text(config.pretty_text)
    assert changes_of(tmp_path / BASE.name, BASE) == ["EMAHook.momentum: 0.02 (None)"]


def test_weights_are_tested_with_the_anchors_that_they_were_trained_with(tmp_path):
    weights = SHIPPED["free"].checkpoint
    require_trained_boxes(Config.fromfile(CONFIGS / "light_free.py"), weights)
    with pytest.raises(ConfigError, match=r"with other model\.rpn_head\.anchor_generator.*test with .*light_free\.py"):
        require_trained_boxes(Config.fromfile(CONFIGS / "light_stage1.py"), weights)
    require_trained_boxes(Config.fromfile(CONFIGS / "light_stage1.py"), tmp_path / "elsewhere.pth")
    Config.fromfile(CONFIGS / "light_free.py").dump(tmp_path / "light_free.py")
    with pytest.raises(ConfigError, match="was trained with other"):
        require_trained_boxes(Config.fromfile(CONFIGS / "light_stage1.py"), tmp_path / "epoch_1.pth")
