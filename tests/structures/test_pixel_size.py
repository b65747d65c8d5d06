import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tio2.structures import PixelSize

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
