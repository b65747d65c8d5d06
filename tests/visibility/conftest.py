"""Fixtures for the tests of states and hidden parts."""

import numpy as np
import pytest
from predicted_scenes import seen_image


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [seen_image(number, rng) for number in range(4)]
