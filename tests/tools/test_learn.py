"""tools/learn.py makes a model that measures from corrected images, on a small network."""

import doctest
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_network
from mmengine.config import Config
from tool_modules import tool_module

import tio2.engine.timed_training
from scenes import coco_truth, square_grid
from semsize import cli
from semsize.correcting.results import CorrectedResults
from semsize.detecting import models
from semsize.detecting.models import ShippedModel
from semsize.measuring import MeasurementSettings, measure
from semsize.measuring.inputs import find_images
from semsize.measuring.outline_files import outlines_from_coco
from semsize.metrology.comparison import ImageFound, compare_image, image_truths
from semsize.metrology.matching import outcomes
from semsize.programs import measure as measuring
from semsize.structures.masks import CroppedMasks
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from tio2 import learn
from tio2.inference import Detector
from tio2.learn import main
from tio2.reporting.gain import Gain, Judged, compare_with_truth

TEST = {
    "scales": [1.5],
    "rpn": {"nms_pre": 100, "max_per_img": 30},
    "rcnn": {"score_thr": 0.05, "max_per_img": 20, "mask_scores": True},
}
RECIPE = """
_base_ = {base!r}
window = dict(_base_.window, crop_size=(96, 96), ratio_range=(0.8, 1.2))
train_dataloader = dict(
    num_workers=0, persistent_workers=False,
    dataset=dict(dataset=dict(pipeline=_base_.load + [window, _base_.flip] + _base_.pack)),
)
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Four rendered scenes of 96 px."""
    folder = tmp_path_factory.mktemp("learn") / "scenes"
    settings = RenderSettings(seed=0, shape=(96, 96), preset="agglomerated", particles=6)
    render_dataset(DatasetPlan(settings, num=4, fractions=(1, 0, 0)), folder)
    return folder


@pytest.fixture(scope="module")
def results(scenes):
    """A measurement of them, each corrected."""
    out = scenes.parent / "results"
    files = find_images([scenes / "images" / "train"], out)
    measure(files, out, outlines_from_coco(scenes / "annotations" / "train.json", files), MeasurementSettings())
    opened = CorrectedResults(out, [scenes])
    for image in opened.images:
        with opened.open_log(image, opened.detected(image)) as log:
            log.apply(log.corrections.mark([1], is_particle=True))
    return out


@pytest.fixture
def small(scenes, monkeypatch):
    """A small network in place of the shipped one, and a recipe of small windows."""
    folder = scenes.parent
    config = tiny_network.write_config(folder / "small.py", precision="float32", test_cfg=TEST)
    checkpoint = tiny_network.save(tiny_network.build(config), folder / "small.pth")
    monkeypatch.setitem(models.SHIPPED, "free", ShippedModel(config, checkpoint, "for tests"))
    recipe = folder / "recipe.py"
    recipe.write_text(RECIPE.format(base=str(tio2.engine.timed_training.CONFIG)), encoding="utf-8")
    monkeypatch.setattr(tio2.engine.timed_training, "CONFIG", recipe)
    monkeypatch.setattr(tio2.engine.timed_training, "STEPS_PER_EPOCH", 2)
    return folder


@pytest.mark.usefixtures("small")
def test_from_corrections_to_an_archive_that_measures_and_is_not_validated(
    scenes, results, tmp_path, capsys, monkeypatch
):
    out, words = tmp_path / "mine", ["--images", str(scenes), "--scenes", str(scenes), "--steps", "2"]
    with monkeypatch.context() as patch:  # a training that changes nothing
        patch.setattr(tio2.engine.timed_training, "train", lambda *given, **_: given[3].checkpoint)
        with pytest.raises(SystemExit, match=r"Too few kept-back images .*\(1\).*\. Nothing was written"):
            main([str(results), "--out", str(out), *words])
    assert not list(tmp_path.iterdir())
    main([str(results), "--out", str(out), *words, "--yes"])
    printed = capsys.readouterr().out
    assert "learning from 3 images, 1 kept back" in printed
    assert "AP50" in printed
    names = {path.name for path in out.iterdir()}
    assert names == {"mine.pth", "mine.py", "mine.semsize", "mine.md", "learning.json", "data"}
    record = json.loads((out / "learning.json").read_text(encoding="utf-8"))
    assert record["steps"] == 2
    assert len(record["trained"]) == 3
    assert record["gain"]["untouched"] == 0 < record["gain"]["outlines"]
    assert "Not validated" in (out / "mine.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        measuring.main([
            str(scenes / "images"), "--out", str(tmp_path / "measured"), "--model", str(out / "mine.semsize"),
            "--pixel-size", "5nm",
        ])  # fmt: skip
    assert ended.value.code == 0
    measured = json.loads((tmp_path / "measured" / "record.json").read_text(encoding="utf-8"))
    assert measured["not_validated"] == ["this model has no bias record (tools/validate.py makes one)"]
    assert measured["outlines"]["licence"] == "weights of your own, from free (for tests)"
    with pytest.raises(SystemExit, match=r"error: .*exists and was not written by this program"):
        main([str(results), "--out", str(scenes), *words])


def test_a_comparison_asks_where_it_does_not_decide(small, scenes, monkeypatch):
    detector = Detector(Config.fromfile(small / "small.py"), small / "small.pth")
    judged = compare_with_truth(detector, scenes, "train")
    assert len(judged.images) == 4
    gain = Gain(judged, judged)
    assert gain.difference("mAP").difference == 0
    before, after = gain.average_precisions("AP50")
    assert 0 <= before == after <= 1
    assert "D50" in gain.table()
    many = Judged(judged.images * 2, judged.outcomes * 2)
    assert many.average_precision("AP50") == pytest.approx(judged.average_precision("AP50"), abs=0.05)
    learn._ask(Gain(many, many))  # eight images, no difference: it decides
    for given, known in ((gain, r"kept-back images with particles \(4\)"), (None, "nothing is known")):
        with pytest.raises(learn.LearningError, match=known):
            learn._ask(given)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    with pytest.raises(learn.LearningError, match="not wanted; nothing was written"):
        learn._ask(gain)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    learn._ask(gain)


def found_in(images, found):
    """N images of nine particles or none, of which a model finds some: their numbers, image by image."""
    masks = [square_grid(9, 10) if particles else CroppedMasks.empty((100, 100)) for particles in images]
    compared, results = [], []
    for truth, count in zip(image_truths(coco_truth(masks)), found, strict=True):
        detected, scores = truth.masks[:count], np.full(count, 0.9)
        compared.append(compare_image(truth, ImageFound(detected, scores)))
        results.append(outcomes(truth.masks, detected, scores, truth.ignored))
    return Judged(tuple(compared), tuple(results))


@pytest.mark.parametrize("empty", [6, 30])
def test_images_without_a_particle_do_not_make_a_comparison_decide(empty):
    images = [True, *[False] * empty]
    gain = Gain(found_in(images, [9, *[0] * empty]), found_in(images, [1, *[0] * empty]))
    with pytest.raises(learn.LearningError, match=r"kept-back images with particles \(1\)"):
        learn._ask(gain)


def test_a_model_that_is_worse_is_asked_for():
    gain = Gain(found_in([True] * 6, [9, 8, 9, 8, 9, 8]), found_in([True] * 6, [4, 3, 5, 4, 3, 5]))
    with pytest.raises(learn.LearningError, match="The new model is worse"):
        learn._ask(gain)


def test_a_truth_that_a_model_drew_favours_it_and_that_is_said_and_asked():
    before, after = found_in([True] * 6, [9, 8, 9, 8, 9, 8]), found_in([True] * 6, [9] * 6)
    learn._ask(Gain(before, after, untouched=27))
    for gain, doubt in (
        (Gain(before, after, untouched=28), "The comparison does not decide"),
        (Gain(after, found_in([True] * 6, [4] * 6), untouched=9), "The new model is worse"),
        (Gain(before, found_in([True] * 5 + [False], [9] * 5 + [0]), untouched=9), "Too few kept-back images"),
    ):
        caution = (
            rf"{gain.untouched} of {gain.outline_count} outlines of the images kept back are as a model found them"
        )
        with pytest.raises(learn.LearningError, match=rf"{doubt}.*\. {caution}: the comparison favours that model"):
            learn._ask(gain)
        assert gain.caution in gain.table()
    assert "as a model found them" not in Gain(before, after).table()


@pytest.mark.parametrize(
    ("untouched", "says"), [(0, "--checkpoint mine.pth"), (1, "not every outline"), (None, "no image was kept back")]
)
def test_the_card_says_how_a_bias_record_is_made_only_where_people_judged_every_outline(untouched, says):
    some = found_in([True], [9])
    gain = None if untouched is None else Gain(some, some, untouched)
    start = ShippedModel(Path("a.py"), Path("a.pth"), "for tests")
    learned = learn.Learned("mine", start, "free", ("a",), ("b",), Path("run.pth"), gain)
    run = {"steps": 1, "batch_size": 2, "seconds": 60.0, "device": "cpu"}
    card = learn._card(learned, "for tests", run, "0" * 64)
    assert says in card
    assert ("validate.py" in card) == (untouched == 0)
    assert ("1 of 9 outlines" in card) == (untouched == 1)


def test_without_the_training_side_it_is_one_line(monkeypatch, results, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(sys, "argv", ["semsize learn"])
    with pytest.raises(SystemExit, match=r"^error: semsize learn needs onnx: pip install 'tio2\[train\]'$"):
        main([str(results), "--out", str(tmp_path / "mine")])


def test_semsize_learn_is_the_entry_point_that_the_training_side_brings(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["semsize", "learn", "results"])
    monkeypatch.setattr(cli, "entry_points", lambda **_: [])
    with pytest.raises(SystemExit, match="error: semsize learn is not registered"):
        cli.main()
    called = []

    class Point:
        def load(self):
            return lambda: called.append(list(sys.argv))

    monkeypatch.setattr(
        cli, "entry_points", lambda group, name: [Point()] if (group, name) == (cli.GROUP, "learn") else []
    )
    cli.main()
    assert called == [["semsize learn", "results"]]


def test_the_examples_of_the_learning_curve_run():
    assert doctest.testmod(tool_module("benchmarks/learning_curve")).failed == 0
