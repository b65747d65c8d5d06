"""Which images a test judges."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from semsize.metrology import ModelUse
from tio2.engine.testing import detection_settings, model_use, select_split, split_files, split_folder, write_record

CONFIGS = Path(__file__).parents[2] / "configs" / "tio2"


def selected(split, config="light_stage2.py", **options):
    """Images folder, annotation file, and the annotation files of all evaluators."""
    config = Config.fromfile(CONFIGS / config)
    select_split(config, split, Path("out"), **options)
    files = split_files(config)
    judged = {Path(each.ann_file) for each in config.test_evaluator if "ann_file" in each}
    return str(files.images), str(files.annotations), {str(path) for path in judged}, config


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
    assert steps == ["LoadSEMImage", "Resize", "PackDetInputs"], "the test's pipeline, not the training's"
    assert config.test_dataloader.dataset.test_mode


def test_a_pickle_is_written_where_one_is_wanted():
    config = selected("val", dump="samples.pkl")[3]
    assert config.test_evaluator[-1] == {"type": "DumpResults", "out_file_path": "samples.pkl"}


def test_results_of_another_data_set_stand_apart():
    config = Config(dict(work_dir="work_dirs/x"))
    assert split_folder(config, "val", None) == Path("work_dirs/x/val")
    assert split_folder(config, "test", "data/rendered/") == Path("work_dirs/x/rendered-test")


def test_what_is_undefined_is_null(tmp_path):
    write_record(
        tmp_path, {"a": float("nan"), "b": {"c": [1, np.float64("nan"), "x"]}, "d": np.float32(0.5), "e": None}
    )
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "a": None, "b": {"c": [1, None, "x"]}, "d": 0.5, "e": None
    }  # fmt: skip


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
        ({"test_dataloader.dataset.pipeline.1.scale_factor": 2.0}, {"pipeline"}),
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
    assert settings_of("light_nc.py")["pipeline"] == [{"type": "Resize", "scale_factor": 1.5}]
    assert before["model.test_cfg.rcnn.nms.iou_threshold"] == 0.5


def test_a_config_that_inherits_the_same_settings_under_another_name_is_the_same_use(tmp_path):
    (tmp_path / "mine.py").write_text(f'_base_ = "{CONFIGS / "light_nc.py"}"\n')
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"abc")
    one, other = (
        ModelUse(**model_use(Config.fromfile(path), weights, "float32"))
        for path in (CONFIGS / "light_nc.py", tmp_path / "mine.py")
    )
    assert one == other
    assert one.sha256.startswith("ba7816bf")
    flips = ModelUse(**model_use(Config.fromfile(CONFIGS / "light_nc_flips.py"), weights, "float32"))
    assert flips.differences(one) == (
        "model.test_cfg.flips is ['horizontal', 'vertical', 'diagonal'], validated ['horizontal']",
    )
