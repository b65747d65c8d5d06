"""Fixtures for the tests of measurements."""

import pytest


@pytest.fixture(autouse=True)
def _no_figures(no_figures):
    """See there."""
