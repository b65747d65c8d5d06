"""Fixtures shared by the tests."""

import multiprocessing
import sys

import pytest
from hypothesis import settings

from semsize.measuring import report
from semsize.structures import parts
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

settings.register_profile("any machine", deadline=None)  # no test judges by a clock
settings.load_profile("any machine")
PRELOADED = [
    *("mmdet.datasets", "mmdet.engine", "mmdet.evaluation", "mmdet.models", "mmdet.visualization"),
    *(
        "torch._dynamo",
        "torch.utils.tensorboard",
        "faster_coco_eval",
        "semsize.measuring.measurement",
        "semsize.correcting.server",
    ),
    *("tio2.datasets", "tio2.engine.cross_validation", "tio2.engine.launch", "tio2.evaluation", "tio2.models"),
    *("tio2.inference", "tio2.reporting", "yapf.yapflib.yapf_api"),
]
"""Modules that the server imports once before it forks programs and workers: half a minute of a busy core."""
LONGEST = (
    *("test_unbreakable", "test_processes", "test_train_and_test", "test_compare", "test_cross_validate"),
    *("test_engines", "test_configs", "test_onnx_measurement", "test_page", "test_measurement", "test_captions"),
)


def pytest_configure(config):
    """Load yapf's grammar before several processes do: the first writes a cache that others may read half-written."""
    if not hasattr(config, "workerinput"):
        import yapf  # noqa: F401


def pytest_collection_modifyitems(items):
    """Run the slowest modules first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def _workers_are_forked():
    """Fork semsize's worker processes from the server that forks programs: each import of theirs takes seconds."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "START_METHOD", "forkserver")
        yield


@pytest.fixture(autouse=True, scope="session")
def _runs_are_quick():
    """Apply `quick_programs`, except in tests of semsize alone, which do not import the modules that it changes."""
    if "mmengine" in sys.modules:
        import quick_programs  # noqa: F401


@pytest.fixture
def no_figures(monkeypatch):
    """Leave figures out of the test's reports: nine tenths of a measurement's time. Module fixtures still draw them."""
    monkeypatch.setattr(report, "size_figures", lambda _: {})


@pytest.fixture(scope="session")
def rendered_set(tmp_path_factory):
    """Folder of a small rendered data set: one image of 160 x 128 px with 12 particles in each split."""
    folder = tmp_path_factory.mktemp("rendered") / "set"
    settings = RenderSettings(seed=0, shape=(128, 160), preset="agglomerated", particles=12)
    plan = DatasetPlan(settings, num=3, fractions=(1, 1, 1))
    render_dataset(plan, folder)
    return folder
