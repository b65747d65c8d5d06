"""An annotation file's images come with their own grey levels and outlines, or are refused in one line."""

import cv2
import numpy as np
import pytest

from semsize.sem.image_sets import outlined_images
from semsize.structures import (
    CroppedMasks,
    dataset,
    image_entry,
    particle_entry,
    prediction_entry,
    write_annotations,
    write_predictions,
)

SHAPE = (20, 30)


def rle(row, column, side=4):
    return CroppedMasks.from_crops([(np.ones((side, side)), (row, column))], SHAPE).to_rles()[0]


@pytest.fixture
def annotations(tmp_path):
    """Two images, one of them without particles; level 7 n in image n."""
    folder = tmp_path / "images" / "val"
    folder.mkdir(parents=True)
    images = [image_entry(id=n, file_name=f"{n}.png", height=SHAPE[0], width=SHAPE[1]) for n in (1, 2)]
    for image in images:
        cv2.imwrite(str(folder / image["file_name"]), np.full(SHAPE, 7 * image["id"], np.uint8))
    particles = [particle_entry(id=n, image_id=1, rle=rle(2 * n, 3), iscrowd=n - 1) for n in (1, 2)]
    file = tmp_path / "annotations" / "val.json"
    write_annotations(file, dataset(images, particles))
    return file


def found(tmp_path, name="1.png"):
    """Two predictions in image 1, of scores 0.9 and 0.4."""
    file = tmp_path / "predictions.json"
    rles = [rle(9, 9), rle(1, 1)]
    pairs = zip((0.9, 0.4), rles, strict=True)
    write_predictions(file, [prediction_entry(1, name, (0, 0, 1, 1), score, one) for score, one in pairs])
    return file


def test_annotated_particles_are_the_outlines(annotations):
    first, second = outlined_images(annotations)
    assert first.outlines.origins.tolist() == [[2, 3], [4, 3]]
    assert [particle["iscrowd"] for particle in first.particles] == [0, 1]
    assert len(second.outlines) == 0
    assert second.outlines.image_shape == SHAPE
    assert [image.grey.mean() for image in (first, second)] == [7, 14]


def test_found_ones_are_from_the_score_on(annotations, tmp_path):
    first, second = outlined_images(annotations, predictions=found(tmp_path), min_score=0.5)
    assert first.outlines.origins.tolist() == [[9, 9]]
    assert len(first.particles) == 2
    assert len(second.outlines) == 0


def test_other_images_are_refused_in_one_line(annotations, tmp_path):
    with pytest.raises(ValueError, match=r"image 1 is other\.png, and 1\.png") as error:
        list(outlined_images(annotations, predictions=found(tmp_path, "other.png")))
    assert "\n" not in str(error.value)
    cv2.imwrite(str(tmp_path / "images" / "val" / "1.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match="take the image it belongs to"):
        list(outlined_images(annotations))
