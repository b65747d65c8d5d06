"""Which images a test judges."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from tio2.engine.testing import select_split, split_files, split_folder, write_record

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
