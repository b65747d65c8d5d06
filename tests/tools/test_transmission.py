"""Transmission pictures are moved to where they fit, and completions are judged outside all outlines."""

import zipfile

import cv2
import numpy as np
import pytest
import transmission

from semsize.structures import CroppedMasks, dataset, image_entry, particle_entry, write_annotations

SHAPE = (120, 160)
MOVE = (4, -5)  # of the picture against the image


def disk(row, column, radius):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


WHOLE = [disk(40, 50, 18), disk(80, 110, 22)]
BITE = disk(40, 64, 10)  # of the first; nobody outlined what lies there
VISIBLE = [WHOLE[0] & ~BITE, WHOLE[1]]


def picture():
    """Bodies bright, the film grey, two empty rows at the foot."""
    levels = np.where(WHOLE[0] | WHOLE[1], 255, 60).astype(np.uint8)
    levels = np.roll(levels, MOVE, (0, 1))
    levels[-2:] = 0
    return levels


@pytest.fixture
def image_set(tmp_path):
    """One image with its annotations, and the archive of its transmission picture."""
    (tmp_path / "images" / "val").mkdir(parents=True)
    grey = np.where(VISIBLE[0] | VISIBLE[1], 180, 40).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "images" / "val" / "41.png"), np.where(BITE, 110, grey).astype(np.uint8))
    rles = CroppedMasks.from_full(np.array(VISIBLE)).to_rles()
    image = image_entry(id=1, file_name="41.png", height=SHAPE[0], width=SHAPE[1], pixel_size_nm=7.0, source="test")
    particles = [particle_entry(id=n, image_id=1, rle=rle) for n, rle in enumerate(rles, start=1)]
    file = tmp_path / "annotations" / "val.json"
    file.parent.mkdir()
    write_annotations(file, dataset([image], particles))
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as pictures:
        pictures.writestr("pictures/42.tif", cv2.imencode(".tif", picture())[1].tobytes())
    return file, archive


def test_the_picture_is_moved_back():
    found = transmission.Silhouette.aligned(picture(), WHOLE[0] | WHOLE[1])
    assert found.iou == 1
    np.testing.assert_array_equal(found.dark[: SHAPE[0] - 10], (WHOLE[0] | WHOLE[1])[: SHAPE[0] - 10])
    assert not found.known[-6:].any(), "empty rows, and those that the move leaves empty"


def test_a_true_completion_is_confirmed_and_a_wrong_one_is_not(image_set):
    file, archive = image_set
    truth = CroppedMasks.from_full(np.array(WHOLE))
    wrong = CroppedMasks.from_full(np.array([VISIBLE[0] | disk(12, 50, 8), WHOLE[1]]))
    with zipfile.ZipFile(archive) as pictures:
        counts, [iou] = transmission.counted(
            pictures, file, None, {"true": lambda *_: truth, "wrong": lambda *_: wrong}
        )
    assert iou > 0.85
    assert counts["true"] == [(np.count_nonzero(WHOLE[0] & BITE), 0)]
    [(pixels, outside)] = counts["wrong"]
    assert pixels == np.count_nonzero((VISIBLE[0] | disk(12, 50, 8)) & ~VISIBLE[0])
    assert outside > 0.9 * pixels
    assert counts[transmission.VISIBLE][0][1] == 0
    table = {row[0]: row for row in transmission.rows(counts)}
    assert table["true"][2] == 0
    visible_px = np.count_nonzero(VISIBLE[0] | VISIBLE[1])
    assert table["true"][5] == pytest.approx(100 * np.count_nonzero(WHOLE[0] & BITE) / visible_px)


def test_an_archive_of_other_images_is_refused_in_one_line(image_set):
    _, archive = image_set
    with zipfile.ZipFile(archive) as pictures, pytest.raises(ValueError, match=r"does not hold 12\.tif") as error:
        transmission.picture_of(pictures, "11.png")
    assert "\n" not in str(error.value)
