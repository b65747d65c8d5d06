"""The record beside its checkpoint."""

from pathlib import Path

import pytest

from tio2.metrology import ValidationError
from tio2.metrology.validation import ModelValidation, OcclusionClass, ResidualClass, ValidatedRanges, ValidationSource
from tio2.reporting.validation_file import read_validation, validation_path, validation_tables, write_validation

RECORD = ModelValidation(
    checkpoint="light.pth",
    min_score=0.5,
    min_dice=0.75,
    sources=(ValidationSource("val.json", "predictions.json", "annotated", 6, 589),),
    residuals=(ResidualClass(0.0, None, 15.5, -0.0123, 0.005, 0.002, 90, 6),),
    occlusion=(OcclusionClass(0.05, 0.1, 4, 300, 190, -0.11),),
    ranges=ValidatedRanges((7.344, 7.344), None, None, (0.05, 0.2)),
)


def test_written_and_read_it_is_the_same(tmp_path):
    path = validation_path(tmp_path / "checkpoints" / "light.pth")
    assert path == tmp_path / "checkpoints" / "light.validation.json"
    write_validation(path, RECORD)
    assert read_validation(path) == RECORD
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_missing_or_broken_file_is_one_line(tmp_path):
    path = tmp_path / "x.validation.json"
    with pytest.raises(ValidationError, match=r"x\.validation\.json: cannot be read"):
        read_validation(path)
    path.write_text("{")
    with pytest.raises(ValidationError, match="not a JSON file"):
        read_validation(path)


def test_tables_show_percentages_and_gaps():
    text = validation_tables(RECORD)
    assert "-1.23" in text
    assert "-11.00" in text
    assert "| ecd_px          |    – |    – |" in text
    assert Path(validation_path("a.pth")).name == "a.validation.json"
