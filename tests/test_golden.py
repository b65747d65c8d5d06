"""The shipped models' detections, states and sizes on one scene do not change unnoticed, on each engine."""

import golden
import pytest

from semsize.detecting.models import SHIPPED
from semsize.structures.files import read_json
from semsize.structures.states import STATES

TOLERANCE = {"AP50": 0.01, "mAP": 0.01, "particles": 1, **dict.fromkeys(STATES, 0.5)}
SIZES = ("d10", "d50", "d90", "d50_completed", "d50_visible")
RELATIVE = 0.005
"""Of a quantile; a particle more or less moves it by as much."""


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("engine", golden.ENGINES)
def test_a_shipped_model_finds_what_it_found(name, engine, tmp_path):
    expected, found = read_json(golden.FILE, ValueError)[name][engine], golden.figures(name, engine, tmp_path)
    for key, tolerance in TOLERANCE.items():
        assert found[key] == pytest.approx(expected[key], abs=tolerance), key
    assert [found[key] for key in SIZES] == pytest.approx([expected[key] for key in SIZES], rel=RELATIVE)
