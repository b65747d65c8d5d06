"""The record beside its checkpoint."""

import dataclasses
from pathlib import Path

import pytest

from semsize.measuring.validation_file import (
    read_validations,
    validation_path,
    validation_tables,
    with_record,
    write_validations,
)
from semsize.metrology import BiasRecordError, ModelUse
from semsize.metrology.bias_record import BiasRecord, CoveredRanges, OcclusionClass, RecordSource, ResidualClass

USE = ModelUse("a" * 64, "torch", "float32", {"tile": None, "pipeline": [{"type": "Resize", "scale_factor": 1.5}]})

RECORD = BiasRecord(
    checkpoint="light.pth",
    model=USE,
    min_score=0.5,
    min_dice=0.75,
    sources=(RecordSource("val.json", "predictions.json", "annotated", 6, 589),),
    residuals=(ResidualClass(0.0, None, 15.5, -0.0123, 0.005, 0.002, 90, 6),),
    occlusion=(OcclusionClass(0.05, 0.1, 4, 300, 190, -0.11, 0.03, 0.05, 3),),
    ranges=CoveredRanges((7.344, 7.344), None, None, (0.05, 0.2)),
)


def test_written_and_read_it_is_the_same(tmp_path):
    path = validation_path(tmp_path / "checkpoints" / "light.pth")
    assert path == tmp_path / "checkpoints" / "light.validation.json"
    write_validations(path, [RECORD])
    assert read_validations(path) == (RECORD,)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_missing_or_broken_file_is_one_line(tmp_path):
    path = tmp_path / "x.validation.json"
    with pytest.raises(BiasRecordError, match=r"x\.validation\.json: cannot be read"):
        read_validations(path)
    path.write_text("{")
    with pytest.raises(BiasRecordError, match="not a JSON file"):
        read_validations(path)


def test_tables_show_percentages_and_gaps():
    text = validation_tables(RECORD)
    assert "-1.23" in text
    assert "-11.00" in text
    assert "3.00" in text
    assert "| ecd_px          |    – |    – |" in text
    assert Path(validation_path("a.pth")).name == "a.validation.json"


def test_a_record_takes_the_place_of_the_one_for_the_same_use_only():
    other = dataclasses.replace(RECORD, model=dataclasses.replace(USE, precision="bfloat16"))
    anew = dataclasses.replace(RECORD, residuals=())
    records = with_record((RECORD, other), anew)
    assert records == (other, anew)
    assert with_record(records, dataclasses.replace(RECORD, model=None))[:2] == records
    assert len(with_record(records, dataclasses.replace(anew, min_score=0.3))) == 3
