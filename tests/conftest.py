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
"""What the server that forks programs and workers imports, once: half a minute of a busy core."""
LONGEST = (
    *("test_unbreakable", "test_processes", "test_train_and_test", "test_compare", "test_cross_validate"),
    *("test_engines", "test_configs", "test_onnx_measurement", "test_page", "test_measurement", "test_captions"),
)


def pytest_configure(config):
    """Load yapf's grammar before several processes do: the first writes it to a cache that others may read half."""
    if not hasattr(config, "workerinput"):
        import yapf  # noqa: F401


def pytest_collection_modifyitems(items):
    """Begin with the modules that take longest, so that at the end no process is alone with one of them."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def _workers_are_forked():
    """Worker processes of semsize come from the server that forks programs too: each import of theirs takes seconds."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "START_METHOD", "forkserver")
        yield


@pytest.fixture(autouse=True, scope="session")
def _runs_are_quick():
    """See `quick_programs`; tests of semsize alone do not import what it changes."""
    if "mmengine" in sys.modules:
        import quick_programs  # noqa: F401


@pytest.fixture
def no_figures(monkeypatch):
    """Reports of the test itself lack their figures, nine tenths of a measurement's time; module fixtures draw them."""
    monkeypatch.setattr(report, "size_figures", lambda _: {})


@pytest.fixture(scope="session")
def rendered_set(tmp_path_factory):
    """Folder of a small rendered data set: one image of 160 x 128 px with 12 particles in each split."""
    folder = tmp_path_factory.mktemp("rendered") / "set"
    settings = RenderSettings(seed=0, shape=(128, 160), preset="agglomerated", particles=12)
    plan = DatasetPlan(settings, num=3, fractions=(1, 1, 1))
    render_dataset(plan, folder)
    return folder
