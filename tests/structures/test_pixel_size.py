import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.structures import PixelSize

SIZES = st.floats(1e-3, 1e4)


@given(SIZES, st.floats(0, 1e6))
def test_area_of_a_square_is_the_square_of_its_edge(value, edge):
    size = PixelSize(value)
    assert size.area_to_nm2(edge**2) == pytest.approx(size.to_nm(edge) ** 2)


def test_keeps_the_shape_of_an_array_and_its_fractions():
    lengths = np.array([[0.5, 1.0], [2.0, 1024.0]])
    np.testing.assert_array_equal(PixelSize(7.344).to_nm(lengths), lengths * 7.344)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_what_is_no_size(value):
    with pytest.raises(ValueError, match="positive number of nanometres"):
        PixelSize(value)


@pytest.mark.parametrize("std", [-0.1, float("nan")])
def test_refuses_what_is_no_uncertainty(std):
    with pytest.raises(ValueError, match="must not be negative"):
        PixelSize(1.0, std)


@pytest.mark.parametrize(
    ("text", "value_nm"),
    [
        *(("7.344nm", 7.344), (" 7.344 nm ", 7.344), ("7.nm", 7), ("+7nm", 7), ("812pm", 0.812), ("1e-3mm", 1000)),
        *(("0.5um", 500), (".5µm", 500), ("0.5μm", 500)),
    ],
)
def test_a_number_with_a_unit_is_understood(text, value_nm):
    size = PixelSize.parse(text, "--pixel-size")
    assert (size.value_nm, size.std_nm, size.source) == (pytest.approx(value_nm), None, "--pixel-size")


@pytest.mark.parametrize("text", ["7.344", "nm", "7,344nm", "7.3 7nm", "7m", "7 furlong", "", "nan nm", "inf nm"])
def test_what_is_no_number_with_a_unit_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"is no number with a unit .* write it as 7\.344nm") as caught:
        PixelSize.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["0nm", "-3nm", "1e999nm"])
def test_what_is_not_above_zero_is_refused(text):
    with pytest.raises(ValueError, match="is not above zero"):
        PixelSize.parse(text)


@given(SIZES, st.floats(0.5, 2), st.floats(0, 0.1), st.floats(0, 0.1))
def test_a_calibration_scales_and_its_uncertainty_adds_in_quadrature(value, factor, own, of_factor):
    size = PixelSize(value, own * value, "tag").calibrated(factor, of_factor)
    assert size.value_nm == pytest.approx(value * factor)
    assert size.relative_std == pytest.approx(np.hypot(own, of_factor))
    assert size.source.startswith("tag")


def test_a_calibration_of_nothing_changes_nothing_and_an_unstated_uncertainty_stays_unstated():
    assert PixelSize(7.344, source="tag").calibrated() == PixelSize(7.344, source="tag")
    assert PixelSize(7.344).calibrated(1.01).std_nm is None
    assert PixelSize(7.344).calibrated(1.01).source == "declared, times calibration factor 1.01"
    assert PixelSize(7.0).calibrated(relative_std=0.01).std_nm == pytest.approx(0.07)
    assert PixelSize(7.0, 0.07).calibrated(2.0).std_nm == pytest.approx(0.14)


@pytest.mark.parametrize("factor", [0, -1, float("nan")])
def test_refuses_what_is_no_calibration(factor):
    with pytest.raises(ValueError, match="times calibration factor"):
        PixelSize(1.0).calibrated(factor)
