"""A measurement to correct: two images, one without a pixel size; every second detection has a score of 0.1."""

import json
import shutil

import pytest
from measured_scenes import measured_doubtfully, scene, write_zeiss

from semsize.correcting.results import CorrectedResults
from semsize.measuring.particle_table import VISIBILITY_COLUMNS


@pytest.fixture(scope="module")
def browser():
    """A Chromium; the test is skipped where none is installed."""
    from page_browser import find_browser, started_browser

    if find_browser() is None:
        pytest.skip("no Chromium found: install one (Debian: chromium), or name it in $BROWSER")
    with started_browser() as started:
        yield started


@pytest.fixture(scope="session")
def measured_once(tmp_path_factory):
    """Folder with the images in `scans` and their measurement in `out`."""
    folder = tmp_path_factory.mktemp("measured")
    write_zeiss(folder / "scans" / "a.tif", scene(0))
    write_zeiss(folder / "scans" / "sub" / "b.tif", scene(1), None)
    return measured_doubtfully(folder)


@pytest.fixture
def results(measured_once, tmp_path):
    """A copy of the results, opened with the folder of the images named."""
    shutil.copytree(measured_once / "out", tmp_path / "out")
    return CorrectedResults(tmp_path / "out", [measured_once / "scans"])


@pytest.fixture
def predicted(results):
    """The same with predicted states in the first image: isolated, but the third masked by 0.6, no particle by 0.2."""
    image = results.image(1)
    part = results.files_of(image)[0]
    data = json.loads(part.read_text(encoding="utf-8"))
    count = len(data["scores"])
    seen = {name: [0.0] * count for name in VISIBILITY_COLUMNS} | {
        "p_isolated": [1.0] * count,
        "p_particle": [1.0] * count,
    }
    seen |= {"whole_ecd_px": [20.0] * count, "whole_ecd_low_px": [19.0] * count, "whole_ecd_high_px": [21.0] * count}
    for name, value in (("p_isolated", 0.1), ("p_complete", 0.3), ("p_masked", 0.6), ("p_particle", 0.8)):
        seen[name][2] = value
    part.write_text(json.dumps(data | {"seen": seen}), encoding="utf-8")
    return results
