import copy
import json
import time

import numpy as np
import pytest
from pycocotools.coco import COCO

from tio2.structures import (
    AnnotationError,
    CroppedMasks,
    dataset,
    image_record,
    particle_record,
    read_annotations,
    validate,
    write_annotations,
)

SHAPE = (30, 40)


def two_particles():
    """A data set of one image with an L-shaped particle and one with a rendered full mask."""
    labels = np.zeros(SHAPE, np.int32)
    labels[2:9, 3:5] = labels[7:9, 3:12] = 1
    labels[15:20, 30:40] = 2
    full = np.zeros((1, *SHAPE), np.uint8)
    full[0, 15:25, 30:40] = 1
    first, second = CroppedMasks.from_label_image(labels).to_rles()
    image = image_record(id=1, file_name="a.png", height=30, width=40, pixel_size_nm=7.344, source="here")
    return dataset(
        [image],
        [
            particle_record(id=1, image_id=1, rle=first, state="isolated", source_state="green"),
            particle_record(
                id=2,
                image_id=1,
                rle={"size": list(SHAPE), "counts": second["counts"].encode()},
                state="masked",
                amodal_rle=CroppedMasks.from_full(full).to_rles()[0],
                visible_fraction=0.5,
                truncated=True,
                ecd_nm=80.0,
                feret_min_nm=70.0,
                feret_max_nm=90.0,
            ),
        ],
        info={"description": "test"},
    )


def test_area_and_box_are_those_of_the_mask():
    first, second = two_particles()["annotations"]
    assert (first["area"], first["bbox"]) == (14 + 14, [3, 2, 9, 7])
    assert (second["area"], second["bbox"]) == (50, [30, 15, 10, 5])


def test_rendered_truth_is_written_only_where_it_is_known():
    first, second = two_particles()["annotations"]
    rendered = {"amodal_segmentation", "visible_fraction", "truncated", "ecd_nm", "feret_min_nm", "feret_max_nm"}
    assert not rendered & first.keys()
    assert rendered <= second.keys()


def test_round_trip_and_pycocotools_reads_the_same_masks(tmp_path):
    data = two_particles()
    path = tmp_path / "folder" / "train.json"
    write_annotations(path, data)
    assert read_annotations(path) == data
    assert [entry.name for entry in path.parent.iterdir()] == ["train.json"]
    coco = COCO(str(path))
    masks = CroppedMasks.from_rles([particle["segmentation"] for particle in data["annotations"]]).to_full()
    for mask, particle in zip(masks, coco.loadAnns([1, 2]), strict=True):
        np.testing.assert_array_equal(coco.annToMask(particle), mask)


def set_in(*path):
    """A function that sets data[path[0]][…] = path[-1]."""

    def change(data):
        target = data
        for key in path[:-2]:
            target = target[key]
        target[path[-2]] = path[-1]

    return change


def delete(section, key):
    return lambda data: data[section][0].pop(key)


PARTICLE = ("annotations", 0)
FAULTS = {
    "no images": (lambda data: data.pop("images"), "must hold the lists"),
    "other category": (set_in("categories", 0, "name", "grain"), "categories must be exactly"),
    "id 0": (set_in(*PARTICLE, "id", 0), "whole number from 1, got 0"),
    "id twice": (set_in(*PARTICLE, "id", 2), "particle 2: id occurs twice"),
    "image id twice": (lambda data: data["images"].append(data["images"][0]), "image 1: id occurs twice"),
    "no width": (delete("images", "width"), "image 1: lacks width"),
    "zero height": (set_in("images", 0, "height", 0), "image 1: height must be"),
    "no pixel size key": (delete("images", "pixel_size_nm"), "image 1: lacks pixel_size_nm"),
    "pixel size 0": (set_in("images", 0, "pixel_size_nm", 0.0), "image 1: pixel_size_nm must be positive"),
    "configuration": (set_in("images", 0, "configuration", "heap"), "image 1: configuration must be"),
    "no iscrowd": (delete("annotations", "iscrowd"), "particle 1: lacks iscrowd"),
    "iscrowd 2": (set_in(*PARTICLE, "iscrowd", 2), "particle 1: iscrowd must be 0 or 1"),
    "orphan": (set_in(*PARTICLE, "image_id", 7), "particle 1: image_id 7 is no image"),
    "category 2": (set_in(*PARTICLE, "category_id", 2), "particle 1: category_id must be 1"),
    "polygon": (set_in(*PARTICLE, "segmentation", [[0, 0, 5, 0, 5, 5]]), "particle 1: segmentation: must be an RLE"),
    "list counts": (set_in(*PARTICLE, "segmentation", "counts", [0, 1200]), "particle 1: segmentation: must be an RLE"),
    "other size": (set_in(*PARTICLE, "segmentation", "size", [40, 30]), "RLE size must be the image's"),
    "garbled counts": (set_in(*PARTICLE, "segmentation", "counts", "\x7f~"), "particle 1: segmentation: RLE counts"),
    "short runs": (set_in(*PARTICLE, "segmentation", "counts", "11"), "add up to 2 pixels, the image has 1200"),
    "area": (set_in(*PARTICLE, "area", 27), "particle 1: area must be that of its RLE, 28"),
    "empty mask": (set_in(*PARTICLE, "segmentation", "counts", "`U1"), "area must be that of its RLE, 0, and positive"),
    "bbox": (set_in(*PARTICLE, "bbox", [3, 2, 9, 8]), "particle 1: bbox must be that of its RLE"),
    "bbox of three": (set_in(*PARTICLE, "bbox", [3, 2, 9]), "particle 1: bbox must be that of its RLE"),
    "state": (set_in(*PARTICLE, "state", "green"), "particle 1: state must be one of"),
    "fraction": (set_in("annotations", 1, "visible_fraction", 1.2), "particle 2: visible_fraction must lie in 0 to 1"),
    "truncated": (set_in("annotations", 1, "truncated", "no"), "particle 2: truncated must be"),
    "diameter": (set_in("annotations", 1, "ecd_nm", 0), "particle 2: ecd_nm must be positive"),
    "full below visible": (
        lambda data: data["annotations"][1].update(amodal_segmentation=data["annotations"][0]["segmentation"]),
        "particle 2: full mask of 28 px is smaller",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_line_with_file_and_record(name):
    change, message = FAULTS[name]
    data = copy.deepcopy(two_particles())
    change(data)
    with pytest.raises(AnnotationError) as caught:
        validate(data, "some/train.json")
    text = str(caught.value)
    assert text.startswith("some/train.json: ")
    assert message in text
    assert "\n" not in text


def test_a_faulty_set_is_not_written(tmp_path):
    data = two_particles()
    data["annotations"][0]["area"] = 1
    with pytest.raises(AnnotationError):
        write_annotations(tmp_path / "train.json", data)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[]", b'{"images": []}'])
def test_unreadable_files_are_named(tmp_path, content):
    path = tmp_path / "train.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"train\.json: ") as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)


def test_sets_without_particles_are_valid():
    validate(dataset([], []), "empty")


def test_five_thousand_particles_are_checked_within_two_seconds():
    labels = np.zeros((704, 1024), np.int32)
    cells = labels[:700, :1000].reshape(50, 14, 100, 10)
    cells[:, :10, :, :8] = np.arange(1, 5001).reshape(50, 1, 100, 1)
    rles = CroppedMasks.from_label_image(labels).to_rles()
    image = image_record(id=1, file_name="a.png", height=704, width=1024)
    particles = [particle_record(id=i, image_id=1, rle=rle) for i, rle in enumerate(rles, 1)]
    data = json.loads(json.dumps(dataset([image], particles)))
    start = time.perf_counter()
    validate(data, "many")
    assert len(particles) == 5000
    assert time.perf_counter() - start < 2
