"""Fixtures for the tests of measurements."""

import pytest

from semsize.measuring import report


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Reports of the test itself lack their figures, nine tenths of a measurement's time; module fixtures draw them."""
    monkeypatch.setattr(report, "size_figures", lambda _: {})
