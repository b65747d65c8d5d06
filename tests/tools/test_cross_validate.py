"""A cross-validation of two folds and a test on another data set, by the programs that a user types."""

import json

import pytest
from processes import SMALL, ForkedProgram, data_options, finish, loading

from semsize.structures import read_annotations
from semsize.structures.files import file_sha256
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from tio2.engine.launch import run_config
from tio2.reporting.tested_run import read_run

CONFIG = "configs/demo/demo_stage1.py"
QUICK = [
    *SMALL,
    *loading(0),
    "train_cfg.max_epochs=1",
    "train_dataloader.sampler.num_batches=1",
    "val_dataloader.num_workers=0",
    "val_dataloader.persistent_workers=False",
    "test_dataloader.num_workers=0",
    "test_dataloader.persistent_workers=False",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A rendered set with two training images."""
    folder = tmp_path_factory.mktemp("folds") / "set"
    settings = RenderSettings(seed=0, shape=(96, 128), preset="agglomerated", particles=6)
    plan = DatasetPlan(settings, num=4, fractions=(2, 1, 1))
    render_dataset(plan, folder)
    return folder


@pytest.fixture(scope="module")
def work(data):
    """The run's folder after a cross-validation."""
    work, log = data.parent / "run", data.parent / "log"

    def run(*words):
        finish(ForkedProgram(words, log), log)

    words = ["tools/cross_validate.py", CONFIG, "--work-dir", work, "--folds", 2]
    options = ["--cfg-options", *QUICK, *data_options(data)]
    run(*words, "--prepare", *options)
    for fold in range(2):  # as the program starts them, but without their imports (tests/engine/test_cross_validation)
        config = work / "cv" / f"fold_{fold}" / "demo_stage1.py"
        run("tools/train.py", config, "--resume")
        run("tools/test.py", config)
    run(*words, *options)
    return work


def test_all_training_images_are_judged_by_weights_that_never_saw_them(data, work):
    folder = work / "cv"
    record = json.loads((folder / "metrics.json").read_text())
    assert (record["split"], record["images"], len(record["checkpoint"])) == ("cv", 2, 2)
    assert record["metrics"]["coco/segm_AP50"] is not None
    assert record["annotations_sha256"] == file_sha256(data / "annotations" / "train.json")
    truth = read_annotations(data / "annotations" / "train.json")
    predictions = json.loads((folder / "predictions.json").read_text())
    assert {p["image_id"] for p in predictions} <= {image["id"] for image in truth["images"]}
    for fold in range(2):
        (kept,) = read_annotations(folder / f"fold_{fold}" / "val.json")["images"]
        own = json.loads((folder / f"fold_{fold}" / "run" / "val" / "predictions.json").read_text())
        assert own == [p for p in predictions if p["image_id"] == kept["id"]]
    run = read_run(work, "cv")
    assert set(run.images) == {image["file_name"] for image in truth["images"]}
    assert run.run["folds"] == 2
    assert read_run(folder / "fold_0" / "run", "val").run["epochs"] == 1
    assert run_config(work, "cv") == folder / "demo_stage1.py"
    assert len(list((folder / "overlays").glob("*.png"))) == 2


def test_weights_are_judged_on_another_data_set(data, work, rendered_set):
    log = data.parent / "log"
    (weights, *_) = sorted((work / "cv").rglob("epoch_1.pth"))
    words = ["--data", rendered_set, "--split", "train", "--work-dir", work, "--cfg-options", *QUICK]
    finish(ForkedProgram(["tools/test.py", CONFIG, weights, *words], log), log)
    folder = work / f"{rendered_set.name}-train"
    record = json.loads((folder / "metrics.json").read_text())
    assert (record["split"], record["images"]) == (folder.name, 1)
    assert record["run_sha256"] is None  # the weights are another folder's
    assert set(read_run(work, folder.name).images) == {
        image["file_name"] for image in read_annotations(rendered_set / "annotations" / "train.json")["images"]
    }
