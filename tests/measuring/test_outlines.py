"""Outlines made elsewhere are measured on their own images: corrected ones, subsets, other sizes, missing ones."""

import json
import shutil

import cv2
import numpy as np
import pytest
import tifffile
from measured_scenes import SHAPE, BrightSource, scene, write_zeiss

from semsize.measuring import InputError, RunOptions, measure_images
from semsize.measuring.inputs import find_images
from semsize.measuring.outline_files import outlines_from_coco, outlines_from_labels, outlines_from_rois
from semsize.structures.masks import CroppedMasks

COUNTS = {"001.tif": 5, "A/001.tif": 3, "B/001.tif": 4}


def dotted(count):
    """A picture of `count` bright squares, and their label image."""
    labels = np.zeros(SHAPE, np.uint16)
    for number in range(count):
        labels[20:40, 10 + 30 * number : 30 + 30 * number] = number + 1
    return np.where(labels > 0, 200, 40 + count).astype(np.uint8), labels


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Pictures of one name in three folders, label images, COCO, and a measurement of them with its ROI sets."""
    folder = tmp_path_factory.mktemp("samples")
    images, annotations = [], []
    for number, (name, count) in enumerate(COUNTS.items(), start=1):
        grey, labels = dotted(count)
        write_zeiss(folder / "scans" / name, grey)
        (folder / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / "labels" / name, labels)
        images.append({"id": number, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]})
        annotations += [
            {"id": len(annotations) + n, "image_id": number, "segmentation": rle, "iscrowd": "0"}
            for n, rle in enumerate(CroppedMasks.from_label_image(labels).to_rles(), start=1)
        ]
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    measure_images([folder / "scans"], folder / "out", BrightSource(), options=RunOptions(rois=True))
    return folder


SOURCES = {
    "rois": (outlines_from_rois, "out/rois"),
    "labels": (outlines_from_labels, "labels"),
    "coco": (outlines_from_coco, "coco.json"),
    "predictions": (outlines_from_coco, "out/predictions.json"),
}


def counted(images, out, read, path, **options):
    """Image to how many particles were measured; and the measurement."""
    done = measure_images(images, out, read(path, find_images(images, out), **options))
    return {entry["image"]: entry["particles"] for entry in done.record["images"]}, done


@pytest.mark.parametrize("kind", SOURCES)
def test_equal_names_in_folders_meet_their_own_outlines(samples, tmp_path, kind):
    read, path = SOURCES[kind]
    assert counted([samples / "scans"], tmp_path / "all", read, samples / path)[0] == COUNTS
    for folder, count in (("A", 3), ("B", 4)):
        found, done = counted([samples / "scans" / folder], tmp_path / folder, read, samples / path)
        assert found == {"001.tif": count}
        assert not done.skipped
    assert counted([samples / "scans" / "001.tif"], tmp_path / "top", read, samples / path)[0] == {"001.tif": 5}


def test_a_sample_s_outlines_do_not_land_on_another_s_picture(samples, tmp_path):
    shutil.copytree(samples / "out" / "rois" / "B", tmp_path / "rois" / "B")
    images = [samples / "scans" / "A"]
    with pytest.raises(InputError, match=r"it is of .*scans/B/001.tif, which is not among the images given"):
        counted(images, tmp_path / "out", outlines_from_rois, tmp_path / "rois")
    shutil.copy(samples / "out" / "rois" / "001.tif.zip", tmp_path / "rois")
    with pytest.raises(InputError, match="none of 1 images could be measured"):
        counted(images, tmp_path / "two", outlines_from_rois, tmp_path / "rois")


def test_names_that_are_too_long_are_shortened_and_found_again(tmp_path):
    names = [f"{'Schwefel ü ' * 20}{number}.tif" for number in range(2)]  # 245 bytes
    for number, name in enumerate(names):
        write_zeiss(tmp_path / "in" / "sub" / name, dotted(number + 1)[0])
    images = [tmp_path / "in"]
    done = measure_images(images, tmp_path / "out", BrightSource(), options=RunOptions(rois=True))
    assert (tmp_path / "out" / "report.html").is_file()
    assert len(list((tmp_path / "out" / "rois" / "sub").iterdir())) == 2
    found, _ = counted(images, tmp_path / "again", outlines_from_rois, tmp_path / "out" / "rois")
    assert found == {f"sub/{name}": number + 1 for number, name in enumerate(names)}
    assert not done.skipped


@pytest.mark.parametrize("factor", [0.5, 2])
def test_label_images_of_another_size_are_left_out_and_named(samples, tmp_path, factor):
    shutil.copytree(samples / "labels", tmp_path / "labels")
    size = round(SHAPE[1] * factor), round(SHAPE[0] * factor)
    small = cv2.resize(dotted(3)[1], size, interpolation=cv2.INTER_NEAREST)
    tifffile.imwrite(tmp_path / "labels" / "A" / "001.tif", small)
    found, done = counted([samples / "scans"], tmp_path / "out", outlines_from_labels, tmp_path / "labels")
    assert found == {"001.tif": 5, "B/001.tif": 4}
    message = f"annotated at another size than the file has ({size[0]} x {size[1]} on {SHAPE[1]} x {SHAPE[0]})"
    assert message in done.skipped["A/001.tif"]


def changed(samples, tmp_path, change):
    data = json.loads((samples / "coco.json").read_text())
    change(data)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(data))
    return path


def test_coco_of_another_size_is_left_out_and_named(samples, tmp_path):
    def half(data):
        data["images"][1] |= {"height": SHAPE[0] // 2, "width": SHAPE[1] // 2}

    def half_in_the_rles(data):
        for image in data["images"]:
            del image["height"]
        for annotation in data["annotations"]:
            if annotation["image_id"] == 2:
                annotation["segmentation"] = {"size": [64, 100], "counts": [10, 20, 6370]}

    for number, change in enumerate((half, half_in_the_rles)):
        path = changed(samples, tmp_path, change)
        found, done = counted([samples / "scans"], tmp_path / f"out{number}", outlines_from_coco, path)
        assert found == {"001.tif": 5, "B/001.tif": 4}
        assert "another size than the file has (100 x 64 on 200 x 128)" in done.skipped["A/001.tif"]


def test_crowds_as_text_and_a_file_of_crowds_only(samples, tmp_path):
    def all_crowds(data):
        for annotation in data["annotations"]:
            annotation["iscrowd"] = "1"

    path = changed(samples, tmp_path, all_crowds)
    found, done = counted([samples / "scans"], tmp_path / "out", outlines_from_coco, path)
    assert found == dict.fromkeys(COUNTS, 0)
    assert done.record["warnings"][0].startswith("NO OUTLINE IS LEFT TO MEASURE in 3 images")
    assert any("ALL annotations marked as crowds" in line and "12 of 12" in line for line in done.record["warnings"])
    found, _ = counted([samples / "scans"], tmp_path / "as", outlines_from_coco, path, crowds_as_particles=True)
    assert found == COUNTS


def test_categories_that_mean_no_state_are_named(samples, tmp_path):
    data = json.loads((samples / "coco.json").read_text())
    data["categories"] = [{"id": 1, "name": "particle"}, {"id": 2, "name": "scale bar"}]
    for number, annotation in enumerate(data["annotations"]):
        annotation["category_id"] = 2 if number == 1 else 1
    (tmp_path / "two.json").write_text(json.dumps(data))
    _, done = counted([samples / "scans"], tmp_path / "out", outlines_from_coco, tmp_path / "two.json")
    (warning,) = (line for line in done.record["warnings"] if "labels that name no state" in line)
    assert f"particle ({len(data['annotations']) - 1}), scale bar (1)" in warning


def test_regions_written_twice_count_once_and_are_said(samples, tmp_path):
    def double(data):
        data["annotations"] *= 2

    found, done = counted([samples / "scans"], tmp_path / "out", outlines_from_coco, changed(samples, tmp_path, double))
    assert found == COUNTS
    assert any("A/001.tif: 3 × annotations drawn twice" in line for line in done.record["warnings"])


def test_shared_ids_and_unusable_outlines_are_left_out_with_the_reason(samples, tmp_path):
    def share(data):
        data["images"][2]["id"] = 1

    found, done = counted([samples / "scans"], tmp_path / "out", outlines_from_coco, changed(samples, tmp_path, share))
    assert found == {"A/001.tif": 3}
    assert "shares the id 1 with B/001.tif" in done.skipped["001.tif"]

    def boxes(data):
        for annotation in data["annotations"]:
            if annotation["image_id"] == 2:
                annotation["segmentation"] = []

    found, done = counted([samples / "scans"], tmp_path / "two", outlines_from_coco, changed(samples, tmp_path, boxes))
    assert found == {"001.tif": 5, "B/001.tif": 4}
    assert "none of its 3 outlines can be used (they have a box at most" in done.skipped["A/001.tif"]


def test_an_image_missing_in_predictions_is_left_out_unless_it_was_looked_at(tmp_path):
    for name, count in (("a.tif", 2), ("black.tif", 0)):
        write_zeiss(tmp_path / "in" / name, dotted(count)[0])
    images = [tmp_path / "in"]
    measure_images(images, tmp_path / "first", BrightSource())
    write_zeiss(tmp_path / "in" / "new.tif", scene(0))
    predictions = tmp_path / "first" / "predictions.json"
    found, done = counted(images, tmp_path / "second", outlines_from_coco, predictions)
    assert found == {"a.tif": 2, "black.tif": 0}
    assert "no outlines of this image, nor a record that it was measured, in" in done.skipped["new.tif"]
    shutil.copy(predictions, tmp_path / "alone.json")  # without the record beside it, nobody knows of black.tif
    found, done = counted(images, tmp_path / "third", outlines_from_coco, tmp_path / "alone.json")
    assert found == {"a.tif": 2}
    assert set(done.skipped) == {"black.tif", "new.tif"}


def test_predictions_written_twice_or_under_two_ids(samples, tmp_path):
    records = json.loads((samples / "out" / "predictions.json").read_text())
    (tmp_path / "twice.json").write_text(json.dumps(records * 2))
    found, done = counted([samples / "scans"], tmp_path / "out", outlines_from_coco, tmp_path / "twice.json")
    assert found == COUNTS
    assert any("outlines written twice" in line and "(12)" in line for line in done.record["warnings"])
    for record in records[:2]:
        record["image_id"] = 77
    (tmp_path / "ids.json").write_text(json.dumps(records))
    found, done = counted([samples / "scans"], tmp_path / "two", outlines_from_coco, tmp_path / "ids.json")
    assert found == {"A/001.tif": 3, "B/001.tif": 4}
    assert "outlines of 001.tif under the image ids [1, 77]" in done.skipped["001.tif"]
