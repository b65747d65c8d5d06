import copy
import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from semsize.structures import (
    AnnotationError,
    CroppedMasks,
    check_annotations,
    dataset,
    image_entry,
    particle_entry,
    read_annotations,
    write_annotations,
)
from semsize.structures.rle import parse_counts, polygons_to_rles

SHAPE = (30, 40)


def two_particles():
    """A data set of one image with an L-shaped particle and one with a rendered full mask."""
    labels = np.zeros(SHAPE, np.int32)
    labels[2:9, 3:5] = labels[7:9, 3:12] = 1
    labels[15:20, 30:40] = 2
    full = np.zeros((1, *SHAPE), np.uint8)
    full[0, 15:25, 30:40] = 1
    first, second = CroppedMasks.from_label_image(labels).to_rles()
    image = image_entry(id=1, file_name="a.png", height=30, width=40, pixel_size_nm=7.344, source="here")
    return dataset(
        [image],
        [
            particle_entry(id=1, image_id=1, rle=first, state="isolated", source_state="green"),
            particle_entry(
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
    "id below 0": (set_in(*PARTICLE, "id", -1), "whole number from 0, got -1"),
    "id as text": (set_in(*PARTICLE, "id", "7"), "whole number from 0, got '7'"),
    "image of no size": (set_in("images", 0, "height", 10**9), "is larger than images can be"),
    "a record that is none": (set_in("annotations", 1, 5), "entry 1 of annotations is not a JSON object"),
    "a category that is none": (set_in("categories", 0, 5), "entry 0 of categories is not a JSON object"),
    "a number for a list": (set_in("annotations", 5), "must hold the lists"),
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
        check_annotations(data, "some/train.json")
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
    check_annotations(dataset([], []), "empty")


def test_five_thousand_particles_are_checked():
    labels = np.zeros((704, 1024), np.int32)
    cells = labels[:700, :1000].reshape(50, 14, 100, 10)
    cells[:, :10, :, :8] = np.arange(1, 5001).reshape(50, 1, 100, 1)
    rles = CroppedMasks.from_label_image(labels).to_rles()
    image = image_entry(id=1, file_name="a.png", height=704, width=1024)
    particles = [particle_entry(id=i, image_id=1, rle=rle) for i, rle in enumerate(rles, 1)]
    data = json.loads(json.dumps(dataset([image], particles)))
    check_annotations(data, "many")
    assert len(particles) == 5000


# --- COCO files of other programs -------------------------------------------------------------------------------------

SQUARE = [[3.0, 2, 11, 2, 11, 8, 3, 8]]


def plain(**changes):
    """What any program writes: one image, one square of 8 x 6 px, no key of ours."""
    particle = {"id": 0, "image_id": 0, "category_id": 7, "segmentation": SQUARE, "bbox": [3, 2, 8, 6], "area": 48.0}
    return {
        "images": [{"id": 0, "file_name": "a.png", "height": 30, "width": 40}],
        "categories": [{"id": 7, "name": "bead", "supercategory": ""}],
        "annotations": [{**particle, **changes}],
    }


def read(tmp_path, data):
    path = tmp_path / "plain.json"
    path.write_text(json.dumps(data))
    return read_annotations(path)


def runs_of_square():
    rle = polygons_to_rles([SQUARE], SHAPE)[0]
    return {"size": rle["size"], "counts": parse_counts([rle["counts"]])[0].tolist()}


SAME = {
    "polygons": {},
    "an uncompressed RLE": {"segmentation": runs_of_square()},
    "a compressed RLE": {"segmentation": polygons_to_rles([SQUARE], SHAPE)[0]},
    "pairs": {"segmentation": [[3, 2], [11, 2], [11, 8], [3, 8]]},
    "no crowd": {"iscrowd": 0},
    "no crowd, as text": {"iscrowd": "0"},
    "no crowd, as a truth value": {"iscrowd": False},
    "no box": {"bbox": []},
    "a box of zeros": {"bbox": [0, 0, 0, 0]},
    "a box to the last pixel": {"bbox": [3, 2, 7, 5]},
    "another area": {"area": 1},
    "further keys": {"attributes": {"occluded": False}, "score": 0.5},
    "an id": {"id": 12},
}


@pytest.mark.parametrize("case", SAME)
def test_coco_files_without_our_keys_are_read(tmp_path, case):
    data = read(tmp_path, plain(**SAME[case]))
    (particle,), (image,) = data["annotations"], data["images"]
    expected = polygons_to_rles([SQUARE], SHAPE)[0]
    assert (particle["segmentation"], particle["area"], particle["bbox"]) == (expected, 48, [3, 2, 8, 6])
    assert (particle["category_id"], particle["iscrowd"], particle["state"]) == (1, 0, None)
    assert (image["pixel_size_nm"], image["source"], image["configuration"]) == (None, None, None)
    assert data["categories"] == [{"id": 1, "name": "particle"}]
    write_annotations(tmp_path / "again.json", data)
    assert read_annotations(tmp_path / "again.json") == data


def test_a_crowd_is_a_crowd_in_any_spelling(tmp_path):
    for said in (1, True, "1"):
        assert read(tmp_path, plain(iscrowd=said))["annotations"][0]["iscrowd"] == 1


UNUSABLE = {
    "a box without a mask": ({"segmentation": []}, "particle 0: has no mask"),
    "no segmentation": ({"segmentation": None}, "particle 0: has no mask"),
    "a hole": ({"segmentation": [[*SQUARE, [5, 4, 8, 4, 8, 6, 5, 6]]]}, "has holes; write it as RLE"),
    "no polygon": ({"segmentation": [[1, 2, 3]]}, "cannot be read (they have an odd number of coordinates)"),
    "another box": ({"bbox": [3, 2, 11, 8]}, "its bbox [3, 2, 11, 8] is not that of its mask"),
    "a box of text": ({"bbox": "3 2 8 6"}, "bbox must be x, y, width and height"),
    "an RLE of another size": (
        {"segmentation": {"size": [15, 20], "counts": [299, 1]}},
        "RLE size must be the image's",
    ),
    "a crowd of others": ({"iscrowd": 2}, "iscrowd must be 0 or 1"),
    "an orphan": ({"image_id": 5}, "image_id 5 is no image of this file"),
    "an image as a list": ({"image_id": [0]}, "is no image of this file"),
    "a state of others": ({"state": "nice"}, "state must be one of"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_a_plain_file_cannot_mean_is_refused_in_one_line(tmp_path, case):
    changes, message = UNUSABLE[case]
    with pytest.raises(AnnotationError) as caught:
        read(tmp_path, plain(**changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_categories_of_a_plain_file(tmp_path, caplog):
    data = plain()
    data["annotations"].append({**data["annotations"][0], "id": 1, "category_id": 8})
    data["categories"].append({"id": 8, "name": "scale bar"})
    with pytest.raises(AnnotationError, match=r"several categories \(bead, scale bar\); convert the file with tools"):
        read(tmp_path, data)
    data["categories"][0]["name"] = "particle"
    assert [one["id"] for one in read(tmp_path, data)["annotations"]] == [0]
    assert "1 annotations left out, of another category" in caplog.text
    del data["categories"], data["annotations"][1]
    assert len(read(tmp_path, data)["annotations"]) == 1


def test_masks_without_a_pixel_are_left_out_and_said(tmp_path, caplog):
    data = read(tmp_path, plain(segmentation=[[3.1, 2.1, 3.2, 2.1, 3.2, 2.2]], bbox=None))
    assert data["annotations"] == []
    assert "1 annotations left out, without a pixel" in caplog.text
