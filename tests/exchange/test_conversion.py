"""Masks and states from the result of any reader."""

import cv2
import numpy as np

from semsize.exchange import (
    Account,
    ImageFolder,
    annotated_masks,
    label_image,
    read_coco,
    read_label_images,
)
from semsize.structures import CroppedMasks, read_annotations


def folder_masks(data):
    """Per image of an annotation file its masks, specks included."""
    rles = {image["id"]: [] for image in data["images"]}
    for particle in data["annotations"]:
        rles[particle["image_id"]].append(particle["segmentation"])
    return {
        image["file_name"]: CroppedMasks.from_rles(rles[image["id"]], (image["height"], image["width"]))
        for image in data["images"]
    }


def test_coco_gives_the_visible_outlines_with_their_states(rendered_set):
    path = rendered_set / "annotations" / "train.json"
    data, account = read_annotations(path), Account()
    images = ImageFolder.of_files(sorted((rendered_set / "images" / "train").iterdir()))
    read = list(read_coco(path, images, account))
    for image in read:
        expected = folder_masks(data)[image.path.name]
        found = annotated_masks(image, expected.image_shape, account)
        np.testing.assert_array_equal(found.masks.to_full(), expected.to_full())
        assert list(found.states) == [particle["state"] for particle in data["annotations"]]
        np.testing.assert_array_equal(found.ignored, [bool(particle["iscrowd"]) for particle in data["annotations"]])
    assert len(read) == 1
    assert not list(account.lines())


def test_label_images_come_back_identical(tmp_path):
    masks = CroppedMasks.from_crops(
        [(np.ones((4, 7)), (2, 3)), (np.eye(5), (9, 9)), (np.ones((1, 1)), (0, 0))], (16, 20)
    )
    (tmp_path / "labels").mkdir()
    for folder, pixels in ((tmp_path, np.zeros((16, 20), np.uint8)), (tmp_path / "labels", label_image(masks))):
        (folder / "ein Bild.png").write_bytes(cv2.imencode(".png", pixels)[1])
    images, account = ImageFolder.of_files([tmp_path / "ein Bild.png"]), Account()
    (image,) = read_label_images(images, ImageFolder(tmp_path / "labels"), account)
    found = annotated_masks(image, (16, 20), account)
    np.testing.assert_array_equal(found.masks.to_full(), masks.to_full())
    assert found.states == (None, None, None)
    assert not found.ignored.any()
