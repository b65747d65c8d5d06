"""tools/validate.py on closed-form disks, found too large by a known share."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import coco_boxes, disks
from tio2.reporting.validation_file import read_validation
from tio2.structures import (
    dataset,
    image_record,
    particle_record,
    prediction_record,
    write_annotations,
    write_predictions,
)

spec = importlib.util.spec_from_file_location("validate_tool", Path(__file__).parents[2] / "tools/validate.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

CENTRES = [(row, column) for row in range(25, 400, 50) for column in range(25, 400, 50)]
LEVEL = 80


@pytest.fixture
def folder(tmp_path):
    """Two images, truth and predictions; every other particle is masked."""
    images, particles, found = [], [], []
    for number in (1, 2):
        truth, larger = (disks((400, 400), CENTRES, np.full(64, radius)) for radius in (15.0, 15.0 + 0.3 * number))
        name = f"{number}.png"
        images.append(image_record(id=number, file_name=name, height=400, width=400, pixel_size_nm=7.0))
        for rle in truth.to_rles():
            state = "masked" if len(particles) % 2 else "complete"
            particles.append(particle_record(id=len(particles) + 1, image_id=number, rle=rle, state=state))
        boxes = [[x, y, x + w, y + h] for x, y, w, h in coco_boxes(larger)]
        found += [
            prediction_record(number, name, box, 0.9, rle) for box, rle in zip(boxes, larger.to_rles(), strict=True)
        ]
        grey = np.full((400, 400), 20, np.uint8)
        grey[larger.to_full().any(axis=0)] += LEVEL
        cv2.imwrite(str(tmp_path / name), grey)
    write_annotations(tmp_path / "truth.json", dataset(images, particles))
    write_predictions(tmp_path / "found.json", found)
    return tmp_path


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["validate.py", *map(str, words)])
    tool.main()


def test_the_record_lies_beside_the_checkpoint(folder, monkeypatch, capsys):
    pair = ["--pair", folder / "truth.json", folder / "found.json", "--images", folder]
    run(monkeypatch, *pair, "--checkpoint", folder / "model.pth")
    record = read_validation(folder / "model.validation.json")
    assert record.checkpoint == "model.pth"
    assert [(one.kind, one.images, one.pairs) for one in record.sources] == [("annotated", 2, 128)]
    (only,) = record.residuals
    areas = [disks((400, 400), CENTRES[:1], [radius]).areas[0] for radius in (15.0, 15.3, 15.6)]
    first, second = np.sqrt(areas[1] / areas[0]) - 1, np.sqrt(areas[2] / areas[0]) - 1
    assert only.residual == pytest.approx((first + second) / 2)
    assert [one.effect for one in record.occlusion] == pytest.approx([first, second])
    assert record.ranges.contrast_levels == (LEVEL, LEVEL)
    assert record.ranges.nm_per_px == (7.0, 7.0)
    printed = capsys.readouterr().out
    assert "mean residual, %" in printed
    assert "model.validation.json" in printed


def test_without_images_the_contrast_is_not_known(folder, monkeypatch):
    run(monkeypatch, "--pair", folder / "truth.json", folder / "found.json", "--out", folder / "x.json")
    record = read_validation(folder / "x.json")
    assert (record.ranges.contrast_levels, record.checkpoint) == (None, None)


@pytest.mark.parametrize("name", ["truth.json", "found.json", "2.png"])
def test_a_missing_file_is_one_line_and_no_record(folder, monkeypatch, name):
    (folder / name).unlink()
    pair = ["--pair", folder / "truth.json", folder / "found.json", "--images", folder]
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *pair, "--out", folder / "x.json")
    assert str(caught.value).startswith("error: ")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (folder / "x.json").exists()
