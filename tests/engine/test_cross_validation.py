"""Folds on disk: their training and test images, where each starts, and finished folds that stay."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from scenes import coco_truth, square_grid
from semsize.structures import CroppedMasks, read_annotations, read_predictions, write_annotations, write_predictions
from semsize.structures.files import file_sha256
from tio2.agglomerates import Agglomerate, AgglomerateLibrary
from tio2.agglomerates.covering import COVERED
from tio2.engine import ConfigError
from tio2.engine.config import data_sets, divided_set
from tio2.engine.cross_validation import prepare_folds
from tio2.engine.folds import Fold, judged_samples, pooled_record, train_fold
from tio2.engine.folds import test_fold as run_test
from tio2.engine.resumption import TrainingStopped

TRAIN = """import json, sys
from pathlib import Path
fold = Path(sys.argv[1]).parent
(fold / "trained").open("a").write("x")
(fold / "run").mkdir(exist_ok=True)
json.dump({"epochs": EPOCHS, "seconds": 60.0 + int(fold.name[-1]), "peak_memory_mib": 5.0, "parameters": 7,
           "start_weights": None}, (fold / "run" / "run.json").open("w"))
"""
TEST = """import json, sys
from pathlib import Path
fold = Path(sys.argv[1]).parent
(fold / "run" / "val").mkdir(exist_ok=True)
kept = len(json.load((fold / "val.json").open())["images"])
json.dump({"images": kept, "precision": "float32", "checkpoint": {"path": "epoch_3.pth"},
           "seconds_per_image": {"median": 1.0, "mean": kept}}, (fold / "run" / "val" / "metrics.json").open("w"))
"""


@pytest.fixture
def data(tmp_path):
    """Ten images of 1 to 10 particles."""
    write_annotations(tmp_path / "data/annotations/train.json", coco_truth([square_grid(n, 5) for n in range(1, 11)]))
    return tmp_path / "data"


def config_of(data, folder, name="own", **changes):
    """A config as `launch.read_config` returns it."""
    dataset = {"data_root": f"{data}/", "ann_file": "annotations/train.json", "data_prefix": {"img": "images/train/"}}
    judged = dataset | {"ann_file": "annotations/val.json", "data_prefix": {"img": "images/val/"}}
    settings = {
        "train_dataloader": {"dataset": {"type": "Wrapper", "dataset": {"type": "Set", **dataset}}},
        "val_dataloader": {"dataset": judged},
        "val_evaluator": {"type": "Metric", "ann_file": f"{data}/annotations/val.json"},
        "model": {
            "test_cfg": {
                "rpn": {"max_per_img": 9},
                "rcnn": {"score_thr": 0.1, "nms": {"iou_threshold": 0.5}, "max_per_img": 8},
            }
        },
        "train_cfg": {"max_epochs": 3},
        "load_from": None,
        "work_dir": str(folder / name),
    }
    file = folder / f"{name}.py"
    Config(settings | changes).dump(file)
    return Config.fromfile(file)


def names(path):
    return {image["file_name"] for image in read_annotations(path)["images"]}


def test_every_image_is_kept_back_once_and_never_trained_on_in_its_fold(data, tmp_path):
    folds = prepare_folds(config_of(data, tmp_path), 4, 0)
    everything = names(data / "annotations/train.json")
    kept = [names(fold.config.parent / "val.json") for fold in folds]
    assert [set(fold.kept_back) for fold in folds] == kept
    assert sorted(map(len, kept)) == [2, 2, 3, 3]
    assert set.union(*kept) == everything
    for fold, back in zip(folds, kept, strict=True):
        assert names(fold.config.parent / "train.json") == everything - back
        config = Config.fromfile(fold.config)
        (trained,) = data_sets(config.train_dataloader)
        assert names(trained.ann_file) == everything - back
        judged = config.val_dataloader.dataset
        assert (names(judged.ann_file), judged.data_prefix.img) == (back, "images/train/")
        assert config.val_evaluator.ann_file == judged.ann_file
        assert config.train_cfg.val_begin > config.train_cfg.max_epochs, "what is kept back is seen by the test only"
        assert config.work_dir == str(fold.run)


def test_other_training_sets_stay_whole_and_the_fold_s_number_is_filled_in(data, tmp_path):
    config = config_of(data, tmp_path)
    real = config.train_dataloader.dataset.dataset
    simulated = dict(real, data_root=f"{tmp_path}/simulated/fold_{{fold}}/")
    config.train_dataloader.dataset.dataset = dict(type="ConcatDataset", datasets=[real, simulated])
    for number, fold in enumerate(prepare_folds(config, 2, 0)):
        trained = Config.fromfile(fold.config).train_dataloader.dataset.dataset.datasets
        assert trained[0].ann_file == str(fold.config.parent / "train.json")
        assert trained[1].ann_file == "annotations/train.json"
        assert trained[1].data_root == f"{tmp_path}/simulated/fold_{number}/"


def test_outlines_that_were_found_are_divided_with_the_images_wherever_the_set_is_named(data, tmp_path):
    config = config_of(data, tmp_path)
    truth = read_annotations(data / "annotations/train.json")
    of_all = [
        {"image_id": image["id"], "image": image["file_name"], "category_id": 1, "score": 0.9, "bbox": [0, 0, 2, 2]}
        | {"segmentation": CroppedMasks.from_crops([(np.ones((2, 2)), (0, 0))], (9, 9)).to_rles()[0]}
        for image in truth["images"]
    ]
    write_predictions(tmp_path / "found.json", of_all)
    real = config.train_dataloader.dataset.dataset
    found, drawn = dict(real, predictions=str(tmp_path / "found.json")), dict(real, predictions=None)
    config.train_dataloader.dataset.dataset = dict(type="ConcatDataset", datasets=[found, drawn, found])
    config.val_dataloader.dataset.predictions = "of other images"
    config.custom_hooks = [dict(type="Hook", dataloader=dict(dataset=drawn))]
    for fold in prepare_folds(config, 2, 0):
        of_fold = Config.fromfile(fold.config)
        trained, tested = [*data_sets(of_fold.train_dataloader)], of_fold.val_dataloader.dataset
        hook = of_fold.custom_hooks[0].dataloader.dataset
        assert {each.ann_file for each in (*trained, hook)} == {str(fold.config.parent / "train.json")}
        assert [bool(each.predictions) for each in (*trained, hook)] == [True, False, True, False]
        for each in (trained[0], tested):
            assert {record["image"] for record in read_predictions(each.predictions)} == names(each.ann_file)


def test_particles_of_images_kept_back_that_cover_others_are_refused(data, tmp_path):
    config = config_of(data, tmp_path)
    truth = read_annotations(data / "annotations/train.json")
    covers = [image | {"source": f"{COVERED}{image['file_name']}"} for image in truth["images"]]
    write_annotations(tmp_path / "covered/annotations/train.json", truth | {"images": covers})
    real = config.train_dataloader.dataset.dataset
    config.train_dataloader.dataset.dataset = dict(
        type="ConcatDataset", datasets=[real, dict(real, data_root=f"{tmp_path}/covered/")]
    )
    with pytest.raises(
        ConfigError, match=r"train\.json holds particles of .*, which fold 0 keeps back; make one for each"
    ):
        prepare_folds(config, 2, 0)


def test_a_start_that_saw_the_images_is_taken_from_the_same_fold(data, tmp_path):
    stage1 = config_of(data, tmp_path, "stage1")
    stage2 = config_of(data, tmp_path, "stage2", load_from=str(tmp_path / "stage1" / "epoch_3.pth"))
    stage1.dump(tmp_path / "stage1.py")
    (tmp_path / "stage1").mkdir()
    stage1.dump(tmp_path / "stage1" / "stage1.py")
    with pytest.raises(ConfigError, match="has seen images that are kept back; cross-validate stage1 first"):
        prepare_folds(stage2, 4, 0)
    assert not (tmp_path / "stage2" / "cv").exists(), "what failed claims nothing"
    prepare_folds(stage1, 4, 1)
    with pytest.raises(ConfigError, match="with the same --folds and --seed"):
        prepare_folds(stage2, 4, 0)
    for fold in prepare_folds(stage2, 4, 1):
        start = tmp_path / "stage1" / "cv" / f"fold_{fold.number}" / "run" / "epoch_3.pth"
        assert Config.fromfile(fold.config).load_from == str(start)


def run_of(data, folder, name, **changes):
    """The weights of a run that was trained on a set, its config beside them."""
    (folder / name).mkdir()
    config_of(data, folder, name, **changes).dump(folder / name / f"{name}.py")
    return str(folder / name / "epoch_3.pth")


def pictures(folder, content):
    """Image files of a set, each with its name and some content."""
    for name in names(folder / "annotations/train.json"):
        (folder / "images/train").mkdir(parents=True, exist_ok=True)
        (folder / "images/train" / name).write_text(f"{name} {content}")


def test_a_start_that_saw_other_images_is_taken_as_it_is(data, tmp_path):
    write_annotations(tmp_path / "rendered/annotations/train.json", coco_truth([square_grid(3, 5)]))
    pictures(data, "real")
    pictures(tmp_path / "rendered", "rendered")
    start = run_of(tmp_path / "rendered", tmp_path, "before")
    for fold in prepare_folds(config_of(data, tmp_path, load_from=start), 2, 0):
        assert Config.fromfile(fold.config).load_from == start
    shutil.copy(data / "images/train/1.png", tmp_path / "rendered/images/train/1.png")
    with pytest.raises(ConfigError, match=r"before/epoch_3\.pth has seen images that are kept back"):
        prepare_folds(config_of(data, tmp_path, "again", load_from=start), 2, 0)


def test_weights_that_a_start_goes_back_to_have_not_seen_the_images_either(data, tmp_path):
    """Before, one step back was looked at."""
    write_annotations(tmp_path / "rendered/annotations/train.json", coco_truth([square_grid(3, 5)]))
    pictures(data, "real")
    pictures(tmp_path / "rendered", "rendered")
    first = run_of(data, tmp_path, "first")
    second = run_of(tmp_path / "rendered", tmp_path, "second", load_from=first)
    with pytest.raises(
        ConfigError, match=r"second/epoch_3\.pth goes back to .*first/epoch_3\.pth, which has seen images"
    ):
        prepare_folds(config_of(data, tmp_path, load_from=second), 2, 0)
    resumed = run_of(tmp_path / "rendered", tmp_path, "resumed", load_from=str(tmp_path / "resumed" / "epoch_2.pth"))
    (tmp_path / "resumed" / "run.json").write_text(json.dumps({"start_weights": {"path": first}}))
    with pytest.raises(ConfigError, match=r"resumed/epoch_3\.pth goes back to .*first/epoch_3\.pth"):
        prepare_folds(config_of(data, tmp_path, load_from=resumed), 2, 0)
    (tmp_path / "resumed" / "run.json").write_text(json.dumps({"start_weights": None}))
    assert len(prepare_folds(config_of(data, tmp_path, load_from=resumed), 2, 0)) == 2


def test_another_set_that_shows_the_images_is_refused(data, tmp_path):
    """Before, only the source was looked at that covered particles state."""
    config = config_of(data, tmp_path)
    real = config.train_dataloader.dataset.dataset
    other = dict(real, data_root=f"{tmp_path}/copy/")
    config.train_dataloader.dataset.dataset = dict(type="ConcatDataset", datasets=[real, other])
    shutil.copytree(data, tmp_path / "copy")
    refused = r"copy/annotations/train\.json holds particles of 1\.png, which fold 0 keeps back"
    with pytest.raises(ConfigError, match=refused):  # of one name, and no file tells
        prepare_folds(config, 2, 0)
    pictures(data, "real")
    pictures(tmp_path / "copy", "others")
    assert len(prepare_folds(config, 2, 0)) == 2
    shutil.copy(data / "images/train/1.png", tmp_path / "copy/images/train/7.png")
    with pytest.raises(ConfigError, match=refused):
        prepare_folds(config, 2, 0)


def test_a_library_of_images_that_are_kept_back_is_refused(data, tmp_path):
    def library(path, images):
        masks = square_grid(1, 5)
        image = np.zeros(masks.image_shape, np.float32)
        AgglomerateLibrary([Agglomerate(image, masks, ({},), name, None) for name in images]).save(path)

    def config(path, name):
        own = config_of(data, tmp_path, name)
        own.train_dataloader.dataset.dataset.pipeline = [dict(type="PasteAgglomerates", library=str(path))]
        return own

    library(tmp_path / "all.zip", ["4.png"])
    with pytest.raises(ConfigError, match=r"all\.zip holds particles of 4\.png, which fold \d keeps back"):
        prepare_folds(config(tmp_path / "all.zip", "one"), 2, 0)
    folds = prepare_folds(config(tmp_path / "fold_{fold}.zip", "two"), 2, 0)
    for fold in folds:
        library(tmp_path / f"fold_{fold.number}.zip", names(fold.config.parent / "train.json"))
    assert prepare_folds(config(tmp_path / "fold_{fold}.zip", "two"), 2, 0) == folds


def test_another_cross_validation_is_not_mixed_in(data, tmp_path):
    prepare_folds(config_of(data, tmp_path), 2, 0)
    prepare_folds(config_of(data, tmp_path), 2, 0)
    for other in (lambda: prepare_folds(config_of(data, tmp_path), 2, 1),
                  lambda: prepare_folds(config_of(data, tmp_path, train_cfg={"max_epochs": 4}), 2, 0)):  # fmt: skip
        with pytest.raises(ConfigError, match="holds another cross-validation"):
            other()


def test_another_config_in_the_folder_is_one_line(data, tmp_path):
    prepare_folds(config_of(data, tmp_path), 2, 0)
    other = Path(shutil.copy(tmp_path / "own.py", tmp_path / "other.py"))
    with pytest.raises(ConfigError, match="holds another cross-validation"):
        prepare_folds(Config.fromfile(other), 2, 0)


@pytest.mark.parametrize("replaced", ["data/annotations/train.json", "weights/start.pth"])
def test_folds_of_replaced_files_are_not_pooled_with_former_ones(data, tmp_path, replaced):
    """Before, a fold that was trained already was taken with those that were not."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/start.pth").write_text("old")
    config = config_of(data, tmp_path, load_from=str(tmp_path / "weights/start.pth"))
    notes = tmp_path / "own/cv/folds.json"
    prepare_folds(config, 2, 0)
    former = json.loads(notes.read_text())
    write_annotations(data / "annotations/train.json", coco_truth([square_grid(n, 5) for n in range(1, 11)]))
    prepare_folds(config, 2, 0)  # the same again
    truth = coco_truth([square_grid(n, 6) for n in range(1, 11)])
    if replaced == "weights/start.pth":
        (tmp_path / replaced).write_text("new")
    else:
        write_annotations(tmp_path / replaced, truth)
    with pytest.raises(ConfigError, match=rf"own/cv holds a cross-validation of another version of .*{replaced}; name"):
        prepare_folds(config, 2, 0)
    del former["files"]
    notes.write_text(json.dumps(former))
    assert len(prepare_folds(config, 2, 0)) == 2, "a former version noted none"


def test_too_many_folds_and_no_set_to_divide_are_one_line(data, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.json: 11 folds of 10 images"):
        prepare_folds(config_of(data, tmp_path), 11, 0)
    config = config_of(data, tmp_path)
    config.val_dataloader.dataset.data_root = f"{tmp_path}/elsewhere/"
    with pytest.raises(ConfigError, match="0 training sets stand in"):
        divided_set(config)


def programs(folder: Path, epochs: int) -> Path:
    (folder / "train.py").write_text(TRAIN.replace("EPOCHS", str(epochs)))
    (folder / "test.py").write_text(TEST)
    return folder


def test_what_is_done_is_left_alone_and_the_whole_is_recorded(data, tmp_path):
    config = config_of(data, tmp_path)
    folds = prepare_folds(config, 4, 0)
    with pytest.raises(TrainingStopped, match="fold 0 was stopped after 1 of 3 epochs"):
        train_fold(folds[0], programs(tmp_path, epochs=1))
    assert not folds[0].is_tested, "half-trained weights are not judged"
    for _ in range(2):
        for fold in folds:
            train_fold(fold, programs(tmp_path, epochs=3))
            run_test(fold, tmp_path)
    assert [(fold.config.parent / "trained").read_text() for fold in folds] == ["xx", "x", "x", "x"]
    record = pooled_record(config, folds, {"a": 0.5})
    assert (record["images"], record["split"], record["metrics"]) == (10, "cv", {"a": 0.5})
    assert record["seconds_per_image"] == {"median": 1.0, "mean": (2 * 2 * 2 + 2 * 3 * 3) / 10}
    whole = json.loads((tmp_path / "own" / "cv" / "run.json").read_text())
    assert (whole["seconds"], whole["folds"], whole["parameters"]) == (61.5, 4, 7)


@pytest.mark.parametrize(("ends", "code"), [("raise SystemExit(143)", 143), ("os.kill(os.getpid(), 10)", 138)])
def test_a_fold_that_a_signal_stopped_is_not_done_and_its_code_is_handed_on(tmp_path, ends, code):
    (tmp_path / "train.py").write_text(f"import os\n{ends}")
    (tmp_path / "test.py").write_text("raise SystemExit('half-trained weights are not tested')")
    fold = Fold(2, tmp_path / "fold_2" / "own.py", 1, ())
    with pytest.raises(
        TrainingStopped, match=r"fold 2: .*train\.py .*was stopped by SIG.*; the same command goes on"
    ) as e:
        train_fold(fold, tmp_path)
    assert e.value.exit_code == code
    assert not fold.is_trained
    assert not fold.is_tested


def test_figures_of_weights_that_were_trained_on_since_are_not_the_fold_s(tmp_path):
    """Such as a script left that went on to the test after a stopped training."""
    run = tmp_path / "fold_0" / "run"
    (run / "val").mkdir(parents=True)
    fold = Fold(0, run.parent / "own.py", 1, ())
    state = {"state_dict": {}, "optimizer": {}, "meta": {}, "message_hub": {}}
    torch.save(state, run / "epoch_0_step_2.pth")
    tested = {"checkpoint": {"sha256": file_sha256(run / "epoch_0_step_2.pth")}}
    (run / "val" / "metrics.json").write_text(json.dumps(tested))
    assert fold.is_tested
    torch.save({**state, "meta": {"epoch": 1}}, run / "epoch_1.pth")
    assert not fold.is_tested
    tested["checkpoint"]["sha256"] = file_sha256(run / "epoch_1.pth")
    (run / "val" / "metrics.json").write_text(json.dumps(tested))
    assert fold.is_tested


def test_a_program_that_fails_is_named(tmp_path):
    (tmp_path / "train.py").write_text("raise SystemExit(3)")
    fold = Fold(2, tmp_path / "fold_2" / "own.py", 1, ())
    with pytest.raises(ConfigError, match=r"fold 2: .*train\.py .* ended with code 3"):
        train_fold(fold, tmp_path)


def test_a_visibility_model_s_folds_answer_on_found_and_on_annotated_outlines(tmp_path):
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "test.py").write_text(
        "import pickle, sys\nwords = sys.argv[1:]\npickle.dump([words], open(words[words.index('--out') + 1], 'wb'))\n"
    )
    folds = [Fold(number, tmp_path / f"fold_{number}/own.py", 1, ()) for number in range(2)]
    for fold in folds:
        fold.run.mkdir(parents=True)
        torch.save({key: {} for key in ("state_dict", "optimizer", "meta", "message_hub")}, fold.run / "epoch_1.pth")
    for outlines, options in (
        ("found", []),
        ("annotated", ["--work-dir", "{}", "--cfg-options", "val_dataloader.dataset.predictions=None"]),
    ):
        for fold, (words,) in zip(folds, judged_samples(folds, folder, outlines), strict=True):
            assert words[:4] == [str(fold.config), str(fold.run / "epoch_1.pth"), "--split", "val"]
            own = str(fold.config.parent / outlines)
            assert words[6:] == [option.format(own) for option in options], (
                "else where the fold's test leaves its figures"
            )
