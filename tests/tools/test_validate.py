"""tools/validate.py on closed-form disks that are found too large by a known share."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from tool_modules import tool_module

from scenes import coco_boxes, disks
from semsize.metrology import ModelUse
from semsize.metrology.bias_record import read_bias_records
from semsize.structures import (
    dataset,
    image_entry,
    particle_entry,
    prediction_entry,
    write_annotations,
    write_predictions,
)
from semsize.structures.files import file_sha256
from semsize.visibility.model import CropAnswers
from semsize.visibility.prediction import CalibratedModel
from semsize.visibility.record import read_visibility_records
from semsize.visibility.states import BINS, StateThresholds

tool = tool_module("validate")

CENTRES = [(row, column) for row in range(25, 400, 50) for column in range(25, 400, 50)]
LEVEL = 80


@pytest.fixture
def folder(tmp_path):
    """Two images, truth and predictions; every other particle is masked."""
    images, particles, found = [], [], []
    for number in (1, 2):
        truth, larger = (disks((400, 400), CENTRES, np.full(64, radius)) for radius in (15.0, 15.0 + 0.1 * number))
        name = f"{number}.png"
        images.append(image_entry(id=number, file_name=name, height=400, width=400, pixel_size_nm=7.0))
        for rle in truth.to_rles():
            state = "masked" if len(particles) % 2 else "complete"
            particles.append(particle_entry(id=len(particles) + 1, image_id=number, rle=rle, state=state))
        boxes = [[x, y, x + w, y + h] for x, y, w, h in coco_boxes(larger)]
        found += [
            prediction_entry(number, name, box, 0.9, rle) for box, rle in zip(boxes, larger.to_rles(), strict=True)
        ]
        grey = np.full((400, 400), 20, np.uint8)
        grey[larger.to_full().any(axis=0)] += LEVEL
        cv2.imwrite(str(tmp_path / name), grey)
    write_annotations(tmp_path / "truth.json", dataset(images, particles))
    write_predictions(tmp_path / "found.json", found)
    (tmp_path / "model.pth").write_bytes(b"weights")
    write_metrics(tmp_path)
    return tmp_path


def use(folder, **changes):
    """How the model of the folder was tested."""
    whole = ModelUse(file_sha256(folder / "model.pth"), "torch", "float32", {"model.test_cfg.flips": ["horizontal"]})
    return dataclasses.replace(whole, **changes)


def write_metrics(folder, predictions="found.json", **changes):
    """What tools/test.py leaves beside its predictions."""
    tested = {"model": dataclasses.asdict(use(folder, **changes))}
    tested["predictions_sha256"] = file_sha256(folder / predictions)
    (folder / "metrics.json").write_text(json.dumps(tested))


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["validate.py", *map(str, words)])
    tool.main()


def test_the_record_lies_beside_the_checkpoint(folder, monkeypatch, capsys):
    pair = ["--pair", folder / "truth.json", folder / "found.json", "--images", folder]
    run(monkeypatch, *pair, "--checkpoint", folder / "model.pth")
    (record,) = read_bias_records(folder / "model.bias.json")
    assert (record.checkpoint, record.model) == ("model.pth", use(folder))
    assert [(one.kind, one.images, one.pairs) for one in record.sources] == [("annotated", 2, 128)]
    (only,) = record.residuals
    areas = [disks((400, 400), CENTRES[:1], [radius]).areas[0] for radius in (15.0, 15.1, 15.2)]
    first, second = np.sqrt(areas[1] / areas[0]) - 1, np.sqrt(areas[2] / areas[0]) - 1
    assert only.residual == pytest.approx((first + second) / 2)
    assert [one.effect for one in record.occlusion] == pytest.approx([(first + second) / 2])
    assert record.ranges.contrast_levels == (LEVEL, LEVEL)
    assert record.ranges.nm_per_px == (7.0, 7.0)
    printed = capsys.readouterr().out
    assert "mean residual, %" in printed
    assert "| contrast_levels | 80.00 | 80.00 |" in printed
    assert "model.bias.json" in printed


def test_without_images_the_contrast_is_not_known(folder, monkeypatch):
    run(monkeypatch, "--pair", folder / "truth.json", folder / "found.json", "--out", folder / "x.json")
    (record,) = read_bias_records(folder / "x.json")
    assert (record.ranges.contrast_levels, record.checkpoint) == (None, None)
    assert record.model == use(folder)


def failing(folder, monkeypatch, *words):
    """The line that it ends with."""
    pair = ["--pair", folder / "truth.json", folder / "found.json"]
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *pair, "--checkpoint", folder / "model.pth", *words)
    assert str(caught.value).startswith("error: ")
    assert "\n" not in str(caught.value)
    assert not (folder / "model.bias.json").exists()
    return str(caught.value)


def test_predictions_of_other_weights_or_of_nobody_knows_which_are_refused(folder, monkeypatch):
    write_metrics(folder, sha256="b" * 64)
    assert "made by other weights than" in failing(folder, monkeypatch)
    (folder / "metrics.json").unlink()
    assert "make the predictions again with tools/test.py" in failing(folder, monkeypatch)
    write_metrics(folder)
    found = json.loads((folder / "found.json").read_text())
    write_predictions(folder / "found.json", found[1:])
    assert "is of other predictions than found.json" in failing(folder, monkeypatch)


def test_sets_that_were_looked_at_in_different_ways_make_no_record(folder, monkeypatch):
    second = folder / "second"
    second.mkdir()
    (second / "found.json").write_bytes((folder / "found.json").read_bytes())
    (second / "model.pth").write_bytes(b"weights")
    write_metrics(second, precision="bfloat16")
    line = failing(folder, monkeypatch, "--pair", folder / "truth.json", second / "found.json")
    assert "precision is bfloat16, validated float32" in line


def test_another_use_of_the_weights_gets_a_record_of_its_own_beside(folder, monkeypatch, capsys):
    words = ["--pair", folder / "truth.json", folder / "found.json", "--checkpoint", folder / "model.pth"]
    for precision in ("float32", "bfloat16", "float32"):
        write_metrics(folder, precision=precision)
        run(monkeypatch, *words)
    records = read_bias_records(folder / "model.bias.json")
    assert [record.model.precision for record in records] == ["bfloat16", "float32"]
    assert "which holds 2 bias records" in capsys.readouterr().out


def test_records_under_the_former_name_are_taken_over(folder, monkeypatch, capsys):
    words = ["--pair", folder / "truth.json", folder / "found.json", "--checkpoint", folder / "model.pth"]
    run(monkeypatch, *words)
    (folder / "model.bias.json").rename(folder / "model.validation.json")
    write_metrics(folder, precision="bfloat16")
    run(monkeypatch, *words)
    records = read_bias_records(folder / "model.bias.json")
    assert [record.model.precision for record in records] == ["float32", "bfloat16"]
    assert "which holds 2 bias records" in capsys.readouterr().out


def test_an_old_record_is_replaced_and_this_is_said(folder, monkeypatch, capsys):
    words = ["--pair", folder / "truth.json", folder / "found.json", "--checkpoint", folder / "model.pth"]
    run(monkeypatch, *words)
    file = folder / "model.bias.json"
    old = json.loads(file.read_text())["records"][0]
    del old["model"]
    file.write_text(json.dumps(old))
    run(monkeypatch, *words)
    assert "replaced: " in capsys.readouterr().out
    assert len(read_bias_records(file)) == 1


@pytest.mark.parametrize("name", ["truth.json", "found.json", "2.png"])
def test_a_missing_file_is_one_line_and_no_record(folder, monkeypatch, name):
    (folder / name).unlink()
    pair = ["--pair", folder / "truth.json", folder / "found.json", "--images", folder]
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *pair, "--out", folder / "x.json")
    assert str(caught.value).startswith("error: ")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (folder / "x.json").exists()


class Seen:
    """A visibility model that takes every outline for fully imaged with 0.8 and for a particle with 0.9."""

    records = ()

    def __init__(self, request):
        self.engine = "torch" if request.model is None else "onnx"

    def open(self, processes, calibration):  # noqa: ARG002 - the interface of a source
        def answers(crops):
            fractions = np.zeros((len(crops), BINS))
            fractions[:, [30, -1]] = 0.2, 0.8
            ratios = np.ones((len(crops), 3, 3)) * [0.9, 1.0, 1.1]
            return CropAnswers(fractions, np.full(len(crops), 0.9), np.zeros((len(crops), 64, 64)), ratios)

        return CalibratedModel(answers, StateThresholds(), calibration)

    def as_record(self):
        return {"sha256": "a" * 64, "engine": self.engine, "precision": "float32"}


def write_rendered(folder, shares=(1.0, 0.5)):
    """Four images of disks, seen to these shares by turns; one outline an image is of no particle."""
    truth, images, particles, found = disks((400, 400), CENTRES, np.full(64, 15.0)), [], [], []
    for number in (1, 2, 3, 4):
        images.append(image_entry(id=number, file_name="1.png", height=400, width=400, pixel_size_nm=7.0))
        for place, rle in enumerate(truth.to_rles()[:-1]):
            share = shares[place % 2]
            nm = 7.0 * 2 * np.sqrt(truth.areas[place] / share / np.pi)
            sizes = dict.fromkeys(("ecd_nm", "feret_min_nm", "feret_max_nm"), nm)
            state = "masked" if place % 2 else "complete"
            known = {"amodal_rle": rle, "visible_fraction": share, "truncated": False, **sizes}
            particles.append(particle_entry(id=len(particles) + 1, image_id=number, rle=rle, state=state, **known))
        boxes = [[x, y, x + w, y + h] for x, y, w, h in coco_boxes(truth)]
        found += [
            prediction_entry(number, "1.png", box, 0.9, rle) for box, rle in zip(boxes, truth.to_rles(), strict=True)
        ]
    write_annotations(folder / "truth.json", dataset(images, particles))
    write_predictions(folder / "found.json", found)


@pytest.mark.parametrize(("files", "engine"), [(["config.py", "seen.pth"], "torch"), (["seen.semsize"], "onnx")])
def test_rendered_sets_make_the_record_of_a_visibility_model(folder, monkeypatch, capsys, files, engine):
    write_rendered(folder)
    write_metrics(folder)
    monkeypatch.setattr("semsize.measuring.predicted_states.find_visibility_model", Seen)
    words = ["--pair", folder / "truth.json", folder / "found.json", "--images", folder, "--checkpoint"]
    run(monkeypatch, *words, folder / "model.pth", "--visibility", *(folder / file for file in files))
    [record] = read_visibility_records(folder / files[-1])
    assert (record.engine, record.checkpoint) == (engine, files[-1])
    assert (record.detector, record.sha256, record.fitted_images, record.judged_images) == (use(folder), "a" * 64, 2, 2)
    assert record.states_right == pytest.approx(32 / 63)
    assert record.particle_temperature < 1, "nearly all outlines are particles, more than it says"
    assert [step.of("D50").effect for step in record.fully_imaged[:2]] == pytest.approx([0, 0], abs=1e-9)
    printed = capsys.readouterr().out
    assert "completed: completion" in printed
    table = printed.partition("true visible fraction")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ECD")]
    half = f"{100 * (np.sqrt(0.5) - 1):.1f}"  # the outline is taken for the whole particle, of which it is a half
    assert rows[0] == ["ECD", "0.4 to 0.6", "62", half, "0.0", "100.0"]
    assert rows[1][:3] == ["ECD", "0.98 to 1", "64"]
    assert abs(float(rows[1][3])) == 0
    assert "seen.record.json" in printed
    assert record.prior is None


@pytest.fixture
def other(folder, monkeypatch):
    """Words that also give another renderer's scenes, whose hidden parts are larger, and their folder."""
    scenes = folder / "other"
    scenes.mkdir()
    for name in ("1.png", "model.pth"):
        (scenes / name).write_bytes((folder / name).read_bytes())
    write_rendered(folder)
    write_metrics(folder)
    write_rendered(scenes, shares=(1.0, 0.45))
    write_metrics(scenes)
    monkeypatch.setattr("semsize.measuring.predicted_states.find_visibility_model", Seen)
    return scenes


def words_of(folder, *others):
    words = ["--pair", folder / "truth.json", folder / "found.json", "--images", folder]
    words += ["--checkpoint", folder / "model.pth", "--visibility", folder / "seen.semsize"]
    for scenes in others:
        words += ["--other", scenes / "truth.json", scenes / "found.json", scenes]
    return words


def test_another_renderer_s_scenes_are_compared_and_have_no_part_in_the_rest(folder, other, monkeypatch, capsys):
    run(monkeypatch, *words_of(folder))
    [alone], biases = read_visibility_records(folder / "seen.pth"), read_bias_records(folder / "model.bias.json")
    capsys.readouterr()
    run(monkeypatch, *words_of(folder, other))
    [record] = read_visibility_records(folder / "seen.pth")
    assert dataclasses.replace(record, prior=None) == alone
    assert read_bias_records(folder / "model.bias.json") == biases
    assert [(source.kind, source.images) for source in record.prior.sources] == [("rendered", 4)]
    expected = np.log(np.sqrt(0.5 / 0.45))  # the same outlines, completed alike, of larger particles
    of_mean = {effect.statistic: effect.half_width for effect in record.prior.completion}
    assert 0 < of_mean["mean"] < expected
    assert of_mean["D90"] == pytest.approx(expected)
    [selection], [spread] = record.selection, record.prior.selection
    assert (spread.low, spread.high) == (selection.low, selection.high)
    printed = capsys.readouterr().out
    assert "other renderer: completion" in printed
    assert "other renderer: selection, area fraction" in printed
    assert "dropped" not in printed
    monkeypatch.setattr(Seen, "records", (record,))
    run(monkeypatch, *words_of(folder))
    assert read_visibility_records(folder / "seen.pth") == (alone,)
    assert "dropped: the former record's comparison with another renderer" in capsys.readouterr().out


def refused(folder, monkeypatch, *words):
    """The line that it ends with before anything is written."""
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *words)
    assert "\n" not in str(caught.value)
    assert not (folder / "model.bias.json").exists()
    assert not (folder / "seen.record.json").exists()
    return str(caught.value)


def test_another_renderer_s_scenes_must_have_been_found_in_the_same_way(folder, other, monkeypatch):
    write_metrics(other, precision="bfloat16")
    assert "precision is bfloat16, validated float32" in refused(folder, monkeypatch, *words_of(folder, other))
    (other / "metrics.json").unlink()
    assert "make the predictions again with tools/test.py" in refused(folder, monkeypatch, *words_of(folder, other))


def test_what_is_no_rendered_set_of_several_images_is_refused_as_another_renderer_s(folder, other, monkeypatch):
    truth = json.loads((other / "truth.json").read_text())
    single = [particle for particle in truth["annotations"] if particle["image_id"] == 1]
    found = [particle for particle in json.loads((other / "found.json").read_text()) if particle["image_id"] == 1]
    write_annotations(other / "truth.json", {**truth, "images": truth["images"][:1], "annotations": single})
    write_predictions(other / "found.json", found)
    write_metrics(other)
    assert "one image cannot show" in refused(folder, monkeypatch, *words_of(folder, other))
    for particle in truth["annotations"]:
        del particle["visible_fraction"]
    (other / "truth.json").write_text(json.dumps(truth))
    assert "no particle has a visible fraction" in refused(folder, monkeypatch, *words_of(folder, other))


def test_another_renderer_needs_a_visibility_model_and_is_another(folder, other, monkeypatch, capsys):
    words = words_of(folder, other)
    place = words.index("--visibility")
    refused(folder, monkeypatch, *words[:place], *words[place + 2 :])
    assert "--other needs --visibility" in capsys.readouterr().err
    refused(folder, monkeypatch, *words_of(folder, folder))
    assert "not the annotations of a --pair" in capsys.readouterr().err
