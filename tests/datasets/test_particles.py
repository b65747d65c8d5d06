"""ParticleDataset keeps the file's fields of each particle and reports what it leaves out."""

import json

import numpy as np
import pytest

from semsize.structures import (
    AnnotationError,
    CroppedMasks,
    dataset,
    image_entry,
    particle_entry,
    write_annotations,
)
from semsize.structures.rle import polygons_to_rles
from tio2.datasets import ParticleDataset

SHAPE = (40, 50)


def rle_of(corner: int) -> dict:
    square = [[corner, corner, corner + 6, corner, corner + 6, corner + 6, corner, corner + 6]]
    return polygons_to_rles([square], SHAPE)[0]


def scene() -> dict:
    """Two images; four particles in the first, none in the second."""
    images = [
        image_entry(id=1, file_name="a.png", height=40, width=50, pixel_size_nm=7.3, configuration="scattered"),
        image_entry(id=2, file_name="b.png", height=40, width=50),
    ]
    particles = [
        particle_entry(id=3, image_id=1, rle=rle_of(2), state="complete", source_state="green"),
        particle_entry(id=4, image_id=1, rle=rle_of(10), iscrowd=1),
        particle_entry(id=8, image_id=1, rle=rle_of(20), visible_fraction=0.5, truncated=False, ecd_nm=44.0),
        particle_entry(id=9, image_id=1, rle=rle_of(30)),
    ]
    return dataset(images, particles)


def opened(tmp_path, data: dict, **options) -> ParticleDataset:
    path = tmp_path / "particles.json"
    path.write_text(json.dumps(data))
    return ParticleDataset(ann_file=str(path), data_prefix={"img": "images"}, **options)


def test_what_the_file_says_is_kept(tmp_path):
    write_annotations(tmp_path / "written.json", scene())
    found = opened(tmp_path, json.loads((tmp_path / "written.json").read_text()))
    assert found.metainfo["classes"] == ("particle",)
    image = found.get_data_info(0)
    assert (image["img_path"], image["pixel_size_nm"], image["configuration"]) == ("images/a.png", 7.3, "scattered")
    fields = [instance["fields"] for instance in image["instances"]]
    assert [f["annotation_id"] for f in fields] == [3, 4, 8, 9]
    assert [f["state"] for f in fields] == ["complete", None, None, None]
    assert (fields[0]["source_state"], fields[2]["visible_fraction"], fields[2]["ecd_nm"]) == ("green", 0.5, 44.0)
    assert [instance["ignore_flag"] for instance in image["instances"]] == [0, 1, 0, 0]
    assert image["instances"][0]["bbox"] == [2, 2, 8, 8]
    assert image["instances"][0]["mask"] == rle_of(2)
    assert found.get_data_info(1)["instances"] == []


def test_a_coco_file_of_any_program_is_a_data_set(tmp_path):
    square = [[2.0, 2, 8, 2, 8, 8, 2, 8]]
    data = {
        "images": [{"id": 0, "file_name": "a.png", "height": 40, "width": 50}],
        "categories": [{"id": 3, "name": "bead"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 3, "segmentation": square}],
    }
    found = opened(tmp_path, data).get_data_info(0)
    (instance,) = found["instances"]
    assert (instance["bbox"], instance["mask"], instance["bbox_label"]) == ([2, 2, 8, 8], rle_of(2), 0)
    assert (found["pixel_size_nm"], instance["fields"]["state"], instance["ignore_flag"]) == (None, None, 0)


def test_an_annotation_without_a_mask_is_refused_not_learned_as_background(tmp_path):
    data = scene()
    del data["annotations"][3]["segmentation"]
    with pytest.raises(AnnotationError, match=r"particles\.json: particle 9: has no mask"):
        opened(tmp_path, data)


def test_particles_of_a_single_pixel_are_kept(tmp_path):
    data = scene()
    dot = CroppedMasks.from_crops([(np.ones((1, 1)), (1, 1))], SHAPE).to_rles()[0]
    data["annotations"] = [particle_entry(id=1, image_id=1, rle=dot)]
    (instance,) = opened(tmp_path, data).get_data_info(0)["instances"]
    assert instance["bbox"] == [1, 1, 2, 2]


def test_what_the_file_says_to_ignore_is_ignored_not_left_out(tmp_path):
    data = scene()
    data["annotations"][0]["ignore"] = 1
    instances = opened(tmp_path, data).get_data_info(0)["instances"]
    assert [instance["ignore_flag"] for instance in instances] == [1, 1, 0, 0]


def test_a_file_of_several_classes_is_refused(tmp_path):
    data = scene()
    data["categories"] = [{"id": 1, "name": "crack"}, {"id": 2, "name": "grain"}]
    data["annotations"][0]["category_id"] = 2
    with pytest.raises(ValueError, match=r"particles\.json: has annotations of several categories"):
        opened(tmp_path, data)


def test_a_filter_that_leaves_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"particles\.json: none of its 2 images"):
        opened(tmp_path, scene(), filter_cfg={"min_size": 41})


def test_images_without_particles_can_be_filtered(tmp_path):
    assert len(opened(tmp_path, scene(), filter_cfg={"filter_empty_gt": False})) == 2
    assert len(opened(tmp_path, scene(), filter_cfg={"filter_empty_gt": True})) == 1
