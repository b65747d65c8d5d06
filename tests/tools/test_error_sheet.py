"""tools/error_sheet.py on a small run's folder: a config, an annotation file, an image, predictions."""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import coco_found, coco_truth, squares
from semsize.structures import write_annotations, write_predictions
from semsize.structures.masks import CroppedMasks

ROOT = Path(__file__).parents[2]
SHAPE = (60, 90)
TRUTH = squares(SHAPE, [(10, 10), (10, 40)], 15)
FOUND = CroppedMasks.cat([TRUTH[0], squares(SHAPE, [(38, 60)], 12)])
CONFIG = """
work_dir = "{run}"
dataset = dict(data_root="{data}")
train_dataloader = dict(dataset=dict(dataset=dict(dataset, ann_file="annotations/train.json",
                                                  data_prefix=dict(img="images/train/"))))
val_dataloader = dict(dataset=dict(dataset, ann_file="annotations/val.json", data_prefix=dict(img="images/val/")))
test_dataloader = val_dataloader
val_evaluator = []
test_evaluator = []
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was tested on the training images by folds."""
    folder = tmp_path_factory.mktemp("errors")
    data, run = folder / "data", folder / "run"
    (data / "images" / "train").mkdir(parents=True)
    (run / "cv").mkdir(parents=True)
    grey = np.full(SHAPE, 20, np.uint8)
    for crop, (row, column) in TRUTH:
        grey[row : row + crop.shape[0], column : column + crop.shape[1]] = 120
    cv2.imwrite(str(data / "images" / "train" / "1.png"), grey)
    write_annotations(data / "annotations" / "train.json", coco_truth([TRUTH]))
    found = [{**record, "image": "1.png"} for record in coco_found([FOUND], [[0.9, 0.7]])]
    write_predictions(run / "cv" / "predictions.json", found)
    (run / "cv" / "config.py").write_text(CONFIG.format(run=run, data=data))
    return run


spec = importlib.util.spec_from_file_location("error_sheet_program", ROOT / "tools" / "error_sheet.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture
def program(monkeypatch):
    """The program with these words after its name."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["error_sheet.py", *map(str, words)])
        tool.main()

    return call


def test_tables_and_sheets_are_written_beside_the_other_results(run, program, capsys):
    program(run, "--split", "cv")
    out = run / "cv" / "errors"
    names = ["errors.csv", "errors.md", "false_positives.png", "missed.png"]
    assert sorted(file.name for file in out.iterdir()) == names
    with (out / "errors.csv").open() as stream:
        assert [(row["error"], row["cause"]) for row in csv.DictReader(stream)] == [
            ("miss", "overlooked"),
            ("false positive", "substrate"),
        ]
    assert cv2.imread(str(out / "missed.png")).shape[0] > 200
    assert (out / "errors.md").read_text() in capsys.readouterr().out


def test_what_is_missing_is_said_in_one_line(run, program, tmp_path):
    with pytest.raises(SystemExit, match=r"^error: .*val/predictions.json: cannot be read"):
        program(run, "--split", "val")
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "predictions.json").write_text(json.dumps([]))
    with pytest.raises(SystemExit, match=r"holds no config; give the folder of a run that tools/test.py has tested$"):
        program(tmp_path, "--split", "cv")
