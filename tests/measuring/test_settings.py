"""Settings without sense are refused, and a record of settings gives them back."""

import json
from pathlib import Path

import pytest

from semsize.measuring.inputs import MeasurementSettings, OptionError, ReferenceValue, parse_percent
from semsize.structures.files import from_json, in_json
from semsize.structures.pixel_size import PixelSize


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": 1.5},
        {"min_size_px": -1},
        {"crop_rows": -3},
        {"calibration_factor": 0.0},
        {"calibration_std": 1.2},
        {"reference_std_px": -0.1},
        {"target_percent": 0},
        {"intensity_range": (5, 5)},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(OptionError):
        MeasurementSettings(**wrong)


def test_a_record_gives_the_settings_back():
    settings = MeasurementSettings(
        score=0.4,
        pixel_size=PixelSize(7.344, source="--pixel-size"),
        intensity_range=(10.0, 4000.0),
        states_file=Path("states.csv"),
        calibration_std=0.008,
    )
    assert from_json(json.loads(json.dumps(in_json(settings))), MeasurementSettings) == settings


def test_the_calibration_acts_on_every_pixel_size():
    settings = MeasurementSettings(calibration_factor=1.02, calibration_std=0.01)
    size = settings.calibrated(PixelSize(5.0, source="tag"))
    assert size.value_nm == pytest.approx(5.1)
    assert size.relative_std == pytest.approx(0.01)
    assert "1.02" in size.source
    assert settings.calibrated(None) is None


def test_per_cent_needs_its_sign():
    assert parse_percent("0.8%") == parse_percent(" 0.8 %") == pytest.approx(0.008)
    for text in ("0.8", "%", "x%"):
        with pytest.raises(OptionError, match="per cent with the sign"):
            parse_percent(text)


@pytest.mark.parametrize(
    ("text", "value", "expanded"),
    [("203 nm ± 5 nm", 203, 5), ("203nm+-5nm", 203, 5), ("0.203 µm +/- 0.005 um", 203, 5), (" .2um ± 0 nm ", 200, 0)],
)
def test_a_reference_is_a_length_and_its_uncertainty(text, value, expanded):
    found = ReferenceValue.parse(text)
    assert (found.value_nm, found.expanded_nm) == pytest.approx((value, expanded))


@pytest.mark.parametrize("text", ["203 nm", "203 ± 5", "203 nm ± 5", "203 nm ± 2 %", "0 nm ± 5 nm", "-3 nm ± 5 nm", ""])
def test_another_reference_is_refused(text):
    with pytest.raises(OptionError, match="D50"):
        ReferenceValue.parse(text)
