"""The record goes through JSON unchanged, and anything else is refused in one line."""

import copy
import json

import pytest

from tio2.metrology import ValidationError
from tio2.metrology.validation import (
    ModelValidation,
    OcclusionClass,
    ResidualClass,
    ValidatedRanges,
    ValidationSource,
    validation_from_dict,
    validation_to_dict,
)

RECORD = ModelValidation(
    checkpoint="light.pth",
    min_score=0.5,
    min_dice=0.75,
    sources=(ValidationSource("val.json", "predictions.json", "annotated", 6, 589),),
    residuals=(
        ResidualClass(0.0, 23.0, 15.5, -0.01, 0.005, 0.002, 90, 6),
        ResidualClass(23.0, None, 30.0, 0.01, 0.004, 0.01, 200, 6),
    ),
    occlusion=(OcclusionClass(0.05, 0.1, 4, 300, 190, -0.11),),
    ranges=ValidatedRanges((7.3, 7.4), (9.0, 50.0), None, (0.05, 0.2)),
)


def as_json():
    return json.loads(json.dumps(validation_to_dict(RECORD)))


def test_a_record_goes_through_json_unchanged():
    assert validation_from_dict(as_json(), "x.json") == RECORD
    assert validation_from_dict({**as_json(), "checkpoint": None}, "x.json").checkpoint is None


def changed(change):
    data = copy.deepcopy(as_json())
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("ranges"), "the file lacks or has in excess: ranges"),
        (lambda d: d.update(extra=1), "in excess: extra"),
        (lambda d: d.update(min_score="0.5"), "min_score is '0.5', not a number"),
        (lambda d: d.update(min_score=True), "min_score is True, not a number"),
        (lambda d: d.update(min_dice=float("nan")), "min_dice is nan"),
        (lambda d: d.update(checkpoint=3), "checkpoint is 3, not a text"),
        (lambda d: d.update(residuals={}), "residuals is no list"),
        (lambda d: d["residuals"][0].pop("images"), "residual class 1 lacks or has in excess: images"),
        (lambda d: d["residuals"][1].update(images=2.5), "images of residual class 2 is 2.5, not a whole number"),
        (lambda d: d["residuals"][0].update(low_px=None), "low_px of residual class 1 is None"),
        (lambda d: d["residuals"][0].update(high_px=20), "residual classes do not adjoin"),
        (lambda d: d["occlusion"].append(7), "occlusion class 2 lacks"),
        (lambda d: d["ranges"].update(ecd_px=[5]), r"ecd_px of ranges is \[5\], not \[low, high\]"),
        (lambda d: d["ranges"].update(ecd_px=[50, 5]), "ecd_px of ranges is reversed"),
        (lambda d: d["sources"][0].update(kind=None), "kind of source 1 is None, not a text"),
    ],
)
def test_faults_are_named_in_one_line(change, message):
    with pytest.raises(ValidationError, match=message) as caught:
        validation_from_dict(changed(change), "x.json")
    assert str(caught.value).startswith("x.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(ValidationError, match="lacks or has in excess"):
        validation_from_dict(data, "x.json")
