"""Images with particles laid over others, as a program makes them, are read as any data set."""

import numpy as np

from semsize.sem.image_sets import outlined_images
from semsize.structures.masks import CroppedMasks


def test_a_data_set_is_covered_twice(run_tool, rendered_set, tmp_path):
    annotations = rendered_set / "annotations" / "train.json"
    done = run_tool("cover_particles.py", "--ann", annotations, "--rounds", 2, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    images = list(outlined_images(tmp_path / "annotations" / "test.json"))
    before = list(outlined_images(annotations))
    assert len(images) == 2 * len(before)
    covered = [p for image in images for p in image.particles if p.get("visible_fraction", 1) < 1]
    assert f"{len(covered)} of them covered" in done.stdout
    whole = CroppedMasks.from_rles([p["amodal_segmentation"] for p in covered], images[0].outlines.image_shape)
    np.testing.assert_allclose([p["area"] / p["visible_fraction"] for p in covered], whole.areas)


def test_a_missing_file_is_named_in_one_line(run_tool, tmp_path):
    done = run_tool("cover_particles.py", "--ann", tmp_path / "none.json", "--out", tmp_path)
    assert done.returncode == 1
    assert "none.json" in done.stderr
    assert "Traceback" not in done.stderr
