"""Fixtures shared by the tests."""

import pytest
from hypothesis import settings

from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

settings.register_profile("any machine", deadline=None)  # no test judges by a clock
settings.load_profile("any machine")
LONGEST = ("test_unbreakable", "test_processes", "test_train_and_test", "test_compare", "test_cross_validate")


def pytest_collection_modifyitems(items):
    """Begin with the modules that train, so that at the end no process is alone with one of them."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def rendered_set(tmp_path_factory):
    """Folder of a small rendered data set: one image of 160 x 128 px with 12 particles in each split."""
    folder = tmp_path_factory.mktemp("rendered") / "set"
    settings = RenderSettings(seed=0, shape=(128, 160), preset="agglomerated", particles=12)
    plan = DatasetPlan(settings, num=3, fractions=(1, 1, 1))
    render_dataset(plan, folder)
    return folder
