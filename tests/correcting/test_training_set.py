"""Corrected images as a data set: its contents, the images kept back, and what a foreign folder may not hold."""

import json
import shutil

import cv2
import numpy as np
import pytest
from measured_scenes import BrightSource, scene, write_zeiss

from semsize.correcting import CorrectionError
from semsize.correcting.results import CorrectedResults
from semsize.correcting.shapes import ellipse_mask
from semsize.correcting.training_set import corrected_images, write_training_set
from semsize.measuring import MeasurementSettings, measure_images
from semsize.sem import read_grey
from semsize.structures import read_annotations
from semsize.structures.masks import CroppedMasks


def corrected(results, number=1):
    """Delete an outline, add one, restate one."""
    image = results.image(number)
    with results.open_log(image, results.detected(image)) as log:
        log.apply(log.corrections.delete([1]))
        log.apply(log.corrections.add(ellipse_mask((20, 100), (8, 8), image.shape), "complete"))
        log.apply(log.corrections.restate([3], "isolated"))
    return log.corrections


@pytest.fixture
def pictures(tmp_path):
    """An empty folder."""
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def test_what_counts_after_corrections_is_what_is_learned_from(results, measured_once, tmp_path, pictures):
    state = corrected(results)
    found = corrected_images([results.folder], [measured_once / "scans"], pictures)
    assert found.notes == ("sub/b.tif: left out, nothing in it was corrected",)
    split = write_training_set(tmp_path / "set", found, seed=0)
    assert split == {"train": ["a.tif"], "val": []}
    data = read_annotations(tmp_path / "set" / "annotations" / "train.json")
    (image,) = data["images"]
    assert (image["source"], image["pixel_size_nm"]) == ("a.tif", 5.0)
    masks = CroppedMasks.from_rles([each["segmentation"] for each in data["annotations"]])
    counted = results.counted(state, results.detected(results.image(1)).scores)
    np.testing.assert_array_equal(masks.areas, state.masks(counted).areas)
    assert [each["state"] for each in data["annotations"]] == [state.outlines[number].state for number in counted]
    np.testing.assert_array_equal(read_grey(tmp_path / "set" / "images" / "train" / image["file_name"]), scene(0))


def data_of(folder, pictures, file, **settings):
    """The data set's annotations and grey levels of a file that was measured with some settings, and corrected."""
    measure_images([file], folder / "out", BrightSource(), MeasurementSettings(**settings))
    results = CorrectedResults(folder / "out", [folder])
    corrected(results)
    write_training_set(folder / "set", corrected_images([folder / "out"], [folder], pictures), seed=0)
    data = read_annotations(folder / "set" / "annotations" / "train.json")
    return data, read_grey(folder / "set" / "images" / "train" / data["images"][0]["file_name"]), results


def test_data_bars_are_not_learned_and_outlines_move_with_the_frame(tmp_path, pictures):
    grey = scene(0)
    file = write_zeiss(tmp_path / "a.tif", np.vstack([np.full((20, 200), 255, np.uint8), grey, grey[:30]]))
    data, learned, results = data_of(tmp_path, pictures, file, crop_top=20, crop_rows=30)
    np.testing.assert_array_equal(learned, grey)
    assert (data["images"][0]["height"], data["images"][0]["width"]) == grey.shape
    masks = CroppedMasks.from_rles([each["segmentation"] for each in data["annotations"]])
    image = results.image(1)
    state = results.corrected(image)
    whole = state.masks(results.counted(state, results.detected(image).scores))
    assert masks.image_shape == grey.shape
    np.testing.assert_array_equal(masks.union(), whole.union()[20:148])


def test_an_outline_in_a_data_bar_is_left_out_and_counted(tmp_path, pictures):
    file = write_zeiss(tmp_path / "a.tif", np.vstack([scene(0), np.zeros((30, 200), np.uint8)]))
    measure_images([file], tmp_path / "out", BrightSource(), MeasurementSettings(crop_rows=30))
    results = CorrectedResults(tmp_path / "out", [tmp_path])
    image = results.image(1)
    with results.open_log(image, results.detected(image)) as log:
        log.apply(log.corrections.add(ellipse_mask((60, 145), (8, 8), image.shape)))
    found = corrected_images([tmp_path / "out"], [tmp_path], pictures)
    assert found.notes == ("a.tif: 1 outlines left out, no pixel of them lies between the data bars",)
    assert len(found.images[0].particles) == len(results.detected(image).scores)


def test_grey_levels_are_stretched_as_they_were_measured(tmp_path, pictures):
    stored = scene(0).astype(np.uint16) * 100 + 5000
    file = write_zeiss(tmp_path / "a.tif", stored)
    _, learned, _ = data_of(tmp_path, pictures, file, intensity_range=(0.0, 30_000.0))
    np.testing.assert_array_equal(learned, np.rint(stored / 30_000 * 255))


@pytest.mark.parametrize(
    ("kind", "score", "untouched"),
    [("model", 0.9, 1), ("model", 1.0, 1), ("predictions", 0.9, 1), ("COCO file", 1.0, 0), ("corrections", 0.9, 1)],
)
def test_outlines_are_counted_that_a_model_found_and_nobody_touched(
    results, measured_once, pictures, kind, score, untouched
):
    record = json.loads((results.folder / "record.json").read_text(encoding="utf-8"))
    record["outlines"]["kind"] = kind
    (results.folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    part = results.files_of(results.image(1))[0]
    data = json.loads(part.read_text(encoding="utf-8"))
    data["scores"] = [score if each > 0.5 else each for each in data["scores"]]
    part.write_text(json.dumps(data), encoding="utf-8")
    state = corrected(results)  # of the outlines 1, 3 and 5, which count, the first is deleted and 3 restated
    found = corrected_images([results.folder], [measured_once / "scans"], pictures)
    assert results.counted(state, np.array(data["scores"])) == [3, 5, 7]
    assert found.untouched == {"a.tif": untouched}


def test_a_quarter_is_kept_back_and_the_seed_says_which(tmp_path, pictures):
    folder = tmp_path / "scans"
    for number in range(8):
        write_zeiss(folder / f"{number}.tif", scene(number))
    measure_images([folder], tmp_path / "out", BrightSource())
    results = CorrectedResults(tmp_path / "out", [folder])
    for number in range(1, 9):
        corrected(results, number)
    found = corrected_images([tmp_path / "out"], [folder], pictures)
    splits = [write_training_set(tmp_path / f"set{seed}", found, seed) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    for split in splits:
        assert sorted(split["train"] + split["val"]) == [f"{number}.tif" for number in range(8)]
        assert len(split["val"]) == 2


def test_a_picture_that_is_corrected_twice_is_refused(results, measured_once, tmp_path, pictures):
    corrected(results)
    shutil.copytree(results.folder, tmp_path / "again")
    with pytest.raises(CorrectionError, match=r"a\.tif of .*again and a\.tif of .*out are the same picture"):
        corrected_images([results.folder, tmp_path / "again"], [measured_once / "scans"], pictures)


def test_a_picture_in_files_of_two_kinds_is_refused(tmp_path, pictures):
    files = [write_zeiss(tmp_path / "a.tif", scene(0)), tmp_path / "export.png"]
    cv2.imwrite(str(files[1]), scene(0))
    measure_images(files, tmp_path / "out", BrightSource())
    results = CorrectedResults(tmp_path / "out", [tmp_path])
    corrected(results, 1)
    assert len(corrected_images([tmp_path / "out"], [tmp_path], pictures).images) == 1
    corrected(results, 2)
    with pytest.raises(CorrectionError, match=r"export\.png of .*out and a\.tif of .*out are the same picture"):
        corrected_images([tmp_path / "out"], [tmp_path], pictures)


def test_without_a_correction_there_is_nothing_to_learn(results, measured_once, pictures):
    with pytest.raises(CorrectionError, match=r"no image of .* was corrected; correct some first"):
        corrected_images([results.folder], [measured_once / "scans"], pictures)


def test_attack_no_file_but_the_measured_one_below_the_folders_named_is_copied(
    results, measured_once, tmp_path, pictures
):
    corrected(results)
    with pytest.raises(CorrectionError, match="not found below the folders given"):
        corrected_images([results.folder], [tmp_path / "elsewhere"], pictures)
    secret = tmp_path / "secret.tif"
    shutil.copyfile(measured_once / "scans" / "a.tif", secret)
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "a.tif").symlink_to(secret)
    with pytest.raises(CorrectionError, match="not found below the folders given"):
        corrected_images([results.folder], [scans], pictures)
    (scans / "a.tif").unlink()
    write_zeiss(scans / "a.tif", scene(5))
    with pytest.raises(CorrectionError, match="its file is another than was measured"):
        corrected_images([results.folder], [scans], pictures)


def test_a_file_that_changes_while_it_is_read_is_named(results, measured_once, tmp_path, pictures, monkeypatch):
    corrected(results)
    shutil.copytree(measured_once / "scans", tmp_path / "scans")
    found = CorrectedResults.picture_file

    def changed(self, image):
        return write_zeiss(found(self, image), scene(5))

    monkeypatch.setattr(CorrectedResults, "picture_file", changed)
    with pytest.raises(CorrectionError, match=r"a\.tif: changes while it is read"):
        corrected_images([results.folder], [tmp_path / "scans"], pictures)


def test_an_image_with_every_outline_deleted_is_background(results, measured_once, tmp_path, pictures):
    image = results.image(1)
    with results.open_log(image, results.detected(image)) as log:
        log.apply(log.corrections.delete(range(1, 7)))
    corrected(results, 2)
    found = corrected_images([results.folder], [measured_once / "scans"], pictures)
    assert [len(each.particles) for each in found.images] == [0, 3]
    write_training_set(tmp_path / "set", found, seed=0)
    files = sorted((tmp_path / "set" / "annotations").iterdir())
    assert sum(len(json.loads(file.read_text())["images"]) for file in files) == 2
