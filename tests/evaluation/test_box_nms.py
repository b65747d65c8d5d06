"""Boxes that NMS deletes, against counts by hand."""

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from scenes import coco_truth, square_grid, squares
from semsize.structures.masks import CroppedMasks
from tio2.evaluation import nms_ceiling

VALIDATION_SPLIT = (1908260, 1908272, 1908286, 1908300, 1908314, 1908324)


@pytest.mark.parametrize(("iou_threshold", "deleted"), [(0.3, 2), (0.5, 1), (0.7, 0)])
def test_neighbours_of_known_overlap(iou_threshold, deleted):
    # squares of side 10 moved by 2, 4 and 6: IoU 8/12 = 0.67, 6/14 = 0.43 and 4/16 = 0.25 with the first of each pair
    pairs = [(0, 0), (0, 2), (30, 0), (30, 4), (60, 0), (60, 6)]
    ceiling = nms_ceiling(coco_truth([squares((80, 80), pairs, 10)]), iou_threshold)
    assert (ceiling.particles, ceiling.deleted) == (6, deleted)


def test_images_and_specks_do_not_meet():
    grid = square_grid(4)
    truth = coco_truth([grid, grid], crowds=[grid, grid[:0]])
    assert nms_ceiling(truth, 0.3) == (8, 0)


def test_without_particles_nothing_is_deleted():
    assert nms_ceiling(coco_truth([square_grid(4)[:0]]), 0.5) == (0, 0)


def test_of_the_813_particles_of_the_real_validation_split_28_and_5_boxes_are_deleted():
    archive = Path(__file__).parents[2].parent / "shared" / "data" / "bam-tio2-sem.zip"
    if not archive.exists():
        pytest.skip(f"{archive} is not here")
    masks = []
    with zipfile.ZipFile(archive) as files:
        for image_id in VALIDATION_SPLIT:
            (name,) = [n for n in files.namelist() if n.endswith(f"TiO2_Masks_Manual_4connected/{image_id}_m.tif")]
            drawn = tifffile.imread(io.BytesIO(files.read(name)))[:704]
            components = cv2.connectedComponents((drawn > 0).astype(np.uint8), connectivity=4)[1]
            particles = CroppedMasks.from_label_image(components)
            masks.append(particles[particles.areas >= 12])
    truth = coco_truth(masks)
    assert [nms_ceiling(truth, threshold).deleted for threshold in (0.3, 0.5)] == [28, 5]
    assert nms_ceiling(truth, 0.5).particles == 813
