"""tools/dataset_stats.py on scenes in closed form, and on the real data if present."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.task_modules import AnchorGenerator
from mmdet.structures.bbox import bbox_overlaps
from tool_modules import tool_module

from scenes import square_grid
from semsize.structures import dataset, image_entry, particle_entry, write_annotations
from tio2.reporting.dataset_statistics import (
    DetectorLimits,
    best_anchor_ious,
    dataset_statistics,
    detector_warnings,
    good_anchors,
    good_anchors_line,
    statistics_table,
)

ROOT = Path(__file__).parents[2]
BAM = ROOT / "data/bam-tio2-sem"

tool = tool_module("dataset_stats")

ANCHORS = np.array([(side / math.sqrt(r), side * math.sqrt(r)) for side in (8, 16, 32, 64, 96) for r in (0.5, 1, 2)])
LIMITS = DetectorLimits(
    ANCHORS,
    strides_px=np.repeat([4, 8, 16, 32, 64], 3),
    scale=1.0,
    least_overlap=0.3,
    good_overlap=0.7,
    instances=100,
    proposals=1000,
)


def grey(_):
    return np.full((2, 3), 10.0)


def annotations(*scenes, pixel_size_nm=2.0):
    """One image a scene of masks, the first particle of each a region to ignore, the second masked."""
    images, particles = [], []
    for number, masks in enumerate(scenes, start=1):
        height, width = masks.image_shape
        images.append(
            image_entry(
                id=number,
                file_name=f"{number}.png",
                height=height,
                width=width,
                pixel_size_nm=pixel_size_nm if number == 1 else None,
                configuration="scattered" if number == 1 else None,
            )
        )
        for index, rle in enumerate(masks.to_rles()):
            particles.append(
                particle_entry(
                    id=len(particles) + 1,
                    image_id=number,
                    rle=rle,
                    iscrowd=int(index == 0),
                    state="masked" if index == 1 else None,
                )
            )
    return dataset(images, particles)


def test_figures_of_squares():
    data = annotations(square_grid(5, side_px=6), square_grid(10, side_px=6))
    levels = {"1.png": np.full((2, 3), 10.0), "2.png": np.full((4, 3), 40.0)}
    found = dataset_statistics("train", data, levels.__getitem__)
    np.testing.assert_array_equal(found.particles_per_image, [4, 9])
    assert found.ignored == 2
    np.testing.assert_allclose(found.ecd_px, 6 * 2 / math.sqrt(math.pi))
    np.testing.assert_allclose(found.ecd_nm[:4], 2 * found.ecd_px[:4])
    assert np.isnan(found.ecd_nm[4:]).all(), "no pixel size, no nanometres"
    np.testing.assert_array_equal(found.boxes_px, np.full((13, 2), 6))
    assert found.states == {"masked": 2, "unknown": 11}
    assert found.configurations == {"scattered": 1, "unknown": 1}
    assert (found.grey_mean, found.grey_std) == (30, pytest.approx(math.sqrt(200)))
    table = statistics_table([found])
    assert re.search(r"^\| – most +\| +9 \|$", table, re.MULTILINE)
    assert "| diameter, 50 %, nm" in table


def test_overlap_with_anchors_in_closed_form():
    squares = np.array([[(8, 8)], [(16, 16)]], np.float64)[:, 0]
    np.testing.assert_allclose(
        best_anchor_ious(np.array([[8.0, 8.0], [4.0, 4.0], [8.0, 16.0]]), squares), [1, 0.25, 0.5]
    )
    assert best_anchor_ious(ANCHORS, ANCHORS) == pytest.approx(np.ones(15))


@pytest.mark.parametrize(("scale", "box"), [(1.0, (8, 8)), (1.0, (30, 44)), (1.5, (28, 25)), (2.0, (3, 90))])
def test_good_anchors_are_as_many_as_are_counted_on_the_grid(scale, box):
    """Boxes laid at random into the midst of a grid of anchors, by MMDetection's own overlaps."""
    grid = AnchorGenerator(strides=[4, 8, 16, 32, 64], ratios=[0.5, 1, 2], scales=[1.0], base_sizes=[8, 16, 32, 64, 96])
    anchors = torch.cat(grid.grid_priors([(1024 // s, 1024 // s) for s in (4, 8, 16, 32, 64)], device="cpu"))
    corner = torch.rand(400, 2, generator=torch.Generator().manual_seed(1)) * 64 + 400
    boxes = torch.cat([corner, corner + torch.tensor(box) * scale], dim=1)
    near = anchors[((anchors[:, :2] < 700) & (anchors[:, 2:] > 300)).all(dim=1)]
    counted = (bbox_overlaps(boxes, near) >= 0.7).sum(dim=1).double()
    (expected,) = good_anchors(np.array([box], np.float64), replace(LIMITS, scale=scale))
    assert float(counted.mean()) == pytest.approx(expected, rel=0.05, abs=4 * float(counted.std()) / 20 + 0.002)


def test_good_anchors_of_a_square_in_closed_form():
    """(32 - x) (32 - y) px in common are enough from 843 on: four times the area under y = 32 - 843 / (32 - x)."""
    enough = 0.7 / 1.7 * 2 * 32**2
    area = 4 * (32**2 - enough - enough * math.log(32**2 / enough))
    alone = replace(LIMITS, anchors_px=np.array([[32.0, 32.0]]), strides_px=np.array([16]))
    assert good_anchors(np.array([[32.0, 32.0]]), alone) == pytest.approx(area / 16**2, rel=0.02)
    assert good_anchors(np.array([[10.0, 10.0]]), alone) == 0


def test_few_good_anchors_are_told_with_what_to_do():
    squares = np.full((5, 2), 32.0)
    few = good_anchors_line("train", squares, LIMITS)
    assert few.startswith(
        "train: 0.27 anchors reach IoU 0.7 with a particle on average (×1): for a short training put the same"
    )
    coco = replace(LIMITS, anchors_px=4 * LIMITS.anchors_px)
    assert good_anchors_line("train", squares, coco).endswith(
        " 4.24 anchors reach IoU 0.7 with a particle on average (×1)"
    )


@pytest.mark.parametrize(
    ("side", "kind"), [(4, "smaller than"), (200, "larger than"), (8, None), (50, None), (96, None)]
)
def test_sizes_without_anchors_are_told(side, kind):
    found = dataset_statistics("train", annotations(square_grid(3, side_px=side)), grey)
    lines = detector_warnings(found, LIMITS)
    assert len(lines) == (kind is not None)
    if kind:
        assert f"train: 2 particles (100.00%) are {kind} any anchor covers" in lines[0]
    scaled = replace(LIMITS, scale=2.0)
    assert bool(detector_warnings(found, scaled)) == (side >= 96), "twice as large, 4 px are 8"


def test_a_cap_that_would_bite_is_told():
    found = dataset_statistics("train", annotations(square_grid(102, side_px=8)), grey)
    assert [
        "101 particles in an image, but test_cfg.rcnn.max_per_img is 100" in line
        for line in detector_warnings(found, LIMITS)
    ] == [True]
    assert not detector_warnings(found, replace(LIMITS, instances=101))
    few = replace(LIMITS, instances=101, proposals=50)
    (line,) = detector_warnings(found, few)
    assert "images with more particles than proposals: 1; test_cfg.rpn.max_per_img is 50 a megapixel" in line
    large = replace(found, image_shapes=np.array([(2000, 1500)]) / few.scale)
    assert not detector_warnings(large, few), "limits of proposals grow with the image"


def test_the_tool_reads_limits_of_configs_and_draws(tmp_path, capsys):
    limits = tool.read_limits("configs/tio2/light_stage1.py")
    np.testing.assert_allclose(sorted(map(tuple, limits.anchors_px)), sorted(map(tuple, ANCHORS)))
    assert (limits.scale, limits.least_overlap, limits.instances, limits.proposals) == (1.5, 0.3, -1, 4000)
    assert tool.read_limits("configs/tio2/mask_rcnn_stage1.py").scale == 1.0

    masks = square_grid(5, side_px=2)
    folder = tmp_path / "images/train"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.png"), np.full(masks.image_shape, 7, np.uint8))
    write_annotations(tmp_path / "annotations/train.json", annotations(masks, pixel_size_nm=None))
    tool.main([str(tmp_path / "annotations/train.json"), "--out", str(tmp_path / "stats.png")])
    text = capsys.readouterr().out
    assert "warning: train: 4 particles (100.00%) are smaller than any anchor covers (sides 3 to 3 px at ×1.5" in text
    assert re.search(r"^\| grey mean +\| +7\.0 \|$", text, re.MULTILINE)
    assert cv2.imread(str(tmp_path / "stats.png")).shape[0] > 500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.json"], "none.json: cannot be read"),
        (["a.json", "--config", "none.py"], "config none.py does not exist"),
    ],
)
def test_errors_are_one_line(words, message):
    with pytest.raises(SystemExit, match=message):
        tool.main(words)


@pytest.mark.skipif(not BAM.exists(), reason="data/bam-tio2-sem has not been made")
def test_grey_mean_of_the_configs_is_that_of_the_training_images(tmp_path, capsys):
    tool.main([str(BAM / "annotations/train.json"), "--out", str(tmp_path / "stats.png")])
    assert re.search(r"^\| grey mean +\| +41\.5 \|$", capsys.readouterr().out, re.MULTILINE)


def test_a_coco_file_of_another_program_is_counted(tmp_path, capsys):
    square = [[2, 2, 22, 2, 22, 22, 2, 22]]
    data = {
        "images": [{"id": 0, "file_name": "a.png", "height": 40, "width": 50}],
        "categories": [{"id": 5, "name": "bead"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 5, "segmentation": square}],
    }
    (tmp_path / "images/plain").mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/plain.json").write_text(json.dumps(data))
    cv2.imwrite(str(tmp_path / "images/plain/a.png"), np.full((40, 50), 9, np.uint8))
    tool.main([str(tmp_path / "annotations/plain.json"), "--out", str(tmp_path / "stats.png")])
    text = capsys.readouterr().out
    assert re.search(r"diameter, 50 %, px +\| +22\.6 ", text), text
    assert re.search(r"state unknown +\| +1", text)


def test_a_set_without_a_particle_is_warned_of(tmp_path, capsys):
    (tmp_path / "images" / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "train" / "1.png"), np.zeros((40, 60), np.uint8))
    image = image_entry(id=1, file_name="1.png", height=40, width=60)
    write_annotations(tmp_path / "annotations" / "train.json", dataset([image], []))
    words = [str(tmp_path / "annotations" / "train.json"), "--config", str(ROOT / "configs/tio2/own_data.py")]
    tool.main([*words, "--out", str(tmp_path / "stats.png")])
    assert "warning: train: NOT ONE PARTICLE in 1 images, 0 regions to ignore" in capsys.readouterr().out
    write_annotations(tmp_path / "annotations" / "train.json", dataset([], []))
    with pytest.raises(SystemExit, match="lists no image"):
        tool.main(words)
