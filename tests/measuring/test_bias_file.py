"""The record beside its checkpoint."""

import pytest

from semsize.measuring.bias_file import bias_path, find_bias_file, read_bias_records, write_bias_records
from semsize.metrology import BiasRecordError, ModelUse
from semsize.metrology.bias_record import (
    BiasRecord,
    CoveredRanges,
    OcclusionClass,
    RecordSource,
    ResidualClass,
)

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
