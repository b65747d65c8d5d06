"""Corrected images as a data set: what is in it, what is kept back, what of a stranger's folder is refused."""

import json
import shutil

import numpy as np
import pytest
from measured_scenes import BrightSource, scene, write_zeiss

from semsize.correcting import CorrectionError
from semsize.correcting.results import CorrectedResults
from semsize.correcting.shapes import ellipse_mask
from semsize.correcting.training_set import corrected_images, write_training_set
from semsize.measuring import measure_images
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


def test_what_counts_after_corrections_is_what_is_learned_from(results, measured_once, tmp_path):
    state = corrected(results)
    found = corrected_images([results.folder], [measured_once / "scans"])
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
    copied = tmp_path / "set" / "images" / "train" / image["file_name"]
    assert copied.read_bytes() == (measured_once / "scans" / "a.tif").read_bytes()


def test_a_quarter_is_kept_back_and_the_seed_says_which(tmp_path):
    folder = tmp_path / "scans"
    for number in range(8):
        write_zeiss(folder / f"{number}.tif", scene(number))
    measure_images([folder], tmp_path / "out", BrightSource())
    results = CorrectedResults(tmp_path / "out", [folder])
    for number in range(1, 9):
        corrected(results, number)
    found = corrected_images([tmp_path / "out"], [folder])
    splits = [write_training_set(tmp_path / f"set{seed}", found, seed) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    for split in splits:
        assert sorted(split["train"] + split["val"]) == [f"{number}.tif" for number in range(8)]
        assert len(split["val"]) == 2


def test_a_picture_that_is_corrected_twice_is_refused(results, measured_once, tmp_path):
    corrected(results)
    shutil.copytree(results.folder, tmp_path / "again")
    with pytest.raises(CorrectionError, match=r"a\.tif of .*again and a\.tif of .*out are the same picture"):
        corrected_images([results.folder, tmp_path / "again"], [measured_once / "scans"])


def test_without_a_correction_there_is_nothing_to_learn(results, measured_once):
    with pytest.raises(CorrectionError, match=r"no image of .* was corrected; correct some first"):
        corrected_images([results.folder], [measured_once / "scans"])


def test_attack_no_file_but_the_measured_one_below_the_folders_named_is_copied(results, measured_once, tmp_path):
    corrected(results)
    with pytest.raises(CorrectionError, match="not found below the folders given"):
        corrected_images([results.folder], [tmp_path / "elsewhere"])
    secret = tmp_path / "secret.tif"
    shutil.copyfile(measured_once / "scans" / "a.tif", secret)
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "a.tif").symlink_to(secret)
    with pytest.raises(CorrectionError, match="not found below the folders given"):
        corrected_images([results.folder], [scans])
    (scans / "a.tif").unlink()
    write_zeiss(scans / "a.tif", scene(5))
    with pytest.raises(CorrectionError, match="its file is another than was measured"):
        corrected_images([results.folder], [scans])


def test_a_file_that_changes_while_it_is_copied_is_named(results, measured_once, tmp_path):
    corrected(results)
    shutil.copytree(measured_once / "scans", tmp_path / "scans")
    found = corrected_images([results.folder], [tmp_path / "scans"])
    write_zeiss(tmp_path / "scans" / "a.tif", scene(5))
    with pytest.raises(CorrectionError, match=r"a\.tif: changed while it was read"):
        write_training_set(tmp_path / "set", found, seed=0)


def test_an_image_with_every_outline_deleted_is_background(results, measured_once, tmp_path):
    image = results.image(1)
    with results.open_log(image, results.detected(image)) as log:
        log.apply(log.corrections.delete(range(1, 7)))
    corrected(results, 2)
    found = corrected_images([results.folder], [measured_once / "scans"])
    assert [len(each.particles) for each in found.images] == [0, 3]
    write_training_set(tmp_path / "set", found, seed=0)
    files = sorted((tmp_path / "set" / "annotations").iterdir())
    assert sum(len(json.loads(file.read_text())["images"]) for file in files) == 2
