"""Rendered frames, and the real images if they are present."""

import zipfile
from pathlib import Path

import pytest

from semsize.synthesis import RenderSettings, render_image

ARCHIVE = Path(__file__).parents[3] / "shared/data/bam-tio2-sem.zip"


@pytest.fixture(scope="session")
def raw_images(tmp_path_factory):
    """Paths of the 28 raw TiO2 images of Zenodo record 4563942."""
    if not ARCHIVE.exists():
        pytest.skip("../shared/data/bam-tio2-sem.zip is not here")
    folder = tmp_path_factory.mktemp("raw")
    with zipfile.ZipFile(ARCHIVE) as archive:
        for name in archive.namelist():
            if "/SEM/" in name and name.endswith(".tif"):
                (folder / Path(name).name).write_bytes(archive.read(name))
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def frames():
    """Rendered frames (H, W) uint8 without a bar, two of each kind."""
    presets = ("scattered", "agglomerated", "matrix")
    images = [RenderSettings(seed=5, shape=(352, 512), preset=preset) for preset in presets]
    return [render_image(setting, number).pixels for setting in images for number in (0, 1)]
