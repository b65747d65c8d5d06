"""Images that tools/cover_particles.py makes are read like any data set."""

import numpy as np
import pytest
from tool_modules import tool_module

from semsize.sem.image_sets import outlined_images
from semsize.structures.masks import CroppedMasks
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

TOOL = tool_module("cover_particles")


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["cover_particles.py", *map(str, words)])
    TOOL.main()


def test_a_data_set_is_covered_twice(monkeypatch, capsys, tmp_path):
    settings = RenderSettings(seed=0, shape=(300, 400), preset="scattered", particles=20)
    render_dataset(DatasetPlan(settings, num=1, fractions=(1, 0, 0)), tmp_path / "set")
    annotations = tmp_path / "set" / "annotations" / "train.json"
    run(monkeypatch, "--ann", annotations, "--rounds", 2, "--out", tmp_path / "out")
    images = list(outlined_images(tmp_path / "out" / "annotations" / "test.json"))
    [before] = outlined_images(annotations)
    assert len(images) == 2
    assert not np.array_equal(*(image.grey for image in images))
    covered = [p for image in images for p in image.particles if p.get("visible_fraction", 1) < 1]
    assert len(covered) > 4
    assert f"{len(covered)} of them covered" in capsys.readouterr().out
    whole = CroppedMasks.from_rles([p["amodal_segmentation"] for p in covered], before.grey.shape)
    np.testing.assert_allclose([p["area"] / p["visible_fraction"] for p in covered], whole.areas)


def test_a_missing_file_is_named_in_one_line(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match=r"none\.json"):
        run(monkeypatch, "--ann", tmp_path / "none.json", "--out", tmp_path)
