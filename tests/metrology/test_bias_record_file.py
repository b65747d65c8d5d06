"""A record's file reads back equal; other files are refused in one line; a record holds for one use of one model."""

import copy
import dataclasses
import json

import pytest

from semsize.metrology import BiasRecordError, ModelUse
from semsize.metrology.bias_record import (
    BiasRecord,
    CoveredRanges,
    RecordImages,
    ResidualClass,
    bias_path,
    bias_record_from_json,
    find_bias_file,
    nearest_record,
    read_bias_records,
    write_bias_records,
)
from semsize.metrology.occlusion import OcclusionClass

USE = ModelUse("a" * 64, "torch", "float32", {"model.test_cfg.rcnn.score_thr": 0.05, "tile": None})

RECORD = BiasRecord(
    checkpoint="light.pth",
    model=USE,
    min_score=0.5,
    min_dice=0.75,
    sources=(RecordImages("val.json", "predictions.json", "annotated", 6, 589),),
    residuals=(
        ResidualClass(0.0, 23.0, 15.5, -0.01, 0.005, 0.002, 90, 6),
        ResidualClass(23.0, None, 30.0, 0.01, 0.004, 0.01, 200, 6),
    ),
    occlusion=(OcclusionClass(0.05, 0.1, 4, 300, 190, -0.11, 0.03, 0.05, 3),),
    ranges=CoveredRanges((7.3, 7.4), (9.0, 50.0), None, (0.05, 0.2)),
)


def as_json():
    return json.loads(json.dumps(dataclasses.asdict(RECORD)))


def test_a_record_goes_through_json_unchanged():
    assert bias_record_from_json(as_json(), "x.json") == RECORD
    assert bias_record_from_json({**as_json(), "checkpoint": None}, "x.json").checkpoint is None


def changed(change):
    data = copy.deepcopy(as_json())
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("ranges"), "the record lacks or has in excess: ranges"),
        (lambda d: d.update(extra=1), "in excess: extra"),
        (lambda d: d.update(min_score="0.5"), "min_score is '0.5', not a number"),
        (lambda d: d.update(min_score=True), "min_score is True, not a number"),
        (lambda d: d.update(min_dice=float("nan")), "min_dice is nan"),
        (lambda d: d.update(checkpoint=3), "checkpoint is 3, not a text"),
        (lambda d: d.update(residuals={}), r"residuals is \{\}, not a list"),
        (lambda d: d["residuals"][0].pop("images"), "residuals 1 lacks or has in excess: images"),
        (lambda d: d["residuals"][1].update(images=2.5), "images of residuals 2 is 2.5, not a whole number"),
        (lambda d: d["residuals"][0].update(low_px=None), "low_px of residuals 1 is None"),
        (lambda d: d["residuals"][0].update(high_px=20), "residual classes do not adjoin"),
        (lambda d: d["residuals"][0].update(mean_ecd_px=1e6), "mean_ecd_px 1e.06 lies outside its class"),
        (lambda d: d["occlusion"].append(7), "occlusion 2 lacks"),
        (lambda d: d["ranges"].update(ecd_px=[5]), r"ecd_px of ranges is \[5\], not a list of 2"),
        (lambda d: d["ranges"].update(ecd_px=[50, 5]), "ecd_px of ranges is reversed"),
        (lambda d: d["sources"][0].update(kind=None), "kind of sources 1 is None, not a text"),
        (lambda d: d["model"].pop("precision"), "model lacks or has in excess: precision"),
        (lambda d: d["model"].update(sha256=7), "sha256 of model is 7, not a text"),
        (lambda d: d["model"].update(settings=[]), r"settings of model is \[\], not names with values"),
    ],
)
def test_faults_are_named_in_one_line(change, message):
    with pytest.raises(BiasRecordError, match=message) as caught:
        bias_record_from_json(changed(change), "x.json")
    assert str(caught.value).startswith("x.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(BiasRecordError, match="lacks or has in excess"):
        bias_record_from_json(data, "x.json")


@pytest.mark.parametrize("data", [[], {}, {"records": {}}, {"records": [], "x": 1}])
def test_what_is_no_file_of_records_is_refused(data, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(data))
    with pytest.raises(BiasRecordError, match=r"x\.json: the file holds no list of records; make it again"):
        read_bias_records(tmp_path / "x.json")


def test_a_record_of_before_it_was_bound_is_refused_and_what_to_do_is_said(tmp_path):
    old = as_json()
    del old["model"]
    (tmp_path / "x.json").write_text(json.dumps(old))
    said = r"x\.json: an old record .*make it anew with tools/validate\.py"
    with pytest.raises(BiasRecordError, match=said) as caught:
        read_bias_records(tmp_path / "x.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "b" * 64}, "the weights are others (SHA-256 bbbbbbbb…, validated aaaaaaaa…)"),
        ({"precision": "bfloat16"}, "precision is bfloat16, validated float32"),
        ({"engine": "onnxruntime"}, "engine is onnxruntime, validated torch"),
        ({"settings": {**USE.settings, "tile": [512, 128]}}, "tile is [512, 128], validated off"),
        ({"settings": {"tile": None}}, "model.test_cfg.rcnn.score_thr is off, validated 0.05"),
        ({"settings": {**USE.settings, "model.test_cfg.flips": ["horizontal"]}},
         "model.test_cfg.flips is ['horizontal'], validated off"),
    ],
)  # fmt: skip
def test_another_use_of_the_model_is_not_validated_and_what_differs_is_said(change, said):
    assert RECORD.differences(dataclasses.replace(USE, **change), 0.5) == (said,)


def test_switched_off_is_as_good_as_absent_and_zero_is_a_value():
    off = {**USE.settings, "model.test_cfg.flips": [], "model.test_cfg.rcnn.mask_scores": False}
    assert RECORD.differences(dataclasses.replace(USE, settings=off), 0.5) == ()
    zero = {**USE.settings, "model.test_cfg.rcnn.score_thr": 0.0}
    assert len(RECORD.differences(dataclasses.replace(USE, settings=zero), 0.5)) == 1
    assert RECORD.differences(USE, 0.4) == ("particles count from score 0.4, validated from 0.5",)
    assert dataclasses.replace(RECORD, model=None).differences(USE, 0.5) == ("the record is of no model",)


def test_of_several_records_the_one_that_holds_is_taken_else_the_nearest():
    reduced = dataclasses.replace(RECORD, model=dataclasses.replace(USE, precision="bfloat16"))
    tiled = dataclasses.replace(RECORD, min_score=0.3, model=dataclasses.replace(USE, settings={"tile": [9, 3]}))
    records = (tiled, reduced, RECORD)
    assert nearest_record(records, USE, 0.5) is RECORD
    assert nearest_record(records, reduced.model, 0.5) is reduced
    assert nearest_record(records, dataclasses.replace(USE, sha256="c"), 0.5) is RECORD
    assert nearest_record((), USE, 0.5) is None


def test_written_and_read_it_is_the_same(tmp_path):
    path = bias_path(tmp_path / "checkpoints" / "light.pth")
    assert path == tmp_path / "checkpoints" / "light.bias.json"
    write_bias_records(path, [RECORD])
    assert read_bias_records(path) == (RECORD,)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_missing_or_broken_file_is_one_line(tmp_path):
    path = tmp_path / "x.bias.json"
    with pytest.raises(BiasRecordError, match=r"x\.bias\.json: cannot be read"):
        read_bias_records(path)
    path.write_text("{")
    with pytest.raises(BiasRecordError, match="not a JSON file"):
        read_bias_records(path)


def test_a_file_of_the_former_name_is_found_and_the_present_name_goes_first(tmp_path):
    weights = tmp_path / "light.pth"
    assert find_bias_file(weights) is None
    write_bias_records(tmp_path / "light.validation.json", [RECORD])
    assert find_bias_file(weights) == tmp_path / "light.validation.json"
    write_bias_records(bias_path(weights), [RECORD])
    assert find_bias_file(weights) == tmp_path / "light.bias.json"
