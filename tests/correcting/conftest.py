"""A measurement to correct: two images, one without a pixel size; every second detection has a score of 0.1."""

import shutil

import pytest
from measured_scenes import DoubtfulSource, scene, write_zeiss

from semsize.correcting.results import CorrectedResults
from semsize.measuring import measure_images, report


@pytest.fixture(scope="session")
def measured_once(tmp_path_factory):
    """Folder with the images in `scans` and their measurement in `out`."""
    folder = tmp_path_factory.mktemp("measured")
    write_zeiss(folder / "scans" / "a.tif", scene(0))
    write_zeiss(folder / "scans" / "sub" / "b.tif", scene(1), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "size_figures", lambda _: {})
        measure_images([folder / "scans"], folder / "out", DoubtfulSource())
    return folder


@pytest.fixture
def results(measured_once, tmp_path):
    """A copy of the results, opened with the folder of the images named."""
    shutil.copytree(measured_once / "out", tmp_path / "out")
    return CorrectedResults(tmp_path / "out", [measured_once / "scans"])
